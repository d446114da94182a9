"""What would have let a packet pass that a rule or a policy ended: an ACCEPT that nearly matched, or stands behind."""

from __future__ import annotations

from collections.abc import Iterator

from mcnilib.language import tr
from mcnilib.linux.netfilter.conntrack import ConnState
from mcnilib.linux.netfilter.hooks import NfVerdict
from mcnilib.linux.netfilter.iptables.match.conntrack import ConntrackIs
from mcnilib.linux.netfilter.iptables.match.misc import Comment
from mcnilib.linux.netfilter.iptables.rule import ChainRule
from mcnilib.linux.netfilter.ipvs.service import VirtualServer
from mcnilib.trace.trace import Fate, Journey, Replay, Stage
from mcnilib.trace.why.reached import MISSES_HELD, decider, entrance_of, visit_of, works_in
from mcnilib.trace.why.reason import Reason, written_by
from mcnilib.trace.why.rules import NearMiss, in_short, near_misses, with_rule, with_table


def would_have_passed(replay: Replay, lost: Journey) -> Iterator[Reason]:
    """Yield the rules that would have accepted a packet that a table ended; of a virtual server what it lacks."""
    step = lost.last
    if isinstance(step.line, VirtualServer) and lost.fate is Fate.REJECTED:
        yield _no_server(lost, step.line)
    if step.stage is Stage.NETFILTER and lost.fate in (Fate.DROPPED, Fate.REJECTED):
        yield from _behind(replay, lost)
        yield from _nearly(replay, lost)


def _no_server(lost: Journey, service: VirtualServer) -> Reason:
    lacks = tr("it has no real server") if not service.servers else lost.last.action
    return Reason(lost.number, len(lost.steps) - 1, lost.last.netns, lacks, service, decides=True)


def _behind(replay: Replay, lost: Journey) -> Iterator[Reason]:
    """Yield the rule that accepts the packet but stands behind a more general one, which ended it."""
    step, index = lost.last, len(lost.steps) - 1
    table, entrance = replay.world[step.netns].ip4.by_name.get(step.table), entrance_of(replay, lost, index)
    if table is None or entrance is None or not isinstance(step.line, ChainRule):
        return
    without = with_rule(table, step.line)
    hidden = decider(without, step.hook, entrance)
    if hidden and hidden.ends is NfVerdict.ACCEPT and _conditions(hidden) > _conditions(step.line):
        said = tr(
            "`{rule}`{writer} comes after it and is never reached",
            rule=in_short(hidden),
            writer=_by(replay, hidden),
        )
        yield Reason(
            lost.number, index, step.netns, said, hidden, step.table, origin=replay.origin(hidden), aside=True,
            decides=works_in(replay, with_table(replay.world, step.netns, table, without)),
        )  # fmt: skip


def _conditions(rule: ChainRule) -> int:
    return len([match for match in rule.matches if not isinstance(match, Comment)])


def _nearly(replay: Replay, lost: Journey) -> Iterator[Reason]:
    """Yield the rules that nearly accepted the packet, the nearest first: of an answer those about its connection."""
    step, first = lost.last, visit_of(lost, len(lost.steps) - 1)[0][0]
    missed = near_misses(replay.world, lost, step.table, (step.hook,))
    stated = isinstance(step.line, ChainRule) and any(isinstance(match, ConntrackIs) for match in step.line.matches)
    near = [
        miss
        for miss in missed
        if miss.index >= first
        and miss.table.name == step.table
        and _is_near(miss)
        and not (stated and isinstance(miss.failed, ConntrackIs))  # what ended it asks for the connection itself
    ]
    near.sort(key=lambda miss: (not (lost.reply and isinstance(miss.failed, ConntrackIs)), -miss.held))
    for miss in near[:MISSES_HELD]:
        said = tr(
            "`{rule}`{writer} did not match packet {number}: {reason}",
            rule=in_short(miss.rule),
            writer=f"{writer}," if (writer := _by(replay, miss.rule)) else "",
            number=lost.number,
            reason=miss.reason,
        )
        yield Reason(
            lost.number, miss.index, miss.netns, said, miss.rule, miss.table.name, origin=replay.origin(miss.rule),
            decides=works_in(replay, miss.mended(replay.world)), aside=True,
        )  # fmt: skip


def _is_near(miss: NearMiss) -> bool:
    """Tell whether a rule that would do more than end or log a packet came near: another of its conditions held, or
    the one that failed did hold before a line changed the packet, or is about the connection of an answer."""
    target = miss.rule.target
    if target is None or miss.rule.ends is NfVerdict.DROP or target.record.name in ("LOG", "NFLOG"):
        return False
    if isinstance(miss.failed, ConntrackIs):
        return miss.journey.reply or miss.at.ctstate is not ConnState.NEW
    return miss.held > 0 or miss.changed is not None


def _by(replay: Replay, rule: ChainRule) -> str:
    return written_by(replay.origin(rule))
