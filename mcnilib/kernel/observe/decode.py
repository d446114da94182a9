"""Captured bytes as packets: IPv4, TCP, UDP, ICMP and the VXLAN or IPIP headers around them.

`Mark` tells one packet on the wire from every other, whatever NAT does to its addresses.
Source: RFC 791, 793, 768, 792, 7348.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

from mcnilib.linux.packet import PROTOCOL_NAMES, TCP_FLAGS, Icmp, Inner, Packet, Tcp

ECHO_REQUEST, ECHO_REPLY = 8, 0

VXLAN_PORT = 4789

_BITS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32, "ECE": 64, "CWR": 128}

VXLAN = bytes((8, 0, 0, 0))
"""How a VXLAN header begins: its network id is valid, the rest is reserved. Source: RFC 7348 section 5."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What stays the same on a packet's way: protocol, IP id, and the numbers NAT leaves alone."""

    proto: str
    ident: int
    what: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Decoded:
    """A packet as it was seen somewhere, and its mark."""

    packet: Packet
    mark: Fingerprint
    inner: Decoded | None = None  # what a tunnel header carries


FRAGMENT_OFFSET = 0x1FFF
"""Bits of the IP header that say where in the packet a fragment belongs. Source: RFC 791."""


def decode(data: bytes, transport: bytes | None = None, *, mark: int = 0) -> Decoded:
    """Read an IPv4 packet from its bytes; `transport` is given when the headers were captured apart.

    Of what an IPIP packet carries that is too little: a rule trace keeps 20 bytes. Source: nf_tables_trace.c.
    """
    size = (data[0] & 15) * 4
    total, ident, flags = struct.unpack_from("!HHH", data, 2)
    tos, ttl, number = data[1], data[8], data[9]
    rest = data[size:] if transport is None else transport
    proto = PROTOCOL_NAMES.get(number, str(number))
    src, dst = IPv4Address(data[12:16]), IPv4Address(data[16:20])
    packet = Packet(src, dst, proto, ttl=ttl, mark=mark, tos=tos)
    if flags & FRAGMENT_OFFSET:  # the ports, and what a tunnel carries, are in the first fragment
        return Decoded(packet, Fingerprint(proto, ident, (total,)))
    if proto == "tcp":
        return _tcp(packet, ident, total - size, rest)
    if proto == "udp":
        return _udp(packet, ident, rest)
    if proto == "icmp":
        return _icmp(packet, ident, total - size, rest)
    if proto == "ipencap" and transport is None:
        inner = decode(rest)
        return Decoded(packet.but(inner=Inner(inner.packet)), Fingerprint(proto, ident, (total,)), inner)
    if proto == "gre" and transport is None:
        keyed = bool(rest[0] & 0x20)
        inner, key = decode(rest[8 if keyed else 4 :]), int.from_bytes(rest[4:8]) if keyed else None
        carried = Inner(inner.packet, gre=True, key=key)
        return Decoded(packet.but(inner=carried), Fingerprint(proto, ident, (total,)), inner)
    return Decoded(packet, Fingerprint(proto, ident, (total,)))


def _tcp(packet: Packet, ident: int, size: int, data: bytes) -> Decoded:
    sport, dport, seq, ack, offset, bits, window = struct.unpack_from("!HHIIBBH", data)
    header = (offset >> 4) * 4
    flags = frozenset(flag for flag in TCP_FLAGS if bits & _BITS[flag])
    tcp = Tcp(flags, seq, ack, window, _scale(data[20:header]) if "SYN" in flags else None)
    packet = packet.but(sport=sport, dport=dport, tcp=tcp, length=size - header)
    return Decoded(packet, Fingerprint("tcp", ident, (seq, ack, bits, size - header)))


def _scale(options: bytes) -> int | None:
    offset = 0
    while offset < len(options) and options[offset] != 0:
        if options[offset] == 1:
            offset += 1
            continue
        if options[offset] == 3 and offset + 2 < len(options):
            return options[offset + 2]
        offset += max(options[offset + 1] if offset + 1 < len(options) else 2, 2)
    return None


def _udp(packet: Packet, ident: int, data: bytes) -> Decoded:
    """Read UDP; VXLAN is known by its own header, as it stays VXLAN when a NAT rule changes the port."""
    sport, dport, size = struct.unpack_from("!HHH", data)
    packet = packet.but(sport=sport, dport=dport, length=size - 8)
    if data[8:12] == VXLAN and len(data) >= 8 + 8 + 14 + 20:
        inner = decode(data[30:])
        packet = packet.but(inner=Inner(inner.packet, int.from_bytes(data[12:15], "big"), data[16:22].hex(":")))
        return Decoded(packet, Fingerprint("udp", ident, (size,)), inner)
    return Decoded(packet, Fingerprint("udp", ident, (size,)))


def _icmp(packet: Packet, ident: int, size: int, data: bytes) -> Decoded:
    kind, code, _, echo, seq = struct.unpack_from("!BBHHH", data)
    query = kind in (0, 8, 13, 14)
    quoted = None if query or len(data) < 8 + 28 else _quoted(data[8:])
    mtu = seq if (kind, code) == (3, 4) else 0
    icmp = Icmp(kind, code, echo if query else 0, seq if query else 0, quoted, mtu)
    return Decoded(packet.but(icmp=icmp, length=size - 8), Fingerprint("icmp", ident, (kind, code, seq, size)))


def _quoted(data: bytes) -> Packet | None:
    """Read the packet an ICMP error complains about; at least its header and 8 bytes are there. Source: RFC 792."""
    size = (data[0] & 15) * 4
    padded = data[size:] + bytes(max(0, 20 - len(data[size:])))
    return decode(data[:size], padded).packet
