"""A run: one conversation through a world, from the client's first packet until it is answered or given up.

Events happen in order of time; the network itself takes no time. Chance is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import count

from mcnilib.errors import McniError, NoRoute, Unknown, Unsupported
from mcnilib.language import tr
from mcnilib.linux.chance import EPHEMERAL, Chance
from mcnilib.linux.netfilter.conntrack import Entry
from mcnilib.linux.packet import Packet
from mcnilib.trace.branches import follow
from mcnilib.trace.events import Events, Sending
from mcnilib.trace.flow import ANY_ADDRESS, Flow, Listener
from mcnilib.trace.outcome import judge
from mcnilib.trace.stack.host import Delivery, Departure, Network
from mcnilib.trace.stack.recorder import Recorder
from mcnilib.trace.stack.walk import walk
from mcnilib.trace.trace import Fate, Journey, Missing, NoWay, Replay, Stage, Step, Trace
from mcnilib.trace.transport.socket_lookup import choose_source, refused
from mcnilib.trace.transport.sockets import Sockets
from mcnilib.world.world import World

MAX_DECISIONS = 200_000
"""Decisions of one conversation before it is called endless; the longest of the scenarios takes some 500."""

_USUAL = 40000
"""The port of a client that asks for none, where no rule asks for it."""

MAX_JOURNEYS = 400
"""Packets of one conversation before the run stops: two hosts can answer each other for ever."""

MAX_SEGMENTS = 10_000
"""The same of one that has a size: many segments, each with its acknowledgement."""


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

    def hold(elsewhere: World, before: Sequence[tuple[str, Entry]]) -> Trace:
        return run(elsewhere, flow, listeners, connections=before, partial=partial, crossing=crossing)

    replay = Replay(world, hold, connections)

    def play(chance: Chance) -> Trace:
        return Run(world, flow, listeners, connections, partial, crossing, chance).finish(replay=replay)

    return follow(world, play)


def _bound(flow: Flow, listeners: Sequence[Listener], chance: Chance) -> Flow:
    """Return the conversation with the port that its client gets, which is no server's: USUAL where none matters."""
    if flow.sport or flow.proto == "icmp":
        return flow
    taken = {listener.port for listener in listeners if (listener.netns, listener.proto) == (flow.netns, flow.proto)}
    usual = next(port for port in count(_USUAL) if port not in taken)
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
        for name, entry in connections:
            self.net.hosts[name].connections.load(entry)
        self.flow = _bound(flow, listeners, self.net.chance)
        self.events = Events(self.net, crossing=crossing)
        self.sockets = Sockets(self.net, self.events, self.flow, listeners)
        self.journeys: list[Journey] = []
        self._gaps = (Unknown, Unsupported) if partial else (Unknown,)
        self._decisions = 0
        self._most = MAX_SEGMENTS if flow.sized else MAX_JOURNEYS
        self._ended = False  # nobody knows how it goes on

    def finish(self, *, closing: bool = True, replay: Replay | None = None) -> Trace:
        """Play all events until the client has its answer and what is due then is done, or its patience ends.

        Without `closing` the answer is the end: the connection stays open, which changes no verdict.
        """
        self._start()
        while self._goes_on(closing):
            self._play_next()
        self.events.clear()
        tables = tuple((name, tuple(host.connections)) for name, host in self.net.hosts.items())
        return Trace(tuple(self.journeys), judge(self.journeys, self.sockets.client), tables, replay=replay)

    def say(self, netns: str, packet: Packet, *, reply: bool) -> None:
        """Let a machine send one packet more, as if its program had, and follow what is answered at once."""
        self.events.emit(netns, packet, reply=reply)
        while (time := self.events.time) is not None and time <= self.net.now and len(self.journeys) < self._most:
            self._play_next()
        self.events.clear()

    def _play_next(self) -> None:
        """Play the next event: a packet travels, or a timer of a socket ends."""
        event = self.events.pop()
        if isinstance(event, Sending):
            self._travel(event)
        else:
            event()

    def _goes_on(self, closing: bool) -> bool:
        """Tell whether the next event still counts."""
        time, client = self.events.time, self.sockets.client
        if time is None or self._ended or len(self.journeys) >= self._most:
            return False
        late = time > self.events.begun + self.flow.patience or (client.done and time > self.net.now)
        return not late and not (client.answered and not closing)

    def _start(self) -> None:
        """Bind the client's socket: the first route lookup chooses its source address."""
        flow = self.flow
        probe = Packet(flow.src or ANY_ADDRESS, flow.dst, flow.proto, flow.sport, flow.dport)
        try:
            chosen = choose_source(self.net.hosts[flow.netns], probe)
        except self._gaps as gap:
            self.journeys.append(Journey(1, 0.0, probe, (_gap_step(flow.netns, probe, gap),)))
            return
        if isinstance(chosen, NoRoute):
            self._fail(probe, chosen)
        else:
            self.sockets.connect(chosen)

    def _fail(self, packet: Packet, error: NoRoute) -> None:
        netns, what = self.flow.netns, NoWay(error.error)
        step = Step(netns, Stage.ROUTE, refused(error), packet, packet, error.line, fate=Fate.UNREACHABLE, what=what)
        self.journeys.append(Journey(1, 0.0, packet, (step,)))
        self.sockets.client.error = error.error

    def _travel(self, sending: Sending) -> None:
        """Walk one packet, let the sockets judge it, freeze its journey, then let its receiver act."""
        number, netns, skb, reply, repeats = sending
        at, packet = Recorder(self.net, netns, skb), skb.packet
        if self._decisions > MAX_DECISIONS:
            raise McniError(
                tr("the conversation takes more than {max_decisions} decisions", max_decisions=MAX_DECISIONS)
            )
        delivery, receiver = self._walk(at)
        since = self.net.now - self.events.begun
        self.journeys.append(Journey(number, since, packet, tuple(at.steps), reply, repeats))
        self._decisions += len(at.steps)
        if self._ended:
            return
        self._answer(not reply)
        if receiver:
            receiver()
        elif delivery is None:
            self.sockets.local_error(netns, packet, at.steps)

    def _answer(self, reply: bool) -> None:
        """Send what the IP layers say about the packet that has just ended."""
        for netns, skb, after in self.net.outbox:
            send = partial(self.events.emit, netns, skb, reply=reply)
            self.events.later(after, send) if after else send()
        self.net.outbox.clear()

    def _walk(self, at: Recorder) -> tuple[Delivery | None, Callable[[], None] | None]:
        """Walk a packet to its socket; return where it was delivered and what its receiver will do.

        The run ends where state that nobody collected would decide.
        """
        host, packet, attached = at.host, at.skb.packet, at.skb.tracked
        try:
            delivery = walk(at, Departure(host.name, at.skb))
            carried = attached and any(s.tracked and s.tracked.number == attached.number for _, s, _ in self.net.outbox)
            if not carried:  # else the answer, which is on its way, holds the connection
                host.connections.drop_unconfirmed(attached)
            return delivery, self.sockets.receive(at, delivery.iif) if delivery else None
        except self._gaps as gap:
            last = at.steps[-1] if at.steps else None
            at.steps.append(_gap_step(last.netns if last else host.name, last.after if last else packet, gap))
            self._ended = True
        return None, None


def _gap_step(netns: str, packet: Packet, gap: McniError) -> Step:
    """Make the step with which a packet leaves what is known."""
    where = gap.netns if isinstance(gap, Unknown) else ""
    what = Missing(tuple(_reasons(gap)))
    return Step(where or netns, Stage.GAP, str(gap), packet, packet, fate=Fate.UNKNOWN, what=what)


def _reasons(gap: BaseException | None) -> Iterator[str]:
    """Yield why nobody knows, and what stands behind that."""
    while isinstance(gap, Unknown):
        yield gap.why
        gap = gap.__cause__
