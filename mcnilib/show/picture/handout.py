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
from mcnilib.scenarios.scenario import Scenario
from mcnilib.show.html.markup import DECIDED
from mcnilib.show.html.state import state_lines
from mcnilib.show.labels.text_metrics import wrap
from mcnilib.show.layout.scene import Label
from mcnilib.show.picture.drawing import Drawing
from mcnilib.show.picture.paint import TextLine, new_figure, paint, pixels
from mcnilib.show.picture.story_picture import picture_of
from mcnilib.trace.explain import because, tell, verdict
from mcnilib.writing import write_file

PROPORTION = math.sqrt(2)
"""Height of a page by its width, ISO 216."""

PAGE_MARGIN, LETTER_SIZE, LEADING = 24.0, 11.0, 16.0
"""Pixels: around the text, height of letters, from line to line."""


@dataclass(frozen=True, slots=True)
class PrintedLine:
    """A line of a handout; its continuation is indented."""

    text: str
    bold: bool = False


def handout(path: Path, story: Scenario, settings: Settings) -> None:
    """Write a run as a PDF. Raises: WriteError when the file cannot be written."""
    drawing = picture_of(story, settings)
    high = drawing.width * PROPORTION
    sheets = list(_sheets(_broken(_lines(story, settings), drawing.width - 3 * PAGE_MARGIN), drawing.height, high))
    out = BytesIO()
    with matplotlib.rc_context({"pdf.fonttype": 42}), PdfPages(out, metadata={"CreationDate": None}) as pages:
        for number, lines in enumerate(sheets, start=1):
            pages.savefig(_page(drawing, lines, high, number, len(sheets)))
    write_file(path, out.getvalue())


def _lines(story: Scenario, settings: Settings) -> Iterator[PrintedLine]:
    """Yield everything that is said, in reading order."""
    trace, claim = story.run(settings), story.claim(settings)
    yield PrintedLine(f"{story.number}. {story.title}", bold=True)
    yield PrintedLine(story.question)
    yield PrintedLine("Settings", bold=True)
    shown = settings.texts()
    yield PrintedLine("; ".join(f"{setting.label}: {shown[setting.name]}" for setting in story.options()))
    yield PrintedLine("Outcome", bold=True)
    yield from map(PrintedLine, [verdict(trace), *because(trace)])
    yield PrintedLine(f"Spiderpool's guide — {claim.section}: {claim.says}.")
    yield PrintedLine("The packets", bold=True)
    yield from map(PrintedLine, tell(trace, "hops")[1 + len(because(trace)) :])
    yield from _state(story, settings)
    yield PrintedLine("See it live", bold=True)
    yield PrintedLine(f"{story.command(settings)}; notebooks/{story.notebook}")


def _state(story: Scenario, settings: Settings) -> Iterator[PrintedLine]:
    step = story.run(settings).outcome.step
    command, lines = state_lines(story.world(settings), step)
    if command:
        yield PrintedLine(f"The state that decided: {step.netns}# {command}", bold=True)
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


def _page(drawing: Drawing, lines: Sequence[PrintedLine], high: float, number: int, of: int) -> Figure:
    figure = new_figure(drawing.width, high)
    top = PAGE_MARGIN
    if number == 1:
        paint(figure, replace(drawing, scene=replace(drawing.scene, height=high)))
        top += drawing.height
    foot = Label(f"{number} / {of}", drawing.width / 2, high - PAGE_MARGIN / 2, align="center", colour="quiet")
    texts = [
        Label(line.text, PAGE_MARGIN, top + LEADING * (i + 0.5), size=LETTER_SIZE, bold=line.bold)
        for i, line in enumerate(lines)
    ]
    for label in (*texts, foot):
        text = TextLine(label)
        text.set_transform(pixels(figure, high))
        figure.add_artist(text)
    return figure
