"""Who listens, as `ss -ltun` prints it. Source: ss(8), misc/ss.c (iproute2 6.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import AddressValueError, IPv4Address

from mcnilib.linux.words import Words
from mcnilib.trace.flow import ANY_ADDRESS, Listener

STATES = {"tcp": "LISTEN", "udp": "UNCONN"}
EVERYWHERE = ("0.0.0.0", "*")
"""All IPv4 addresses; `*` is an IPv6 socket that takes IPv4 as well, `[::ffff:A.B.C.D]` one that takes only IPv4."""


def parse_listeners(text: str, netns: str, source: str = "ss -ltun") -> tuple[Listener, ...]:
    """Read the output of `ss -ltun` in a namespace; sockets that take no IPv4 are passed over.

    Nobody knows from which address a UDP server on all of them answers. Raises: StateSyntaxError.
    """
    lines = enumerate(text.splitlines(), 1)
    found = (Words(line, source=source, number=number) for number, line in lines)
    return tuple(one for words in found if words and words.next != "Netid" for one in _listener(words, netns))


def _listener(words: Words, netns: str) -> Iterator[Listener]:
    proto = words.one_of(STATES)
    words.one_of((STATES[proto],))
    waiting, most = (words.number_upto(0xFFFFFFFF) for _ in ("Recv-Q", "Send-Q"))
    place = words.take("an address and a port")
    host, _, port = place.rpartition(":")
    if not (port.isdecimal() and port.isascii() and len(port) <= 5 and 0 < int(port) <= 65535):
        raise words.wrong(f"{place!r} is not an address and a port")
    host = re.sub(r"^\[::ffff:([\d.]+)\]", r"\1", host)
    host, _, dev = host.partition("%")
    if host.startswith("["):
        return
    try:
        address = ANY_ADDRESS if host in EVERYWHERE else IPv4Address(host)
    except AddressValueError:
        raise words.wrong(f"{host!r} is not an IPv4 address") from None
    full = proto == "tcp" and waiting > most
    yield Listener(netns, int(port), proto, address, pinned=None if proto == "udp" else False, dev=dev, full=full)


def print_listeners(listeners: Iterable[Listener]) -> str:
    """Print listeners as `ss -ltun` does."""
    lines = [_line(one) for one in listeners]
    return "\n".join([HEAD, *lines]) + "\n" if lines else ""


HEAD = "Netid State  Recv-Q Send-Q Local Address:Port  Peer Address:PortProcess"


def _line(one: Listener) -> str:
    queue = 128 if one.proto == "tcp" else 0
    waiting = queue + 1 if one.full else 0
    return f"{one.proto:<5} {STATES[one.proto]:<6} {waiting:<6} {queue:<6} {one.host}:{one.port}  0.0.0.0:*"
