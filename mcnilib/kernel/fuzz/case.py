"""A case: a world, what was typed into it, and an exchange; perhaps more was typed then, and more said. Text form:

    world routers
    r: iptables -A FORWARD -p tcp -m tcp --dport 80 -j DROP
    from a to tcp:10.0.2.2:80 at b

The last line names the client, the address it binds its socket to if it does (`from a 10.0.1.2 to ...`), what it
dials, where the server listens on port 80, TCP and UDP, and perhaps how many bytes both send (`... size 300,20000`).
Later lines may follow, each exchange in the state that the one before it left behind: datagrams and pings with the port
and the id of those before, TCP with another port.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Address
from itertools import count

from mcnilib.errors import McniError, StateSyntaxError
from mcnilib.kernel.fuzz.parts import typed
from mcnilib.kernel.fuzz.topologies import MORE_WORLDS, WORLDS
from mcnilib.kernel.observe.observe import PATIENCE, SLOWER
from mcnilib.linux.chance import Chance
from mcnilib.trace.branches import follow
from mcnilib.trace.flow import Flow, Listener
from mcnilib.trace.run import Run
from mcnilib.trace.stack.host import Network
from mcnilib.trace.trace import Trace
from mcnilib.world.world import World

_SERVER_PORT = 80


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange, and what was typed before it. `lines` are `NETNS: COMMAND`."""

    lines: tuple[str, ...]
    client: str
    to: str  # tcp:ADDRESS:PORT, udp:ADDRESS:PORT or icmp:ADDRESS
    server: str
    source: str = ""  # the address the client binds its socket to
    sizes: tuple[int, int] = (0, 0)  # bytes of request and answer; 0: a few

    def __str__(self) -> str:
        typed = "".join(f"{line}\n" for line in self.lines)
        client = f"{self.client} {self.source}".rstrip()
        size = " size {},{}".format(*self.sizes) if any(self.sizes) else ""
        return f"{typed}from {client} to {self.to} at {self.server}{size}\n"

    @property
    def proto(self) -> str:
        """What the client speaks: tcp, udp or icmp."""
        return self.to.partition(":")[0]

    def flow(self, sport: int = 40000, patience: float = 5.0) -> Flow:
        """Return the conversation, from a port of the client; it waits `patience` seconds."""
        proto, address, *port = self.to.split(":")
        number = int(port[0]) if port else 0
        source, (request, answer) = IPv4Address(self.source) if self.source else None, self.sizes
        flow = Flow(self.client, IPv4Address(address), proto, number, sport=sport, src=source, patience=patience)
        return replace(flow, request=request, answer=answer)

    def listeners(self) -> tuple[Listener, ...]:
        """Return the server's sockets."""
        return Listener(self.server, _SERVER_PORT), Listener(self.server, _SERVER_PORT, "udp", pinned=True)


@dataclass(frozen=True, slots=True)
class Case:
    """What both sides run: a world, what was typed into it, an exchange, and those after it."""

    world: str
    turns: tuple[Exchange, ...]

    def __str__(self) -> str:
        return "".join((f"world {self.world}\n", *map(str, self.turns)))

    @property
    def every_line(self) -> tuple[str, ...]:
        """All that was typed before one of the exchanges."""
        return tuple(line for turn in self.turns for line in turn.lines)

    def worlds(self) -> tuple[World, ...]:
        """Return the world of each exchange. Raises: McniError for what it does not take of what is typed."""
        made = [base(self.world)]
        for turn in self.turns:
            made.append(typed(made[-1], *turn.lines) if turn.lines else made[-1])
        return tuple(made[1:])

    def build(self) -> World:
        """Return the world of the first exchange. Raises: see `worlds`."""
        return typed(base(self.world), *self.turns[0].lines)

    def flows(self, sport: int = 40000, slower: int = SLOWER) -> tuple[Flow, ...]:
        """Return the conversations: those of TCP from a port each, the others from the same. `slower`: see `SLOWER`."""
        ports = (sport + number * (turn.proto == "tcp") for number, turn in enumerate(self.turns))
        return tuple(t.flow(port, PATIENCE[t.proto] * slower) for t, port in zip(self.turns, ports, strict=True))

    def without(self, first: int, last: int) -> Case:
        """Return the case without some of its lines, `last` not included."""
        numbers = count()
        turns = [replace(t, lines=tuple(x for x in t.lines if not first <= next(numbers) < last)) for t in self.turns]
        return Case(self.world, tuple(turns))

    def without_turn(self, gone: int) -> Case:
        """Return the case without one of its exchanges; what was typed before it stays."""
        turns, lines = list(self.turns), self.turns[gone].lines
        del turns[gone]
        if gone < len(turns):
            turns[gone] = replace(turns[gone], lines=(*lines, *turns[gone].lines))
        return Case(self.world, tuple(turns))


