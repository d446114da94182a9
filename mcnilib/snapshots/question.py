"""What one asks a snapshot: who talks to whom, as the command line and the notebook spell it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from difflib import get_close_matches
from ipaddress import AddressValueError, IPv4Address

from mcnilib.errors import McniError
from mcnilib.linux.text import Words
from mcnilib.trace.flow import ANY_ADDRESS, FLOW_PROTOCOLS, Flow, Listener
from mcnilib.world.commands import do
from mcnilib.world.world import World

STATES = {"tcp": ("LISTEN",), "udp": ("UNCONN", "ESTAB")}
"""States in which a socket takes what begins; a UDP socket that is connected takes it from its peer alone."""

OTHERS = (
    *("ESTAB", "SYN-SENT", "SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "UNCONN", "CLOSE-WAIT", "LAST-ACK"),
    *("CLOSING", "UNKNOWN"),
)

EVERYWHERE = ("0.0.0.0", "*")
"""All IPv4 addresses; `*` is an IPv6 socket that takes IPv4 as well, `[::ffff:A.B.C.D]` one that takes only IPv4."""


def parse_listeners(text: str, netns: str, source: str = "ss -ltun") -> tuple[Listener, ...]:
    """Read the output of `ss -ltun` in a namespace; sockets that take no IPv4 are passed over, connections of TCP too.

    Nobody knows from which address a UDP server on all of them answers. Raises: StateSyntaxError.
    """
    lines = enumerate(text.splitlines(), 1)
    scanners = (Words(line, source=source, number=number) for number, line in lines)
    return tuple(entry for words in scanners if words and words.next != "Netid" for entry in _listener(words, netns))


def _listener(words: Words, netns: str) -> Iterator[Listener]:
    proto = words.one_of(STATES)
    state = words.one_of((*STATES[proto], *OTHERS))
    waiting, most = (words.number_upto(0xFFFFFFFF) for _ in ("Recv-Q", "Send-Q"))
    host, port, dev = _end(words)
    if state not in STATES[proto] or host is None:
        return
    far, far_port, _ = _end(words) if state == "ESTAB" else (None, 0, "")
    if state == "ESTAB" and far is None:
        return
    peer = (far, far_port) if far else None
    full = proto == "tcp" and waiting > most
    pinned = None if proto == "udp" else False
    yield Listener(netns, port, proto, host, pinned=pinned, dev=dev, full=full, peer=peer)


def _end(words: Words) -> tuple[IPv4Address | None, int, str]:
    """Read one end of a socket: address (None for one of IPv6), port and device."""
    endpoint = words.take("an address and a port")
    host, _, port = endpoint.rpartition(":")
    if not (port.isdecimal() and port.isascii() and len(port) <= 5 and 0 < int(port) <= 65535):
        raise words.wrong(f"{endpoint!r} is not an address and a port")
    host = re.sub(r"^\[::ffff:([\d.]+)\]", r"\1", host)
    host, _, dev = host.partition("%")
    if host.startswith("["):
        return None, int(port), dev
    try:
        return ANY_ADDRESS if host in EVERYWHERE else IPv4Address(host), int(port), dev
    except AddressValueError:
        raise words.wrong(f"{host!r} is not an IPv4 address") from None


def print_listeners(listeners: Iterable[Listener]) -> str:
    """Print listeners as `ss -ltun` does."""
    lines = [_line(listener) for listener in listeners]
    return "\n".join([_HEAD, *lines]) + "\n" if lines else ""


_HEAD = "Netid State  Recv-Q Send-Q Local Address:Port  Peer Address:PortProcess"


def _line(listener: Listener) -> str:
    queue = 128 if listener.proto == "tcp" else 0
    waiting = queue + 1 if listener.full else 0
    far = f"{listener.peer[0]}:{listener.peer[1]}" if listener.peer else "0.0.0.0:*"
    state = "ESTAB" if listener.peer else STATES[listener.proto][0]
    return f"{listener.proto:<5} {state:<6} {waiting:<6} {queue:<6} {listener.host}:{listener.port}  {far}"


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
    if proto not in FLOW_PROTOCOLS or bool(colon) is (proto == "icmp") or "/" in rest:
        raise QuestionError(f"{to!r} is not tcp:ADDRESS:PORT, udp:ADDRESS:PORT or icmp:ADDRESS{_meant(to)}")
    flow = Flow(netns, _address(host), proto, _port(port) if colon else 0, patience=patience)
    return _from(flow, source) if source else flow


def _meant(to: str) -> str:
    """Guess what was meant by an address, and a port if there is one, written in another form."""
    match = re.search(r"([0-9]+(?:\.[0-9]+){3})(?::([0-9]+))?", to)
    if not match:
        return ""
    named = get_close_matches(re.split(r"\W", to)[0].lower(), FLOW_PROTOCOLS, 1)
    proto = "icmp" if not match[2] else named[0] if named and named[0] != "icmp" else "tcp"
    port = f":{match[2]}" if match[2] else ""
    return f"; did you mean '{proto}:{match[1]}{port}'?"


def _from(flow: Flow, source: str) -> Flow:
    """Return the conversation with the client's socket bound to `ADDRESS`, `ADDRESS:PORT` or `:PORT`."""
    address, colon, port = source.partition(":")
    if colon and flow.proto == "icmp":
        raise QuestionError(f"{source!r} has a port, and ICMP has none")
    return replace(flow, src=_address(address) if address else None, sport=_port(port) if colon else flow.sport)


def own_port(flow: Flow, servers: Iterable[Listener]) -> None:
    """Check that no server has the port the client's socket is to have. Raises: QuestionError."""
    there = (
        server
        for server in servers
        if (server.netns, server.proto, server.port) == (flow.netns, flow.proto, flow.sport)
    )
    if taken := next(there, None):
        raise QuestionError(f"{taken} has the client's port in {flow.netns}: name another one, as in --source :40001")


def read_listeners(texts: Iterable[str]) -> tuple[Listener, ...]:
    """Read `NETNS:PORT` as a server there, for TCP and UDP. Raises: QuestionError."""
    return tuple(listener for text in texts for listener in _servers(text))


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
