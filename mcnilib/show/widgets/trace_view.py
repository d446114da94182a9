"""A conversation on the screen: how it ends, its picture, its steps one at a time, the state that decided, the table.

Whoever shows a trace in a panel shows it by this: the panels add only what the reader may change. Verdict and picture
come at once, what stands below them when it can be seen, what the next click may bring while the reader looks.

Walk through a conversation one step at a time: a slider for the arrow keys, three buttons, where one is in words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import ipywidgets as widgets

from mcnilib.errors import error_text
from mcnilib.language import keeping, tr, trn
from mcnilib.show.html.markup import (
    Bundle,
    Html,
    block,
    error_boundary,
    error_html,
    static_fallback,
    status,
)
from mcnilib.show.html.outcome import verdict_html
from mcnilib.show.html.state import state_html
from mcnilib.show.html.table import DEPTH_LABELS, failure, rows, table_html
from mcnilib.show.picture.drawing import Drawing
from mcnilib.show.picture.files import PictureError, png_data
from mcnilib.show.picture.svg import to_svg
from mcnilib.show.widgets.controls import WIDE
from mcnilib.show.widgets.prefetch import Prefetch, run_later
from mcnilib.trace.explain import because, verdict
from mcnilib.trace.trace import DEPTHS, Trace
from mcnilib.world.world import World

StepKey = tuple[int, int]
"""(number of the packet, index of its step)."""

Steps = Sequence[tuple[StepKey, str]]
"""The steps one can walk through, each with a few words about it."""


class Stepper(widgets.HBox):  # type: ignore[misc]
    """Choose a step, or the whole conversation; `show` is told which step is looked at.

    The slider stands at 0 for the whole conversation. With the focus on it the arrow keys, Page Up and Page Down, Home
    and End move it.
    """

    def __init__(self, show: Callable[[StepKey | None], None]) -> None:
        """Begin with the whole conversation."""
        self._show, self._offering = show, False
        self._steps: tuple[tuple[StepKey, str], ...] = ()
        self._failure: StepKey | None = None
        self.slider = _slider()
        self.slider.observe(keeping(lambda change: self._tell()), names="value")
        self.back = _button(tr("◀ step back"), tr("Show the step before"))
        self.forward = _button(tr("Next ▶"), tr("Show the next step of the conversation"))
        self.whole = _button(tr("Show all"), tr("Show all packets at once"))
        self.lost = _button(
            tr("✗ where it fails"),
            tr("Show the step at which the conversation fails, and the line of state that decided it"),
        )
        self.lost.on_click(keeping(lambda _: self._to_failure()))
        self.where = widgets.HTML()
        self.where.add_class("where")
        for button, move in ((self.back, -1), (self.forward, 1), (self.whole, 0)):
            button.on_click(keeping(lambda _, move=move: self._move(move)))
        layout = widgets.Layout(align_items="center", flex_flow="row wrap", grid_gap="4px")
        super().__init__([self.back, self.slider, self.forward, self.whole, self.lost, self.where], layout=layout)
        self.add_class("mcni-stepper")

    def offer(self, steps: Steps, failure: StepKey | None = None) -> None:
        """Take the steps of another run, and the one at which it fails, and show all of it."""
        self._take(steps, failure)
        self._show(self.at)

    def empty(self) -> None:
        """Take no steps, of a run there is none of, and show nothing."""
        self._take(())

    def _take(self, steps: Steps, failure: StepKey | None = None) -> None:
        self._offering = True
        self._steps, self._failure = tuple(steps), failure
        self.lost.layout.display = None if failure else "none"
        self.slider.value, self.slider.max = 0, len(self._steps)
        self._offering = False
        self._say()

    @property
    def at(self) -> StepKey | None:
        """The step looked at; None for the whole conversation."""
        return self._steps[self.slider.value - 1][0] if self.slider.value else None

    def _move(self, by: int) -> None:
        self.slider.value = max(0, min(len(self._steps), self.slider.value + by)) if by else 0

    def _to_failure(self) -> None:
        """Go to the step at which it fails, or the last one before it of that packet that is offered."""
        if self._failure is None:
            return
        number, last = self._failure
        at = [n for n, ((packet, index), _) in enumerate(self._steps, 1) if packet == number and index <= last]
        self.slider.value = at[-1] if at else self.slider.value

    def _tell(self) -> None:
        if not self._offering:
            self._say()
            self._show(self.at)

    def _say(self) -> None:
        number, total = self.slider.value, len(self._steps)
        text = trn("{count} step", "{count} steps", total)
        if number:
            step = self._steps[number - 1][1]
            text = tr("step {number} of {total}: {step}", number=number, total=total, step=step)
        self.where.value = status(text, tag="span")
        self.back.disabled = self.whole.disabled = number == 0
        self.forward.disabled = number == total


def _slider() -> Any:
    help = tr("Arrow keys walk through the conversation; 0 shows all of it")
    layout = widgets.Layout(width="15em")
    return widgets.IntSlider(
        min=0, max=0, description=tr("step"), tooltip=help, readout=False, style=dict(WIDE), layout=layout
    )


def _button(text: str, help: str) -> Any:
    return widgets.Button(description=text, tooltip=help, layout=widgets.Layout(width="auto"))


TABLES_LATER = 0.05
"""Seconds from the picture to the tables below it."""

PAINTERS = ("svg", "matplotlib")
"""Who may paint the picture of a panel."""

NUMBERS = count(1)
"""Of the pictures of a page: no two of them share an id."""


@dataclass(frozen=True)
class Viewed:
    """What a view shows: a trace in its world, how it is drawn, and what is said beside it.

    `draw` makes the picture of the trace, or of one of its ends, at a step or as a whole. `ends` are the ends of a
    conversation that depends on chance, each with its name. `compared` stands above the picture, `reasons` below the
    steps while the whole conversation is shown; None leaves no room for them. `likely` are the drawings a click may
    bring.
    """

    world: World
    trace: Trace
    draw: Callable[[Trace, StepKey | None], Drawing]
    ends: Sequence[tuple[str, Trace]] = ()
    compared: Html | None = None
    reasons: Callable[[], Html] | None = None
    likely: Iterable[Drawing] = ()


class Picture(widgets.HTML):  # type: ignore[misc]
    """A drawing as SVG, or as a figure of matplotlib; `uid` begins the ids in it."""

    def __init__(self, scale: float = 1.0, painter: str = "svg") -> None:
        """Show nothing yet; `scale` enlarges the picture for a projector.

        Raises: PictureError for another painter than svg and matplotlib.
        """
        if painter not in PAINTERS:
            raise PictureError(
                tr(
                    "there is no painter {painter!r}; there are {first} and {second}",
                    painter=painter,
                    first=PAINTERS[0],
                    second=PAINTERS[1],
                )
            )
        super().__init__(layout=widgets.Layout(overflow="auto"))
        self.uid, self._scale, self._painter = f"mcni{next(NUMBERS)}", scale, painter

    def svg(self, drawing: Drawing) -> str:
        """Return what shows a drawing here; what has been painted once is kept."""
        if self._painter == "matplotlib":
            from mcnilib.show.picture.paint import to_image  # not there in a browser

            return to_image(drawing, self._scale)
        return to_svg(drawing, self.uid, self._scale)

    def show(self, drawing: Drawing) -> None:
        """Show a drawing."""
        self.value = self.svg(drawing)


class TraceView(widgets.VBox):  # type: ignore[misc]
    """A trace that can be walked through, at a depth the reader chooses."""

    def __init__(self, scale: float = 1.0, painter: str = "svg") -> None:
        """Show nothing yet; `painter` paints the pictures."""
        self.picture = Picture(scale, painter)
        self.verdict, self.compared, self.reasons, self.state, self.steps = (widgets.HTML() for _ in range(5))
        self.end, self.depth = _end_chooser(), _depth_chooser()
        self.end.observe(keeping(lambda change: self._draw_end()), names="value")
        self.depth.observe(keeping(lambda change: self._offer()), names="value")
        self.stepper = Stepper(self._show_step)
        self._prefetch = Prefetch()
        self._viewed: Viewed | None = None
        self._drawn: Trace | None = None  # the trace, or the one of its ends that is drawn
        self._problem = ""
        above = [self.verdict, self.compared, self.end, self.stepper, self.picture]
        below = [self.reasons, self.state, self.depth, self.steps]  # what changes its height
        super().__init__([*above, *below], layout=widgets.Layout(margin="0"))

    @error_boundary
    def show(self, viewed: Viewed, *, wait: bool = True) -> None:
        """Show another trace: picture and verdict at once, the tables when those can be seen, or at once too."""
        self._viewed = viewed
        self._offer_ends(viewed)
        self.picture.show(viewed.draw(self._drawn or viewed.trace, None))
        self.verdict.value = verdict_html(viewed.trace)
        _show_if(self.compared, viewed.compared)
        if wait:
            run_later(TABLES_LATER, lambda: self._offer() if self._viewed is viewed else None)
        else:
            self._offer()
        self._prefetch.start(self.picture.svg(drawing) for drawing in viewed.likely)

    def _offer_ends(self, viewed: Viewed) -> None:
        """Offer the ends of a conversation that depends on chance; the one the trace itself tells is drawn first."""
        self._drawn = None
        self.end.options = viewed.ends
        self.end.layout.display = None if viewed.ends else "none"
        shown = (end for _, end in viewed.ends if end.journeys is viewed.trace.journeys)
        self._drawn = self.end.value = next(shown, None)
        self._drawn = self._drawn or viewed.trace

    @error_boundary
    def _draw_end(self) -> None:
        """Draw the end that was chosen."""
        if self._viewed and self._drawn and self.end.value and self.end.value is not self._drawn:
            self._drawn = self.end.value
            self.picture.show(self._viewed.draw(self._drawn, None))
            self._offer()

    @error_boundary
    def _offer(self) -> None:
        """Offer the steps at the chosen depth, and show the whole conversation."""
        if self._drawn:
            chosen = rows(self._drawn, self.depth.value)
            self.stepper.offer([((row.journey, row.index), str(row)) for row in chosen], failure(self._drawn))

    @error_boundary
    def _show_step(self, at: StepKey | None) -> None:
        """Show the conversation at one step, or all of it: picture, table and state."""
        viewed, trace = self._viewed, self._drawn
        if viewed is None or trace is None:
            return
        journey = next((j for j in trace.journeys if at and j.number == at[0]), trace.outcome.journey)
        step = journey.steps[at[1]] if at else trace.outcome.step
        self.picture.show(viewed.draw(trace, at))
        table = table_html(rows(trace, self.depth.value), self.depth.value, at)
        self.steps.value = block(
            table, class_="mcni mcni-scroll", tabindex="0", role="region", aria_label=tr("the steps")
        )
        _show_if(self.reasons, viewed.reasons and (Html() if at else viewed.reasons()))
        self.state.value = block(state_html(viewed.world, trace, journey, step))

    def show_error(self, problem: Exception) -> None:
        """Say where the verdict stands what is wrong, and show nothing else: it would answer another question."""
        self._problem, self.verdict.value = error_text(problem), error_html(problem)
        self._viewed = self._drawn = None
        self.end.options, self.end.layout.display = (), "none"
        for part in (self.compared, self.picture, self.reasons, self.state, self.steps):
            part.value = ""
        self.stepper.empty()

    def fallback(self, bundle: Any) -> Bundle:
        """Add the picture and the verdict, or what is wrong, to the bundle of a panel, for viewers without a kernel."""
        viewed = self._viewed
        if viewed is None:
            return static_fallback(bundle, lambda: [self._problem])
        trace = viewed.trace
        return static_fallback(
            bundle, lambda: [verdict(trace), *because(trace)], lambda: png_data(viewed.draw(trace, None))
        )


def _show_if(part: Any, content: Html | None) -> None:
    """Show content; None takes no room."""
    part.value = content or ""
    part.layout.display = "none" if content is None else None


def _end_chooser() -> Any:
    """Return the choice of which end is drawn, where chance decides."""
    layout = widgets.Layout(width="max-content", max_width="100%", display="none")
    tooltip = tr("Chance decides: which of the ends is drawn")
    return widgets.Dropdown(description=tr("Drawn"), tooltip=tooltip, style=dict(WIDE), layout=layout)


def _depth_chooser() -> Any:
    """Return the list from which the reader chooses how much is told."""
    options = [(tr(DEPTH_LABELS[depth]), depth) for depth in DEPTHS]
    return widgets.Dropdown(options=options, value="hops", description=tr("Show"), style=dict(WIDE))
