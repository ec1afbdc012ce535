"""The command `tinysight serve`: its options and errors."""

import sys

from typer.main import get_command

from tinysight.cli.app import app


def test_a_port_in_use_and_wrong_options_are_errors_of_one_line(tinysight, service, model_path, monkeypatch):
    status, _, error = tinysight("serve", model_path, "--port", service.port)
    assert (status, error.count("\n")) == (1, 1)
    assert str(service.port) in error
    for options, word in (
        (["--port", "65536"], "port is 65536"),
        (["--api-key", "short"], "8 or more"),
        (["--max-body", "0"], "largest body"),
        (["--max-body", "nan"], "largest body"),
        (["--max-body", "inf"], "largest body"),
        (["--max-body", "1e308"], "largest body"),
        (["--max-pixels", "nan"], "largest picture"),
        (["--max-pixels", "-inf"], "largest picture"),
        (["--name", "a/b"], "'a/b'"),
        (["--api-key", "long-enough", "--no-api-key"], "choose one"),
    ):
        status, _, error = tinysight("serve", model_path, *options)
        assert (status, error.count("\n")) == (2, 1), error
        assert word in error
    assert tinysight("serve", model_path, "--host", "no.such.host.invalid")[0] == 1
    assert tinysight("serve", model_path.parent / "nothing.onnx")[0] == 1


def test_a_missing_extra_says_what_to_install(tinysight, model_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    for module in [name for name in sys.modules if name.startswith("tinysight.serving.")]:
        monkeypatch.delitem(sys.modules, module)
    status, _, error = tinysight("serve", model_path)
    assert status == 1
    assert "pip install 'tinysight[serve]'" in error


def test_the_help_groups_the_options_and_explains_each_in_a_sentence(tinysight):
    status, printed, _ = tinysight("serve", "--help")
    assert status == 0
    for panel in ("Server", "Access", "Limits"):
        assert f"─ {panel} ─" in printed
    options = get_command(app).commands["serve"].params
    assert len(options) > 10
    for option in options:
        assert option.help.endswith("."), option.name
