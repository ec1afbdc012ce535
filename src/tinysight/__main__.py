"""Entry point of ``tinysight`` and ``python -m tinysight``; ends the program cleanly on Ctrl-C.

Ctrl-C is handled before anything else is imported, so that it prints its one line at any moment.
"""

import atexit
import gc
import os
import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; Ctrl-C ends it with one line and the exit status 130."""
    _open_closed_streams()
    interrupted = False

    def interrupt(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not disturb the clean-up
        raise KeyboardInterrupt

    ended: list[int] = []
    atexit.register(_end_at_once, ended)  # first of all, so that it runs after what is registered later
    signal.signal(signal.SIGINT, interrupt)
    gc.set_threshold(100_000)  # imports make many objects and little garbage: collect less often
    try:
        from .cli.app import main as run

        run(lambda: interrupted)
    except SystemExit as end:
        ended.append(end.code if isinstance(end.code, int) else 1)
        raise
    except BaseException as error:  # an interrupted import may raise ImportError or anything else
        if not (interrupted or isinstance(error, KeyboardInterrupt)):
            raise
        print("tinysight: interrupted", file=sys.stderr, flush=True)  # noqa: T201
        os._exit(130)  # an interrupted TensorFlow sometimes aborts while Python shuts down
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # only Python's shutdown follows


def _end_at_once(ended: list[int]) -> None:
    """End the process with the status in `ended`; Python's shutdown takes 0.2 s with ONNX Runtime, 0.5 s with Keras."""
    if ended:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (OSError, ValueError):
            return  # Python says so at its own shutdown
        os._exit(ended[0])


def _open_closed_streams() -> None:
    """Discard what goes to a closed standard error; end the program if standard output is closed.

    No file that is opened later may get the number of a closed stream: libraries write to these numbers.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - open until the end
    if sys.stdout is None:
        print("tinysight: standard output is closed; send it to a file or to /dev/null", file=sys.stderr)  # noqa: T201
        sys.exit(1)


if __name__ == "__main__":
    main()
