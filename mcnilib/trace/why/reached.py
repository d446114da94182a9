"""Where a packet would have got to in a table, had one rule been another: what is never reached behind an early end.

Nothing here draws, counts or keeps: chance takes the likeliest answer, and what matches remember is left alone.
Source: ipt_do_table() in net/ipv4/netfilter/ip_tables.c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mcnilib.errors import McniError
from mcnilib.linux.netfilter.iptables.rule import ChainRule, Table
from mcnilib.linux.netfilter.iptables.traverse import traverse
from mcnilib.trace.trace import Journey, Replay, Step
from mcnilib.trace.why.rules import HookEntrance, NearMiss, entrance_at
from mcnilib.world.world import World

MISSES_HELD = 4
"""Rules that nearly matched, or tables nobody asks, for which a conversation is held again."""


def visit_of(journey: Journey, index: int) -> tuple[tuple[int, Step], ...]:
    """Return the steps of the visit that a step belongs to, each with its index."""
    first = index
    while first and journey.steps[first - 1].netns == journey.steps[index].netns:
        first -= 1
    last = next((i for i, s in enumerate(journey.steps) if i > index and s.netns != journey.steps[index].netns), None)
    return tuple(enumerate(journey.steps))[first:last]


def entrance_of(replay: Replay, journey: Journey, index: int) -> HookEntrance | None:
    """Return how a packet came to the table at the hook of one of its steps."""
    step = journey.steps[index]
    return entrance_at(replay.world[step.netns], visit_of(journey, index), step.hook, step.table)


def decider(table: Table, hook: str, entrance: HookEntrance) -> ChainRule | None:
    """Return the rule that would decide about a packet in a table; None where a policy does, or nobody knows."""
    at = replace(entrance.at, hook=hook, memory={}, chance=None, verdict=None, notrack=False)
    try:
        _, _, decided = traverse(table, hook, entrance.packet, at, lambda rule, before, after: None)
    except McniError:
        return None
    return decided if isinstance(decided, ChainRule) else None


def works_in(replay: Replay, world: World) -> bool:
    """Tell whether the conversation works in another world."""
    try:
        return replay.hold(world, replay.loaded).outcome.works
    except McniError:
        return False


def first_that_helps(replay: Replay, misses: Sequence[NearMiss], most: int) -> NearMiss | None:
    """Return the first rule, of the `most` nearest, without whose failed condition the conversation works."""
    return next((miss for miss in misses[:most] if works_in(replay, miss.mended(replay.world))), None)
