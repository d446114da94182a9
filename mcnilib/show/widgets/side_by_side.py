"""Two runs of a scenario side by side: what did the toggle change?

Both pictures have the same places, so that only what happened differs; the first step that differs is emphasised in
both, and below stand that step and the lines of state that differ.
"""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from mcnilib.cluster.settings import Settings
from mcnilib.scenarios.scenario import Scenario
from mcnilib.show.html.diff import MOST_CHANGES, changed_state, difference_html, first_step, state_changes_html
from mcnilib.show.html.markup import Bundle, block, element, error_boundary, error_html, static_fallback
from mcnilib.show.html.outcome import verdict_html
from mcnilib.show.picture.files import png_data
from mcnilib.show.picture.story_picture import picture_of
from mcnilib.show.widgets.controls import Controls
from mcnilib.show.widgets.frame import PanelFrame
from mcnilib.show.widgets.trace_view import Picture
from mcnilib.trace.explain import difference, verdict
from mcnilib.trace.trace import Step

RUN_NAMES = {"left": "left (above on a narrow page)", "right": "right (below on a narrow page)"}
"""What the two runs are called, and the words above them."""

NARROWEST = "470px"
"""A picture narrower than this cannot be read: where two of them do not fit beside each other, they stand below."""


class RunColumn(widgets.VBox):  # type: ignore[misc]
    """One of the two runs: its controls, its verdict and its picture."""

    def __init__(self, head: str, controls: Controls, scale: float) -> None:
        """Show nothing yet; `head` stands above all."""
        self.verdict, self.picture = widgets.HTML(), Picture(scale)
        parts = [widgets.HTML(element("h4", head)), controls, self.verdict, self.picture]
        super().__init__(parts, layout=widgets.Layout(flex=f"1 1 {NARROWEST}", min_width="0"))
        self.add_class("mcni-side")


class SideBySide(PanelFrame):
    """Two runs of one scenario, each with its own controls, and where they part."""

    def __init__(self, story: Scenario, left: Settings, right: Settings, scale: float = 1.0) -> None:
        """Show both runs."""
        self.story = story
        self.controls = tuple(
            Controls(story.options(), settings, self._change, self.show_error, story.folded)
            for settings in (left, right)
        )
        heads = zip(RUN_NAMES.values(), self.controls, strict=True)
        self.columns = tuple(RunColumn(head, controls, scale) for head, controls in heads)
        self.difference = widgets.HTML()
        both = widgets.Box(list(self.columns), layout=widgets.Layout(flex_flow="row wrap", grid_gap="8px 24px"))
        super().__init__([both, self.difference], scale)
        self.refresh()

    @property
    def settings(self) -> tuple[Settings, Settings]:
        """The settings of the left and of the right run."""
        return self.controls[0].settings, self.controls[1].settings

    def _change(self, settings: Settings) -> None:
        self.refresh()

    @error_boundary
    def refresh(self) -> None:
        """Show both runs of the current settings and where they part."""
        traces = tuple(self.story.run(settings) for settings in self.settings)
        parted = difference(*traces)
        steps: tuple[Step | None, ...] = (parted.here, parted.there) if parted else (None, None)
        for column, settings, trace, step in zip(self.columns, self.settings, traces, steps, strict=True):
            column.picture.show(picture_of(self.story, settings, first_step(trace, parted, step)))
            column.verdict.value = verdict_html(trace)
        here, there = (self.story.world(settings) for settings in self.settings)
        left, right = RUN_NAMES
        shown = difference_html(parted, (left, right)), state_changes_html(here, there, parted)
        self.difference.value = block(*shown)

    def show_error(self, problem: Exception) -> None:
        """Say below what is wrong, and show nothing else: it would tell of other settings."""
        self.difference.value = error_html(problem)
        for column in self.columns:
            column.picture.value = column.verdict.value = ""

    def _repr_mimebundle_(self, **kwargs: Any) -> Bundle:
        """Add both verdicts, the difference and the changed lines for viewers without a kernel."""
        return static_fallback(
            super()._repr_mimebundle_(**kwargs), self.lines, lambda: png_data(picture_of(self.story, self.settings[1]))
        )

    def lines(self) -> list[str]:
        """Tell the comparison in words."""
        traces = [self.story.run(settings) for settings in self.settings]
        parted = difference(*traces)
        printed = [f"{name}: {verdict(trace)}" for name, trace in zip(RUN_NAMES, traces, strict=True)]
        printed.append(f"first difference: {parted}" if parted else "no step differs")
        for file, changes in changed_state(*map(self.story.world, self.settings)).items():
            printed += [f"{file}: {sign} {line}" for sign, line in changes[:MOST_CHANGES]]
            printed += [f"{file}: … {len(changes) - MOST_CHANGES} more"] if len(changes) > MOST_CHANGES else []
        return printed
