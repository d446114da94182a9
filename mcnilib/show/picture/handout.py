"""A run on paper: the picture, the verdict and its reasons, every hop, and the state that decided.

Pages have the proportions of A4 at the picture's natural size; print them fitted to the page.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from mcnilib.cluster.settings import Settings
from mcnilib.language import clauses, listed, tr
from mcnilib.scenarios.scenario import Scenario
from mcnilib.show.html.markup import DECIDED
from mcnilib.show.html.state import state_lines
from mcnilib.show.labels.text_metrics import wrap
from mcnilib.show.layout.scene import Label
from mcnilib.show.picture.drawing import Drawing
from mcnilib.show.picture.paint import TextLine, new_figure, paint, pixels
from mcnilib.show.picture.story_picture import picture_of
from mcnilib.trace.explain import because, tell_journey, verdict
from mcnilib.trace.trace import Journey, Trace
from mcnilib.writing import write_file

PROPORTION = math.sqrt(2)
"""Height of a page by its width, ISO 216."""

NARROW_PAGE, WIDE_PAGE = 640.0, 1060
"""Pixels of a page's width without a picture, and at most: letters of 11 pixels are then 6 points high on A4."""

PAGE_MARGIN, LETTER_SIZE, LEADING = 24.0, 11.0, 16.0
"""Pixels: around the text, height of letters, from line to line."""


@dataclass(frozen=True, slots=True)
class PrintedLine:
    """A line of a handout; its continuation is indented."""

    text: str
    bold: bool = False


def handout(path: Path, story: Scenario, settings: Settings) -> None:
    """Write a run as a PDF of one A4 page. Raises: WriteError when the file cannot be written."""
    write_paper(path, tuple(_lines(story, settings)), picture_of(story, settings))


def write_paper(path: Path, lines: Sequence[PrintedLine], drawing: Drawing | None = None) -> None:
    """Write a picture and lines below it as a PDF: one page, as long as its letters stay legible on A4.

    Raises: WriteError when the file cannot be written.
    """
    wide = _width(lines, drawing)
    high, top = wide * PROPORTION, drawing.height if drawing else 0.0
    sheets = list(_sheets(_broken(iter(lines), wide - 3 * PAGE_MARGIN), top, high))
    out = BytesIO()
    with matplotlib.rc_context({"pdf.fonttype": 42}), PdfPages(out, metadata={"CreationDate": None}) as pages:
        for number, sheet in enumerate(sheets, start=1):
            pages.savefig(_page(drawing, sheet, wide, number, len(sheets)))
    write_file(path, out.getvalue())


def _width(lines: Sequence[PrintedLine], drawing: Drawing | None) -> float:
    """Return the width of a page in pixels, the least at which everything fits on one: letters shrink with it."""
    least, picture = (drawing.width, drawing.height) if drawing else (NARROW_PAGE, 0.0)
    for wide in range(round(least), WIDE_PAGE, 20):
        text = sum(1 for _ in _broken(iter(lines), wide - 3 * PAGE_MARGIN)) * LEADING
        if picture + text + 2 * PAGE_MARGIN <= wide * PROPORTION:
            return float(wide)
    return max(least, WIDE_PAGE)


def _lines(story: Scenario, settings: Settings) -> Iterator[PrintedLine]:
    """Yield everything that is said, in reading order."""
    trace, claim = story.run(settings), story.claim(settings)
    yield PrintedLine(f"{story.number}. {tr(story.title)}", bold=True)
    yield PrintedLine(tr(story.question))
    yield PrintedLine(tr("Settings"), bold=True)
    shown = settings.texts()
    yield PrintedLine(clauses(f"{tr(setting.label)}: {tr(shown[setting.name])}" for setting in story.options()))
    yield PrintedLine(tr("Outcome"), bold=True)
    yield from map(PrintedLine, [verdict(trace), *because(trace)])
    yield PrintedLine(tr("Spiderpool's guide — {section}: {says}.", section=tr(claim.section), says=tr(claim.says)))
    yield PrintedLine(tr("The packets"), bold=True)
    yield from map(PrintedLine, folded_packets(trace))
    yield from _state(story, settings)
    yield PrintedLine(tr("See it live"), bold=True)
    yield PrintedLine(f"{story.command(settings)}; notebooks/{story.notebook}")


def folded_packets(trace: Trace) -> Iterator[str]:
    """Tell each packet once, and below it the numbers of those that go the same way and end the same."""
    alike: dict[str, list[Journey]] = {}
    for journey in trace.journeys:
        told = tell_journey(replace(journey, retransmission_of=0))
        alike.setdefault(told.removeprefix(f"{journey.number} "), []).append(journey)
    for first, *others in alike.values():
        yield tell_journey(first)
        if others:
            numbers = listed(journey.number for journey in others)
            yield tr("{numbers}: as {first}", numbers=numbers, first=first.number)


def _state(story: Scenario, settings: Settings) -> Iterator[PrintedLine]:
    step = story.run(settings).outcome.step
    command, lines = state_lines(story.world(settings), step)
    if command:
        yield PrintedLine(
            tr("The state that decided: {netns}# {command}", netns=step.netns, command=command), bold=True
        )
        for line in lines:
            yield PrintedLine(f"{DECIDED if line.decided else '   '} {line.columns.strip()}", bold=line.decided)


def _broken(lines: Iterator[PrintedLine], wide: float) -> Iterator[PrintedLine]:
    """Break lines at the width of the text."""
    for line in lines:
        first, *more = wrap(line.text, wide, bold=line.bold) or [""]
        yield replace(line, text=first)
        yield from (replace(line, text=f"      {text}") for text in more)


def _sheets(lines: Iterator[PrintedLine], picture: float, high: float) -> Iterator[list[PrintedLine]]:
    """Share the lines out: the first page has the room below the picture, the others all of it."""
    left, top = list(lines), picture
    while left:
        room = int((high - top - 2 * PAGE_MARGIN) // LEADING)
        yield left[:room]
        left, top = left[room:], 0.0


def _page(drawing: Drawing | None, lines: Sequence[PrintedLine], wide: float, number: int, of: int) -> Figure:
    high = wide * PROPORTION
    figure = new_figure(wide, high)
    top = PAGE_MARGIN
    if drawing and number == 1:
        paint(figure, replace(drawing, scene=replace(drawing.scene, height=high)))
        top += drawing.height
    foot = Label(f"{number} / {of}", wide / 2, high - PAGE_MARGIN / 2, align="center", colour="quiet")
    texts = [
        Label(line.text, PAGE_MARGIN, top + LEADING * (i + 0.5), size=LETTER_SIZE, bold=line.bold)
        for i, line in enumerate(lines)
    ]
    for label in (*texts, foot):
        text = TextLine(label)
        text.set_transform(pixels(figure, high))
        figure.add_artist(text)
    return figure
