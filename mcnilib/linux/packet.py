"""One IPv4 packet: what the hooks of one network namespace see of it.

Models TCP, UDP, ICMP and two tunnels (VXLAN, IPIP); no IP options, no payload bytes, only their number. Fragments of a
packet travel as one here, which knows how long the longest of them is.
Source: RFC 791, RFC 793, RFC 768, RFC 792, RFC 7348, RFC 2003.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import NamedTuple

IP_HEADER, UDP_HEADER, ICMP_HEADER, TCP_HEADER, TCP_OPTIONS = 20, 8, 8, 20, 40

TIMESTAMPS = 12
"""Bytes of options of a TCP segment with timestamps that is no SYN. Source: TCPOLEN_TSTAMP_ALIGNED, RFC 7323."""

SYN_OPTIONS = {True: 20, False: 12}
"""Bytes of options of a SYN with timestamps and without: MSS, SACK and window scale too. Source: tcp_syn_options()."""

GRE_HEADER, GRE_KEY = 4, 4
VXLAN_HEADERS = IP_HEADER + UDP_HEADER + 8 + 14
"""Bytes that VXLAN puts around a packet: IP, UDP, VXLAN, Ethernet. Source: RFC 7348."""

WIREGUARD_HEADERS = IP_HEADER + UDP_HEADER + 16 + 16
"""The same of WireGuard: IP, UDP, its header, the tag behind the packet. Padding to 16 bytes is left out."""

PING_SIZE = 56
"""Payload of a ping that was given no size; no packet of a conversation without a size has more."""


def lengths(packet: Packet) -> tuple[int, int]:
    """Return the shortest and the longest the packet can be, in bytes with its IP header.

    A TCP segment has 0 to 40 bytes of options, unless its conversation has a size; how much an ICMP error quotes, and
    how long a packet in a tunnel is, is not known.
    """
    if packet.inner or packet.proto not in ("tcp", "udp", "icmp") or (packet.icmp and packet.icmp.quoted):
        return IP_HEADER, 0xFFFF
    if packet.proto == "tcp":
        shortest = IP_HEADER + TCP_HEADER + packet.length
        options = packet.tcp.options if packet.tcp else None
        return (shortest, shortest + TCP_OPTIONS) if options is None else (shortest + options,) * 2
    whole = IP_HEADER + (UDP_HEADER if packet.proto == "udp" else ICMP_HEADER) + packet.length
    return whole, whole


def is_large(packet: Packet) -> bool:
    """Tell whether a packet may be longer than what every device takes: only those of a conversation with a size are.

    The least MTU is 68. Source: RFC 791.
    """
    return packet.length > PING_SIZE or (packet.inner is not None and is_large(packet.inner.packet))


def ip_length(packet: Packet) -> int:
    """Return the bytes of a whole packet with its IP header, headers of tunnels among them; the most it can have."""
    if packet.inner:
        return longest_part(packet.inner.packet) + packet.inner.headers
    return lengths(packet)[1]


def longest_part(packet: Packet) -> int:
    """Return the bytes of the longest fragment of a packet, of a whole one those of all of it."""
    return packet.fragment or ip_length(packet)


def checksum(data: bytes) -> int:
    """Compute the Internet checksum; data of odd length counts as with a zero behind it. Source: RFC 1071."""
    total: int = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


_UNREACHABLE = (
    "network-unreachable", "host-unreachable", "protocol-unreachable", "port-unreachable", "fragmentation-needed",
    "source-route-failed", "network-unknown", "host-unknown", "", "network-prohibited", "host-prohibited",
    "tos-network-unreachable", "tos-host-unreachable", "communication-prohibited", "host-precedence-violation",
    "precedence-cutoff",
)  # fmt: skip

_REDIRECTS = ("network-redirect", "host-redirect", "tos-network-redirect", "tos-host-redirect")

ICMP_WORDS: dict[str, tuple[int, int | None]] = {
    "any": (255, None), "echo-reply": (0, None), "pong": (0, None), "destination-unreachable": (3, None),
    "source-quench": (4, None), "redirect": (5, None), "echo-request": (8, None), "ping": (8, None),
    "router-advertisement": (9, None), "router-solicitation": (10, None), "time-exceeded": (11, None),
    "ttl-exceeded": (11, None), "ttl-zero-during-transit": (11, 0), "ttl-zero-during-reassembly": (11, 1),
    "parameter-problem": (12, None), "ip-header-bad": (12, 0), "required-option-missing": (12, 1),
    "timestamp-request": (13, None), "timestamp-reply": (14, None), "address-mask-request": (17, None),
    "address-mask-reply": (18, None),
    **{name: (3, code) for code, name in enumerate(_UNREACHABLE) if name},
    **{name: (5, code) for code, name in enumerate(_REDIRECTS)},
}  # fmt: skip
"""Name in small letters to type and code; None: any code."""

_TEXT = """
1 icmp 2 igmp 3 ggp 4 ipencap 5 st 6 tcp 8 egp 9 igp 12 pup 17 udp 20 hmp 22 xns-idp 27 rdp 29 iso-tp4 33 dccp 36 xtp
37 ddp 38 idpr-cmtp 41 ipv6 43 ipv6-route 44 ipv6-frag 45 idrp 46 rsvp 47 gre 50 esp 51 ah 57 skip 58 ipv6-icmp
59 ipv6-nonxt 60 ipv6-opts 73 rspf 81 vmtp 88 eigrp 89 ospf 93 ax.25 94 ipip 97 etherip 98 encap 103 pim 108 ipcomp
112 vrrp 115 l2tp 124 isis 132 sctp 133 fc 135 mobility-header 136 udplite 137 mpls-in-ip 138 manet 139 hip 140 shim6
141 wesp 142 rohc 143 ethernet
"""

PROTOCOL_NAMES: dict[int, str] = {
    int(number): name for number, name in zip(_TEXT.split()[::2], _TEXT.split()[1::2], strict=True)
}
"""Protocol number to name."""

PROTOCOL_NUMBERS = {name: number for number, name in PROTOCOL_NAMES.items()} | {"ipv4": 4}
"""Protocol name to number; `ipv4` is what other distributions call protocol 4."""

ALL_PROTOCOLS = ("all", "ip", "0")
"""Words that stand for any protocol."""

USUAL = ("tcp", "udp", "icmp", "ipencap", "gre", "sctp", "esp", "ah", "udplite", "igmp")
"""Protocols somebody who mistyped one is likely to mean."""

WITH_PORTS = ("tcp", "udp", "udplite", "sctp", "dccp")
"""Protocols whose header begins with two ports."""


def protocol_name(word: str) -> str | None:
    """Return the name of a protocol, or its number (1 to 255) if it has no name; None for what is no protocol."""
    numeric = word.isascii() and word.isdecimal() and len(word) < 4
    number = int(word) if numeric else PROTOCOL_NUMBERS.get(word.lower(), 0)
    return PROTOCOL_NAMES.get(number, str(number)) if 0 < number < 256 else None


TCP_FLAGS = ("SYN", "ACK", "PSH", "FIN", "RST", "URG", "ECE", "CWR")
"""TCP flags in the order a packet's text shows them."""

