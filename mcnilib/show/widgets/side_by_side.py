"""Two runs of a story side by side: what did the toggle change?

Both pictures have the same places, so that only what happened differs; the first step that differs is emphasised in
both, and below stand that step and the lines of state that differ.
"""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from mcnilib.cluster.settings import Settings
from mcnilib.scenarios.scenario import Scenario
from mcnilib.show.html.diff import MOST, changed_state, first_step, parting_html, state_changes_html
from mcnilib.show.html.style import style_sheet
from mcnilib.show.picture.cache import picture_of, svg_of
from mcnilib.show.picture.svg import to_png
from mcnilib.show.widgets.controls import Controls
from mcnilib.show.widgets.fallback import Bundle, alert_html, or_gives_up, still
from mcnilib.show.widgets.panel import verdict_html
from mcnilib.trace.explain import difference, verdict
from mcnilib.trace.trace import Step

NAMES = ("left", "right")

HEADS = ("left (above on a narrow page)", "right (below on a narrow page)")

NARROWEST = "470px"
"""A picture narrower than this cannot be read: where two of them do not fit beside each other, they stand below."""


class Side(widgets.VBox):  # type: ignore[misc]
    """One of the two runs: its controls, its verdict and its picture."""

    def __init__(self, head: str, controls: Controls) -> None:
        """Show nothing yet; `head` stands above all."""
        self.verdict, self.picture = widgets.HTML(), widgets.HTML()
        parts = [widgets.HTML(f"<h4>{head}</h4>"), controls, self.verdict, self.picture]
        super().__init__(parts, layout=widgets.Layout(flex=f"1 1 {NARROWEST}", min_width="0"))
        self.add_class("mcni-side")


class Pair(widgets.VBox):  # type: ignore[misc]
    """Two runs of one story, each with its own controls, and where they part."""

    _count = 0

    def __init__(self, story: Scenario, left: Settings, right: Settings, scale: float = 1.0) -> None:
        """Show both runs."""
        Pair._count += 1
        self.story, self._scale = story, scale
        self._uids = tuple(f"mcnipair{Pair._count}{name}" for name in NAMES)
        self.controls = tuple(Controls(story.options(), settings, self._change) for settings in (left, right))
        self.sides = tuple(Side(head, box) for head, box in zip(HEADS, self.controls, strict=True))
        self.parting = widgets.HTML()
        both = widgets.Box(list(self.sides), layout=widgets.Layout(flex_flow="row wrap", grid_gap="8px 24px"))
        super().__init__([widgets.HTML(style_sheet(scale)), both, self.parting])
        self.refresh()

    @property
    def settings(self) -> tuple[Settings, Settings]:
        """The settings of the left and of the right run."""
        return self.controls[0].settings, self.controls[1].settings

    def _change(self, settings: Settings) -> None:
        self.refresh()

    @or_gives_up
    def refresh(self) -> None:
        """Show both runs of the current settings and where they part."""
        traces = tuple(self.story.run(settings) for settings in self.settings)
        parted = difference(*traces)
        steps: tuple[Step | None, ...] = (parted.here, parted.there) if parted else (None, None)
        for side, uid, settings, trace, step in zip(self.sides, self._uids, self.settings, traces, steps, strict=True):
            at = first_step(trace, parted, step)
            side.picture.value = svg_of(self.story, settings, uid, self._scale, at)
            side.verdict.value = verdict_html(self.story, settings)
        here, there = (self.story.world(settings) for settings in self.settings)
        state = state_changes_html(here, there, parted)
        self.parting.value = f'<div class="mcni">{parting_html(parted, NAMES)}{state}</div>'

    def give_up(self, problem: Exception) -> None:
        """Say below what is wrong, and show nothing else: it would tell of other settings."""
        self.parting.value = alert_html(problem)
        for side in self.sides:
            side.picture.value = side.verdict.value = ""

    def _repr_mimebundle_(self, **kwargs: Any) -> Bundle:
        """Add both verdicts, the difference and the changed lines for viewers without a kernel."""
        picture = to_png(picture_of(self.story, self.settings[1]))
        return still(super()._repr_mimebundle_(**kwargs), self.lines(), picture)

    def lines(self) -> list[str]:
        """Tell the comparison in words."""
        traces = [self.story.run(settings) for settings in self.settings]
        parted = difference(*traces)
        told = [f"{name}: {verdict(trace)}" for name, trace in zip(NAMES, traces, strict=True)]
        told.append(f"first difference: {parted}" if parted else "no step differs")
        for file, changes in changed_state(*map(self.story.world, self.settings)).items():
            told += [f"{file}: {mark} {line}" for mark, line in changes[:MOST]]
            told += [f"{file}: … {len(changes) - MOST} more"] if len(changes) > MOST else []
        return told
