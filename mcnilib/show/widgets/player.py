"""A conversation that plays by itself, up to the step that decides it; without a kernel it is its picture and words.

Also the picture of one step, for a page that explains one thing. Nothing can be changed here: it is for the first look.
A player pauses, steps, and stays still for readers who asked their system for less motion; of several on a page only
the first plays by itself.
Source: https://www.w3.org/TR/WCAG22/#pause-stop-hide, and #animation-from-interactions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from mcnilib.cluster.settings import Settings
from mcnilib.language import current_language, in_own_language, tr
from mcnilib.scenarios.scenario import Scenario
from mcnilib.show.html.markup import Bundle, static_fallback
from mcnilib.show.picture.files import PictureError, png_data
from mcnilib.show.picture.story_picture import picture_of, plan_for, step_at
from mcnilib.show.walkthrough import Walkthrough
from mcnilib.show.widgets.frame import PanelFrame
from mcnilib.show.widgets.trace_view import NUMBERS
from mcnilib.trace.explain import because, journey_name, tell_step, verdict


class PlayedSteps(anywidget.AnyWidget):
    """The pictures of the steps, which the page shows one after the other without asking the kernel."""

    _esm = Path(__file__).with_name("player.js")
    html = traitlets.Unicode("").tag(sync=True)
    packed = traitlets.Dict({}).tag(sync=True)


class Player(PanelFrame):
    """A scenario under some settings, played once."""

    def __init__(self, story: Scenario, settings: Settings, scale: float = 1.0) -> None:
        """Paint all pictures."""
        self.story, self.settings = story, settings
        world, plan = story.world(settings), plan_for(story, settings)
        walk = Walkthrough(world, story.run(settings), plan, uid=f"mcni{next(NUMBERS)}", narrow=False)
        super().__init__([PlayedSteps(html=walk.player_html(), packed=walk.packed(walk.deciding))], scale)

    @in_own_language
    def _repr_mimebundle_(self, **kwargs: Any) -> Bundle:
        """Add the verdict and the picture of the whole conversation, for viewers without a kernel."""
        trace = self.story.run(self.settings)
        return static_fallback(
            super()._repr_mimebundle_(**kwargs),
            lambda: [verdict(trace), *because(trace)],
            lambda: png_data(picture_of(self.story, self.settings)),
        )


@dataclass(frozen=True)
class StepPicture:
    """One step of a conversation as a picture, and the same in words.

    It is the first step of a packet in a namespace whose place or action contains `what`, such as `device` or `DNAT`.
    """

    story: Scenario
    settings: Settings
    packet: int
    netns: str
    what: str
    language: str = field(default_factory=current_language)

    @property
    def at(self) -> tuple[int, int]:
        """The number of the packet and the index of the step. Raises: PictureError when there is no such step."""
        at = step_at(self.story, self.settings, self.packet, self.netns, self.what)
        if at:
            return at
        raise PictureError(
            tr(
                "packet {packet} of {story} has no step {what!r} on {netns}",
                packet=self.packet,
                story=self.story.name,
                what=self.what,
                netns=self.netns,
            )
        )

    def lines(self) -> list[str]:
        """Tell the step: the packet, then what was decided."""
        number, index = self.at
        journey = next(one for one in self.story.run(self.settings).journeys if one.number == number)
        return [journey_name(journey), tell_step(journey.steps[index])]

    @in_own_language
    def _repr_mimebundle_(self, **kwargs: Any) -> Bundle:
        return static_fallback(None, self.lines, lambda: png_data(picture_of(self.story, self.settings, self.at)))
