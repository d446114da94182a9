"""A run: one conversation through a world, from the client's first packet until it is answered or given up.

Events happen in order of time; the network itself takes no time. Chance is an argument.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count

from mcnilib.errors import McniError, NoRoute, Unknown, Unsupported
from mcnilib.linux.chance import EPHEMERAL, Chance
from mcnilib.linux.netfilter.conntrack import Entry
from mcnilib.linux.packet import Packet
from mcnilib.trace.branches import follow
from mcnilib.trace.flow import ANY_ADDRESS, Flow, Listener
from mcnilib.trace.outcome import judge
from mcnilib.trace.stack.host import Delivery, Departure, Emission, Network, Skb
from mcnilib.trace.stack.recorder import Log
from mcnilib.trace.stack.walk import walk
from mcnilib.trace.trace import Fate, Journey, Stage, Step, Trace
from mcnilib.trace.transport.socket_lookup import choose_source, refused
from mcnilib.trace.transport.sockets import Client, Sockets, open_client
from mcnilib.trace.transport.tcp import TcpEnd
from mcnilib.world.world import World

MAX_DECISIONS = 200_000
"""Decisions of one conversation before it is called endless; the longest of the scenarios takes some 500."""

_NEXT, _IDLE, _TIMER = range(3)
"""Which of several events that are due goes first."""

USUAL = 40000
"""The port of a client that asks for none, where no rule asks for it."""

MAX_JOURNEYS = 400
"""Packets of one conversation before the run stops: two hosts can answer each other for ever."""


def run(
    world: World,
    flow: Flow,
    listeners: Sequence[Listener],
    *,
    connections: Sequence[tuple[str, Entry]] = (),
    partial: bool = False,
    crossing: bool = False,
) -> Trace:
    """Run one conversation and return everything that happened; where chance has a say, also what else may happen.

    `connections` are conntrack entries that exist already, each with its namespace (from `conntrack -L`).
    With `partial`, state that is not modelled ends the run as state that was not collected does: unknown.
    With `crossing`, what happens at once crosses: packets that two timers send, an ICMP error and the connect() that it
    is about. Otherwise one is over before the other begins. On a real machine that is chance.
    Raises: Unsupported for state that is not modelled; NotThere for a namespace that does not exist.
    """
    return follow(world, lambda chance: Run(world, flow, listeners, connections, partial, crossing, chance).finish())


def _bound(flow: Flow, listeners: Sequence[Listener], chance: Chance) -> Flow:
    """Return the conversation with the port that its client gets, which is no server's: USUAL where none matters."""
    if flow.sport or flow.proto == "icmp":
        return flow
    taken = {one.port for one in listeners if (one.netns, one.proto) == (flow.netns, flow.proto)}
    usual = next(port for port in count(USUAL) if port not in taken)
    return replace(flow, sport=chance.port(*EPHEMERAL, flow.proto, usual=usual))


