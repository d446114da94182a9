"""All reasons of a conversation: found when somebody asks, by looking again at the state its packets met.

What would have changed the end is known by holding the conversation again in a world where the condition is gone.
"""

from __future__ import annotations

from collections.abc import Iterator

from mcnilib.errors import McniError
from mcnilib.language import listed, tr
from mcnilib.linux.netfilter.iptables.target.nat import Nat
from mcnilib.trace.trace import Replay, Stage, Trace
from mcnilib.trace.why.connections import listed_before, not_translated_back
from mcnilib.trace.why.reason import Lack, Reason, written_by
from mcnilib.trace.why.routes import path_back, tables_without_route
from mcnilib.trace.why.rules import NearMiss, in_short, near_misses, own_policy

_MOST_HELD = 4
"""Rules that nearly matched for which a conversation is held again."""
_UNROUTED = (Stage.ROUTE, Stage.ARP, Stage.DEVICE, Stage.FORWARDING, Stage.GAP)


def reasons(trace: Trace) -> tuple[Reason, ...]:
    """Return why a conversation that fails does so, beyond the line that decided; what decides comes first."""
    if trace.replay is None or trace.outcome.works:
        return ()
    known = trace.replay.known
    if id(trace.journeys) not in known:
        found = tuple(sorted(_found(trace, trace.replay), key=lambda reason: not reason.decides))
        known[id(trace.journeys)] = trace.journeys, found  # with what it is about, so that no other takes its identity
    return known[id(trace.journeys)][1]  # type: ignore[return-value]


def _found(trace: Trace, replay: Replay) -> Iterator[Reason]:
    lost = trace.outcome.journey
    yield from path_back(replay, lost)
    yield from tables_without_route(replay, lost)
    yield from own_policy(replay, lost)
    yield from not_translated_back(trace, replay)
    yield from listed_before(trace, replay)
    if lost.last.stage in _UNROUTED:
        yield from _untranslated(trace, replay)


def _untranslated(trace: Trace, replay: Replay) -> Iterator[Reason]:
    """Yield the rules that would have translated the source of the first packet, had one condition held."""
    missed = [
        miss
        for miss in near_misses(replay.world, trace.journeys[0], "nat", ("POSTROUTING", "INPUT"))
        if isinstance(miss.rule.target, Nat)
    ]
    for miss in missed[:_MOST_HELD]:
        yield Reason(
            miss.journey.number, miss.index, miss.netns, _said(trace, replay, miss), miss.rule, miss.table.name,
            Lack.TRANSLATION, decides=_helps(replay, miss), origin=replay.origin(miss.rule),
        )  # fmt: skip


def _helps(replay: Replay, miss: NearMiss) -> bool:
    """Tell whether the conversation works where the rule does not ask for what failed."""
    try:
        return replay.hold(miss.mended(replay.world), replay.loaded).outcome.works
    except McniError:
        return False


def _said(trace: Trace, replay: Replay, miss: NearMiss) -> str:
    writer = written_by(replay.origin(miss.rule))
    missed = tr(
        "`{rule}`{writer} did not match packet {number}: {reason}",
        rule=in_short(miss.rule),
        writer=f"{writer}," if writer else "",
        number=miss.journey.number,
        reason=miss.reason,
    )
    answer = trace.outcome.journey
    if not answer.reply:
        return missed
    address = answer.packet.dst
    owners = listed(netns.name for netns in replay.world if address in netns.own_addresses)
    whose = tr(", an address of {owners}", owners=owners) if owners else ""
    names = {"netns": answer.steps[0].netns, "address": address, "whose": whose}
    return tr("{missed}; so {netns} answers to {address}{whose}", missed=missed, **names)
