"""Work ahead of the reader: when it begins, how much is done at a stretch, what ends it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mcnilib.show.widgets import prefetch
from mcnilib.show.widgets.prefetch import IDLE_DELAY, SLICE, SLICE_PAUSE, Prefetch


class Loop:
    """An event loop and a clock in the hands of the test."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waiting: list[tuple[float, Callable[..., None], tuple[object, ...]]] = []

    def call_later(self, seconds: float, action: Callable[..., None], *arguments: object) -> None:
        self.waiting.append((self.now + seconds, action, arguments))

    def turn(self) -> float:
        """Let the next action happen; return how long it waited."""
        time, action, arguments = self.waiting.pop(0)
        waited, self.now = time - self.now, time
        action(*arguments)
        return round(waited, 6)


@pytest.fixture
def loop(monkeypatch) -> Loop:
    made = Loop()
    monkeypatch.setattr(prefetch, "running_loop", lambda: made)
    monkeypatch.setattr(prefetch, "monotonic", lambda: made.now)
    monkeypatch.setattr(prefetch._Cells, "ended", float("-inf"))
    return made


def pieces(done: list[str], names: str, loop: Loop | None = None, seconds: float = 2 * SLICE):
    """Pieces of work that take some seconds each and leave their names."""
    for name in names:
        done.append(name)
        if loop:
            loop.now += seconds
        yield None


def test_a_piece_at_a_time(loop) -> None:
    done: list[str] = []
    Prefetch().start(pieces(done, "ab", loop))
    assert done == []
    assert (loop.turn(), done) == (IDLE_DELAY, ["a"])
    assert (loop.turn(), done) == (SLICE_PAUSE, ["a", "b"])
    loop.turn()
    assert loop.waiting == []


def test_small_pieces_are_done_at_a_stretch(loop) -> None:
    done: list[str] = []
    Prefetch().start(pieces(done, "abcdefgh", loop, SLICE / 4))
    loop.turn()
    assert 4 <= len(done) <= 6
    loop.turn()
    assert len(done) == 8


def test_nothing_between_two_cells(loop) -> None:
    done: list[str] = []
    Prefetch().start(pieces(done, "ab", loop))
    for _ in range(5):
        loop.now += IDLE_DELAY / 2
        prefetch._cell_ended(None)
        loop.turn()
        assert done == []
    loop.now += IDLE_DELAY
    loop.turn()
    assert done == ["a"]


def test_the_latest_lot_only(loop) -> None:
    done: list[str] = []
    work = Prefetch()
    work.start(pieces(done, "ab", loop))
    work.start(pieces(done, "xy", loop))
    while loop.waiting:
        loop.turn()
    assert done == ["x", "y"]


def test_stopped(loop) -> None:
    done: list[str] = []
    work = Prefetch()
    work.start(pieces(done, "ab", loop))
    loop.turn()
    work.stop()
    while loop.waiting:
        loop.turn()
    assert done == ["a"]


def test_in_a_script_nothing_is_done_ahead(monkeypatch) -> None:
    done: list[str] = []
    Prefetch().start(pieces(done, "ab"))
    assert done == []


def test_a_piece_that_fails_is_left_for_the_click_that_needs_it(loop) -> None:
    done: list[str] = []

    def fails():
        yield from pieces(done, "a", loop)
        raise RuntimeError("a hole")

    Prefetch().start(fails())
    while loop.waiting:
        loop.turn()
    assert done == ["a"]
