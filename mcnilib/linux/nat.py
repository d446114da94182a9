"""NAT: decided once per connection, then applied to each of its packets and undone for the answers.

Source: net/netfilter/nf_nat_core.c, nf_nat_masquerade.c, nf_nat_proto.c (Linux 6.18).
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from mcnilib.linux.chance import Chance
from mcnilib.linux.conntrack import Conntrack, Entry, Flow
from mcnilib.linux.nat_range import Choice, NatRange
from mcnilib.linux.packet import Packet

ANY = NatRange(None, None)
"""What a connection is allowed that no rule rewrites: its own source, if no other connection has the flow already."""


def bind(table: Conntrack, entry: Entry, span: NatRange, *, source: bool, chance: Chance, now: float) -> Entry:
    """Give the connection what a NAT target allows; where there is a choice, it is made as the kernel does."""
    current = entry.reply.inverse()
    wanted = Choice(table, span, source, chance, now).of(current)
    changed = wanted != current
    if source:
        return entry._replace(reply=wanted.inverse(), snat=entry.snat or changed, src_done=True)
    return entry._replace(reply=wanted.inverse(), dnat=entry.dnat or changed, dst_done=True)


def translate(packet: Packet, entry: Entry, *, source: bool, reply: bool) -> Packet:
    """Rewrite the packet's source (POSTROUTING, INPUT) or destination (PREROUTING, OUTPUT) as its connection says.

    A packet that needs no change is returned itself, not a copy.
    """
    if not (entry.snat if source != reply else entry.dnat):
        return packet
    changed = _translate(packet, entry, source=source, reply=reply)
    return packet if changed == packet else changed


def _translate(packet: Packet, entry: Entry, *, source: bool, reply: bool) -> Packet:
    target = (entry.original if reply else entry.reply).inverse()
    if packet.icmp and packet.icmp.quoted:
        return _translate_error(packet, entry, target, source=source, reply=reply)
    if source:
        return _set_source(packet, target.src, target.sport)
    return _set_destination(packet, target.dst, target.dport)


def _translate_error(packet: Packet, entry: Entry, target: Flow, *, source: bool, reply: bool) -> Packet:
    """Rewrite an ICMP error and the packet it quotes. Source: nf_nat_icmp_reply_translation()."""
    icmp = packet.icmp
    if icmp is None or icmp.quoted is None:
        return packet
    answer = entry.original if reply else entry.reply
    quoted = icmp.quoted
    if source:
        quoted, packet = _set_destination(quoted, answer.dst, answer.dport), packet.but(src=target.src)
    else:
        quoted, packet = _set_source(quoted, answer.src, answer.sport), packet.but(dst=target.dst)
    return packet.but(icmp=replace(icmp, quoted=quoted))


def _set_source(packet: Packet, ip: IPv4Address, port: int) -> Packet:
    if packet.icmp:
        return packet.but(src=ip, icmp=replace(packet.icmp, ident=port))
    return packet.but(src=ip, sport=port)


def _set_destination(packet: Packet, ip: IPv4Address, port: int) -> Packet:
    if packet.icmp:
        return packet.but(dst=ip, icmp=replace(packet.icmp, ident=port))
    return packet.but(dst=ip, dport=port)
