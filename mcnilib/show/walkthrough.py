"""A conversation with the picture and the state of each of its steps, so that one can walk through it without asking.

What the steps have in common is kept once: all of them are cut into pieces, and a step is a list of those.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mcnilib.language import mark, tr, trn
from mcnilib.show.html.markup import Html, element, void_element
from mcnilib.show.html.outcome import verdict_lines
from mcnilib.show.html.state import state_around
from mcnilib.show.html.table import Row, deciding_place, failure, rows, table_html
from mcnilib.show.layout.plan import Plan
from mcnilib.show.picture.drawing import Drawing, lay_out, lay_out_steps
from mcnilib.show.picture.svg import to_svg
from mcnilib.trace.trace import Trace
from mcnilib.world.world import World

CUT = re.compile("(?=<(?!code|span)[a-z])")
"""Where a text is cut: before every tag but those within a line."""

PLAYER_BUTTONS = (
    (mark("▶ play"), "play", mark("Play the conversation up to the step that decides it, or pause")),
    (mark("◀ step"), "-1", mark("Show the step before")),
    (mark("step ▶"), "1", mark("Show the next step")),
    (mark("whole"), "0", mark("Show the whole conversation")),
)
"""What plays a conversation: the text of a button, what it does, its title."""


@dataclass(frozen=True)
class Walkthrough:
    """A conversation in its world, drawn by a plan, told at a depth; `uid` begins the ids of its picture.

    `narrow` adds a second picture for a phone held upright; the style sheet of the site shows one of the two.
    """

    world: World
    trace: Trace
    plan: Plan
    depth: str = "hops"
    uid: str = "mcni"
    narrow: bool = True

    @cached_property
    def steps(self) -> tuple[Row, ...]:
        """The steps that can be looked at. Raises: ValueError for a depth that does not exist."""
        return rows(self.trace, self.depth)

    @cached_property
    def whole(self) -> dict[str, Html]:
        """What is shown of the whole conversation: part -> HTML; the width of the window chooses the picture."""
        return {
            "verdict": verdict_lines(self.trace),
            "picture": Html("".join(to_svg(drawing, uid) for _, drawing, uid in self._drawn)),
            "listing": state_around(self.world, self.trace),
            "table": table_html(self.steps, self.depth, fold=False),
        }

    @cached_property
    def _drawn(self) -> tuple[tuple[Plan, Drawing, str], ...]:
        """The whole conversation by the plan, and by one for a phone held upright where that is another, each with
        what begins its ids."""
        stacked = self.plan.stack() if self.narrow else self.plan
        plans = {self.plan: self.uid} | ({stacked: f"{self.uid}-narrow"} if stacked != self.plan else {})
        return tuple((plan, lay_out(self.world, self.trace, plan), uid) for plan, uid in plans.items())

    def _pictures(self, at: list[tuple[int, int]]) -> Iterator[str]:
        drawn = [(lay_out_steps(drawing, self.world, self.trace, plan, at), uid) for plan, drawing, uid in self._drawn]
        for _ in at:
            yield "".join(to_svg(next(drawings), uid) for drawings, uid in drawn)

    @property
    def deciding(self) -> int:
        """The number of the step that decided how the conversation ends, counted from 1."""
        at = deciding_place(self.trace)
        return 1 + next(n for n, row in enumerate(self.steps) if (row.journey, row.index) >= at)

    def player_html(self) -> Html:
        """Return the whole conversation with what plays it (`player.js`), which is hidden until the script runs."""
        buttons = (
            element("button", tr(text), type="button", data_move=move, title=tr(title))
            for text, move, title in PLAYER_BUTTONS
        )
        slider = void_element("input", type="range", min="0", max=str(self.deciding), value="0", aria_label=tr("step"))
        return element(
            "div",
            element("div", *buttons, slider, class_="stepper", role="group", aria_label=tr("play"), hidden="hidden"),
            element("div", element("output", self.whole["verdict"], aria_live="polite"), class_="mcni-verdict"),
            element("div", self.whole["picture"], class_="picture"),
            class_="mcni-player",
            data_pause=tr("pause"),
            data_step=tr("step {at} of {last}: {says}"),
        )

    def packed(self, last: int | None = None) -> dict[str, Any]:
        """Return all steps, or those up to the `last`, as values of JSON; the whole conversation first.

        Of each a few words, and which of the `pieces` its picture and its listing are: `[from, to, from, to, ...]`.
        `places` are the packet and the index of each step, `failure` those of the step at which it fails, if it does.
        """
        whole, shown = self.whole, self.steps[:last]
        at = [(row.journey, row.index) for row in shown]
        pieces: dict[str, int] = {}
        pictures = [whole["picture"], *self._pictures(at)]
        listings = [whole["listing"], *(state_around(self.world, self.trace, step) for step in at)]
        says = [trn("{count} step", "{count} steps", len(at)), *map(str, shown)]
        steps = [
            {"says": text, "picture": in_pieces(picture, pieces), "listing": in_pieces(listing, pieces)}
            for text, picture, listing in zip(says, pictures, listings, strict=True)
        ]
        return {"pieces": [*pieces], "steps": steps, "places": at, "failure": failure(self.trace)}


def in_pieces(text: str, pieces: dict[str, int]) -> list[int]:
    """Return which pieces a text consists of; those that are new are added."""
    return list(_ranges(pieces.setdefault(piece, len(pieces)) for piece in CUT.split(text) if piece))


def _ranges(numbers: Iterable[int]) -> Iterator[int]:
    """Yield the first number of each run of successive ones, and the one after its last."""
    end = None
    for number in numbers:
        if number != end:
            yield from (number,) if end is None else (end, number)
        end = number + 1
    yield from () if end is None else (end,)
