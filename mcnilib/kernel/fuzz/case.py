"""A case: a world, what was typed into it, and an exchange. Text form, one item a line:

    world routers
    r: iptables -A FORWARD -p tcp -m tcp --dport 80 -j DROP
    from a to tcp:10.0.2.2:80 at b

The last line names the client, the address it binds its socket to if it does (`from a 10.0.1.2 to ...`), what it
dials, and where the server listens on port 80, TCP and UDP.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Address

from mcnilib.errors import McniError, StateSyntaxError
from mcnilib.kernel.fuzz.worlds import WORLDS, typed
from mcnilib.linux.world import World
from mcnilib.trace.flow import Flow, Listener

SERVER_PORT = 80


@dataclass(frozen=True, slots=True)
class Case:
    """What both sides run. `lines` are `NETNS: COMMAND`."""

    world: str
    lines: tuple[str, ...]
    client: str
    to: str  # tcp:ADDRESS:PORT, udp:ADDRESS:PORT or icmp:ADDRESS
    server: str
    source: str = ""  # the address the client binds its socket to

    def __str__(self) -> str:
        typed = "".join(f"{line}\n" for line in self.lines)
        client = f"{self.client} {self.source}".rstrip()
        return f"world {self.world}\n{typed}from {client} to {self.to} at {self.server}\n"

    def build(self) -> World:
        """Return the world after everything was typed. Raises: McniError for a line it does not take."""
        return typed(base(self.world), *self.lines)

    def flow(self, sport: int = 40000, patience: float = 5.0) -> Flow:
        """Return the conversation, from a port of the client; it waits `patience` seconds."""
        proto, address, *port = self.to.split(":")
        number = int(port[0]) if port else 0
        source = IPv4Address(self.source) if self.source else None
        return Flow(self.client, IPv4Address(address), proto, number, sport=sport, src=source, patience=patience)

    def listeners(self) -> tuple[Listener, ...]:
        """Return the server's sockets."""
        return Listener(self.server, SERVER_PORT), Listener(self.server, SERVER_PORT, "udp", pinned=True)

    def without(self, first: int, last: int) -> Case:
        """Return the case without some of its lines, `last` not included."""
        return replace(self, lines=self.lines[:first] + self.lines[last:])


@lru_cache(maxsize=len(WORLDS))
def base(name: str) -> World:
    """Return a world before anything is typed into it. Raises: McniError for one that does not exist."""
    if name not in WORLDS:
        raise McniError(f"there is no world {name!r}; there are {', '.join(WORLDS)}")
    return WORLDS[name]()


def parse_case(text: str, source: str = "case") -> Case:
    """Read the text form; lines that begin with # are passed over. Raises: StateSyntaxError."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    head, last = (lines[0].split(), lines[-1].split()) if lines else ([], [])
    if head[:1] != ["world"] or len(head) != 2:
        raise StateSyntaxError("expected `world NAME`", source=source, line=1, column=1, text=" ".join(head))
    source = last.pop(2) if len(last) == 7 else ""
    if [last[i : i + 1] for i in (0, 2, 4)] != [["from"], ["to"], ["at"]] or len(last) != 6:
        what = "expected `from CLIENT [ADDRESS] to PROTOCOL:ADDRESS[:PORT] at SERVER` at the end"
        raise StateSyntaxError(what, source=source, line=len(text.splitlines()), column=1, text=" ".join(last))
    return Case(head[1], tuple(lines[1:-1]), last[1], last[3], last[5], source)
