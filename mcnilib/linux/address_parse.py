"""Reading one address of a link from the output of `ip address show`. Source: ip/ipaddress.c (iproute2 6.1)."""

from __future__ import annotations

from mcnilib.errors import Unsupported
from mcnilib.linux.link import Address
from mcnilib.linux.link_words import ADDRESS_FLAGS
from mcnilib.linux.route import SCOPES
from mcnilib.linux.text import Words


def read_address(words: Words, *, peers: bool = False) -> Address:
    """Read `inet A/P [brd B] scope S [proto P] [flags] LABEL`; with `peers` also `inet A peer B/P`, where A is a /32.

    Raises: StateSyntaxError; Unsupported for a peer's address.
    """
    words.take()
    interface, broadcast, scope = words.interface(), None, ""
    while not scope:
        match words.take("scope"):
            case "peer":
                if not peers:
                    raise Unsupported(f"{words.source}:{words.number}: a point-to-point address (peer)")
                words.interface()
            case "brd":
                broadcast = words.address()
            case "metric":
                words.number_upto(0xFFFFFFFF)
            case "scope":
                scope = words.one_of(SCOPES)
            case _:
                raise words.unknown(("brd", "scope", "metric"))
    if words.next == "proto" and not words.last:
        words.take()
        words.take("a protocol")
    while words.next in ADDRESS_FLAGS:
        words.take()
    words.take("the device's name")
    words.end()
    return Address(interface, scope, broadcast)
