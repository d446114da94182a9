"""A trace in sentences: the verdict, the tale at three depths, where two runs part, what a namespace knew when.

Every sentence is made from the steps and the lines that decided them; no component, chain or scenario is named here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile, zip_longest

from mcnilib.errors import McniError
from mcnilib.language import clauses, listed, mark, tr
from mcnilib.linux.netfilter.conntrack import ConnState, Entry
from mcnilib.linux.packet import Packet
from mcnilib.trace.branches import Part, parts
from mcnilib.trace.trace import DEPTHS, Depth, Fate, Journey, Stage, Step, TooBig, Trace, Verdict
from mcnilib.trace.why.reason import Reason
from mcnilib.trace.why.reasons import reasons

Look = Callable[[Step], tuple[object, ...]]
"""What two steps must share to be the same; nothing: the step is not looked at."""

_ENDS = {
    (Fate.DELIVERED, ""): mark("{packet} arrives at {netns}"),
    (Fate.UNKNOWN, ""): mark("{packet} is followed no further than {netns}: {action}"),
    (Fate.DROPPED, ""): mark("{packet} is dropped on {netns} in {place}: {action}"),
    (Fate.DROPPED, "line"): mark("{packet} is dropped on {netns} in {place} by `{line}`"),
    (Fate.DROPPED, "writer"): mark("{packet} is dropped on {netns} in {place} by `{line}`, written by {writer}"),
    (Fate.REJECTED, ""): mark("{packet} is rejected on {netns}: {action}"),
    (Fate.REJECTED, "line"): mark("{packet} is rejected on {netns} in {place} by `{line}`"),
    (Fate.REJECTED, "writer"): mark("{packet} is rejected on {netns} in {place} by `{line}`, written by {writer}"),
    (Fate.UNREACHABLE, ""): mark("{packet} stops on {netns}: {action}"),
    (Fate.UNREACHABLE, "line"): mark("{packet} stops on {netns} in {place} by `{line}`"),
    (Fate.UNREACHABLE, "writer"): mark("{packet} stops on {netns} in {place} by `{line}`, written by {writer}"),
}
"""How a packet ends, and what decided it: a line of state, one whose writer is known too, or neither."""

_ENDS_IN_SHORT = {
    (Fate.DELIVERED, ""): mark("delivered"),
    (Fate.UNKNOWN, ""): mark("followed no further than {netns}: {action}"),
    (Fate.DROPPED, ""): mark("dropped on {netns} in {place}: {action}"),
    (Fate.DROPPED, "line"): mark("dropped on {netns} in {place} by `{line}`"),
    (Fate.DROPPED, "writer"): mark("dropped on {netns} in {place} by `{line}`, written by {writer}"),
    (Fate.REJECTED, ""): mark("rejected on {netns}: {action}"),
    (Fate.REJECTED, "line"): mark("rejected on {netns} in {place} by `{line}`"),
    (Fate.REJECTED, "writer"): mark("rejected on {netns} in {place} by `{line}`, written by {writer}"),
    (Fate.UNREACHABLE, ""): mark("stops on {netns}: {action}"),
    (Fate.UNREACHABLE, "line"): mark("stops on {netns} in {place} by `{line}`"),
    (Fate.UNREACHABLE, "writer"): mark("stops on {netns} in {place} by `{line}`, written by {writer}"),
}
"""The same where the packet was named before."""


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
    number, name = journey.number, packet_name(journey.packet)
    if journey.retransmission_of:
        return tr("packet {number} ({packet}, sent again)", number=number, packet=name)
    return tr("packet {number} ({packet})", number=number, packet=name)


def place_name(step: Step) -> str:
    """Name the part of Linux that decided: `filter FORWARD-EXTRA`, `route`, `rp_filter`."""
    return f"{step.table} {step.chain}" if step.table else tr(step.stage.value)


def verdict(trace: Trace) -> str:
    """Say in one sentence how the conversation ends, and which line of state decided it; where chance decides, for
    each end it may take."""
    if trace.outcome.verdict is not Verdict.DEPENDS:
        return _end_of(trace)
    ends = clauses(map(_part, parts(trace)))
    if not trace.open:
        return tr("it depends: {ends}", ends=ends)
    more = tr("chance has more branches than the {count} followed here", count=len(trace.branches))
    return tr("it depends: {ends}", ends=clauses([ends, more]))


def part_name(part: Part) -> str:
    """Name some branches by how they end and when: `works through 10.0.1.5 (1 of 2)`."""
    outcome, which = part.trace.outcome, _which(part)
    end = tr("works") if outcome.works else tr(outcome.verdict.value)
    return tr("{end} {condition}", end=end, condition=which) if which else end


def _part(part: Part) -> str:
    if part.trace.outcome.works:
        return part_name(part)
    which = _which(part)
    return tr("{condition}: {end}", condition=which, end=_end_of(part.trace)) if which else _end_of(part.trace)


def _which(part: Part) -> str:
    return " ".join(word for word in (part.where, f"({part.share})" if part.share else "") if word)


def _end_of(trace: Trace) -> str:
    outcome, step = trace.outcome, trace.outcome.step
    verdict = _sized_verdict(trace)
    if outcome.works:
        if not outcome.seen_source:
            return verdict
        return tr("{verdict}; the server sees the client as {address}", verdict=verdict, address=outcome.seen_source)
    packet = journey_name(outcome.journey)
    if outcome.verdict is Verdict.UNKNOWN:
        end = tr("{packet} got to {netns}, but {action}", packet=packet, netns=step.netns, action=step.action)
    else:
        end = _misaddressed(trace, packet) or _fate_of(step, packet)
    if cause := next((reason for reason in reasons(trace) if reason.decides), None):
        end = tr("{end}, because {cause}", end=end, cause=_told(cause, step.netns))
    if about := _about_size(trace):
        end = clauses([end, about])
    if outcome.error and outcome.verdict not in (Verdict.UNKNOWN, Verdict.HANGS):  # what hangs has no error yet
        return tr("{verdict} ({error}): {end}", verdict=verdict, error=outcome.error, end=end)
    return tr("{verdict}: {end}", verdict=verdict, end=end)


def _told(reason: Reason, netns: str = "") -> str:
    """Say a reason, and where; in a sentence about `netns` not that it is there."""
    return (
        reason.said
        if reason.netns in ("", netns)
        else tr("on {netns} {reason}", netns=reason.netns, reason=reason.said)
    )


def _sized_verdict(trace: Trace) -> str:
    """Name the verdict; where only large packets fail, say that of those that were sent."""
    outcome = trace.outcome
    if trace.small and outcome.verdict is Verdict.UNKNOWN:
        return tr(
            "small packets: {verdict}; what becomes of large ones is unknown", verdict=tr(trace.small.verdict.value)
        )
    if trace.small is None or outcome.verdict is not Verdict.HANGS:
        return tr(outcome.verdict.value)
    if outcome.journey.reply:
        return tr("connects; small answers arrive, large ones hang")
    return tr("connects; small requests arrive, large ones hang")


def _misaddressed(trace: Trace, packet: str) -> str:
    """Say that a TCP answer comes from another address or port than the client dialled; nothing where it does not."""
    dialled, journey = trace.journeys[0].packet, trace.outcome.journey
    answer, step = journey.last.before, journey.last
    came, went = (f"{ip}:{port}" for ip, port in ((answer.src, answer.sport), (dialled.dst, dialled.dport)))
    if not answer.tcp or not journey.reply or step.fate is not Fate.REJECTED or came == went:
        return ""
    return tr(
        "{packet} comes from {source}, but {netns} dialled {target}, so {netns} answers RST",
        packet=packet,
        source=came,
        netns=step.netns,
        target=went,
    )


def _fate_of(step: Step, packet: str = "") -> str:
    """Say what became of a packet at its last step, with the line that decided and who wrote it."""
    shown = step.evidence and step.fate not in (Fate.DELIVERED, Fate.UNKNOWN)
    decider = ("writer" if step.origin else "line") if shown else ""
    return tr(
        (_ENDS if packet else _ENDS_IN_SHORT)[step.fate, decider],
        packet=packet,
        netns=step.netns,
        place=place_name(step),
        action=step.action,
        line=rule_text(step),
        writer=tr(step.origin.writer) if step.origin else "",
    )


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
        raise ValueError(tr("depth cannot be {depth!r}; it is one of {depths}", depth=depth, depths=listed(DEPTHS)))
    lines = [verdict(trace), *because(trace)]
    if depth == Depth.OUTCOME:
        return lines
    for journey, times in times_sent(trace):
        lines.append(tell_journey(journey, times))
        for index, step in enumerate(journey.steps):
            lines += [f"  {tell_step(step)}"] if depth == Depth.DECISIONS else []
            lines += [f"    {text}" for text in _asides(trace, journey, index)]
    return lines


def _asides(trace: Trace, journey: Journey, index: int) -> Iterator[str]:
    """Yield what is told beside a step only: what did not match there, though that decided nothing."""
    beside = (reason for reason in reasons(trace) if (reason.journey, reason.index) == (journey.number, index))
    return (_told(reason) for reason in beside if reason.aside and not reason.decides)


def because(trace: Trace) -> list[str]:
    """Say why the deciding step came to its decision, as far as connection tracking is the reason; then the notes."""
    first = next((reason for reason in reasons(trace) if reason.decides), None)
    more = [_told(reason) for reason in reasons(trace) if reason is not first and (reason.decides or not reason.aside)]
    return [*([] if trace.outcome.works else _reasons(trace)), *more, *trace.notes]


def _reasons(trace: Trace) -> list[str]:
    outcome = trace.outcome
    origin = outcome.step.origin
    if origin and origin.inferred:
        lines = [tr("who wrote the line is {sign}", sign=tr(origin.why))]
    else:
        lines = [tr("why this line exists: {why}", why=tr(origin.why))] if origin else []
    tracked = _tracked(outcome.journey, outcome.step.netns)
    if tracked and tracked.ctstate == ConnState.INVALID:
        lines += [_invalid(tracked), *_half_seen(trace, outcome.journey, tracked.netns)]
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
    told = tr("{router} tells {sender}", router=step.netns, sender=error.packet.dst)
    end = _fate_of(error.last, journey_name(error))
    if error.fate is Fate.DELIVERED:
        return tr("{told}: {end}", told=told, end=end)
    return tr("{told}, but {end}", told=told, end=end)


def _invalid(tracked: Step) -> str:
    log = tracked.action.removeprefix(tracked.ctstate).removeprefix(": ")  # the kernel's words, in every language
    if not log:
        return tr("conntrack on {netns} calls this packet {state}", netns=tracked.netns, state=tracked.ctstate)
    return tr(
        "conntrack on {netns} calls this packet {state} (kernel log: {log})",
        netns=tracked.netns,
        state=tracked.ctstate,
        log=log,
    )


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
    paths = listed(tr("{packet}, which went {path}", packet=journey_name(j), path=" → ".join(j.hops())) for j in missed)
    if not seen:
        return [tr("{netns} did not see {packets}", netns=netns, packets=paths)]
    saw_these = listed(map(journey_name, seen))
    return [tr("{netns} saw {seen} but not {packets}", netns=netns, seen=saw_these, packets=paths)]


def saw(journey: Journey, netns: str) -> bool:
    """Tell whether a packet entered the IP layer of a namespace; passing one of its devices is not enough."""
    return netns in journey.hops()


def short_name(journey: Journey, times: int = 1) -> str:
    """Name a packet in a table; `times` is how often it was sent, what repeats it included, where all went alike."""
    name, number = f"{journey.number} {packet_name(journey.packet)}", journey.retransmission_of
    if number and times > 1:
        return tr("{packet} (retransmit of {number}, sent {times} times)", packet=name, number=number, times=times)
    if number:
        return tr("{packet} (retransmit of {number})", packet=name, number=number)
    return tr("{packet} (sent {times} times)", packet=name, times=times) if times > 1 else name


def times_sent(trace: Trace) -> Iterator[tuple[Journey, int]]:
    """Yield the packets, those sent again that go and end as one before folded into it: how often it was sent."""
    folded = trace.folded
    times = Counter(folded.values())
    yield from ((one, 1 + times[one.number]) for one in trace.journeys if one.number not in folded)


def tell_journey(journey: Journey, times: int = 1) -> str:
    """Tell the life of one packet in a line."""
    head = f"{short_name(journey, times)}: {journey.packet.src} > {journey.packet.dst}"
    return f"{head}: {' → '.join(path_of(journey))}: {_fate_of(journey.last)}"


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
        here, there = (tell_step(step) if step else tr("nothing more") for step in (self.here, self.there))
        return tr("packet {number}: {here} — instead of — {there}", number=self.journey, here=here, there=there)


def difference(one: Trace, other: Trace) -> Difference | None:
    """Return the first step in which two conversations differ; None when they are alike.

    If only one of them was followed with large packets, as those get lost, the other is followed with them too.
    """
    if one.small and not other.small:
        return _difference(one, _as_large(other, one), _look)
    return _difference(_as_large(one, other) if other.small and not one.small else one, other, _look)


def _as_large(trace: Trace, large: Trace) -> Trace:
    """Hold a conversation once more with the sizes of another; itself where that cannot be done."""
    with suppress(McniError):
        return large.replay.hold(trace.replay.world, trace.replay.loaded) if large.replay and trace.replay else trace
    return trace


def parting(one: Trace, other: Trace) -> str:
    """Say in which step two conversations go apart, or what else differs where all goes the same way."""
    if parted := course_difference(one, other):
        return tr("First difference: {difference}", difference=parted)
    if parted := difference(one, other):
        return tr("Every packet goes the same way to the same end; another decision: {difference}", difference=parted)
    return tr("No step differs: these lines do not matter here.")


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
        return _fate_of(step, tr("it"))
    if step.stage is Stage.TUNNEL:
        return tr("on {netns} it is {action}", netns=step.netns, action=step.action)
    return tr("from {netns} it {action}", netns=step.netns, action=step.action)


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
                entries[step.entry.keys[0]] = step.entry
        if journey.number == number:
            return tuple(e for e in entries.values() if e.confirmed and e.expires > journey.time)
    raise ValueError(
        tr("there is no packet {number}; there are {journeys}", number=number, journeys=len(trace.journeys))
    )
