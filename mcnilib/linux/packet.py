"""One IPv4 packet: what the hooks of one network namespace see of it.

Models TCP, UDP, ICMP and two tunnels (VXLAN, IPIP); no fragments, no IP options, no payload bytes, only their number.
Source: RFC 791, RFC 793, RFC 768, RFC 792, RFC 7348, RFC 2003.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import NamedTuple

FLAGS = ("SYN", "ACK", "PSH", "FIN", "RST", "URG", "ECE", "CWR")
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

    def __str__(self) -> str:
        return ",".join(flag for flag in FLAGS if flag in self.flags) or "none"


@dataclass(frozen=True, slots=True)
class Icmp:
    """Type and code; `ident` and `seq` for echo, `quoted` (the packet complained about) for errors."""

    type: int
    code: int = 0
    ident: int = 0
    seq: int = 0
    quoted: Packet | None = None

    @property
    def is_error(self) -> bool:
        """Tell errors from queries. Source: RFC 1122 section 3.2.2."""
        return self.type in (3, 4, 5, 11, 12)

    def __str__(self) -> str:
        return ICMP_NAMES.get((self.type, self.code), f"type {self.type} code {self.code}")


@dataclass(frozen=True, slots=True)
class Inner:
    """What a tunnel header carries: the packet, and for VXLAN the network id and the inner destination MAC.

    `udpcsum`: the outer UDP header has a checksum.
    """

    packet: Packet
    vni: int | None = None
    mac: str = ""
    udpcsum: bool = False


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
