"""A line on a terminal that says what goes on, for whatever takes longer than a second; nothing where nobody looks.

It stands on standard error, so results can be piped while it moves, and is gone when the work is done.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Event, Thread
from typing import TextIO, TypeVar

AFTER, EVERY = 1.0, 0.2
"""Seconds before the line appears, and between two of its pictures."""
BAR = 20
"""Characters of the bar."""
Item = TypeVar("Item")


class Line:
    """What goes on, how far it is where that is known, and for how many seconds already."""

    def __init__(
        self, what: str, total: int = 0, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin to count the seconds; `total` is what `done` will be at the end, 0 where nobody knows."""
        self.what, self.total, self.done = what, total, 0
        self._stream, self._clock = stream or sys.stderr, clock
        self._began, self._length = clock(), 0

    @property
    def seen(self) -> bool:
        """Tell whether anybody looks: only a terminal shows the line."""
        return self._stream.isatty()

    def show(self, done: int = 0) -> None:
        """Draw the line anew, with how far the work is; nothing happens in the first second."""
        self.done = done
        seconds = self._clock() - self._began
        if self.seen and seconds >= AFTER:
            text = self._text(seconds, shutil.get_terminal_size().columns - 1)
            self._write(f"\r{text.ljust(self._length)}")
            self._length = len(text)

    def show_of(self, done: int, total: int) -> None:
        """Draw the line anew, where only now it is known how much there is to do."""
        self.total = total
        self.show(done)

    def clear(self) -> None:
        """Take the line away, if it was drawn."""
        if self._length:
            self._write(f"\r{' ' * self._length}\r")
            self._length = 0

    def _text(self, seconds: float, room: int) -> str:
        """Return the line, in so many characters at most."""
        full = BAR * self.done // self.total if self.total else 0
        bar = f" [{'#' * full}{'.' * (BAR - full)}] {self.done} of {self.total}" if self.total else ""
        done = f", {self.done} done" if self.done and not self.total else ""
        rest = f"{bar}{done}, {seconds:.0f} s"
        what = self.what if len(self.what + rest) <= room else f"{self.what[: max(0, room - len(rest) - 3)]}..."
        return f"{what}{rest}"[: max(0, room)]

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


@contextmanager
def shown(what: str, stream: TextIO | None = None) -> Iterator[None]:
    """Show a line while the block runs, drawn by a thread of its own; none where there is no terminal."""
    line, over = Line(what, stream=stream), Event()
    drawing = Thread(target=_draw, args=(line, over), daemon=True)
    if not line.seen:
        yield
        return
    drawing.start()
    try:
        yield
    finally:
        over.set()
        drawing.join()
        line.clear()


def counted(items: Iterable[Item], what: str, total: int = 0) -> Iterator[Item]:
    """Yield items; how many are done stands on a line while the next one is awaited, and not while one is used."""
    line = Line(what, total)
    try:
        for done, item in enumerate(items, 1):
            line.clear()
            yield item
            line.show(done)
    finally:
        line.clear()


def _draw(line: Line, over: Event) -> None:
    while not over.wait(EVERY):
        line.show()


_watched: ContextVar[Callable[[float], None] | None] = ContextVar("watched", default=None)

LOT = 4096
"""Items of a long list between two reports of how far it is."""


@contextmanager
def watched(tell: Callable[[float], None] | None) -> Iterator[None]:
    """Have `tell` hear from long work inside the block how far it is, from 0 to 1."""
    token = _watched.set(tell)
    try:
        yield
    finally:
        _watched.reset(token)


def tell_share(share: float) -> None:
    """Tell whoever watches how far the work is, from 0 to 1."""
    tell = _watched.get()
    if tell:
        tell(share)


def passing(items: Sequence[Item]) -> Iterable[Item]:
    """Return the items of a long list; whoever watches hears how far it is."""
    tell = _watched.get()
    return _told(items, tell) if tell and len(items) > LOT else items


def _told(items: Sequence[Item], tell: Callable[[float], None]) -> Iterator[Item]:
    for start in range(0, len(items), LOT):
        tell(start / len(items))
        yield from items[start : start + LOT]
