"""What is imported when: heavy libraries are loaded only by the commands that need them."""

import builtins
import inspect
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from samples import photograph_model

import tinysight
from tinysight import errors

HEAVY = {"tensorflow", "keras", "sklearn", "scipy", "matplotlib", "pandas", "onnx", "jinja2"}
SERVING = {"fastapi", "starlette", "uvicorn", "prometheus_client", "httptools", "uvloop"}  # Typer may load pydantic


def modules_after(code):
    """Return the top-level modules that a new Python has loaded after running `code`."""
    script = f"import sys\ntry:\n    {code}\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
    script += "print('MODULES', *{name.split('.')[0] for name in sys.modules})"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.partition("MODULES")[2].split())


def run_cli(*arguments):
    return modules_after(
        f"sys.argv = {['tinysight', *map(str, arguments)]!r}; import tinysight.cli.app; tinysight.cli.app.main()"
    )


def test_importing_tinysight_is_light():
    loaded = modules_after("import tinysight; dir(tinysight)")
    assert not loaded & (HEAVY | {"numpy", "PIL", "onnxruntime"})


def test_light_modules_load_nothing_heavy():
    code = "import tinysight.cli.app, tinysight.training.settings, tinysight.errors, tinysight.preprocessing.decode"
    code += ", tinysight.data.loading, tinysight.classifier, tinysight.comparison"
    assert not modules_after(code) & HEAVY


def test_help_loads_nothing_heavy():
    code = "from tinysight.cli.app import main"
    commands = ("train", "study", "evaluate", "compare", "report", "predict", "summary", "export", "serve")
    for command in ((), *((name,) for name in commands)):
        code += f"\n    sys.argv = {['tinysight', *command, '--help']!r}"
        code += "\n    try: main()\n    except SystemExit as stop: assert not stop.code; print('HELPED')"
    assert not modules_after(code) & (HEAVY | SERVING | {"numpy", "PIL", "onnxruntime"})


def test_predict_runs_without_tensorflow(model_path, trained, tmp_path):
    Image.fromarray(np.asarray(trained.images.images[0])).save(tmp_path / "digit.png")
    loaded = run_cli("predict", model_path, tmp_path / "digit.png")
    assert "onnxruntime" in loaded
    assert not loaded & (HEAVY | SERVING)


def test_predict_runs_a_network_with_convolutions_without_keras(tmp_path):
    (tmp_path / "model.onnx").write_bytes(photograph_model())
    Image.new("RGB", (30, 40), "red").save(tmp_path / "picture.png")
    loaded = run_cli("predict", tmp_path / "model.onnx", tmp_path / "picture.png")
    assert not loaded & (HEAVY | SERVING)


def test_evaluate_and_compare_run_without_tensorflow(model_path, class_folders):
    for class_name, digit in (("dark", "0"), ("light", "1")):
        (class_folders / class_name).rename(class_folders / digit)
    for command in (("evaluate", model_path, class_folders), ("compare", model_path, model_path, class_folders)):
        loaded = run_cli(*command)
        assert "onnxruntime" in loaded
        assert not loaded & (HEAVY | SERVING)


@pytest.mark.parametrize("has_convolutions", [False, True])
def test_serve_runs_without_tensorflow(request, has_convolutions, tmp_path):
    path = tmp_path / "model.onnx"
    if has_convolutions:
        path.write_bytes(photograph_model())
    else:
        path = request.getfixturevalue("model_path")
    code = "import tinysight.serving.server, tinysight.serving.worker; from tinysight.classifier import Classifier; "
    code += "from tinysight.serving.app import Service; from PIL import Image; "
    code += f"classifier = Classifier.load({str(path)!r}); Service(classifier, 'pictures').close(); "
    loaded = modules_after(code + "classifier.predict(Image.new('RGB', (30, 40)))")
    assert loaded >= {"fastapi", "onnxruntime"}
    assert not loaded & HEAVY


def test_every_public_name_is_there_and_documented():
    for name in tinysight.__all__:
        thing = getattr(tinysight, name)
        assert name == "__version__" or inspect.getdoc(thing), name
    assert dir(tinysight) == sorted(tinysight.__all__)
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        _ = tinysight.missing


def test_type_checkers_see_the_public_names():
    source = inspect.getsource(tinysight)
    assert set(re.findall(r"(\w+) as \1\b", source)) == set(tinysight.__all__) - {"__version__"}


def test_every_error_that_a_public_function_raises_is_public():
    documented = set()
    for name in set(tinysight.__all__) - {"__version__"}:
        thing = getattr(tinysight, name)
        methods = (
            [value for key, value in vars(thing).items() if not key.startswith("_")] if inspect.isclass(thing) else []
        )
        for documentation in filter(None, map(inspect.getdoc, [thing, *methods])):
            raises = re.search(r"^ *Raises:\n(.*?)(?:\n\n|\Z)", documentation, re.MULTILINE | re.DOTALL)
            documented |= set(re.findall(r"^ +(\w+Error):", raises.group(1), re.MULTILINE)) if raises else set()
    assert documented >= {"DataError", "OutputError", "PictureError", "SettingsError", "ModelFileError"}
    assert documented <= {*tinysight.__all__, *vars(builtins)}
    tree = {name for name, value in vars(errors).items() if inspect.isclass(value)}
    assert tree <= set(tinysight.__all__)
