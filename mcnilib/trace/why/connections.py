"""Connections that decide: one that was there before, and one whose answer does not come back to who translated it."""

from __future__ import annotations

from collections.abc import Iterator

from mcnilib.errors import McniError
from mcnilib.language import tr
from mcnilib.linux.sysctl import BRIDGE_CALLS, setting
from mcnilib.trace.trace import Fate, Journey, Replay, Step, Trace
from mcnilib.trace.why.reason import Reason
from mcnilib.world.world import World


def listed_before(trace: Trace, replay: Replay) -> Iterator[Reason]:
    """Yield the listed connections that packets were taken to belong to, each with the first; does a conversation that
    fails work without them?"""
    found = dict[tuple[str, object], tuple[Journey, int]]()
    for journey in trace.journeys if replay.loaded else ():
        for index, step in enumerate(journey.steps):
            if step.entry and step.entry.listed:
                found.setdefault((step.netns, step.entry.original), (journey, index))
    for (netns, original), (journey, index) in found.items():
        line = next((known.line(0) for name, known in replay.loaded if (name, known.original) == (netns, original)), "")
        if line:
            number = journey.number
            said = tr(
                "packet {number} belongs to a connection that is listed already: `{line}`", number=number, line=line
            )
            helps = not trace.outcome.works and _works_without(replay, netns, line)
            works = trace.outcome.works
            yield Reason(number, index, netns, said, line, decides=helps, command="conntrack -L", aside=works)


def _works_without(replay: Replay, netns: str, line: str) -> bool:
    rest = [(name, entry) for name, entry in replay.loaded if (name, entry.line(0)) != (netns, line)]
    try:
        return replay.hold(replay.world, rest).outcome.works
    except McniError:
        return False


def not_translated_back(trace: Trace, replay: Replay) -> Iterator[Reason]:
    """Yield who translated the address a client dialled, where the answer does not come back through its IP layer.

    Source: br_nf_pre_routing() in net/bridge/br_netfilter_hooks.c; nf_nat_manip_pkt() in net/netfilter/nf_nat_core.c.
    """
    answer, request = trace.outcome.journey, trace.journeys[0]
    if not answer.reply or answer.fate is not Fate.REJECTED or answer.last.before.src == request.packet.dst:
        return
    for index, step in enumerate(request.steps):
        if step.before.dst == step.after.dst or step.after.inner or step.netns in answer.hops():
            continue
        said = tr("the address was translated, and the answer {path}", path=_passed(replay.world, step, answer))
        yield Reason(1, index, step.netns, said, step.line, step.table, decides=True, origin=step.origin)
        return


def _passed(world: World, translated: Step, answer: Journey) -> str:
    """Say how an answer gets past a namespace: through a device of it as a frame, or by another path."""
    netns = world[translated.netns]
    crossed = [netns.link(dev) for step in answer.steps for name, dev in step.path if dev and name == netns.name]
    if not crossed:
        return tr("goes {path}", path=" → ".join(answer.hops()))
    bridge = next(
        (link.name if link.is_bridge else link.master for link in crossed if link.is_bridge or link.master), ""
    )
    if not bridge:
        return tr("passes {device} as a frame, below IP", device=crossed[0].name)
    return tr(
        "crosses the bridge {bridge} as a frame, which iptables does not see: {setting}",
        bridge=bridge,
        setting=setting(netns.settings, BRIDGE_CALLS),
    )
