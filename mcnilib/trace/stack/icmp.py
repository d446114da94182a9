"""What the IP layer says back: ICMP errors, and the answers of REJECT.

Source: net/ipv4/icmp.c (icmp_send), net/ipv4/netfilter/nf_reject_ipv4.c (Linux 6.18), RFC 1122, RFC 1812.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from mcnilib.errors import NoRoute, Unknown, Unsupported
from mcnilib.language import tr
from mcnilib.linux.netfilter.conntrack import ConnState, Tracked
from mcnilib.linux.netfilter.conntrack_tcp import segment_end
from mcnilib.linux.packet import Icmp, Packet, Tcp
from mcnilib.linux.routing.fib import Decision
from mcnilib.linux.routing.route import Query
from mcnilib.linux.routing.source import preferred_source
from mcnilib.linux.sysctl import conf_key, setting
from mcnilib.trace.stack.host import Emission, Host, Redirected, Skb
from mcnilib.trace.stack.neighbour import known
from mcnilib.trace.stack.recorder import Recorder

if TYPE_CHECKING:
    from mcnilib.trace.stack.netfilter import Hook


MASK, INTERVAL = "net.ipv4.icmp_ratemask", "net.ipv4.icmp_ratelimit"

PER_SECOND, BURST = "net.ipv4.icmp_msgs_per_sec", "net.ipv4.icmp_msgs_burst"

AT_ONCE = 6
"""Errors a peer gets at once (XRLIM_BURST_FACTOR)."""

QUIET = 60.0
"""Seconds of silence a peer that is new is taken to have had (inet_getpeer())."""

_ROUTE_ERRORS, ROUTE_INTERVAL = 5.0, 1.0
"""Of no-route errors: seconds saved at most, seconds one costs (net.ipv4.route.error_burst, route.error_cost)."""


def silenced(host: Host, kind: int, peer: IPv4Address, now: float, *, near: bool) -> str:
    """Say which limit keeps an ICMP error of a type from being sent; empty when it is sent, which is counted.

    `near`: it would leave by the loopback device, where no peer is limited. Raises: Unknown.
    """
    if not host.number(MASK) >> kind & 1:
        return ""
    _check_total(host, now)
    seconds = host.number(INTERVAL) / 1000
    if near or _take(host, peer, seconds, AT_ONCE * seconds, now):
        return ""
    if seconds > QUIET:
        reason = tr(
            "{setting} on {host}: whether {peer} was told anything lately decides whether it is told now",
            setting=setting(host.sysctls, INTERVAL),
            host=host.name,
            peer=peer,
        )
        raise Unknown(reason, collect="")
    return str(setting(host.sysctls, INTERVAL))


def route_error_allowed(host: Host, peer: IPv4Address, now: float) -> bool:
    """Tell whether a peer is told that there is no route. Both limits take from what the peer has saved."""
    return _take(host, peer, ROUTE_INTERVAL, _ROUTE_ERRORS, now)


def _take(host: Host, peer: IPv4Address, cost: float, most: float, now: float) -> bool:
    """Take the cost of an error, in seconds, from the silence a peer has saved; False when it has not enough."""
    saved, last = host.silence.get(peer, (0.0, now - QUIET))
    saved = min(saved + now - last, most)
    enough = saved >= cost
    host.silence[peer] = (saved - cost if enough else saved, now)
    return enough


def _check_total(host: Host, now: float) -> None:
    """Count an error; each takes 0 to 2 of the credit, by chance, which is filled up when a second has passed.

    Raises: Unknown where chance, or what was sent before, decides.
    """
    sent, last = host.errors_sent if now - host.errors_sent[1] < 1 else (0, now)
    rate, most = host.number(PER_SECOND), host.number(BURST)
    if (sent and 2 * sent >= min(rate, most)) or not rate:
        key = BURST if most <= rate else PER_SECOND
        reason = tr(
            "{setting} on {host}: what it sent just before decides whether it sends this ICMP error",
            setting=setting(host.sysctls, key),
            host=host.name,
        )
        raise Unknown(reason, collect="")
    host.errors_sent = (sent + 1, last)


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


def icmp_send(at: Recorder, kind: int, code: int, *, after: float = 0.0, mtu: int = 0) -> None:
    """Queue an ICMP error about a packet, unless it is one itself or damaged; no limit forbids one that names an MTU.

    The last step says so where a limit forbids it. Source: icmp_send(), icmp_glue_bits(), icmpv4_mask_allow().
    """
    net, host, skb, packet = at.net, at.host, at.skb, at.skb.packet
    if skb.bad_checksum or (packet.icmp and packet.icmp.is_error):
        return
    own, mark = skb.local, _reflected(host, packet)
    if not own and host.flag(INBOUND):
        raise Unsupported(tr("{inbound} = 1 in {host}, which sends an ICMP error", inbound=INBOUND, host=host.name))
    src = packet.dst if own else _error_source(host, Query(packet.src, oif=skb.l3mdev, mark=mark))
    if src is None:
        return
    near = _is_near(host, skb, mark)
    if not mtu and (limit := silenced(host, kind, packet.src, net.now + after, near=near)):
        at.silence(limit)
        return
    tos = (packet.tos & TOS_MASK) | INTERNET_CONTROL
    error = Packet(src, packet.src, "icmp", icmp=Icmp(kind, code, quoted=packet, mtu=mtu), mark=mark, tos=tos)
    told = Skb(error, attached(skb.tracked), unbound=not own, by_icmp=True, l3mdev=skb.l3mdev)
    net.outbox.append(Emission(host.name, told, after))


def _is_near(host: Host, skb: Skb, mark: int) -> bool:
    """Tell whether the one who is told is this namespace itself."""
    try:
        return host.route(Query(skb.packet.src, oif=skb.l3mdev, mark=mark)).device == "lo"
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
    if tracked and tracked.state is ConnState.UNTRACKED:
        return Tracked(None)
    return Tracked(ConnState.RELATED, tracked.number, not tracked.reply) if tracked and tracked.number else None


def _error_source(host: Host, query: Query) -> IPv4Address | None:
    """Let the route to the one who is told choose the source. Source: icmp_route_lookup()."""
    try:
        route = host.route(query).route
    except NoRoute:
        return None
    return preferred_source(host.netns, route, query.dst)


def passes(at: Recorder, hook: Hook) -> bool:
    """Ask a hook; False when the packet ended there, and its sender was told what REJECT says."""
    if hook.run():
        return True
    _reject(at, hook)
    return False


def _reject(at: Recorder, hook: Hook) -> None:
    """Send what the REJECT rule that ended the packet asks for, or IPVS; nothing when the rule was a DROP.

    Source: nf_send_unreach(), nf_send_reset(); icmp_xmit_lock() in net/ipv4/icmp.c.
    """
    if hook.expired:
        icmp_send(at, 11, 0)
    if hook.rejected is None:
        return
    kind = hook.rejected.kind
    if hook.name == "OUTPUT" and at.skb.by_icmp:
        return  # the socket that would say so is busy sending this very packet: icmp_xmit_lock() fails
    if kind == "tcp-reset":
        _reset(at)
    elif kind in REJECT_CODES:
        icmp_send(at, 3, REJECT_CODES[kind])
    else:
        raise Unsupported(tr("REJECT --reject-with {kind}", kind=kind))


def _reset(at: Recorder) -> None:
    """Answer with a RST that belongs to the same connection, which is closed by it. Source: nf_send_reset()."""
    net, host, skb, packet = at.net, at.host, at.skb, at.skb.packet
    if packet.tcp is None or "RST" in packet.tcp.flags:
        return
    answer = reset_for(packet, packet.tcp).but(mark=_reflected(host, packet), tos=0)
    try:
        host.route(Query(answer.dst, answer.src, oif=skb.l3mdev, mark=answer.mark))
    except NoRoute:
        return
    reset = Skb(answer, attached(skb.tracked), any_source=True, l3mdev=skb.l3mdev)
    reset.ports = skb.ports
    net.outbox.append(Emission(host.name, reset))
    if skb.tracked:
        host.connections.close(skb.tracked.number, net.now)


def reset_for(packet: Packet, tcp: Tcp) -> Packet:
    """Build the RST that answers a segment nobody wants. Source: tcp_v4_send_reset(), RFC 793 page 36."""
    if "ACK" in tcp.flags:
        answer = Tcp(frozenset({"RST"}), seq=tcp.ack, window=0)
    else:
        answer = Tcp(frozenset({"RST", "ACK"}), seq=0, ack=segment_end(packet, tcp), window=0)
    return Packet(packet.dst, packet.src, "tcp", packet.dport, packet.sport, answer, tos=packet.tos)


REDIRECT_LOAD = 0.04
"""Seconds after which a sender is told of a shorter way once more, at the earliest (ip_rt_redirect_load, doubled)."""


def send_redirect(at: Recorder, iif: str, decision: Decision) -> None:
    """Remember that the sender of a packet was told, if it was: a neighbour's packet leaves where it came in."""
    host, skb = at.host, at.skb
    back = decision.device == iif and any(_listed(host, "send_redirects", iif))
    # of a connection that NAT changes, conntrack drops redirects
    if back and not host.rewrites(skb) and _is_neighbour(host, skb.packet, iif):
        told = Redirected(host.name, decision.route.via or skb.packet.dst, at.net.now)
        at.net.redirected.setdefault((skb.packet.src, skb.packet.dst), told)


