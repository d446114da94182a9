"""What the explorer asks the model: a view as JSON, one answer as JSON. The page only puts it on the screen.

A view is a state (what stands behind the question mark of a link), a step (0 is the whole conversation) and a depth;
a second state may stand beside it, with which it is compared. `everything` draws also what other settings use.
Needs neither a notebook nor a file, so that it works in a browser.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from mcnilib.cluster.settings import SettingError, Settings
from mcnilib.language import tr
from mcnilib.scenarios import Scenario
from mcnilib.scenarios.link import parse_link, print_link, print_query
from mcnilib.scenarios.scenario import neighbours
from mcnilib.show.html.diff import RUN_NAMES, Highlight, course_html, differing_names, first_steps, state_changes_html
from mcnilib.show.html.markup import Html, folded, joined
from mcnilib.show.html.netns_state import Moment, machine_choices, moment_html
from mcnilib.show.html.outcome import reasons_html, verdict_lines
from mcnilib.show.html.state import state_around
from mcnilib.show.html.table import Row, failure, rows, table_html
from mcnilib.show.html.timeline import timeline_html
from mcnilib.show.picture.story_picture import picture_of, plan_for
from mcnilib.show.picture.svg import to_svg
from mcnilib.trace.explain import course_difference
from mcnilib.trace.trace import Trace

Shown = dict[str, Any]
"""What is shown of a view, part -> HTML or value; the parts are those of `View.answer`."""


@dataclass(frozen=True)
class View:
    """A scenario under some settings, looked at as a whole (step 0) or at a step, told at a depth, in a window that
    may be a narrow one."""

    story: Scenario
    settings: Settings
    step: int = 0
    depth: str = "hops"
    narrow: bool = False
    against: Settings | None = None
    everything: bool = False

    @cached_property
    def trace(self) -> Trace:
        """The conversation."""
        return self.story.run(self.settings)

    @cached_property
    def steps(self) -> tuple[Row, ...]:
        """The steps that can be looked at. Raises: ValueError for a depth that does not exist."""
        return rows(self.trace, self.depth)

    @property
    def at(self) -> tuple[int, int] | None:
        """The packet looked at and the index of its step; None for the whole conversation."""
        if not self.step:
            return None
        row = self.steps[min(self.step, len(self.steps)) - 1]
        return row.journey, row.index

    @cached_property
    def beside(self) -> View | None:
        """The view this one is compared with: the same step of the other state."""
        return replace(self, settings=self.against, against=None) if self.against else None

    def answer(self) -> Shown:
        """Return all that is shown."""
        texts = self.settings.texts()
        return {
            "name": self.story.name,
            "state": print_query(self.story, self.settings),
            "settings": {option.name: texts[option.name] for option in self.story.options()},
            "command": self.story.command(self.settings),
            "notebook": print_link(self.story, self.settings),
            "depth": self.depth,
            "step": min(self.step, len(self.steps)),
            "steps": [*map(str, self.steps)],
            "failure": failure(self.trace),
            "places": [(row.journey, row.index) for row in self.steps],
            "verdict": verdict_lines(self.trace),
            "reasons": reasons_html(self.story, self.settings),
            "picture": self._picture(self._highlights[1], "-b" if self.beside else ""),
            "times": timeline_html(self.trace, self.steps),
            "table": table_html(self.steps, self.depth, self.at),
            "listing": state_around(self.story.world(self.settings), self.trace, self.at),
            "against": self._comparison(self.beside) if self.beside else None,
            "everything": self.everything,
            "folds": any(plan_for(self.story, one.settings).folded() for one in (self, self.beside) if one),
        }

    def _picture(self, highlight: Highlight, side: str = "") -> str:
        uid = f"mcni-{self.story.name}{side}{'-narrow' if self.narrow else ''}"
        drawing = picture_of(self.story, self.settings, highlight, everything=self.everything, narrow=self.narrow)
        return to_svg(drawing, uid)

    def _comparison(self, beside: View) -> Shown:
        """Return what is shown of the other state (A) beside this one (B)."""
        return {
            "state": print_query(self.story, beside.settings),
            "names": differing_names(self.story, beside.settings, self.settings),
            "picture": beside._picture(self._highlights[0], "-a"),
            "told": self._difference(beside) if beside.settings != self.settings else "",
        }

    @cached_property
    def _highlights(self) -> tuple[Highlight, Highlight]:
        """The steps highlighted in the pictures of A and B: those looked at, or else those that part them."""
        if self.step or not self.beside:
            return self.beside.at if self.beside else None, self.at
        traces = self.beside.trace, self.trace
        return first_steps(traces, course_difference(*traces))

    def _difference(self, beside: View) -> Html:
        here, there = (self.story.world(settings) for settings in (beside.settings, self.settings))
        lines = state_changes_html(here, there, course_difference(beside.trace, self.trace))
        told = course_html(beside.trace, self.trace, RUN_NAMES)
        return joined(told, Html(folded(tr("Which lines of state differ: - only in A, + only in B"), lines)))

    def machine(self, who: str) -> Shown:
        """Return a machine at the moment of the step, and at the end for the whole conversation; see `moment_html`."""
        world = self.story.world(self.settings)
        return {"choices": machine_choices(world), **moment_html(world, Moment.of(self.trace, self.at), who)}

    def likely(self) -> Iterator[View]:
        """Yield the views a click may bring, the most likely first."""
        steps = range(self.step - 1, self.step + 3) if self.step else range(1, 3)
        yield from (replace(self, step=step) for step in steps if 0 <= step <= len(self.steps) and step != self.step)
        yield from (replace(self, settings=near, step=0) for near in neighbours(self.story, self.settings))


def parse_view(text: str) -> View:
    """Read a view: `{"state": ..., "step": ..., "depth": ..., "narrow": true, "everything": true, "against": ...}`, of
    which a state is enough.

    Raises: SettingError or ScenarioError for a state that does not exist, or two that are not of one scenario.
    """
    asked = json.loads(text)
    step, depth = asked.get("step", 0), asked.get("depth", "hops")
    story, settings = parse_link(asked["state"])
    view = View(story, settings, step, depth, asked.get("narrow", False), everything=asked.get("everything", False))
    if not asked.get("against"):
        return view
    story, settings = parse_link(asked["against"])
    if story != view.story:
        raise SettingError(
            tr(
                "two states side by side are of one scenario: {story} is not {other}",
                story=story.name,
                other=view.story.name,
            )
        )
    return replace(view, against=settings)


def print_view(view: View) -> str:
    """Print a view in the one form it has: what was asked in this form before needs no second answer."""
    printed = {"state": print_query(view.story, view.settings), "step": view.step, "depth": view.depth}
    narrow = {"narrow": True} if view.narrow else {}
    against = {"against": print_query(view.story, view.against)} if view.against else {}
    everything = {"everything": True} if view.everything else {}
    return json.dumps(printed | narrow | against | everything)


def answer_json(text: str) -> str:
    """Return all that is shown of a view. Raises: as `parse_view`, ValueError for a depth that does not exist."""
    return json.dumps(parse_view(text).answer())


def likely_json(text: str) -> str:
    """Return the views a click may bring, the most likely first. Raises: as `parse_view`."""
    return json.dumps([print_view(near) for near in parse_view(text).likely()])


def machine_json(text: str) -> str:
    """Return what a machine holds at the moment of a view; `who` beside the view says which. Raises: as `parse_view`,
    NotThere for a machine that does not exist."""
    return json.dumps(parse_view(text).machine(json.loads(text).get("who", "")))


def changes_json(text: str) -> str:
    """Return the lines of state that differ between two states of a scenario: `{"from": ..., "state": ...}`.

    Raises: as `parse_view`, SettingError for states of two scenarios.
    """
    asked = json.loads(text)
    view = parse_view(json.dumps({"state": asked["state"], "against": asked["from"]}))
    here, there = (view.story.world(settings) for settings in (view.against or view.settings, view.settings))
    lines = state_changes_html(here, there, None)
    return json.dumps({"changes": folded(tr("Which lines of state this changed: - gone, + new"), lines)})
