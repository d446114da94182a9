"""What native rules of nft did not do: an accept that nearly matched or is never reached, a missed translation.

Nothing here draws, counts or keeps. Source: nft_do_chain() in net/netfilter/nf_tables_core.c (Linux 6.18).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mcnilib.errors import McniError
from mcnilib.language import tr
from mcnilib.linux.netfilter.conntrack import ConnState
from mcnilib.linux.netfilter.hooks import NfVerdict
from mcnilib.linux.netfilter.nftables.condition import Compare, VerdictMap
from mcnilib.linux.netfilter.nftables.rule import NftChain, NftRule, NftTable
from mcnilib.linux.netfilter.nftables.statement import Decide, NftStatement
from mcnilib.linux.netfilter.nftables.walk import pass_chain
from mcnilib.trace.trace import Fate, Journey, Replay, Stage, Trace
from mcnilib.trace.why.nft_misses import NftMiss, bases_at, native_misses, nft_in_short, with_nft_rule, with_nft_table
from mcnilib.trace.why.reached import MISSES_HELD, visit_of, works_in
from mcnilib.trace.why.reason import Lack, Reason, written_by
from mcnilib.trace.why.rules import HookEntrance, entrance_at


def natively_passed(replay: Replay, lost: Journey) -> Iterator[Reason]:
    """Yield the native rules that would have accepted a packet that a native table ended."""
    step = lost.last
    if isinstance(step.line, NftRule | NftChain) and lost.fate in (Fate.DROPPED, Fate.REJECTED):
        yield from _behind(replay, lost)
        first = visit_of(lost, len(lost.steps) - 1)[0][0]
        stated = isinstance(step.line, NftRule) and any(map(_of_state, step.line.statements))
        missed = native_misses(replay.world, lost, (step.hook,), "filter", "route")
        near = [
            miss
            for miss in missed
            if miss.index >= first
            and miss.table.title == step.table
            and _is_near(miss)
            and not (stated and _of_state(miss.failed))
        ]
        near.sort(key=lambda miss: (not (lost.reply and _of_state(miss.failed)), -miss.held))
        for miss in near[:MISSES_HELD]:
            yield _told(replay, miss, decides=works_in(replay, miss.mended(replay.world)))


def _of_state(statement: NftStatement) -> bool:
    return isinstance(statement, Compare) and str(statement.left) == "ct state"


def _is_near(miss: NftMiss) -> bool:
    """Tell whether a rule that would do more than end or log a packet came near; see `filters`."""
    last = miss.rule.statements[-1]
    ends = miss.rule.rejects or (isinstance(last, Decide) and last.verdict.name == "drop")
    if ends or all(one.silent or one.compares for one in miss.rule.statements):
        return False
    if isinstance(miss.failed, VerdictMap):
        return miss.nearest is not None
    if _of_state(miss.failed):
        return miss.journey.reply or miss.passage.at.ctstate is not ConnState.NEW
    named = isinstance(miss.failed, Compare) and isinstance(miss.failed.table, str) and miss.failed.table != ""
    return miss.held > 0 or named or miss.changed is not None


def _behind(replay: Replay, lost: Journey) -> Iterator[Reason]:
    """Yield the rule that accepts the packet but stands behind a more general one, which ended it."""
    step, index = lost.last, len(lost.steps) - 1
    table = replay.world[step.netns].ip4.native.get(step.table)
    entrance = entrance_at(replay.world[step.netns], visit_of(lost, index), step.hook, step.table)
    if table is None or entrance is None or not isinstance(step.line, NftRule):
        return
    without = with_nft_rule(table, step.line)
    hidden = _decider(without, step.hook, entrance)
    if hidden and _conditions(hidden) > _conditions(step.line):
        said = tr(
            "`{rule}`{writer} comes after it and is never reached",
            rule=nft_in_short(hidden),
            writer=written_by(replay.origin(hidden)),
        )
        yield Reason(
            lost.number, index, step.netns, said, hidden, step.table, origin=replay.origin(hidden), aside=True,
            decides=works_in(replay, with_nft_table(replay.world, step.netns, table, without)),
        )  # fmt: skip


def _conditions(rule: NftRule) -> int:
    return len([one for one in rule.statements if isinstance(one, Compare | VerdictMap)])


def _decider(table: NftTable, hook: str, entrance: HookEntrance) -> NftRule | None:
    """Return the rule that would accept a packet in the filter chains of a table at a hook; None for none."""
    at = replace(entrance.at, memory={}, chance=None, notrack=False)
    found: NftRule | None = None
    for base in bases_at(table, hook, ("filter", "route")):
        try:
            passed = pass_chain(table, base, entrance.packet, at, lambda rule, action, before, after: None)
        except McniError:
            return None
        if passed.verdict is not NfVerdict.ACCEPT:
            return None
        found = passed.decider if isinstance(passed.decider, NftRule) else found
    return found


def natively_untranslated(trace: Trace, replay: Replay) -> Iterator[Reason]:
    """Yield the native rule that would have translated an address of the first packet, if one condition alone was
    missing: the nearest first, of its destination before its source."""
    for hooks, lack in ((("PREROUTING", "OUTPUT"), Lack.NONE), (("POSTROUTING", "INPUT"), Lack.TRANSLATION)):
        misses = [
            miss
            for miss in native_misses(replay.world, trace.journeys[0], hooks, "nat")
            if _leads_on(miss.rule) and (miss.nearest or not isinstance(miss.failed, VerdictMap))
        ]
        misses.sort(key=lambda miss: -miss.held)
        helps = (miss for miss in misses[:MISSES_HELD] if works_in(replay, miss.mended(replay.world)))
        yield from (_told(replay, miss, decides=True, lack=lack) for miss in [*helps][:1])


def _leads_on(rule: NftRule) -> bool:
    """Tell whether a rule translates, marks, or leads to a chain that may."""
    last = rule.statements[-1] if rule.statements else None
    jumps = isinstance(last, VerdictMap) or (isinstance(last, Decide) and last.verdict.chain != "")
    return jumps or any(not (one.silent or one.compares or isinstance(one, Decide)) for one in rule.statements)


def _told(replay: Replay, miss: NftMiss, *, decides: bool, lack: Lack = Lack.NONE) -> Reason:
    origin = replay.origin(miss.rule)
    said = tr(
        "`{rule}` of chain {chain}{writer} did not match packet {number}: {reason}",
        rule=nft_in_short(miss.rule),
        chain=miss.rule.chain,
        writer=f"{writer}," if (writer := written_by(origin)) else "",
        number=miss.journey.number,
        reason=miss.reason,
    )
    aside = lack is Lack.NONE and miss.journey.last.stage is Stage.NETFILTER
    table, number = miss.table.title, miss.journey.number
    return Reason(
        number, miss.index, miss.netns, said, miss.rule, table, lack, decides, origin, cure=miss.cure, aside=aside
    )
