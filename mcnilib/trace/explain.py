"""A trace in sentences: the verdict, the tale at three depths, where two runs part, what a namespace knew when.

Every sentence is made from the steps and the lines that decided them; no component, chain or scenario is named here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile, zip_longest

from mcnilib.language import clauses, tr
from mcnilib.linux.netfilter.conntrack import ConnState, Entry
from mcnilib.linux.packet import Packet
from mcnilib.trace.branches import Part, parts
from mcnilib.trace.trace import DEPTHS, Depth, Fate, Journey, Stage, Step, TooBig, Trace, Verdict

Look = Callable[[Step], tuple[object, ...]]
"""What two steps must share to be the same; nothing: the step is not looked at."""

FATES = {Fate.DROPPED: "is dropped", Fate.REJECTED: "is rejected", Fate.UNREACHABLE: "stops"}


def packet_name(packet: Packet) -> str:
    """Name a packet as people say it: SYN, SYN-ACK, ACK, data, FIN, RST, or the ICMP or protocol name."""
    tcp = packet.tcp
    if tcp is None:  # a connection that found no route: its SYN never got a header
        return "SYN" if packet.proto == "tcp" else packet.kind
    if "SYN" in tcp.flags:
        return "SYN-ACK" if "ACK" in tcp.flags else "SYN"
    return next((name for name in ("RST", "FIN") if name in tcp.flags), "data" if packet.length else str(tcp))


def journey_name(journey: Journey) -> str:
    """Name a journey by its number and packet: `packet 3 (ACK)`."""
    again = ", sent again" if journey.retransmission_of else ""
    return f"packet {journey.number} ({packet_name(journey.packet)}{again})"


def place_name(step: Step) -> str:
    """Name the part of Linux that decided: `filter FORWARD-EXTRA`, `route`, `rp_filter`."""
    return f"{step.table} {step.chain}" if step.table else step.stage.value


def verdict(trace: Trace) -> str:
    """Say in one sentence how the conversation ends, and which line of state decided it; where chance decides, for
    each end it may take."""
    if trace.outcome.verdict is Verdict.DEPENDS:
        more = f"; chance has more branches than the {len(trace.branches)} followed here" if trace.open else ""
        return f"{trace.outcome.verdict.value}: {'; '.join(map(_part, parts(trace)))}{more}"
    return _end_of(trace)


def part_name(part: Part) -> str:
    """Name some branches by how they end and when: `works through 10.0.1.5 (1 of 2)`."""
    outcome = part.trace.outcome
    return f"{'works' if outcome.works else outcome.verdict.value} {_which(part)}".rstrip()


def _part(part: Part) -> str:
    which = _which(part)
    if part.trace.outcome.works:
        return part_name(part)
    return f"{which}: {_end_of(part.trace)}" if which else _end_of(part.trace)


def _which(part: Part) -> str:
    return " ".join(word for word in (part.where, f"({part.share})" if part.share else "") if word)


def _end_of(trace: Trace) -> str:
    outcome, step = trace.outcome, trace.outcome.step
    if outcome.verdict is Verdict.UNKNOWN:
        return f"{outcome.verdict.value}: {journey_name(outcome.journey)} got to {step.netns}, but {step.action}"
    if outcome.works:
        seen = f"; the server sees the client as {outcome.seen_source}" if outcome.seen_source else ""
        return f"{outcome.verdict.value}{seen}"
    error = f" ({outcome.error})" if outcome.error not in ("", "ETIMEDOUT") else ""
    end = f"{outcome.verdict.value}{error}: {journey_name(outcome.journey)} {_misaddressed(trace) or fate_of(step)}"
    return clauses([end, about]) if (about := _about_size(trace)) else end


def _misaddressed(trace: Trace) -> str:
    """Say that a TCP answer comes from another address or port than the client dialled; nothing where it does not."""
    dialled, journey = trace.journeys[0].packet, trace.outcome.journey
    answer, step = journey.last.before, journey.last
    ends = [f"{ip}:{port}" for ip, port in ((answer.src, answer.sport), (dialled.dst, dialled.dport))]
    if not answer.tcp or not journey.reply or step.fate is not Fate.REJECTED or ends[0] == ends[1]:
        return ""
    return f"comes from {ends[0]}, but {step.netns} dialled {ends[1]}, so {step.netns} answers RST"


def fate_of(step: Step) -> str:
    """Say what became of a packet at its last step, with the line that decided and who wrote it."""
    if step.fate is Fate.DELIVERED:
        return f"arrives at {step.netns}"
    if step.fate is Fate.UNKNOWN:
        return f"is followed no further than {step.netns}: {step.action}"
    where = f"{FATES[step.fate]} on {step.netns}"
    if not step.evidence and step.fate is not Fate.DROPPED:
        return f"{where}: {step.action}"
    where = f"{where} in {place_name(step)}"
    if not step.evidence:
        return f"{where}: {step.action}"
    written = f", written by {step.origin.writer}" if step.origin else ""
    return f"{where} by `{rule_text(step)}`{written}"


def sending_step(journey: Journey, step: Step) -> Step:
    """Return the route that sent a packet out through a device; any other step, and a move without one, is itself."""
    if step.evidence or step.stage not in (Stage.DEVICE, Stage.TUNNEL):
        return step
    index = next(i for i, other in enumerate(journey.steps) if other is step)
    visit = takewhile(lambda earlier: earlier.netns == step.netns, reversed(journey.steps[:index]))
    return next((earlier for earlier in visit if earlier.stage is Stage.ROUTE and earlier.evidence), step)


def rule_text(step: Step) -> str:
    """Return the deciding line without the words that only repeat its chain."""
    return step.evidence.strip().removeprefix(f"-A {step.chain} ")


def tell(trace: Trace, depth: str = Depth.HOPS) -> list[str]:
    """Tell the conversation: its outcome, every packet's hops, or every decision.

    Raises: ValueError for a depth that is not in DEPTHS.
    """
    if depth not in DEPTHS:
        raise ValueError(f"depth cannot be {depth!r}; it is one of {', '.join(DEPTHS)}")
    lines = [verdict(trace), *because(trace)]
    if depth == Depth.OUTCOME:
        return lines
    for journey in trace.journeys:
        lines.append(tell_journey(journey))
        if depth == Depth.DECISIONS:
            lines += [f"  {tell_step(step)}" for step in journey.steps]
    return lines


def because(trace: Trace) -> list[str]:
    """Say why the deciding step came to its decision, as far as connection tracking is the reason; then the notes."""
    return [*([] if trace.outcome.works else _reasons(trace)), *trace.notes]


def _reasons(trace: Trace) -> list[str]:
    outcome = trace.outcome
    origin = outcome.step.origin
    reason = "who wrote the line is" if origin and origin.inferred else "why this line exists:"
    lines = [f"{reason} {origin.why}"] if origin else []
    tracked = _tracked(outcome.journey, outcome.step.netns)
    if tracked and tracked.ctstate == ConnState.INVALID:
        state, _, log = tracked.action.partition(": ")
        lines += [f"conntrack on {tracked.netns} calls this packet {state}" + (f" (kernel log: {log})" if log else "")]
        lines += _half_seen(trace, outcome.journey, tracked.netns)
    return lines


def _about_size(trace: Trace) -> str:
    """Say what became of the ICMP error about a packet that was too long: only that tells its sender."""
    step, number = trace.outcome.step, trace.outcome.journey.number
    if not isinstance(step.what, TooBig):
        return ""
    if not step.what.told:
        return tr("nobody tells the sender")
    later = [j for j in trace.journeys if j.number > number and j.packet.icmp and j.packet.icmp.mtu]
    error = next((journey for journey in later if journey.hops()[0] == step.netns), None)
    if error is None:
        return tr("{router} sends no ICMP error about it", router=step.netns)
    said = {"router": step.netns, "sender": error.packet.dst, "packet": journey_name(error), "end": fate_of(error.last)}
    if error.fate is Fate.DELIVERED:
        return tr("{router} tells {sender}: {packet} {end}", **said)
    return tr("{router} tells {sender}, but {packet} {end}", **said)


def _tracked(journey: Journey, netns: str) -> Step | None:
    """Return what connection tracking of the namespace last said about the packet."""
    return next((step for step in reversed(journey.within(netns)) if step.stage is Stage.CONNTRACK), None)


def _half_seen(trace: Trace, journey: Journey, netns: str) -> list[str]:
    """Say which packets sent before this one the namespace saw, and which passed it by."""
    before = [j for j in trace.journeys if j.number < journey.number and not j.retransmission_of]
    seen = [j for j in before if saw(j, netns)]
    missed = [j for j in before if not saw(j, netns)]
    if not missed:
        return []
    paths = ", ".join(f"{journey_name(j)}, which went {' → '.join(j.hops())}" for j in missed)
    subject = f"{netns} saw {', '.join(map(journey_name, seen))} but not" if seen else f"{netns} did not see"
    return [f"{subject} {paths}"]


def saw(journey: Journey, netns: str) -> bool:
    """Tell whether a packet entered the IP layer of a namespace; passing one of its devices is not enough."""
    return netns in journey.hops()


def _short(journey: Journey) -> str:
    return f"{journey.number} {packet_name(journey.packet)}"


def tell_journey(journey: Journey) -> str:
    """Tell the life of one packet in a line."""
    again = f" (retransmit of {journey.retransmission_of})" if journey.retransmission_of else ""
    head = f"{_short(journey)}{again}: {journey.packet.src} > {journey.packet.dst}"
    return f"{head}: {' → '.join(path_of(journey))}: {_end(journey.last)}"


def _end(step: Step) -> str:
    return "delivered" if step.fate is Fate.DELIVERED else fate_of(step).removeprefix("is ")


def path_of(journey: Journey) -> tuple[str, ...]:
    """Name what a packet crosses in order: namespaces, and in brackets the devices and segments between them."""
    hops = [journey.visits[0].netns]
    for step in journey.steps:
        if step.stage is Stage.DEVICE and step.to:
            between = [name if not device else f"{name}.{device}" for name, device in step.path]
            landed = f"{step.to[0]}.{step.to[1]}"
            between += [landed] if landed not in between else []
            hops += [f"[{' '.join(between)}]", step.to[0]]
    return tuple(hops)


def tell_step(step: Step) -> str:
    """Tell one decision in a line: where, what, and the line of state with its writer."""
    hook = f" {step.hook}" if step.hook and step.hook != step.chain else ""
    head = f"{step.netns} {place_name(step)}{hook}: {step.action}"
    if not step.evidence:
        return head
    return f"{head} | {step.evidence.strip()}" + (f" | {step.origin}" if step.origin else "")


@dataclass(frozen=True, slots=True)
class Difference:
    """The first step in which two conversations part; None where one of them has no such step."""

    journey: int  # number of the packet
    here: Step | None
    there: Step | None

    def __str__(self) -> str:
        sides = (tell_step(step) if step else "nothing more" for step in (self.here, self.there))
        return f"packet {self.journey}: {' — instead of — '.join(sides)}"


def difference(one: Trace, other: Trace) -> Difference | None:
    """Return the first step in which two conversations differ; None when they are alike."""
    return _difference(one, other, _look)


def parting(one: Trace, other: Trace) -> str:
    """Say in which step two conversations part first."""
    parted = difference(one, other)
    return f"First difference: {parted}" if parted else "No step differs: these lines do not matter here."


def course_difference(one: Trace, other: Trace) -> Difference | None:
    """Return the first step that takes a packet elsewhere or ends it otherwise; None when all go and end alike."""
    return _difference(one, other, _course)


def _difference(one: Trace, other: Trace, look: Look) -> Difference | None:
    for a, b in _pairs(one, other):
        if a is None or b is None:
            return Difference((a or b).number, *(j.steps[0] if j else None for j in (a, b)))  # type: ignore[union-attr]
        mine, theirs = _parted(a, b, look)
        if mine or theirs:
            return Difference(a.number, mine, theirs)
    return None


def _pairs(one: Trace, other: Trace) -> Iterator[tuple[Journey | None, Journey | None]]:
    for i in range(max(len(one.journeys), len(other.journeys))):
        yield tuple(t.journeys[i] if i < len(t.journeys) else None for t in (one, other))  # type: ignore[misc]


def _parted(a: Journey, b: Journey, look: Look) -> tuple[Step | None, Step | None]:
    steps = ([step for step in journey.steps if look(step)] for journey in (a, b))
    for mine, theirs in zip_longest(*steps):
        if mine is None or theirs is None or look(mine) != look(theirs):
            return mine, theirs
    return None, None


def _look(step: Step) -> tuple[object, ...]:
    """Return what two steps must share to be the same decision."""
    return (step.netns, step.stage, step.hook, step.table, step.action, step.evidence, step.fate, step.after, step.to)


def _course(step: Step) -> tuple[object, ...]:
    """Return where a step takes the packet, or how and by which part of Linux it ends; nothing where neither."""
    if step.fate is not Fate.GOES_ON:
        return (step.netns, place_name(step), step.fate)
    return (step.netns, step.oif, step.to, step.stage) if step.stage in (Stage.DEVICE, Stage.TUNNEL) else ()


def tell_course(step: Step) -> str:
    """Say where a step takes its packet, or what became of it there."""
    if step.fate is not Fate.GOES_ON:
        return f"it {fate_of(step)}"
    return (
        f"on {step.netns} it is {step.action}" if step.stage is Stage.TUNNEL else f"from {step.netns} it {step.action}"
    )


def conntrack_view(trace: Trace, netns: str, number: int, index: int | None = None) -> tuple[Entry, ...]:
    """Return the connections of a namespace right after packet `number` ended, oldest first; with `index` right after
    that step of the packet.

    Raises: ValueError when the conversation has no packet of that number.
    """
    entries: dict[tuple[object, ...], Entry] = {}
    for journey in trace.journeys:
        last = index if journey.number == number else None
        for step in journey.steps if last is None else journey.steps[: last + 1]:
            if step.entry and step.netns == netns:
                entries[step.entry.original.key()] = step.entry
        if journey.number == number:
            return tuple(e for e in entries.values() if e.confirmed and e.expires > journey.time)
    raise ValueError(f"there is no packet {number}; there are {len(trace.journeys)}")
