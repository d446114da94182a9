"""Members of IP sets: what stands in an `add` line, and what of a packet is looked up in a set.

A member has one part for each word of its set's type: `10.0.0.1,tcp:80` of a hash:ip,port.
Source: ipset(8) (ipset 7.17); net/netfilter/ipset/ip_set_{getport.c,hash_*.c,bitmap_*.c} (Linux 6.18).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from mcnilib.errors import Unsupported
from mcnilib.linux.context import Context
from mcnilib.linux.packet import ICMP_WORDS, WITH_PORTS, Packet, protocol_name
from mcnilib.linux.text import Words

MAC = r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}"
PORT = r"\d{1,5}"
PHYSICAL = "physdev:"

Part = IPv4Network | str
"""An address or prefix, or the text of a port, device, MAC address, mark or set."""


class Member(NamedTuple):
    """One member: its parts, and the words after it."""

    parts: tuple[Part, ...]
    options: str = ""  # as `ipset save` prints them: timeout 50 packets 0 bytes 0 comment "x" nomatch

    @property
    def said(self) -> str:
        """The options without the comment, which may say anything. Source: ipset_print_string() in lib/print.c."""
        return re.sub(r'\bcomment "[^"]*"', "", self.options)

    @property
    def nomatch(self) -> bool:
        """Tell whether the member is an exception: what it holds is not in the set."""
        return "nomatch" in self.said.split()

    @property
    def wildcard(self) -> bool:
        """Tell whether a device is given by its beginning."""
        return "wildcard" in self.said.split()

    @property
    def timeout(self) -> int:
        """Seconds until the member is gone; 0: it stays."""
        found = re.search(r"\btimeout (\d+)", self.said)
        return int(found[1]) if found else 0

    def alive(self, now: float) -> bool:
        """Tell whether the member is still there, so many seconds after the set was saved."""
        return not self.timeout or now < self.timeout

    def __str__(self) -> str:
        return f"{','.join(map(part_text, self.parts))} {self.options}".rstrip()


def part_text(part: Part) -> str:
    """Write one part: an address without /32."""
    if isinstance(part, str):
        return part
    return str(part.network_address) if part.prefixlen == 32 else str(part)


def read_part(words: Words, kind: str, text: str, bitmap: bool) -> Part:
    """Read one part of the member word just read. Raises: StateSyntaxError."""
    if kind in ("ip", "net"):
        return _network(words, kind, text)
    if kind == "port":
        return _bitmap_port(words, text) if bitmap else _port(words, text)
    if kind == "mac" and not re.fullmatch(MAC, text, re.ASCII):
        raise words.wrong(f"{text!r} is not a MAC address")
    if kind == "mark" and not re.fullmatch(r"0x[0-9a-f]{1,8}|0|[1-9]\d{0,9}", text, re.ASCII):
        raise words.wrong(f"{text!r} is not a mark")
    return text.upper() if kind == "mac" else text


def _network(words: Words, kind: str, text: str) -> IPv4Network:
    try:
        found = IPv4Network(text)
    except ValueError:
        raise words.wrong(f"{text!r} is not an IPv4 prefix") from None
    if kind == "ip" and found.prefixlen < 32:
        raise words.wrong(f"{text} cannot be one address of a member")
    return found


def _bitmap_port(words: Words, text: str) -> str:
    if not re.fullmatch(PORT, text, re.ASCII) or int(text) > 0xFFFF:
        raise words.wrong(f"{text!r} is not a port")
    return text


def _port(words: Words, text: str) -> str:
    """Read `tcp:80`, `80` or `icmp:echo-request`; the protocol is written by its name."""
    proto, colon, number = text.rpartition(":")
    name = protocol_name(proto) if colon else "tcp"
    known = name is not None and (port_key(f"{name}:{number}") is not None)
    if not known:
        raise words.wrong(f"{text!r} is not PROTOCOL:PORT")
    return f"{name}:{number}"


def port_key(text: str) -> Hashable:
    """Return what is compared of `tcp:80` or `icmp:echo-request`: protocol and number; None for what is no port."""
    proto, _, number = text.partition(":")
    if proto == "icmp":
        kind, code = ICMP_WORDS.get(number, (-1, None))
        if kind >= 0:
            return proto, kind << 8 | (code or 0)
        found = re.fullmatch(r"(\d{1,3})/(\d{1,3})", number, re.ASCII)
        return (proto, int(found[1]) << 8 | int(found[2])) if found else None
    return (proto, int(number)) if re.fullmatch(PORT, number, re.ASCII) and int(number) <= 0xFFFF else None


def packet_port(packet: Packet, side: str) -> Hashable:
    """Return the port of a packet as sets see it; for ICMP its type and code, for other protocols 0."""
    if packet.icmp:
        return "icmp", packet.icmp.type << 8 | packet.icmp.code
    number = (packet.sport if side == "src" else packet.dport) if packet.proto in WITH_PORTS else 0
    return packet.proto, number


def packet_bitmap_port(packet: Packet, side: str) -> Hashable:
    """Return the port as bitmap:port sees it: of TCP and UDP only."""
    if packet.proto not in ("tcp", "udp"):
        return None
    return packet.sport if side == "src" else packet.dport


def packet_address(packet: Packet, side: str) -> IPv4Address:
    """Return one of the two addresses."""
    return packet.src if side == "src" else packet.dst


def packet_device(at: Context, side: str) -> str:
    """Return the device of a side: `src` is the one the packet came in by."""
    return at.iif if side == "src" else at.oif


def no_mac(name: str) -> Callable[[Packet, Context, str], Hashable]:
    """Return what refuses to look for a MAC address."""

    def refuse(packet: Packet, at: Context, side: str) -> Hashable:
        raise Unsupported(f"set {name} asks for a MAC address; a rule does not see the frame a packet came in")

    return refuse
