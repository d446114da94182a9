"""The panel: a story under settings that can be changed, its picture, its steps, the state that decided.

Everything shown is the value of an HTML widget; nothing is printed, so a notebook's outputs stay the same in every run.
What one click may bring is prepared while the reader looks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import escape
from typing import Any

import ipywidgets as widgets

from mcnilib.cluster.settings import Settings
from mcnilib.scenarios.scenario import Scenario, neighbours
from mcnilib.show.html.state import state_html
from mcnilib.show.html.style import as_code, style_sheet
from mcnilib.show.html.table import rows, table_html
from mcnilib.show.picture.cache import picture_of, svg_of
from mcnilib.show.picture.palette import role_of
from mcnilib.show.picture.svg import to_png
from mcnilib.show.widgets.controls import WIDE, Controls
from mcnilib.show.widgets.fallback import Bundle, alert_html, or_gives_up, still
from mcnilib.show.widgets.permalink import Share
from mcnilib.show.widgets.prefetch import Ahead, soon
from mcnilib.show.widgets.stepper import Stepper
from mcnilib.trace.explain import DEPTHS, because, verdict

DEPTH_LABELS = {"outcome": "the outcome", "hops": "every hop", "decisions": "every decision"}

SOON = 0.05
"""Seconds from the picture to the tables below it."""


def no_remark(story: Scenario, settings: Settings) -> str:
    """Say nothing about a run."""
    return ""


def depth_chooser(changed: Callable[[], None]) -> Any:
    """Return the list from which the reader chooses how much is told; `changed` is called after each choice."""
    options = [(DEPTH_LABELS[depth], depth) for depth in DEPTHS]
    chooser = widgets.Dropdown(options=options, value="hops", description="Tell me", style=dict(WIDE))
    chooser.observe(lambda change: changed(), names="value")
    return chooser


class Panel(widgets.VBox):  # type: ignore[misc]
    """A story under settings that can be changed, and a conversation that can be walked through."""

    _count = 0

    def __init__(
        self,
        story: Scenario,
        settings: Settings,
        scale: float = 1.0,
        remark: Callable[[Scenario, Settings], str] = no_remark,
    ) -> None:
        """Build the controls and show the first run; `remark` adds a few words to each verdict."""
        Panel._count += 1
        self.story, self.settings, self._scale, self._remark = story, settings, scale, remark
        self._uid, self._ahead = f"mcni{Panel._count}", Ahead()
        self._box = Controls(story.options(), settings, self._change)
        self.controls = self._box.of
        self.depth = depth_chooser(self._restart)
        self.stepper = Stepper(self._show_step)
        self.share = Share(story, self._box.take)
        self.verdict, self.picture, self.reasons, self.steps, self.state = (widgets.HTML() for _ in range(5))
        super().__init__(self._parts(scale))
        self._restart()
        self.refresh()

    def _parts(self, scale: float) -> list[Any]:
        """Return what the panel shows, from top to bottom: what changes its height stands below the picture."""
        sheet = widgets.HTML(style_sheet(scale))
        story = [self.verdict, self.picture, self.stepper, self.reasons, self.state]
        return [sheet, self._box, *story, self.depth, self.steps, self.share]

    def _change(self, settings: Settings) -> None:
        self.settings = settings
        self.refresh()

    @or_gives_up
    def refresh(self) -> None:
        """Show the run of the current settings: picture and verdict at once, the tables when those can be seen."""
        self.picture.value = svg_of(self.story, self.settings, self._uid, self._scale, None)
        self.verdict.value = verdict_html(self.story, self.settings)
        shown = self.settings
        soon(SOON, lambda: self._restart() if shown == self.settings else None)
        self._ahead.start(self._likely())

    @or_gives_up
    def _restart(self) -> None:
        """Offer the steps of the run at the chosen depth, and show the one that decided."""
        self.share.show(self.settings)
        trace = self.story.run(self.settings)
        told = rows(trace, self.depth.value)
        self.stepper.offer([((row.journey, row.index), f"{row.packet}, {row.where}: {row.what}") for row in told])

    @or_gives_up
    def _show_step(self, at: tuple[int, int] | None) -> None:
        """Show the conversation at one step, or all of it: picture, table and state."""
        trace, world = self.story.run(self.settings), self.story.world(self.settings)
        journey = next((j for j in trace.journeys if at and j.number == at[0]), trace.outcome.journey)
        step = journey.steps[at[1]] if at else trace.outcome.step
        self.picture.value = svg_of(self.story, self.settings, self._uid, self._scale, at)
        self.steps.value = f'<div class="mcni">{table_html(trace, self.depth.value, at)}</div>'
        self.reasons.value = (
            "" if at else reasons_html(self.story, self.settings, self._remark(self.story, self.settings))
        )
        self.state.value = f'<div class="mcni">{state_html(world, trace, journey, step)}</div>'

    def give_up(self, problem: Exception) -> None:
        """Say where the verdict stands what is wrong, and show nothing else: it would tell of other settings."""
        self.verdict.value = alert_html(problem)
        for part in (self.picture, self.reasons, self.steps, self.state):
            part.value = ""
        self.stepper.empty()

    def _likely(self) -> Iterator[str]:
        """Make the pictures that are one click away."""
        for following in neighbours(self.story, self.settings):
            yield svg_of(self.story, following, self._uid, self._scale, None)

    def _repr_mimebundle_(self, **kwargs: Any) -> Bundle:
        """Add the picture and the verdict for viewers without a kernel."""
        trace = self.story.run(self.settings)
        words = [verdict(trace), *because(trace)]
        return still(super()._repr_mimebundle_(**kwargs), words, to_png(picture_of(self.story, self.settings)))


def verdict_html(story: Scenario, settings: Settings) -> str:
    """Return the verdict as a live region."""
    trace = story.run(settings)
    glyph = role_of(trace.outcome).glyph
    return f'<div class="mcni mcni-verdict" role="status" aria-live="polite">{glyph} {code_html(verdict(trace))}</div>'


def reasons_html(story: Scenario, settings: Settings, remark: str) -> str:
    """Return why it ended so, a remark, and what the document says."""
    trace, claim = story.run(settings), story.claim(settings)
    reasons = "".join(f"<div>{code_html(line)}</div>" for line in because(trace))
    reasons += f"<div><i>{escape(remark)}</i></div>" if remark else ""
    agrees = " <b>Linux disagrees.</b>" if claim.holds(trace.outcome.works) is False else ""
    document = f"The document — {escape(claim.section)}: {escape(claim.says)}.{agrees}"
    return f'<div class="mcni">{reasons}<div class="mcni-claim">{document}</div></div>'


def code_html(text: str) -> str:
    """Escape a sentence; what stands between backticks is code."""
    return re.sub("`([^`]*)`", lambda found: as_code(found[1]), escape(text))
