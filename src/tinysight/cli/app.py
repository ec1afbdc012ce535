"""The command line: parses, runs a command, and prints its errors as one line each.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 done in part (some pictures could not be read; each is named), 130
interrupted.
"""

import errno
import io
import sys
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from .. import __version__
from ..errors import SettingsError, TinysightError
from . import console
from .cache import cache
from .check import check
from .compare import compare
from .evaluate import evaluate
from .export import export
from .options import DONE, FAILED, INTERRUPTED, WRONG_USAGE
from .predict import predict
from .report import report
from .serve import serve
from .study import study
from .train import summary, train

app = typer.Typer(
    name="tinysight",
    help="Train a small image classifier on your CPU, measure it, and ship it as one file.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main(was_interrupted: Callable[[], bool] = lambda: False) -> NoReturn:
    """Run the command line; every failure is one line on standard error and an exit status.

    Args:
        was_interrupted: Returns whether Ctrl-C was pressed; then any error, such as one from an import that it broke
            off, counts as the interruption.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    debug = "--debug" in sys.argv[1:]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names need not be Unicode
    try:
        status = app(prog_name="tinysight", standalone_mode=False)
    except Exception as error:
        if was_interrupted():
            raise KeyboardInterrupt from None
        if debug:
            raise
        status = _explain(error)
    if status == INTERRUPTED:
        raise KeyboardInterrupt  # Typer turned it into a status; the caller handles it
    sys.exit(status if isinstance(status, int) else DONE)


def _explain(error: Exception) -> int:
    """Print an error as one line, and return its exit status."""
    if isinstance(error, typer.TyperException):  # wrong usage, found in parsing
        if message := error.format_message():  # without any arguments Typer has printed the help
            console.print_error(message)
        return WRONG_USAGE
    if isinstance(error, TinysightError):
        console.print_error(str(error))
        return WRONG_USAGE if isinstance(error, SettingsError) else FAILED
    if isinstance(error, OSError):
        place = error.filename or ("standard output" if error.errno == errno.ENOSPC else "a file")
        console.print_error(f"{place}: {error.strerror or error}")
        return FAILED
    if isinstance(error, MemoryError):
        console.print_error("out of memory; use fewer or smaller images")
        return FAILED
    console.print_error(
        f"unexpected {type(error).__name__}: {error}; 'tinysight --debug …' shows where; please report it"
    )
    return FAILED


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"tinysight {__version__}")  # noqa: T201
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
) -> None:
    """Train a small image classifier on your CPU, measure it, and ship it as one file."""


for command in (train, check, evaluate, compare, report, study, predict, export, serve, summary):
    app.command()(command)
app.add_typer(cache, name="cache")