class Run:
    """The run in progress: the network, the event queue, the sockets, the journeys so far."""

    def __init__(
        self,
        world: World,
        flow: Flow,
        listeners: Sequence[Listener],
        connections: Sequence[tuple[str, Entry]] = (),
        partial: bool = False,
        crossing: bool = False,
        chance: Chance | None = None,
        past: Network | None = None,
    ) -> None:
        """Wake up the world and load the connections that exist already; or go on in `past`, another run's `net`."""
        self.net = Network(world, chance or Chance(), past)
        self.begun = self.net.now
        for name, entry in connections:
            self.net.hosts[name].connections.load(entry)
        self.flow, self.sockets = _bound(flow, listeners, self.net.chance), Sockets(self, listeners)
        self.journeys: list[Journey] = []
        self._events: list[tuple[float, int, int, Callable[[], None]]] = []
        self._order, self._numbers = count(), count(1)
        self.crossing, self._timer = crossing, _NEXT if crossing else _TIMER
        self._gaps = (Unknown, Unsupported) if partial else (Unknown,)
        self._decisions = 0
        self._ended = False  # nobody knows how it goes on

    def finish(self, *, closing: bool = True) -> Trace:
        """Play all events until the client has its answer and what is due then is done, or its patience ends.

        Without `closing` the answer is the end: the connection stays open, which changes no verdict.
        """
        client = self._start()
        while self._events and not self._ended and len(self.journeys) < MAX_JOURNEYS:
            time, _, _, action = self._events[0]
            if (
                time > self.begun + self.flow.patience
                or (client.done and time > self.net.now)
                or (client.answered and not closing)
            ):
                break
            heapq.heappop(self._events)
            self.net.now = time
            action()
        self._events.clear()
        del self.sockets  # each holds the other: the run would stay until the next search for garbage
        tables = tuple((name, tuple(host.connections)) for name, host in self.net.hosts.items())
        return Trace(tuple(self.journeys), judge(self.journeys, client), tables)

    def _start(self) -> Client:
        """Bind the client's socket: the first route lookup chooses its source address."""
        flow = self.flow
        probe = Packet(flow.src or ANY_ADDRESS, flow.dst, flow.proto, flow.sport, flow.dport)
        try:
            chosen = choose_source(self.net.hosts[flow.netns], probe)
        except self._gaps as gap:
            self.journeys.append(Journey(1, 0.0, probe, (_gap_step(flow.netns, probe, gap),)))
            return Client(done=True)
        if isinstance(chosen, NoRoute):
            self._fail(probe, chosen)
            return Client(error=chosen.error, done=True)
        return open_client(self, chosen)

    def _fail(self, packet: Packet, error: NoRoute) -> None:
        step = Step(self.flow.netns, Stage.ROUTE, refused(error), packet, packet, error.line, fate=Fate.UNREACHABLE)
        self.journeys.append(Journey(1, 0.0, packet, (step,)))

    def later(self, seconds: float, action: Callable[[], None], *, idle: bool = False) -> None:
        """Do something after a while; 0 means after everything already due, `idle` also after what follows from it.

        Of two timers that end at once the second waits until everything has happened that follows from the first.
        """
        rank = self._timer if seconds else _IDLE if idle else _NEXT
        heapq.heappush(self._events, (self.net.now + seconds, rank, next(self._order), action))

    def emit(self, netns: str, packet: Packet | Skb, *, reply: bool, repeats: int = 0) -> int:
        """Send a packet as soon as everything already due is done; return the number its journey will have."""
        number = next(self._numbers)
        skb = packet if isinstance(packet, Skb) else Skb(packet)
        self.later(0.0, lambda: self._travel(number, netns, skb, reply, repeats))
        return number

    def _travel(self, number: int, netns: str, skb: Skb, reply: bool, repeats: int) -> None:
        """Walk one packet, let the sockets judge it, freeze its journey, then let its receiver act."""
        log, packet = Log(), skb.packet
        if self._decisions > MAX_DECISIONS:
            raise McniError(f"the conversation takes more than {MAX_DECISIONS} decisions")
        delivery, receiver = self._walk(log, netns, skb)
        self.journeys.append(Journey(number, self.net.now - self.begun, packet, tuple(log.steps), reply, repeats))
        self._decisions += len(log.steps)
        if self._ended:
            return
        for emission in self.net.outbox:
            self._emit_later(emission, not reply)
        self.net.outbox.clear()
        if receiver:
            receiver()
        elif delivery is None:
            self.sockets.local_error(netns, packet, log.steps[-1])

    def _walk(self, log: Log, netns: str, skb: Skb) -> tuple[Delivery | None, Callable[[], None] | None]:
        """Walk a packet to its socket; return where it was delivered and what its receiver will do.

        The run ends where state that nobody collected would decide.
        """
        packet, attached = skb.packet, skb.tracked
        try:
            delivery = walk(self.net, log, Departure(netns, skb))
            self.net.hosts[netns].connections.drop_unconfirmed(attached)
            return delivery, self.sockets.receive(log, delivery) if delivery else None
        except self._gaps as gap:
            last = log.steps[-1] if log.steps else None
            log.steps.append(_gap_step(last.netns if last else netns, last.after if last else packet, gap))
            self._ended = True
        return None, None

    def _emit_later(self, emission: Emission, reply: bool) -> None:
        def send() -> None:
            self.emit(emission.netns, emission.skb, reply=reply)

        if emission.after:
            self.later(emission.after, send)
        else:
            send()

    def close(self, end: TcpEnd) -> None:
        """Forget a closed TCP socket."""
        self.sockets.close(end)


def _gap_step(netns: str, packet: Packet, gap: McniError) -> Step:
    """Make the step with which a packet leaves what is known."""
    where = gap.netns if isinstance(gap, Unknown) else ""
    return Step(where or netns, Stage.GAP, str(gap), packet, packet, fate=Fate.UNKNOWN)
