"""What the explorer asks the model: a view as JSON, one answer as JSON. The page only puts it on the screen.

A view is a state (what stands behind the question mark of a link), a step (0 is the whole conversation) and a depth.
Needs neither a notebook nor a file, so that it works in a browser.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from mcnilib.cluster.settings import Settings
from mcnilib.scenarios import Scenario
from mcnilib.scenarios.link import parse_link, print_link, print_query
from mcnilib.scenarios.scenario import neighbours
from mcnilib.show.html.netns_state import Moment, machine_choices, moment_html
from mcnilib.show.html.outcome import reasons_html, verdict_lines
from mcnilib.show.html.state import state_around
from mcnilib.show.html.table import Row, rows, table_html
from mcnilib.show.html.timeline import timeline_html
from mcnilib.show.picture.story_picture import picture_of
from mcnilib.show.picture.svg import to_svg
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
            "steps": [f"{row.packet}, {row.where}: {row.what}" for row in self.steps],
            "verdict": verdict_lines(self.trace),
            "reasons": reasons_html(self.story, self.settings),
            "picture": self._picture(),
            "times": timeline_html(self.trace, self.depth),
            "table": table_html(self.trace, self.depth, self.at),
            "listing": state_around(self.story.world(self.settings), self.trace, self.at),
        }

    def _picture(self) -> str:
        uid = f"mcni-{self.story.name}{'-narrow' if self.narrow else ''}"
        return to_svg(picture_of(self.story, self.settings, self.at, narrow=self.narrow), uid)

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
    """Read a view: `{"state": ..., "step": ..., "depth": ..., "narrow": true}`; all but the state may be absent.

    Raises: SettingError or ScenarioError for a state that does not exist.
    """
    asked = json.loads(text)
    return View(
        *parse_link(asked["state"]), asked.get("step", 0), asked.get("depth", "hops"), asked.get("narrow", False)
    )


def print_view(view: View) -> str:
    """Print a view in the one form it has: what was asked in this form before needs no second answer."""
    printed = {"state": print_query(view.story, view.settings), "step": view.step, "depth": view.depth}
    return json.dumps(printed | {"narrow": True} if view.narrow else printed)


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
