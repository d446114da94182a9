"""What one asks a snapshot: who talks to whom, as the command line and the notebook spell it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from difflib import get_close_matches
from ipaddress import AddressValueError, IPv4Address

from mcnilib.errors import McniError
from mcnilib.trace.flow import Flow, Listener
from mcnilib.world.commands import do
from mcnilib.world.world import World

PROTOCOLS = ("tcp", "udp", "icmp")


class QuestionError(McniError, ValueError):
    """A conversation that cannot be read; the message says how one is written."""


def read_flow(netns: str, to: str, source: str = "", patience: float = 5.0) -> Flow:
    """Read `tcp:ADDRESS:PORT`, `udp:ADDRESS:PORT` or `icmp:ADDRESS` as a conversation begun in `netns`.

    `source` is what the client binds its socket to: `ADDRESS`, `ADDRESS:PORT` or `:PORT`; without a port the kernel
    draws one.
    Raises: QuestionError.
    """
    proto, _, rest = to.partition(":")
    host, colon, port = rest.partition(":")
    proto = proto.lower()
    if proto not in PROTOCOLS or bool(colon) is (proto == "icmp") or "/" in rest:
        raise QuestionError(f"{to!r} is not tcp:ADDRESS:PORT, udp:ADDRESS:PORT or icmp:ADDRESS{_meant(to)}")
    flow = Flow(netns, _address(host), proto, _port(port) if colon else 0, patience=patience)
    return _from(flow, source) if source else flow


def _meant(to: str) -> str:
    """Guess what was meant by an address, and a port if there is one, written in another form."""
    found = re.search(r"([0-9]+(?:\.[0-9]+){3})(?::([0-9]+))?", to)
    if not found:
        return ""
    named = get_close_matches(re.split(r"\W", to)[0].lower(), PROTOCOLS, 1)
    proto = "icmp" if not found[2] else named[0] if named and named[0] != "icmp" else "tcp"
    port = f":{found[2]}" if found[2] else ""
    return f"; did you mean '{proto}:{found[1]}{port}'?"


def _from(flow: Flow, source: str) -> Flow:
    """Return the conversation with the client's socket bound to `ADDRESS`, `ADDRESS:PORT` or `:PORT`."""
    address, colon, port = source.partition(":")
    if colon and flow.proto == "icmp":
        raise QuestionError(f"{source!r} has a port, and ICMP has none")
    return replace(flow, src=_address(address) if address else None, sport=_port(port) if colon else flow.sport)


def own_port(flow: Flow, servers: Iterable[Listener]) -> None:
    """Check that no server has the port the client's socket is to have. Raises: QuestionError."""
    there = (one for one in servers if (one.netns, one.proto, one.port) == (flow.netns, flow.proto, flow.sport))
    if taken := next(there, None):
        raise QuestionError(f"{taken} has the client's port in {flow.netns}: name another one, as in --source :40001")


def read_listeners(texts: Iterable[str]) -> tuple[Listener, ...]:
    """Read `NETNS:PORT` as a server there, for TCP and UDP. Raises: QuestionError."""
    return tuple(one for text in texts for one in _servers(text))


def changed(world: World, commands: str) -> World:
    """Carry out commands, one `NETNS: COMMAND` a line, and return the world afterwards; the same world for none.

    Raises: QuestionError for another line; see `mcnilib.world.commands.do` for the commands.
    """
    for line in map(str.strip, commands.splitlines()):
        if not line or line.startswith("#"):
            continue
        netns, colon, command = line.partition(": ") if ": " in line else line.partition(":")
        if not colon or " " in netns:
            raise QuestionError(f"{line!r} is not NETNS: COMMAND, for example node1: iptables -D FORWARD 1")
        world = do(world, netns, command.strip())
    return world


def _servers(text: str) -> Iterator[Listener]:
    netns, colon, port = text.rpartition(":")
    if not colon or not netns:
        raise QuestionError(f"{text!r} is not NETNS:PORT")
    yield Listener(netns, _port(port))
    yield Listener(netns, _port(port), "udp", pinned=True)


def _address(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except AddressValueError:
        raise QuestionError(f"{text!r} is not an IPv4 address") from None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) <= 65535):
        raise QuestionError(f"{text!r} is not a port from 1 to 65535")
    return int(text)
