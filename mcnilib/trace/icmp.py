"""What the IP layer says back: ICMP errors, and the answers of REJECT.

Source: net/ipv4/icmp.c (icmp_send), net/ipv4/netfilter/nf_reject_ipv4.c (Linux 6.18), RFC 1122, RFC 1812.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from mcnilib.errors import NoRoute, Unsupported
from mcnilib.linux.netfilter.conntrack import Tracked
from mcnilib.linux.netfilter.conntrack_tcp import segment_end
from mcnilib.linux.packet import Icmp, Packet, Tcp
from mcnilib.linux.routing.route import Query
from mcnilib.linux.routing.source import preferred_source
from mcnilib.trace.host import Host, Skb
from mcnilib.trace.icmp_rate import silenced
from mcnilib.trace.log import Log
from mcnilib.trace.network import Emission

if TYPE_CHECKING:
    from mcnilib.trace.hooks import Hook
    from mcnilib.trace.network import Network

TOS_MASK, INTERNET_CONTROL = 0x1E, 0xC0
"""What an ICMP error takes over of the TOS, and the precedence it has. Source: __icmp_send() in net/ipv4/icmp.c."""

INBOUND = "net.ipv4.icmp_errors_use_inbound_ifaddr"

REJECT_CODES = {
    "icmp-net-unreachable": 0,
    "icmp-host-unreachable": 1,
    "icmp-proto-unreachable": 2,
    "icmp-port-unreachable": 3,
    "icmp-net-prohibited": 9,
    "icmp-host-prohibited": 10,
    "icmp-admin-prohibited": 13,
}
"""ICMP codes of --reject-with. Source: iptables-extensions(8)."""


def complain(net: Network, log: Log, host: Host, skb: Skb, kind: int, code: int, *, after: float = 0.0) -> None:
    """Queue an ICMP error about a packet, unless it is one itself or damaged.

    The last step says so where a limit forbids it. Source: icmp_send(), icmp_glue_bits().
    """
    packet = skb.packet
    if skb.broken or (packet.icmp and packet.icmp.is_error):
        return
    own, mark = skb.local, _reflected(host, packet)
    if not own and host.flag(INBOUND):
        raise Unsupported(f"{INBOUND} = 1 in {host.name}, which sends an ICMP error")
    src = packet.dst if own else _error_source(host, Query(packet.src, mark=mark))
    if src is None:
        return
    near = _is_near(host, packet, mark)
    if limit := silenced(host, kind, packet.src, net.now + after, near=near):
        say_nothing(log, limit)
        return
    tos = (packet.tos & TOS_MASK) | INTERNET_CONTROL
    error = Packet(src, packet.src, "icmp", icmp=Icmp(kind, code, quoted=packet), mark=mark, tos=tos)
    net.outbox.append(Emission(host.name, Skb(error, attached(skb.tracked), unbound=not own, by_icmp=True), after))


SILENT = ": says nothing, as "
"""What stands between a decision and the limit by which nobody is told of it."""


def say_nothing(log: Log, limit: str) -> None:
    """Take back what the last step says of an answer."""
    log.amend(action=f"{log.steps[-1].action.partition(': answers')[0]}{SILENT}{limit}")


def _is_near(host: Host, packet: Packet, mark: int) -> bool:
    """Tell whether the one who is told is this namespace itself."""
    try:
        return host.route(Query(packet.src, mark=mark)).device == "lo"
    except NoRoute:
        return False


def _reflected(host: Host, packet: Packet) -> int:
    """Return the mark of what the kernel answers by itself. Source: IP4_REPLY_MARK in include/net/ip.h."""
    return packet.mark if host.flag("net.ipv4.fwmark_reflect") else 0


def attached(tracked: Tracked | None) -> Tracked | None:
    """Give an answer the connection of what it answers, stored or not.

    The answer to what was left out by NOTRACK gets none, and cannot be left out itself: the rule thinks it was seen.
    Source: nf_conntrack_attach(), notrack_chk() in net/netfilter/xt_CT.c.
    """
    if tracked and tracked.state == "UNTRACKED":
        return Tracked("")
    return Tracked("RELATED", tracked.number, not tracked.reply) if tracked and tracked.number else None


def _error_source(host: Host, query: Query) -> IPv4Address | None:
    """Let the route to the one who is told choose the source. Source: icmp_route_lookup()."""
    try:
        route = host.route(query).route
    except NoRoute:
        return None
    return preferred_source(host.netns, route, query.dst)


def reject(net: Network, host: Host, skb: Skb, hook: Hook) -> None:
    """Send what the REJECT rule that ended the packet asks for; nothing when the rule was a DROP.

    Source: nf_send_unreach(), nf_send_reset(); icmp_xmit_lock() in net/ipv4/icmp.c.
    """
    if hook.rejected is None:
        return
    kind = hook.rejected.kind
    if hook.name == "OUTPUT" and skb.by_icmp:
        return  # the socket that would say so is busy sending this very packet: icmp_xmit_lock() fails
    if kind == "tcp-reset":
        _reset(net, host, skb)
    elif kind in REJECT_CODES:
        complain(net, hook.log, host, skb, 3, REJECT_CODES[kind])
    else:
        raise Unsupported(f"REJECT --reject-with {kind}")


def _reset(net: Network, host: Host, skb: Skb) -> None:
    """Answer with a RST that belongs to the same connection, which is closed by it. Source: nf_send_reset()."""
    packet = skb.packet
    if packet.tcp is None or "RST" in packet.tcp.flags:
        return
    answer = reset_for(packet, packet.tcp).but(mark=_reflected(host, packet), tos=0)
    try:
        host.route(Query(answer.dst, answer.src, mark=answer.mark))
    except NoRoute:
        return
    net.outbox.append(Emission(host.name, Skb(answer, attached(skb.tracked), any_source=True)))
    if skb.tracked:
        host.connections.close(skb.tracked.number, net.now)


def reset_for(packet: Packet, tcp: Tcp) -> Packet:
    """Build the RST that answers a segment nobody wants. Source: tcp_v4_send_reset(), RFC 793 page 36."""
    if "ACK" in tcp.flags:
        answer = Tcp(frozenset({"RST"}), seq=tcp.ack, window=0)
    else:
        answer = Tcp(frozenset({"RST", "ACK"}), seq=0, ack=segment_end(packet, tcp), window=0)
    return Packet(packet.dst, packet.src, "tcp", packet.dport, packet.sport, answer, tos=packet.tos)