@lru_cache(maxsize=len(WORLDS | MORE_WORLDS))
def base(name: str) -> World:
    """Return a world before anything is typed into it. Raises: McniError for one that does not exist."""
    worlds = WORLDS | MORE_WORLDS
    if name not in worlds:
        raise McniError(f"there is no world {name!r}; there are {', '.join(worlds)}")
    return worlds[name]()


def parse_case(text: str, source: str = "case") -> Case:
    """Read the text form; lines that begin with # are passed over. Raises: StateSyntaxError."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    head = lines[0].split() if lines else []
    if head[:1] != ["world"] or len(head) != 2:
        raise StateSyntaxError("expected `world NAME`", source=source, line=1, column=1, text=" ".join(head))
    turns: list[Exchange] = []
    typed_: list[str] = []
    for line in lines[1:]:
        if line.startswith("from "):
            turns.append(_turn(tuple(typed_), line, source))
            typed_ = []
        else:
            typed_.append(line)
    if typed_ or not turns:
        raise _wrong_turn((typed_ or [""])[-1], source)
    return Case(head[1], tuple(turns))


def _turn(lines: tuple[str, ...], line: str, source: str) -> Exchange:
    line, _, size = line.partition(" size ")
    sizes = [int(word) for word in size.split(",") if word.isdecimal()]
    tokens = line.split()
    bound = tokens.pop(2) if len(tokens) == 7 else ""
    if [tokens[i : i + 1] for i in (0, 2, 4)] != [["from"], ["to"], ["at"]] or len(tokens) != 6:
        raise _wrong_turn(line, source)
    if size and len(sizes) != 2:
        raise _wrong_turn(f"{line} size {size}", source)
    return Exchange(lines, tokens[1], tokens[3], tokens[5], bound, (sizes[0], sizes[1]) if sizes else (0, 0))


def _wrong_turn(line: str, source: str) -> StateSyntaxError:
    what = "expected `from CLIENT [ADDRESS] to PROTOCOL:ADDRESS[:PORT] at SERVER [size BYTES,BYTES]` at the end"
    return StateSyntaxError(what, source=source, line=1, column=1, text=line)


Nets = list[tuple[Trace, Network]]
"""The courses of an exchange, the likeliest first, each with what it leaves behind."""


def courses(
    world: World, flow: Flow, listeners: Sequence[Listener], past: Network | None, *, crossing: bool = False
) -> tuple[Trace, Nets]:
    """Run an exchange, in every course chance may take, in what the one before it left behind."""
    nets: Nets = []

    def play(chance: Chance) -> Trace:
        run = Run(world, flow, listeners, crossing=crossing, chance=chance, past=past)
        nets.append((run.finish(), run.net))
        return nets[-1][0]

    return follow(world, play), nets


def simulated(case: Case) -> Iterator[tuple[Trace, Network]]:
    """Run all exchanges and yield each with what it leaves behind; where chance has a say, the likeliest course does.

    Raises: Unsupported for state that is not modelled.
    """
    past: Network | None = None
    for world, flow, turn in zip(case.worlds(), case.flows(), case.turns, strict=True):
        trace, nets = courses(world, flow, turn.listeners(), past)
        past = nets[0][1]
        yield trace, past


def simulate(case: Case) -> Trace:
    """Run a case in the simulator only, and return the last exchange."""
    return list(simulated(case))[-1][0]
