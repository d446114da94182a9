"""The picture of a story: one plan for all its settings, so that only the paths change under the reader's hands, and
what plays a part.

The plan looks at everything that any single change of a setting touches. Where that would be too crowded to read, it
looks at what the two ends of the conversation at hand need; then the picture changes with them, and only with them.
"""

from __future__ import annotations

from functools import lru_cache

from mcnilib.cluster.settings import Settings
from mcnilib.language import ENGLISH, current_language, mark, spoken
from mcnilib.scenarios.scenario import Scenario, neighbours
from mcnilib.show.layout.plan import Plan, focus_of, plan_of, taking_part
from mcnilib.show.picture.drawing import Drawing, lay_out, lay_out_steps
from mcnilib.trace.explain import place_name
from mcnilib.trace.trace import Trace
from mcnilib.world.world import World

MOST_MACHINES, MOST_MEMBERS = 2, 2
"""More machines in a picture, or more pods in a machine, leave too little room for their words."""

EVERYTHING = mark("Also show machines that only other settings use")
"""What the switch says that draws everything which has a place."""


def picture_of(
    story: Scenario,
    settings: Settings,
    highlight: tuple[int, int] | None = None,
    *,
    everything: bool = False,
    narrow: bool = False,
) -> Drawing:
    """Lay out the picture of a story under some settings; `highlight` is a packet and the index of one of its steps.

    What plays no part is left out; `everything` draws it too, faintly. `narrow` stacks the machines, for a phone held
    upright. Pictures shown once, or prefetched, are kept.
    """
    return _picture(story, settings, highlight, everything, narrow, current_language())


@lru_cache(maxsize=1024)
def _picture(
    story: Scenario,
    settings: Settings,
    highlight: tuple[int, int] | None,
    everything: bool,
    narrow: bool,
    language: str,  # what is kept is kept for this language
) -> Drawing:
    world, trace, plan = story.world(settings), story.run(settings), plan_for(story, settings, everything)
    plan = plan.stack() if narrow else plan
    if highlight is None:
        return lay_out(world, trace, plan)
    whole = _picture(story, settings, None, everything, narrow, language)
    return next(lay_out_steps(whole, world, trace, plan, [highlight]))


def step_at(story: Scenario, settings: Settings, packet: int, netns: str, what: str) -> tuple[int, int] | None:
    """Return the first step of a packet in a namespace whose place or action contains `what`, such as `device` or
    `DNAT`, in English whatever is spoken: the packet and the step's index; None where there is none."""
    with spoken(ENGLISH):
        for journey in (journey for journey in story.run(settings).journeys if journey.number == packet):
            for index, step in enumerate(journey.steps):
                if step.netns == netns and what in f"{place_name(step)}: {step.action}":
                    return packet, index
    return None


def picture_in(story: Scenario, settings: Settings, world: World, trace: Trace, *, narrow: bool = False) -> Drawing:
    """Lay out the picture of a story in a world that was changed by hand, where everything stands as it did."""
    plan, way, touched = _places(story, settings), story.way(settings), focus_of(world, trace)
    plan = plan if touched <= plan.focus else plan.look_at(plan.focus | touched)
    plan = plan.fold(taking_part(world, trace) | {way.client, way.server})
    return lay_out(world, trace, plan.stack() if narrow else plan)


def plan_for(story: Scenario, settings: Settings, everything: bool = False) -> Plan:
    """Return where everything stands in the picture of a story, without what plays no part, or with `everything`."""
    plan = _places(story, settings)
    way = story.way(settings)
    part = taking_part(story.world(settings), story.run(settings)) | {way.client, way.server}
    return plan if everything else plan.fold(part)


def _places(story: Scenario, settings: Settings) -> Plan:
    plan = _plan(story, None)
    if crowded(plan):
        way = story.way(settings)
        plan = _plan(story, (way.client, way.server))
    touched = _seen(story, settings)
    return plan if touched <= plan.focus else plan.look_at(plan.focus | touched)


def crowded(plan: Plan) -> bool:
    """Tell whether a plan shows more than fits with readable words."""
    shown = plan.shown_machines()
    return len(shown) > MOST_MACHINES or any(len(machine.members) > MOST_MEMBERS for machine in shown)


@lru_cache(maxsize=256)
def _plan(story: Scenario, ends: tuple[str, str] | None) -> Plan:
    """Return the plan that looks at all runs one change away from the start, or at those between two ends only."""
    start = story.start()
    around = [start, *neighbours(story, start)]
    chosen = [s for s in around if ends is None or ends == (story.way(s).client, story.way(s).server)]
    return plan_of(story.world(start)).look_at({name for settings in chosen for name in _seen(story, settings)})


def _seen(story: Scenario, settings: Settings) -> frozenset[str]:
    """Name what must be seen to follow a run: what packets touch, and both ends, also when no packet arrives."""
    way = story.way(settings)
    return focus_of(story.world(settings), story.run(settings)) | {way.client, way.server}
