"""Two Traces of one conversation side by side: do simulator and kernel agree, and if not, where do they part?

Compared packet by packet: devices crossed in order with the addresses on the wire, rules matched with the mark they
left, connection state per namespace, where the packet ended and which line ended it; then the connection tables and
the outcome. Free to differ: ports the kernel draws at random, the number of retransmissions, and pure ACKs that only
one of both sends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from mcnilib.kernel.compare.normalise import NormalisedJourney, group, normalise
from mcnilib.kernel.observe.decode import VXLAN_PORT
from mcnilib.linux.netfilter.conntrack import Entry
from mcnilib.trace.flow import Flow, Listener
from mcnilib.trace.trace import Stage, Trace, Verdict

NOTHING = "(nothing)"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One place where the two differ: of which packet, in what, and what each of them has."""

    packet: str
    what: str
    model: str
    kernel: str

    def __str__(self) -> str:
        return f"{self.packet}, {self.what}:\n    model:  {self.model}\n    kernel: {self.kernel}"


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a comparison: how many packets were compared, and where the two part."""

    packets: int
    mismatches: tuple[Mismatch, ...] = ()

    @property
    def agrees(self) -> bool:
        """Tell whether model and kernel are the same in everything compared."""
        return not self.mismatches

    def __str__(self) -> str:
        if self.agrees:
            return f"agree on {self.packets} packets"
        return "part here:\n" + "\n".join(f"  {mismatch}" for mismatch in self.mismatches)


def compare_traces(model: Trace, kernel: Trace, flow: Flow, listeners: Sequence[Listener] = ()) -> Report:
    """Set the simulator's Trace against the kernel's; where chance decides, the course that the kernel took counts."""
    reports = (_compare(course, kernel, flow, listeners) for course in model.courses)
    first = next(reports)
    return first if first.agrees else next((report for report in reports if report.agrees), first)


def compare_ends(model: Trace, kernel: Trace, name: str) -> Report:
    """Compare only how a conversation ends for its client: of a large one, how it is cut is a matter of time."""
    theirs = _end_words(kernel)
    ours = [_end_words(course) for course in model.courses]
    wrong = () if theirs in ours else (Mismatch(name, "outcome", ours[0], theirs),)
    return Report(len(kernel.journeys), wrong)


def _end_words(trace: Trace) -> str:
    """Name the end as the client sees it, to whom it is the same which of a request and its answer got lost."""
    verdict = Verdict.LOST if trace.outcome.verdict is Verdict.ONE_WAY else trace.outcome.verdict
    return f"{verdict.value} {trace.outcome.error}".rstrip()


def _compare(model: Trace, kernel: Trace, flow: Flow, listeners: Sequence[Listener]) -> Report:
    ports = {flow.sport, flow.dport, *(listener.port for listener in listeners)} - {0}  # ICMP has none
    tracked = {step.netns for j in kernel.journeys for step in j.steps if step.ctstate}
    ours, theirs = (group(normalise(j, ports, tracked) for j in trace.journeys) for trace in (model, kernel))
    mismatches: list[Mismatch] = []
    for key in dict.fromkeys([*ours, *theirs]):
        mismatches += _packets(key, ours.get(key, []), theirs.get(key, []))
    mismatches += _tables(model, kernel, ports, tracked)
    mismatches += _outcome(model, kernel)
    return Report(len(kernel.journeys), tuple(mismatches))


def _packets(key: str, model: list[NormalisedJourney], kernel: list[NormalisedJourney]) -> list[Mismatch]:
    """Compare all sendings of one kind of packet; a pure ACK may be missing on either side."""
    if key.endswith(" ACK"):
        model, kernel = model[:1], kernel[:1]
        if not model or not kernel:
            return []
    model, kernel = _sent(model), _sent(kernel)
    if len(model) > len(kernel):
        model = [journey for journey in model if not _never_made(journey)]
    elif len(kernel) > len(model):  # a socket whose packet was not made is told of by a packet without flags
        kernel = [journey for journey in kernel if not _never_made(journey)]
    mismatches: list[Mismatch] = []
    for number, (ours, theirs) in enumerate(zip_longest(model, kernel), 1):
        name = key if number == 1 else f"{key} (number {number} that differs)"
        if ours is None or theirs is None:
            mismatches.append(
                Mismatch(name, "presence", ours.summary if ours else NOTHING, theirs.summary if theirs else NOTHING)
            )
        else:
            mismatches += _one(name, ours, theirs)
    return mismatches


def _sent(stories: list[NormalisedJourney]) -> list[NormalisedJourney]:
    """Leave out retransmissions that wait for ARP: TCP sends none while the first segment waits there itself.

    Source: skb_still_in_host_queue() in net/ipv4/tcp_output.c.
    """
    return stories[:1] + [journey for journey in stories[1:] if journey.crossings or journey.stage is not Stage.ARP]


def _never_made(story: NormalisedJourney) -> bool:
    """Tell whether a packet found no route in its own namespace: the kernel drops such an answer before it makes it."""
    return not story.crossings and not story.rules and story.stage is Stage.ROUTE


def _one(name: str, model: NormalisedJourney, kernel: NormalisedJourney) -> list[Mismatch]:
    """Compare two stories part by part; only the first difference of each part is told."""
    mismatches = []
    for what, get in PARTS:
        for simulated, measured in zip_longest(get(model), get(kernel), fillvalue=NOTHING):
            if simulated != measured:
                mismatches.append(Mismatch(name, what, simulated, measured))
                break
    ours, theirs = _by_place(model), _by_place(kernel)
    for hook in (hook for hook in ours if hook in theirs):
        mine, its = ours[hook], theirs[hook]
        if mine != its[-len(mine) :]:  # the simulator does not ask conntrack about an answer that belongs to its cause
            mismatches.append(Mismatch(name, f"connection state in {hook}", ", ".join(mine), ", ".join(its)))
    return mismatches


def _by_place(journey: NormalisedJourney) -> dict[str, list[str]]:
    """Return the states a packet was found in, per namespace and hook; a tunnelled one passes OUTPUT twice."""
    places: dict[str, list[str]] = {}
    for (netns, hook), state in journey.states:
        places.setdefault(f"{netns} {hook}", []).append(state)
    return places


PARTS: tuple[tuple[str, Callable[[NormalisedJourney], Sequence[str]]], ...] = (
    ("devices and addresses", lambda s: s.crossings),
    ("rules", lambda s: s.rules),
    ("end", lambda s: (s.end,)),
)


def _tables(model: Trace, kernel: Trace, ports: set[int], tracked: set[str]) -> list[Mismatch]:
    """Compare the connection tables of the namespaces in which the kernel tracks."""
    ours, theirs = dict(model.connections), dict(kernel.connections)
    mismatches = []
    for name in sorted(tracked):
        simulated, measured = (_entries(table.get(name, ()), ports) for table in (ours, theirs))
        if simulated != measured:
            different = sorted(set(simulated) ^ set(measured))
            mine, its = (
                "; ".join(e for e in different if e in entries) or NOTHING for entries in (simulated, measured)
            )
            mismatches.append(Mismatch(f"connections of {name}", "conntrack -L", mine, its))
    return mismatches


def _entries(entries: Iterable[Entry], ports: set[int]) -> list[str]:
    """Describe connections; those of tunnels are shared by all conversations of a lab and left out, and those in zones,
    in which the kernel is not asked for them."""
    told = (entry for entry in entries if entry.original.dport != VXLAN_PORT and not entry.zone.original)
    return sorted(_entry(entry, ports) for entry in told)


def _entry(entry: Entry, ports: set[int]) -> str:
    flows = []
    for flow in (entry.original, entry.reply):
        numbers = (port if port in ports else "*" for port in (flow.sport, flow.dport))
        flows.append("{} {}:{} > {}:{}".format(flow.proto, flow.src, *_split(numbers, flow.dst)))
    flags = [entry.state, "" if entry.seen_reply else "[UNREPLIED]", "[ASSURED]" if entry.assured else ""]
    return " ".join([*flows, *filter(None, flags), f"mark={entry.mark}"])


def _split(numbers: Iterable[object], dst: object) -> tuple[object, object, object]:
    sport, dport = numbers
    return sport, dst, dport


def _outcome(model: Trace, kernel: Trace) -> list[Mismatch]:
    pairs = (
        ("verdict", model.outcome.verdict.value, kernel.outcome.verdict.value),
        ("error at the client", model.outcome.error, kernel.outcome.error),
        ("client's address as the server saw it", model.outcome.seen_source, kernel.outcome.seen_source),
    )
    return [
        Mismatch("outcome", what, ours or NOTHING, theirs or NOTHING) for what, ours, theirs in pairs if ours != theirs
    ]
