"""What goes on is said on a terminal, after a second; where nobody looks nothing is written."""

from __future__ import annotations

import io
import sys
from threading import Event

import pytest

from mcnilib import progress
from mcnilib.cli import main
from mcnilib.kernel.compare import report
from mcnilib.progress import Line, shown
from mcnilib.scenarios import scenario


class Terminal(io.StringIO):
    """A terminal that tells when something was drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn = Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.drawn.set()
        return super().write(text)

    @property
    def lines(self) -> list[str]:
        """What stands on the screen after all that was written."""
        return [left(line) for line in self.getvalue().split("\n")]

    @property
    def line(self) -> str:
        """What stands on the line that was written last."""
        return self.lines[-1]


def left(written: str) -> str:
    """Return what is left of a line of which parts were written over."""
    cells: list[str] = []
    for part in written.split("\r"):
        cells[: len(part)] = part
    return "".join(cells).rstrip()


def at(seconds: list[float], stream: io.StringIO, total: int = 0) -> Line:
    return Line("reading", total, stream=stream, clock=iter([0.0, *seconds]).__next__)


@pytest.mark.parametrize(
    ("total", "done", "seconds", "text"),
    [
        (0, 0, 0.9, ""),
        (0, 0, 1.0, "reading, 1 s"),
        (0, 7, 12.4, "reading, 7 done, 12 s"),
        (40, 0, 2.0, "reading [....................] 0 of 40, 2 s"),
        (40, 30, 2.0, "reading [###############.....] 30 of 40, 2 s"),
        (40, 40, 90.0, "reading [####################] 40 of 40, 90 s"),
    ],
)
def test_the_line(total: int, done: int, seconds: float, text: str) -> None:
    terminal = Terminal()
    at([seconds], terminal, total).show(done)
    assert terminal.line == text


def test_a_shorter_line_hides_all_of_a_longer_one() -> None:
    terminal = Terminal()
    line = at([9.0, 9.0], terminal)
    line.show(1000)
    line.show()
    assert terminal.line == "reading, 9 s"


def test_a_line_never_wraps(monkeypatch) -> None:
    for columns, text in (("14", "reading, 9 s"), ("12", "rea..., 9 s"), ("5", ""), ("1", "")):
        monkeypatch.setenv("COLUMNS", columns)
        terminal = Terminal()
        at([9.0], terminal).show()
        assert terminal.line.startswith(text)
        assert len(terminal.line) < int(columns)


def test_at_the_end_the_line_is_gone() -> None:
    terminal = Terminal()
    line = at([9.0], terminal)
    line.show(3)
    line.clear()
    assert terminal.line == ""
    assert terminal.getvalue().endswith("\r")


def test_where_nobody_looks_nothing_is_written() -> None:
    pipe = io.StringIO()
    line = at([9.0], pipe)
    line.show(3)
    line.clear()
    with shown("reading", pipe):
        line.clear()
    assert pipe.getvalue() == ""


@pytest.fixture
def terminal(monkeypatch) -> Terminal:
    monkeypatch.setattr(progress, "AFTER", 0.0)
    monkeypatch.setattr(progress, "EVERY", 0.001)
    return Terminal()


def test_a_block_shows_the_line_until_it_ends(terminal: Terminal) -> None:
    with shown("reading", terminal):
        assert terminal.drawn.wait(10)
    assert "reading, 0 s" in terminal.getvalue()
    assert terminal.line == ""


def test_a_block_that_fails_leaves_no_line(terminal: Terminal) -> None:
    def fail() -> None:
        with shown("reading", terminal):
            assert terminal.drawn.wait(10)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert terminal.line == ""


def test_a_trace_on_a_terminal_says_what_it_reads(terminal: Terminal, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    folder = tmp_path / "here\a"
    assert main(["save", "7", str(folder)]) == 0
    capsys.readouterr()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("mcnilib.cli.snapshots.open_snapshot", slow(terminal, "mcnilib.cli.snapshots.open_snapshot"))
    main(["trace", str(folder), "--from", "mac1", "--to", "tcp:10.233.101.2:80"])
    assert "mcni: reading " in terminal.getvalue()
    assert "here\\x07" in terminal.getvalue()
    assert terminal.line == ""
    assert capsys.readouterr().out.count("\n") == 4  # the verdict, and in three lines what would help


def slow(terminal: Terminal, name: str):
    """Return a function that first waits until the terminal shows something."""
    module, _, attribute = name.rpartition(".")
    wrapped = getattr(sys.modules[module], attribute)

    def waits(*arguments, **named):
        assert terminal.drawn.wait(10)
        return wrapped(*arguments, **named)

    return waits


def test_what_verify_prints_stands_above_its_line(terminal: Terminal, monkeypatch) -> None:
    story = scenario("7")
    results = [report.Result(story.name, story.start(), report.AGREES, f"as predicted {i}") for i in range(3)]
    monkeypatch.setattr(report, "verify", lambda *_: iter(results))
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", terminal)
    assert main(["verify", "7"]) == 0
    assert terminal.lines[:3] == [f"agree   {result}" for result in results]
    assert "mcni verify, 2 done, 0 s" in terminal.getvalue()
    assert "done" not in "".join(terminal.lines)


@pytest.mark.parametrize("words", [["run", "7", "--picture", "x.svg"], ["handout", "7", "x.pdf"]])
def test_what_draws_is_loaded_while_the_line_shows(terminal: Terminal, tmp_path, monkeypatch, words: list[str]) -> None:
    """Loading it takes most of the time: the line would come too late."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stderr", terminal)
    for name in ("mcnilib.show.picture.files", "mcnilib.show.picture.handout"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr("mcnilib.cli.shown", seen := Seen())
    monkeypatch.setattr("mcnilib.cli.classroom.shown", seen)
    assert main(words) == 2
    assert seen.ended == ["ModuleNotFoundError"]


class Seen:
    """A `shown` that keeps what ended its blocks."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def __call__(self, what: str) -> Seen:
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, trace) -> None:
        self.ended.append(kind.__name__)
