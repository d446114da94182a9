"""Short words for the picture: what an arrow carries, what a rule says, what a note tells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mcnilib.language import listed, mark, tr
from mcnilib.linux.netfilter.conntrack import ConnState
from mcnilib.linux.netfilter.nftables.rule import NftRule
from mcnilib.trace.explain import conntrack_view, packet_name, place_name, rule_text, saw
from mcnilib.trace.trace import Fate, Journey, Stage, Step, Trace

COMMENT = re.compile(r'-m comment --comment (?:"(?:[^"\\]|\\.)*"|\S+) ?')

MODULE = re.compile(r"-m \S+ ?")

TARGET = re.compile(r"-[jg] ")


def rule_in_short(step: Step) -> str:
    """Return the deciding line with its comments and module names left out: `ctstate INVALID → DROP`."""
    if not step.table:
        return step.evidence.strip()
    text = MODULE.sub("", COMMENT.sub("", rule_text(step)))
    return TARGET.sub("→ ", text).replace("--", "").strip()


def packets_in_short(journeys: Sequence[Journey], most: int = 3) -> str:
    """Name the packets of an arrow by the first of each kind: `1 SYN · 3 ACK · 4 data …`."""
    kinds: dict[str, int] = {}
    for journey in journeys:
        kinds.setdefault(packet_name(journey.packet), journey.number)
    names = [f"{number} {kind}" for kind, number in kinds.items()][:most]
    return " · ".join(names) + (" …" if len(journeys) > len(names) else "")


def numbers_in_short(numbers: Sequence[int], most: int = 3) -> str:
    """Join packet numbers: `1,3,4…`."""
    return ",".join(map(str, numbers[:most])) + ("…" if len(numbers) > most else "")


_DROPPED = mark("{packets} dropped")

_ENDS = {
    Fate.REJECTED: mark("{packets} rejected"),
    Fate.UNREACHABLE: mark("{packets} stops here"),
    Fate.UNKNOWN: mark("{packets} not known further"),
}
"""What became of packets, where they were not dropped."""


def loss_lines(journeys: Sequence[Journey]) -> tuple[str, ...]:
    """Say what was lost, in which part of Linux, by which line, and who wrote it."""
    step = journeys[0].last
    head = tr(_ENDS.get(step.fate, _DROPPED), packets=packets_in_short(journeys, 2))
    if step.table:
        return (head, tr("in {place}", place=place_name(step)), rule_in_short(step), *_by(step))
    evidence = (step.evidence.strip(),) if step.evidence else ()
    return (head, f"{place_name(step)}: {step.action}", *evidence, *_by(step))


def _by(step: Step) -> tuple[str, ...]:
    return (tr("by {writer}", writer=tr(step.origin.writer)),) if step.origin else ()


def rewritten(step: Step) -> tuple[str, ...]:
    """Say what addresses a step wrote: `dst → 10.233.101.2:80`; empty when it wrote none."""
    after, changed = step.after, {name for name, _, _ in step.before.differences(step.after)}
    ends = (("src", "sport", after.src, after.sport), ("dst", "dport", after.dst, after.dport))
    return tuple(
        f"{side} → {ip}{f':{number}' if port in changed else ''}"
        for side, port, ip, number in ends
        if {side, port} & changed
    )


def rewrites(journey: Journey) -> dict[str, list[Step]]:
    """Return by namespace the steps at which an address or port of the packet itself was rewritten."""
    steps: dict[str, list[Step]] = {}
    for s in journey.steps:
        if s.stage is not Stage.TUNNEL and s.before is not s.after and rewritten(s):
            steps.setdefault(s.netns, []).append(s)
    return steps


def by_writer(steps: Sequence[Step]) -> list[list[Step]]:
    """Share steps out among the programs whose rules they are, in order; what a connection remembers has none."""
    shared: dict[str, list[Step]] = {}
    for step in steps:
        shared.setdefault(step.origin.writer if _is_written(step) and step.origin else "", []).append(step)
    return list(shared.values())


_REWRITTEN = {False: mark("{number} rewritten"), True: mark("{number} rewritten back")}


def rewrite_lines(journey: Journey, steps: Sequence[Step]) -> tuple[str, ...]:
    """Say what one program rewrote in a packet, and by whose rule; a reply is rewritten as its connection says."""
    writers = dict.fromkeys(step.origin.writer for step in steps if _is_written(step) and step.origin)
    back = journey.reply and not any(step.table for step in steps)
    authors = (tr("by {writer}", writer=listed(map(tr, writers))),) if writers else ()
    return (tr(_REWRITTEN[back], number=journey.number), *new_addresses(steps), *authors)


def new_addresses(steps: Sequence[Step]) -> tuple[str, ...]:
    """Say what addresses several steps wrote."""
    return tuple(part for step in steps for part in rewritten(step))


def conntrack_state(trace: Trace, netns: str, at: tuple[int, int] | None = None) -> str:
    """Say in which state connection tracking of a namespace had the conversation: right after a step (the packet's
    number, the index), or else when it failed, or at its end."""
    proto = trace.journeys[0].packet.proto
    last = trace.journeys[-1] if trace.outcome.works else trace.outcome.journey
    entries = [e for e in conntrack_view(trace, netns, *(at or (last.number,))) if e.original.proto == proto]
    if not entries:
        return tr("no entry")
    state = entries[-1].state or entries[-1].original.proto.upper()
    return state if entries[-1].seen_reply else tr("{state}, unreplied", state=state)


def writers(trace: Trace, netns: str) -> dict[str, str]:
    """Say whose rules and virtual servers took packets in a namespace: name -> `quiet`, or `drop` for who decided."""
    names: dict[str, str] = {}
    for step in _written_steps(trace, netns):
        if step.origin:
            names.setdefault(step.origin.writer, "quiet")
    decided = trace.outcome.step
    if not trace.outcome.works and decided.netns == netns and decided.origin and decided.table:
        names[decided.origin.writer] = "drop"
    return names


def data_planes(trace: Trace, netns: str) -> str:
    """Name what holds the rules and virtual servers that took packets in a namespace: `iptables, IPVS`."""
    met = {
        "IPVS" if step.stage is Stage.IPVS else "nftables" if isinstance(step.line, NftRule) else "iptables"
        for step in _written_steps(trace, netns)
        if step.origin
    }
    return listed(name for name in ("iptables", "nftables", "IPVS") if name in met)


def _written_steps(trace: Trace, netns: str) -> Iterator[Step]:
    return (step for journey in trace.journeys for step in journey.within(netns) if _is_written(step))


def _is_written(step: Step) -> bool:
    """Tell whether a rule or a virtual server decided, which a program wrote, and not what a connection remembers."""
    return bool(step.table) or step.stage is Stage.IPVS


def decided_by(trace: Trace, at: tuple[int, int] | None) -> bool:
    """Tell whether the step that decided is reached at a step (the packet's number, the index); None is the end."""
    journey = trace.outcome.journey
    index = next((i for i, step in enumerate(journey.steps) if step is trace.outcome.step), len(journey.steps) - 1)
    return at is None or at >= (journey.number, index)


def missed_packets(trace: Trace, netns: str) -> list[str]:
    """Say which packets passed a namespace by, so that it misjudged the deciding one; nothing when it did not."""
    outcome = trace.outcome
    if outcome.works or outcome.step.netns != netns or outcome.step.ctstate != ConnState.INVALID:
        return []
    before = [j for j in trace.journeys if j.number < outcome.journey.number and not j.retransmission_of]
    missed = [f"{j.number} {packet_name(j.packet)}" for j in before if not saw(j, netns)]
    return [tr("did not see {packets}", packets=listed(missed))] if missed else []
