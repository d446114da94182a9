"""The bytes of a frame: Ethernet II, ARP, IPv4 with TCP, UDP and ICMP, tunnels inside, every checksum right.

What a Packet does not know is always the same here: payload is zeros, the identification is the caller's, DF is set,
unless the packet was fragmented, TCP has the window scale as its only option, an ICMP error names no gateway. A packet
in fragments is shown as if it were whole.
Source: RFC 791, RFC 792, RFC 826, RFC 894, RFC 1071, RFC 7323, RFC 768, RFC 2003, RFC 7348, RFC 9293.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

from mcnilib.linux.device.base import NO_MAC
from mcnilib.linux.packet import PROTOCOL_NUMBERS, Icmp, Inner, Packet, Tcp, checksum

ETHERTYPE_IP, ETHERTYPE_ARP = 0x0800, 0x0806
"""What an Ethernet frame carries: its EtherType."""
_DONT_FRAGMENT = 0x4000
_QUOTED = 576 - 28
"""Bytes of a packet an ICMP error quotes at most. Source: icmp_send() in net/ipv4/icmp.c, RFC 1812 section 4.3.2.3."""
_FLAGS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32, "ECE": 64, "CWR": 128}


def mac_octets(mac: str) -> bytes:
    """Return the six bytes of a MAC address; zeros where there is none."""
    return bytes.fromhex((mac or NO_MAC).replace(":", ""))


def ethernet(src: str, dst: str, payload: bytes, kind: int = ETHERTYPE_IP) -> bytes:
    """Return a frame without preamble, padding and checksum, as sniffers see it."""
    return mac_octets(dst) + mac_octets(src) + struct.pack("!H", kind) + payload


def arp(sender: tuple[str, IPv4Address], target: tuple[str, IPv4Address], *, reply: bool) -> bytes:
    """Return an ARP message: who asks or answers, and who is asked or told; MAC and address of each."""
    parts = (mac_octets(mac) + ip.packed for mac, ip in (sender, target))
    return struct.pack("!HHBBH", 1, ETHERTYPE_IP, 6, 4, 2 if reply else 1) + b"".join(parts)


def ipv4(packet: Packet, ident: int = 0, macs: tuple[str, ...] = ()) -> bytes:
    """Return an IPv4 packet. `macs` are those that the frames inside tunnels come from, the outermost first."""
    payload = _transport(packet, ident, macs)
    number = PROTOCOL_NUMBERS.get(packet.proto) or int(packet.proto)
    ends = packet.src.packed + packet.dst.packed
    size = 20 + len(payload)
    flags = 0 if packet.fragment else _DONT_FRAGMENT
    fields = 0x45, packet.tos, size, ident & 0xFFFF, flags, packet.ttl, number, 0
    return _summed(struct.pack("!BBHHHBBH", *fields) + ends, 10) + payload


def _summed(message: bytes, at: int, before: bytes = b"", zero: int = 0) -> bytes:
    """Put the checksum of `before` and the message into its field; `zero` is written for 0."""
    return message[:at] + struct.pack("!H", checksum(before + message) or zero) + message[at + 2 :]


def _transport(packet: Packet, ident: int, macs: tuple[str, ...]) -> bytes:
    payload = _tunnelled(packet.inner, ident, macs) if packet.inner else bytes(packet.length)
    ends = packet.src.packed + packet.dst.packed
    if packet.tcp:
        return _tcp(packet, packet.tcp, ends, payload)
    if packet.icmp:
        return _icmp(packet.icmp, payload)
    return _udp(packet, ends, payload) if packet.proto == "udp" else payload


def _tunnelled(inner: Inner, ident: int, macs: tuple[str, ...]) -> bytes:
    """Return what a tunnel carries: a packet, and for VXLAN its frame behind the header with the network id."""
    carried = ipv4(inner.packet, ident, macs[1:])
    if inner.gre:
        key = b"" if inner.key is None else struct.pack("!I", inner.key)
        return struct.pack("!HH", 0x2000 if key else 0, 0x0800) + key + carried
    if inner.sender:  # of WireGuard: the header of transport data, what is encrypted, the tag
        return struct.pack("<IIQ", 4, 1, 0) + bytes(len(carried) + 16)
    if inner.vni is None:
        return carried
    return struct.pack("!II", 0x08000000, inner.vni << 8) + ethernet(macs[0] if macs else NO_MAC, inner.mac, carried)


def _tcp(packet: Packet, tcp: Tcp, ends: bytes, payload: bytes) -> bytes:
    options = b"" if tcp.scale is None else bytes((1, 3, 3, tcp.scale))  # no operation, window scale
    words = 5 + len(options) // 4
    flags = sum(_FLAGS[flag] for flag in tcp.flags)
    numbers = tcp.seq & 0xFFFFFFFF, tcp.ack & 0xFFFFFFFF
    head = struct.pack(
        "!HHIIHHHH", packet.sport, packet.dport, *numbers, words << 12 | flags, tcp.window & 0xFFFF, 0, 0
    )
    message = head + options + payload
    return _summed(message, 16, ends + struct.pack("!HH", 6, len(message)))


def _udp(packet: Packet, ends: bytes, payload: bytes) -> bytes:
    """Return a datagram; that of a tunnel may go without checksum, which is 0."""
    size = 8 + len(payload)
    message = struct.pack("!HHHH", packet.sport, packet.dport, size, 0) + payload
    if packet.inner and not packet.inner.udpcsum:
        return message
    return _summed(message, 6, ends + struct.pack("!HH", 17, size), zero=0xFFFF)


def _icmp(icmp: Icmp, payload: bytes) -> bytes:
    """Return a query with its number, or an error with the packet it complains about."""
    rest = ipv4(icmp.quoted)[:_QUOTED] if icmp.quoted else payload
    numbers = (0, icmp.mtu) if icmp.is_error else (icmp.ident & 0xFFFF, icmp.seq & 0xFFFF)
    return _summed(struct.pack("!BBHHH", icmp.type, icmp.code, 0, *numbers) + rest, 2)