def accept_redirect(at: Recorder, dev: str) -> None:
    """Raise Unknown for a packet whose sender was told of a shorter way and believes it.

    Of a gateway whose MAC it does not know it only learns the MAC: the next redirect counts. So it goes on as before,
    until a router may have told it twice. Measured on Linux 6.18. Source: __ip_do_redirect(), ip_rt_send_redirect().
    """
    host, packet = at.host, at.skb.packet
    told = at.net.redirected.get((packet.src, packet.dst))
    if not told or not (known(host, host.links[dev], told.gateway) or at.net.now >= told.since + REDIRECT_LOAD):
        return
    accepts = all if host.conf("forwarding", dev) else any
    if accepts(_listed(host, "accept_redirects", dev)):
        reason = tr(
            "{router} has told {host} of a shorter way to {dst}, by an ICMP redirect: with accept_redirects on, what "
            "{host} does then is not modelled",
            router=told.router,
            host=host.name,
            dst=packet.dst,
        )
        raise Unknown(reason, collect="")


def _listed(host: Host, name: str, dev: str) -> tuple[bool, bool]:
    """Tell whether the setting is on for all devices, and for this one, by the lines that are there."""
    values = {entry.key: entry.value for entry in host.sysctls}
    on_all, on_dev = (values.get(conf_key(name, scope), "0") != "0" for scope in ("all", dev))
    return on_all, on_dev


def _is_neighbour(host: Host, packet: Packet, dev: str) -> bool:
    try:
        route = host.route(Query(packet.src, packet.dst, mark=packet.mark)).route
    except NoRoute:
        return False
    return route.via is None and route.dev == dev
