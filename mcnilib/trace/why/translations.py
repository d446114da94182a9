"""Addresses that were not translated: the rules that would have done it, had one condition held or one rule not ended
their chain before."""

from __future__ import annotations

from collections.abc import Iterator

from mcnilib.language import listed, tr
from mcnilib.linux.netfilter.iptables.match.mark import MarkIs
from mcnilib.linux.netfilter.iptables.rule import ChainRule
from mcnilib.linux.netfilter.iptables.target.nat import Nat
from mcnilib.trace.trace import Journey, Replay, Stage, Trace
from mcnilib.trace.why.reached import MISSES_HELD, decider, entrance_of, first_that_helps, works_in
from mcnilib.trace.why.reason import Lack, Reason, written_by
from mcnilib.trace.why.rules import NearMiss, in_short, near_misses, with_rule, with_table


def untranslated(trace: Trace, replay: Replay) -> Iterator[Reason]:
    """Yield the rules that would have translated an address of the first packet."""
    yield from _sources(trace, replay)
    yield from _never_reached(trace, replay)
    yield from _targets(trace, replay)


def _sources(trace: Trace, replay: Replay) -> Iterator[Reason]:
    """Yield the rules that would have translated its source, had one condition held."""
    missed = [
        miss
        for miss in near_misses(replay.world, trace.journeys[0], "nat", ("POSTROUTING", "INPUT"))
        if isinstance(miss.rule.target, Nat)
    ]
    for miss in missed[:MISSES_HELD]:
        yield _missed(trace, replay, miss, decides=works_in(replay, miss.mended(replay.world)), lack=Lack.TRANSLATION)


def _targets(trace: Trace, replay: Replay) -> Iterator[Reason]:
    """Yield the rule that leads to a translation of its destination, or marks it for one of its source, if that alone
    was missing: the nearest first."""
    found = near_misses(replay.world, trace.journeys[0], "nat", ("PREROUTING", "OUTPUT"))
    missed = [miss for miss in found if miss.rule.jumps_to or miss.rule.changes or miss.rule.rewrites]
    missed.sort(key=lambda miss: -miss.held)
    if helps := first_that_helps(replay, missed, MISSES_HELD):
        yield _missed(trace, replay, helps, decides=True)


def _never_reached(trace: Trace, replay: Replay) -> Iterator[Reason]:
    """Yield the rule behind one that ended its chain, where the conversation works without that end."""
    journey = trace.journeys[0]
    for index, step in enumerate(journey.steps):
        rule, table = step.line, replay.world[step.netns].ip4.by_name.get(step.table)
        if table is None or not isinstance(rule, ChainRule) or not _ends_untranslated(journey, index):
            continue
        entrance, without = entrance_of(replay, journey, index), with_rule(table, rule)
        hidden = decider(without, step.hook, entrance) if entrance else None
        world = with_table(replay.world, step.netns, table, without)
        if hidden and isinstance(hidden.target, Nat) and works_in(replay, world):
            said = tr(
                "`{rule}`{writer} takes packet {number} out of the chain before it comes to `{hidden}`",
                rule=in_short(rule),
                writer=_by(replay, rule),
                number=journey.number,
                hidden=in_short(hidden),
            )
            said = _so(trace, replay, said)
            yield Reason(
                journey.number, index, step.netns, said, rule, step.table, Lack.TRANSLATION, decides=True,
                origin=replay.origin(rule),
            )  # fmt: skip


def _ends_untranslated(journey: Journey, index: int) -> bool:
    """Tell whether a step is a rule of table nat after which no other rule of its chain is asked; one that asks for a
    mark says itself what was missing before."""
    step = journey.steps[index]
    if step.stage is not Stage.NETFILTER or not step.table.endswith("nat") or not isinstance(step.line, ChainRule):
        return False
    if any(isinstance(match, MarkIs) for match in step.line.matches):
        return False
    return step.line.returns or (step.line.ends is not None and not step.line.rewrites)


def _missed(trace: Trace, replay: Replay, miss: NearMiss, *, decides: bool, lack: Lack = Lack.NONE) -> Reason:
    said = tr(
        "`{rule}`{writer} did not match packet {number}: {reason}",
        rule=in_short(miss.rule),
        writer=f"{writer}," if (writer := _by(replay, miss.rule)) else "",
        number=miss.journey.number,
        reason=miss.reason,
    )
    said = _so(trace, replay, said)
    table, origin = miss.table.name, replay.origin(miss.rule)
    return Reason(miss.journey.number, miss.index, miss.netns, said, miss.rule, table, lack, decides, origin)


def _so(trace: Trace, replay: Replay, missed: str) -> str:
    """Add whom an answer goes to, where one is sent."""
    answer = trace.outcome.journey
    if not answer.reply:
        return missed
    address = answer.packet.dst
    owners = listed(netns.name for netns in replay.world if address in netns.own_addresses)
    whose = tr(", an address of {owners}", owners=owners) if owners else ""
    names = {"netns": answer.steps[0].netns, "address": address, "whose": whose}
    return tr("{missed}; so {netns} answers to {address}{whose}", missed=missed, **names)


def _by(replay: Replay, rule: ChainRule) -> str:
    return written_by(replay.origin(rule))
