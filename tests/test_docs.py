"""The documentation's commands, run in the order in which a reader meets them."""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = Path(sys.executable).parent
# As the target does, without installing again
DEMO = f"make --no-print-directory -f {ROOT / 'Makefile'} -o .venv/train demo"


def commands_in(text):
    """Return the lines typed in the console blocks of a page, without their comments."""
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    typed = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [re.sub(r"\s+# .*", "", line) for line in typed]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A folder that looks like a fresh clone with its virtual environment made."""
    folder = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / "docs" / "examples", folder / "docs" / "examples")
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def run(command, folder):
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    return subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


@contextlib.contextmanager
def served(command, folder):
    """Keep a service running that a reader would start in another terminal, and stop it as Ctrl-C does."""
    environment = {**os.environ, "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"}
    with (
        (folder / "service.log").open("w") as log,
        subprocess.Popen(
            shlex.split(command), cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            assert process.stdout.readline().rstrip() in README
            yield
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode == 130


def run_in_order(commands, folder):
    """Run a reader's commands one after another; services stay until the last one is done."""
    with contextlib.ExitStack() as services:
        for command in commands:
            if command.startswith("tinysight serve "):
                services.enter_context(served(command, folder))
                continue
            result = run(command.replace("make demo", DEMO), folder)
            assert result.returncode == 0, f"{command}\n{result.stdout[-2000:]}{result.stderr[-2000:]}"


@pytest.mark.slow
def test_every_command_of_the_readme_works(clone):
    commands = [command for command in commands_in(README) if not command.startswith("pip ") and "mnist" not in command]
    assert len(commands) > 9
    run_in_order(commands, clone)
    for run_name in ("demo", "shapes", "tutorial"):
        assert (clone / "runs" / run_name / "model.onnx").is_file()


@pytest.mark.slow
@pytest.mark.usefixtures("data_folder")
def test_every_command_of_the_readme_that_needs_mnist_works(clone):
    commands = [command for command in commands_in(README) if "mnist" in command]
    assert len(commands) > 3
    run_in_order(commands, clone)
    assert (clone / "runs" / "mnist" / "model.onnx").is_file()


@pytest.mark.slow
def test_the_readmes_program_works(clone):
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (clone / "program.py").write_text(program)
    result = run("python program.py", clone)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert re.fullmatch(r"[\d.]+% of 374 images", lines[0])
    assert len(lines) == 4


@pytest.mark.slow
def test_the_demo_is_good_and_says_what_next(clone):
    result = run(DEMO, clone)
    (accuracy,) = re.findall(r"test accuracy ([\d.]+) %", result.stdout)
    assert float(accuracy) >= 97
    following = result.stdout.partition("next:\n")[2].splitlines()
    assert 2 <= len(following) <= 3
    assert all(" train digits " in advice for advice in following[2:])
    for command in following[:2]:
        again = run(command.replace("PICTURE", "docs/examples/digits/seven.jpg"), clone)
        assert again.returncode == 0, again.stderr
    assert "\t7\t" in again.stdout


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_targets_that_the_docs_name_are_there():
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    targets = set(re.findall(r"(?<=[`$] )make ([\w-]+)|(?<=`)make ([\w-]+)", pages))
    assert {"quick", "data"} < {"".join(target) for target in targets}
    for target in targets:
        result = subprocess.run(["make", "-n", "".join(target)], cwd=ROOT, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr


def test_pages_that_the_docs_link_are_there():
    assert {"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"} < {page.name for page in PAGES}
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_design_names_every_module():
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    (layout,) = re.findall(r"```\nsrc/tinysight/\n(.*?)```", page, re.DOTALL)
    named, package = set(), ""
    for indent, name in re.findall(r"^( +)(\S+)", layout, re.MULTILINE):
        package = package if len(indent) > 2 else name if name.endswith("/") else ""
        named.add(package + name if package != name else name)
    folder = ROOT / "src" / "tinysight"
    modules = {path.relative_to(folder).as_posix() for path in folder.rglob("*.py")}
    packages = {f"{path.name}/" for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert named == packages | {module for module in modules if "/__init__" not in module}