ICMP_NAMES = {
    (0, 0): "echo reply",
    (8, 0): "echo request",
    (3, 0): "net unreachable",
    (3, 1): "host unreachable",
    (3, 2): "protocol unreachable",
    (3, 3): "port unreachable",
    (3, 4): "fragmentation needed",
    (3, 9): "net prohibited",
    (3, 10): "host prohibited",
    (3, 13): "administratively filtered",
    (11, 0): "time exceeded",
}
"""ICMP (type, code) in the words of ping(8) and tcpdump(8). Source: RFC 792, RFC 1812."""


@dataclass(frozen=True, slots=True)
class Tcp:
    """The part of a TCP header that sockets and conntrack read."""

    flags: frozenset[str] = frozenset()
    seq: int = 0
    ack: int = 0
    window: int = 64240  # unscaled, as on the wire
    scale: int | None = None  # window scale option, on SYN segments only; None: option absent
    mss: int = 0  # maximum segment size option, on SYN segments of a conversation with a size only
    timestamps: bool | None = None  # whether it has the option; None: the conversation has no size
    burst: bool = False  # sent with others at once: Linux may keep them together (GSO) up to the last device

    @property
    def options(self) -> int | None:
        """Bytes of its options; None where nobody looks at them."""
        if self.timestamps is None:
            return None
        return SYN_OPTIONS[self.timestamps] if "SYN" in self.flags else TIMESTAMPS * self.timestamps

    def __str__(self) -> str:
        return ",".join(flag for flag in TCP_FLAGS if flag in self.flags) or "none"


