"""Who listens, as `ss -ltun` and `ss -tuan` print it. Source: ss(8), misc/ss.c (iproute2 6.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import AddressValueError, IPv4Address

from mcnilib.linux.text import Words
from mcnilib.trace.flow import ANY_ADDRESS, Listener

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
    found = (Words(line, source=source, number=number) for number, line in lines)
    return tuple(one for words in found if words and words.next != "Netid" for one in _listener(words, netns))


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
    place = words.take("an address and a port")
    host, _, port = place.rpartition(":")
    if not (port.isdecimal() and port.isascii() and len(port) <= 5 and 0 < int(port) <= 65535):
        raise words.wrong(f"{place!r} is not an address and a port")
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
    lines = [_line(one) for one in listeners]
    return "\n".join([HEAD, *lines]) + "\n" if lines else ""


HEAD = "Netid State  Recv-Q Send-Q Local Address:Port  Peer Address:PortProcess"


def _line(one: Listener) -> str:
    queue = 128 if one.proto == "tcp" else 0
    waiting = queue + 1 if one.full else 0
    far = f"{one.peer[0]}:{one.peer[1]}" if one.peer else "0.0.0.0:*"
    state = "ESTAB" if one.peer else STATES[one.proto][0]
    return f"{one.proto:<5} {state:<6} {waiting:<6} {queue:<6} {one.host}:{one.port}  {far}"
