"""The command `mcni`: what has to hold before the command line is loaded, which takes half a second, and at its end.

Ctrl-C ends it at any moment, with one line and status 130; SIGTERM and SIGHUP let it tidy up first. Only before the
first line here is run does Python answer in its own way.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # the other `signal` takes a while to load itself
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # nothing is loaded that is not needed to listen
    from collections.abc import Callable
    from types import FrameType
    from typing import NoReturn

LOADING = "<frozen importlib._bootstrap>"
"""Where the code is from that loads modules; some modules turn an interruption into an error of their own."""


def main() -> int:
    """Run the command line and return the exit status."""
    _take(signal.SIGINT, _end)
    _fill_places()
    from mcnilib import cli
    from mcnilib.writing import named

    if sys.stdout is not None:
        sys.stdout = named(sys.stdout)
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # Windows has no SIGHUP
            _take(getattr(signal, name), _tidy_up)
    _take(signal.SIGINT, _interrupt)
    try:
        return cli.main()
    except SystemExit as end:  # of --help, or of a command line that cannot be read
        return cli.flushed(int(end.code or 0))
    except BaseException:
        if signal.getsignal(signal.SIGINT) is not _end:
            raise
        return cli.ended(KeyboardInterrupt())  # whatever became of it on its way
    finally:
        _take(signal.SIGINT, signal.SIG_IGN)  # it is over


def _fill_places() -> None:
    """Open nothing in place of standard streams that are closed, so that no other file gets their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)


def _take(number: int, handler: Callable[[int, FrameType | None], object] | int) -> None:
    """Handle a signal, unless whoever started us wants it ignored, as a shell does for what runs in the background."""
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Interrupt the work, so that it tidies up; a second Ctrl-C ends it at once, as the first does during a load."""
    signal.signal(number, _end)
    while frame:
        if frame.f_code.co_filename == LOADING:
            _end()
        frame = frame.f_back
    raise KeyboardInterrupt


def _tidy_up(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _end(*_: object) -> NoReturn:
    try:
        os.write(2, b"mcni: interrupted\n")
    finally:
        os._exit(128 + signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
