"""The program's door, for ``tinysight`` and ``python -m tinysight``; knows only how to be interrupted.

It is in place before anything else is imported, so that Ctrl-C gets its one line at any moment.
"""

import gc
import os
import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; Ctrl-C ends it with one line and the exit status 130."""
    interrupted = False

    def interrupt(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough: what is open is being closed now
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    gc.set_threshold(100_000)  # imports make many objects and little garbage
    try:
        from .cli.app import main as run

        run(lambda: interrupted)
    except BaseException as error:  # an import that is interrupted raises ImportError, or whatever it makes of it
        if not (interrupted or isinstance(error, KeyboardInterrupt)):
            raise
        print("tinysight: interrupted", file=sys.stderr, flush=True)  # noqa: T201
        os._exit(130)  # TensorFlow, broken off, now and then aborts in Python's own end
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # what follows is Python's own end


if __name__ == "__main__":
    main()
