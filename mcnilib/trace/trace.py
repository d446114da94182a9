"""What a run leaves behind: a Trace (the conversation) of Journeys (one packet), of Visits (one namespace crossed), of
Steps (one decision); and its Outcome.

All frozen values; nothing is recomputed later. The simulator and the kernel lab both produce them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from functools import cached_property
from ipaddress import IPv4Address
from itertools import groupby
from typing import Literal, NamedTuple

from mcnilib.language import mark
from mcnilib.linux.chance import Turn
from mcnilib.linux.netfilter.conntrack import ConnState, Entry
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.origin import Origin
from mcnilib.linux.packet import Packet
from mcnilib.world.listing import evidence_command
from mcnilib.world.world import World


class Fate(Enum):
    """What a step did to the packet."""

    GOES_ON = mark("goes on")
    DELIVERED = mark("delivered")
    DROPPED = mark("dropped")
    REJECTED = mark("rejected")  # dropped, and the sender is told
    UNREACHABLE = mark("unreachable")  # no route, or nobody answers ARP
    UNKNOWN = mark("unknown")  # what would decide was not collected


class Stage(Enum):
    """Which part of Linux decided; the value is what a step table prints."""

    SOCKET = mark("socket")
    ROUTE = mark("route")
    RP_FILTER = "rp_filter"
    FORWARDING = mark("forwarding")  # ip_forward, TTL
    CONNTRACK = "conntrack"
    NETFILTER = "netfilter"
    NAT = "nat"  # address rewritten because of an existing connection
    IPVS = "IPVS"  # a virtual server: address rewritten, or no server takes it
    ARP = "arp"
    DEVICE = mark("device")  # the frame leaves through one device and arrives at another
    TUNNEL = mark("tunnel")  # encapsulated or decapsulated
    GAP = mark("not collected")  # what would decide is not known


class Depth(StrEnum):
    """How much is told of a trace, from a few sentences to every decision."""

    OUTCOME = auto()
    HOPS = auto()
    DECISIONS = auto()


DEPTHS = tuple(map(str, Depth))
"""The words a reader says for them."""


class NoWay(NamedTuple):
    """What happened: a lookup found no way out, or one that is refused."""

    errno: str  # what the call of a local sender fails with: ENETUNREACH, EACCES, EINVAL, ...


class Tunnelled(Enum):
    """What happened: the packet was put into another one, or taken out of it."""

    PACKED = "packed"
    UNPACKED = "unpacked"


class Told(NamedTuple):
    """What happened: the packet ends, and its sender is told so, unless a limit forbids it."""

    decision: str  # the sentence, without what it says of the answer
    limit: str = ""  # why nothing is said


class Missing(NamedTuple):
    """What happened: nobody knows, as this was not collected; several reasons where one stands behind the other."""

    reasons: tuple[str, ...]


class Asked(NamedTuple):
    """What happened: the wire was asked which MAC an address has."""

    target: IPv4Address
    sender: IPv4Address  # the address the request was sent from
    mac: str = ""  # the answer; empty: nobody answered


class Framed(NamedTuple):
    """What happened: a device sent the packet in a frame, from one MAC to another."""

    src: str
    dst: str


class Handed(NamedTuple):
    """What happened: a device gave the packet to the IP layer of the namespace below it, at once; empty: it lost it."""

    netns: str


class Stays(NamedTuple):
    """What happened: a packet that DNAT sends back into the bridge it came from is bridged, not routed."""

    bridge: str


class TooBig(NamedTuple):
    """What happened: the packet is longer than what goes on here, and must not be fragmented or cannot be."""

    length: int  # bytes, with the IP header
    mtu: int
    told: bool  # whether the sender gets an ICMP error about it


class HasSocket(NamedTuple):
    """What happened: a packet that would be passed on is for a socket of the machine already; no counter rises."""

    port: int


What = NoWay | Tunnelled | Told | Missing | Asked | Framed | Handed | Stays | TooBig | HasSocket
"""What happened in a step, for programs: none of them reads the sentence, which is for people."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The printed state a line of evidence stands in, named by the command that prints it.

    `command` is for example `ip route show table 500`, `ip rule`, `iptables-save -t filter`, `ip neigh`, `ip -d
    address`, `sysctl -a`, `conntrack -L`, `ss -ltn`.
    """

    netns: str
    command: str


class Step(NamedTuple):
    """One decision: where, what was decided, and the line of state that decided it.

    A NamedTuple because a conversation leaves hundreds and they are built four times faster than frozen data classes.
    `line` is the noun that decided (a Route, Rule, Neigh, ChainRule, sysctl Setting), or its text where there is no
    noun (a chain's policy, a listener). `context` lets other rules of the table say why they did not match.
    """

    netns: str
    stage: Stage
    action: str  # what was decided, in words: `DNAT to 10.233.101.2:80`, `dropped`, `leaves through en0`
    before: Packet
    after: Packet
    line: object = None
    table: str = ""  # raw, mangle, nat, filter; empty outside netfilter
    hook: str = ""  # PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING
    iif: str = ""
    oif: str = ""
    fate: Fate = Fate.GOES_ON
    entry: Entry | None = None  # the connection after this step, where conntrack, NAT or a rule looked at it
    ctstate: ConnState | Literal[""] = ""
    to: tuple[str, str] | None = None  # DEVICE steps: (netns, device) where the frame arrives
    path: tuple[tuple[str, str], ...] = ()  # DEVICE steps: devices and segments crossed on the way, sender first
    context: Context | None = None
    what: What | None = None  # where stage and fate do not say it all

    @property
    def evidence(self) -> str:
        """The deciding line exactly as the tool prints it; empty when no line of state decided."""
        return "" if self.line is None else str(self.line)

    @property
    def origin(self) -> Origin | None:
        """Who wrote the deciding line, and why."""
        return getattr(self.line, "origin", None)

    @property
    def chain(self) -> str:
        """The chain the deciding rule stands in; the built-in chain when its policy decided."""
        if isinstance(self.line, str) and self.line.startswith("-A "):
            return self.line.split()[1]
        return getattr(self.line, "chain", self.hook if self.table else "")

    @property
    def listing(self) -> Listing | None:
        """The printed state in which the evidence is found."""
        return listing_of(self)


def listing_of(step: Step) -> Listing | None:
    """Name the command whose output holds the step's evidence."""
    return None if step.line is None else Listing(step.netns, evidence_command(step.line, step.table))


class Visit(NamedTuple):
    """One namespace crossed by a packet: by which device it came in and went out, and what was decided meanwhile.

    What goes round in a namespace, by lo or through its tunnels, does not leave it.
    """

    netns: str
    iif: str  # empty: the packet was made there
    oif: str  # empty: it ended there
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Journey:
    """The life of one packet from the socket (or router) that made it to its end."""

    number: int  # from 1, in order of departure
    time: float  # seconds since the run began
    packet: Packet  # as it was made
    steps: tuple[Step, ...]
    reply: bool = False  # sent by the server's side
    retransmission_of: int = 0  # number of the journey this repeats; 0: none

    @property
    def last(self) -> Step:
        """The step that decided the packet's fate."""
        return self.steps[-1]

    @property
    def fate(self) -> Fate:
        """What became of the packet."""
        return self.last.fate

    @cached_property
    def visits(self) -> tuple[Visit, ...]:
        """The namespaces crossed, in order."""
        stays = [tuple(steps) for _, steps in groupby(self.steps, key=lambda step: step.netns)]
        moves = [steps[-1] if steps[-1].stage is Stage.DEVICE else None for steps in stays]
        came = ["", *(move.to[1] if move and move.to else "" for move in moves)]
        left = [move.oif if move and move.to else "" for move in moves]
        return tuple(map(Visit, self.hops(), came, left, stays))

    def hops(self) -> tuple[str, ...]:
        """Namespaces in visiting order, one entry per visit."""
        return tuple(name for name, _ in groupby(step.netns for step in self.steps))

    def within(self, netns: str) -> tuple[Step, ...]:
        """Return what was decided in a namespace, whenever the packet was there."""
        return tuple(step for visit in self.visits if visit.netns == netns for step in visit.steps)


class Verdict(Enum):
    """How a conversation ends for the person at the client's shell."""

    CONNECTED = mark("connected")
    REFUSED = mark("connection refused")
    TIMED_OUT = mark("connect times out")
    HANGS = mark("connect succeeds, then hangs")
    RESET = mark("connect succeeds, then the connection is reset")
    UNREACHABLE = mark("unreachable")  # an ICMP error or an errno says so at once
    ONE_WAY = mark("delivered one way only")  # UDP and ICMP: the request arrives, no answer comes back
    LOST = mark("lost")  # UDP and ICMP: the request never arrives
    UNKNOWN = mark("unknown beyond this point")  # what would decide was not collected
    DEPENDS = mark("it depends")  # chance decides: the branches of the trace end differently


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict, and the step that decided it: the drop, or the delivery of the last packet."""

    verdict: Verdict
    journey: Journey
    step: Step
    seen_source: str = ""  # the client's address as the server saw it; empty if nothing arrived
    error: str = ""  # errno at the client's socket: ECONNREFUSED, ETIMEDOUT, ENETUNREACH, ECONNRESET, ...

    @property
    def works(self) -> bool:
        """Tell whether request and reply both arrived."""
        return self.verdict is Verdict.CONNECTED


class Replay:
    """What a conversation was held in, and how the same one is held in another world, or with other connections before
    it; for what is found afterwards.

    `loaded` are the connections that existed before, each with its namespace; `writer` names who probably wrote a line
    that does not say it itself.
    """

    def __init__(
        self,
        world: World,
        hold: Callable[[World, Sequence[tuple[str, Entry]]], Trace],
        loaded: Sequence[tuple[str, Entry]] = (),
        writer: Callable[[object], Origin | None] = lambda line: None,
    ) -> None:
        """Keep all that is asked later; nothing is found out yet."""
        self.world, self.hold, self.loaded, self.writer = world, hold, loaded, writer
        self.known: dict[int, tuple[object, object]] = {}  # what was found out, by the identity of what it is about

    def signed(self, writer: Callable[[object], Origin | None]) -> Replay:
        """Return the same with another way to tell who wrote a line."""
        return Replay(self.world, self.hold, self.loaded, writer)

    def origin(self, line: object) -> Origin | None:
        """Say who wrote a line, and why; None where nobody knows."""
        return getattr(line, "origin", None) or self.writer(line)


@dataclass(frozen=True, slots=True)
class Trace:
    """A whole conversation: every packet's journey in order, and the outcome."""

    journeys: tuple[Journey, ...]
    outcome: Outcome
    connections: tuple[tuple[str, tuple[Entry, ...]], ...] = ()  # per namespace, at the end
    notes: tuple[str, ...] = ()  # what the verdict rests on though nobody gave it, and what was not looked at
    branches: tuple[Branch, ...] = ()  # what else chance may do, this conversation among it; none where it has no say
    open: bool = False  # there are more branches than were followed
    small: Outcome | None = None  # how it ends with small packets, where large ones, not asked for, do not arrive
    large: Outcome | None = None  # how it ends with large packets, where they might end otherwise and arrive too
    replay: Replay | None = field(default=None, compare=False, repr=False)  # None: the kernel held it

    @property
    def folded(self) -> dict[int, int]:
        """The packets sent again that go and end as one before: number of the packet -> number of that one."""
        alike: dict[tuple[object, ...], int] = {}
        heads: dict[int, int] = {}
        for journey in self.journeys:
            first, last, packet = journey.retransmission_of or journey.number, journey.last, journey.packet
            sent = first, packet.length, packet.tcp and packet.tcp.flags
            head = alike.setdefault((sent, journey.hops(), last.fate, last.action, last.evidence), journey.number)
            if head != journey.number and journey is not self.outcome.journey:
                heads[journey.number] = head
        return heads

    @property
    def courses(self) -> tuple[Trace, ...]:
        """Every course the conversation may take; itself alone where chance has no say."""
        return tuple(branch.trace for branch in self.branches) or (self,)

    def steps(self) -> Iterator[Step]:
        """Yield the steps of all packets, on every course."""
        return (step for course in self.courses for journey in course.journeys for step in journey.steps)


@dataclass(frozen=True, slots=True)
class Branch:
    """One course chance may take: what it was asked, how probable that is, and the conversation it leads to."""

    turns: tuple[Turn, ...]
    share: float | None  # from 0 to 1; None where nobody knows
    trace: Trace