@dataclass(frozen=True, slots=True)
class Icmp:
    """Type and code; `ident` and `seq` for echo, `quoted` (the packet complained about) for errors."""

    type: int
    code: int = 0
    ident: int = 0
    seq: int = 0
    quoted: Packet | None = None
    mtu: int = 0  # of `fragmentation needed`: the largest packet that goes on, in bytes (RFC 1191)

    @property
    def is_error(self) -> bool:
        """Tell errors from queries. Source: RFC 1122 section 3.2.2."""
        return self.type in (3, 4, 5, 11, 12)

    def __str__(self) -> str:
        name = ICMP_NAMES.get((self.type, self.code), f"type {self.type} code {self.code}")
        return f"{name} (MTU {self.mtu})" if self.mtu else name


@dataclass(frozen=True, slots=True)
class Inner:
    """What a tunnel header carries: the packet, and for VXLAN the network id and the inner destination MAC.

    `udpcsum`: the outer UDP header has a checksum. `gre`: a GRE header is around it, perhaps with a `key`.
    `sender`: the namespace and the WireGuard device that encrypted it.
    """

    packet: Packet
    vni: int | None = None
    mac: str = ""
    udpcsum: bool = False
    gre: bool = False
    key: int | None = None
    sender: tuple[str, str] | None = None

    @property
    def headers(self) -> int:
        """Bytes that the tunnel puts around the packet. Source: RFC 7348, RFC 2003, RFC 2784, RFC 2890; messages.h."""
        if self.gre:
            return IP_HEADER + GRE_HEADER + (0 if self.key is None else GRE_KEY)
        if self.sender:
            return WIREGUARD_HEADERS
        return IP_HEADER if self.vni is None else VXLAN_HEADERS


class Packet(NamedTuple):
    """One IPv4 packet. Ports are 0 where the protocol has none; `proto` is the name /etc/protocols gives.

    A NamedTuple, because every rewrite on the way makes a new one.
    """

    src: IPv4Address
    dst: IPv4Address
    proto: str = "tcp"
    sport: int = 0
    dport: int = 0
    tcp: Tcp | None = None
    icmp: Icmp | None = None
    length: int = 0  # payload bytes after the transport header
    ttl: int = 64
    mark: int = 0  # skb mark, 32 bits, never on the wire
    tos: int = 0
    inner: Inner | None = None
    df: bool = False  # "don't fragment"; set only where the conversation has a size
    fragment: int = 0  # bytes of its longest fragment with the IP header; 0: it is whole

    def but(self, **changes: object) -> Packet:
        """Return the same packet with some fields changed."""
        return self._replace(**changes)  # type: ignore[arg-type]

    def differences(self, other: Packet) -> tuple[tuple[str, str, str], ...]:
        """Name the header fields in which `other` differs: (field, here, there), as a table cell shows them."""
        names = ("src", "dst", "sport", "dport", "ttl", "mark", "tos")
        pairs = ((name, getattr(self, name), getattr(other, name)) for name in names)
        return tuple((name, _show(name, a), _show(name, b)) for name, a, b in pairs if a != b)

    @property
    def kind(self) -> str:
        """Say what the packet is for: TCP flags, ICMP name, `UDP`; `data` marks TCP payload."""
        if self.tcp:
            return f"{self.tcp} data" if self.length else str(self.tcp)
        if self.icmp:
            return str(self.icmp)
        return self.proto.upper()

    def __str__(self) -> str:
        if self.sport or self.dport:
            return f"{self.proto} {self.src}:{self.sport} > {self.dst}:{self.dport} {self.kind}"
        return f"{self.proto} {self.src} > {self.dst} {self.kind}"


def _show(name: str, value: object) -> str:
    return f"{value:#x}" if name in ("mark", "tos") else str(value)
