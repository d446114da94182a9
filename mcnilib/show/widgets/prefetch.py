"""Prefetch: what the next click may show is made while the kernel has nothing else to do.

A piece at a time, so that a click never waits for more than one; not before a cell has been over for a while, so that
running all cells is not slowed down.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from time import monotonic

from mcnilib.gc_pause import gc_paused

IDLE_DELAY, SLICE, SLICE_PAUSE = 0.3, 0.015, 0.02
"""Seconds after a click or a cell before prefetching begins, of work at a stretch, and between two stretches.

A stretch ends with the piece that exceeds it: pieces are to be small.
"""


class Prefetch:
    """Pieces of work of which only the latest lot is done; without an event loop (in a script) none is."""

    def __init__(self) -> None:
        """Have nothing to do yet."""
        self._pieces: Iterator[object] = iter(())

    def start(self, pieces: Iterator[object]) -> None:
        """Do these pieces, by asking for the next, instead of those from before."""
        self._pieces = pieces
        _watch_cells()
        if loop := running_loop():
            loop.call_later(IDLE_DELAY, self._next, loop, pieces)

    def stop(self) -> None:
        """Leave what is not done yet."""
        self._pieces = iter(())

    def _next(self, loop: asyncio.AbstractEventLoop, pieces: Iterator[object]) -> None:
        if pieces is not self._pieces:
            return
        if monotonic() - _Cells.ended < IDLE_DELAY:
            loop.call_later(IDLE_DELAY, self._next, loop, pieces)
        elif _do_some(pieces):
            loop.call_later(SLICE_PAUSE, self._next, loop, pieces)


@gc_paused()
def _do_some(pieces: Iterator[object]) -> bool:
    """Do pieces for SLICE seconds; tell whether there may be more. One that fails is the last: a click will say why."""
    until = monotonic() + SLICE
    with suppress(Exception):
        return any(monotonic() > until for _ in pieces)
    return False


class _Cells:
    """When the last cell of the notebook ended, by the clock `monotonic`; and whether anybody tells us."""

    ended = float("-inf")
    watched = False


def _watch_cells() -> None:
    """Have IPython tell when a cell has ended, where there is IPython. Source: IPython.core.events, post_run_cell."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", _nobody)()
    if shell and not _Cells.watched:
        _Cells.watched = True
        shell.events.register("post_run_cell", _cell_ended)


def _nobody() -> None:
    """There is no IPython."""


def _cell_ended(result: object) -> None:
    _Cells.ended = monotonic()


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop the kernel runs in; None outside of one."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def run_later(seconds: float, action: Callable[[], None]) -> None:
    """Do something a little later; at once where no event loop runs."""
    loop = running_loop()
    if loop:
        loop.call_later(seconds, action)
    else:
        action()
