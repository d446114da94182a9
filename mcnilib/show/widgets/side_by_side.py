"""Two runs of a scenario side by side: what did the toggle change?

Both pictures have the same places, so that only what happened differs; the first step that takes a packet elsewhere,
or ends it otherwise, is emphasised in both. Below stand that step and the lines of state that differ.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import ipywidgets as widgets

from mcnilib.cluster.settings import Settings
from mcnilib.language import in_own_language, tr
from mcnilib.scenarios.scenario import Scenario
from mcnilib.show.html.diff import (
    MOST_CHANGES,
    RUN_NAMES,
    changed_state,
    course_html,
    detail_html,
    differing_names,
    first_steps,
    state_changes_html,
)
from mcnilib.show.html.markup import Bundle, Html, block, element, error_boundary, error_html, joined, static_fallback
from mcnilib.show.html.outcome import verdict_html
from mcnilib.show.layout.plan import Plan
from mcnilib.show.picture.drawing import Drawing, lay_out
from mcnilib.show.picture.files import pair_data
from mcnilib.show.picture.story_picture import plan_for
from mcnilib.show.widgets.controls import Controls
from mcnilib.show.widgets.frame import PanelFrame
from mcnilib.show.widgets.trace_view import Picture
from mcnilib.trace.explain import Difference, course_difference, difference, verdict
from mcnilib.trace.trace import Trace

NARROWEST = "366px"
"""A picture narrower than this cannot be read: where two of them do not fit beside each other, they stand below."""

ENLARGED = 1.3
"""How much larger than they are pictures may become where there is room."""


class RunColumn(widgets.VBox):  # type: ignore[misc]
    """One of the two runs: its name, its controls, its verdict and its picture."""

    def __init__(self, controls: Controls, scale: float) -> None:
        """Show nothing yet."""
        self.head, self.verdict, self.picture = widgets.HTML(), widgets.HTML(), Picture(scale * ENLARGED)
        parts = [self.head, controls, self.verdict, self.picture]
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
        self.columns = tuple(RunColumn(controls, scale) for controls in self.controls)
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
        for column, name, drawing, trace in zip(
            self.columns, self.names(), self.drawings(), self._traces(), strict=True
        ):
            column.head.value = element("h4", name)
            column.picture.show(drawing)
            column.verdict.value = verdict_html(trace)
        here, there = map(self.story.world, self.settings)
        self.difference.value = block(self._told(), state_changes_html(here, there, self._parted()))

    def names(self) -> tuple[str, str]:
        """Name the two runs by the settings in which they differ."""
        first, second = differing_names(self.story, *self.settings)
        return (f"A: {first}", f"B: {second}") if first else ("A", tr("B: the same settings"))

    def drawings(self, *, marked: bool = True) -> tuple[Drawing, Drawing]:
        """Lay out both pictures in the same places; `marked` emphasises the steps at which they part."""
        traces, parted, plan = self._traces(), self._parted() if marked else None, self._plan()
        first, second = (
            lay_out(self.story.world(settings), trace, plan, step)
            for settings, trace, step in zip(self.settings, traces, first_steps(traces, parted), strict=True)
        )
        return first, second

    def _plan(self) -> Plan:
        """Return the narrow plan of what takes part in one of the runs or in both."""
        first, second = (plan_for(self.story, settings) for settings in self.settings)
        both = replace(first.look_at(first.focus | second.focus), width=max(first.width, second.width))
        return both.fold(first.drawn | second.drawn).stack()

    def _traces(self) -> tuple[Trace, Trace]:
        first, second = map(self.story.run, self.settings)
        return first, second

    def _parted(self) -> Difference | None:
        """Return where a packet goes elsewhere or ends otherwise first; None where none does."""
        return course_difference(*self._traces())

    def _told(self) -> Html:
        traces = self._traces()
        told = course_html(*traces, RUN_NAMES)
        return told if self._parted() else joined(told, detail_html(difference(*traces), RUN_NAMES))

    def _difference_line(self) -> str:
        if parted := self._parted():
            return tr("first difference: {difference}", difference=parted)
        if parted := difference(*self._traces()):
            return tr(
                "every packet goes the same way to the same end; another decision: {difference}", difference=parted
            )
        return tr("no step differs")

    def show_error(self, problem: Exception) -> None:
        """Say below what is wrong, and show nothing else: it would tell of other settings."""
        self.difference.value = error_html(problem)
        for column in self.columns:
            column.picture.value = column.verdict.value = column.head.value = ""

    @in_own_language
    def _repr_mimebundle_(self, **kwargs: Any) -> Bundle:
        """Add both pictures, verdicts, the difference and the changed lines for viewers without a kernel."""
        return static_fallback(
            super()._repr_mimebundle_(**kwargs),
            self.lines,
            lambda: pair_data(list(zip(self.names(), self.drawings(), strict=True))),
        )

    def lines(self) -> list[str]:
        """Tell the comparison in words."""
        printed = [f"{name}: {verdict(trace)}" for name, trace in zip(self.names(), self._traces(), strict=True)]
        printed.append(self._difference_line())
        for file, changes in changed_state(*map(self.story.world, self.settings)).items():
            printed += [f"{file}: {sign} {line}" for sign, line in changes[:MOST_CHANGES]]
            more = len(changes) - MOST_CHANGES
            printed += [tr("{file}: … {count} more", file=file, count=more)] if more > 0 else []
        return printed
