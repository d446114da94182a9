"""A packet for a virtual server, in INPUT or OUTPUT: a real server is chosen, and the packet sent there.

    PREROUTING ─► routing: local ─► INPUT 99 ─┬─► the server is elsewhere: OUTPUT from its start, POSTROUTING
                             OUTPUT -98 ──────┘   the server is this machine: goes on where it is

Source: ip_vs_in_hook() in net/netfilter/ipvs/ip_vs_core.c, ip_vs_nat_xmit() in ip_vs_xmit.c (Linux 6.1).
"""

from __future__ import annotations

from dataclasses import replace

from mcnilib.errors import NoRoute, Unsupported
from mcnilib.language import tr
from mcnilib.linux.netfilter.hooks import HookEntry
from mcnilib.linux.netfilter.iptables.target.verdict import Reject
from mcnilib.linux.netfilter.ipvs.connection import IpvsConnection, IpvsTcp
from mcnilib.linux.netfilter.ipvs.schedule import schedule
from mcnilib.linux.netfilter.ipvs.service import VirtualServer
from mcnilib.linux.packet import Packet, is_large
from mcnilib.linux.routing.route import Query, RouteType
from mcnilib.linux.sysctl import VS
from mcnilib.trace.ipvs.conntrack import is_stored, sync_conntrack
from mcnilib.trace.ipvs.point import IpvsPoint, quoted_by
from mcnilib.trace.ipvs.settings import asks, refuse, refuse_unusual
from mcnilib.trace.trace import Fate, Stage

KNOWN = ("tcp", "udp", "sctp", "ah", "esp")
"""Protocols that IPVS may know, beside errors in ICMP about these."""


def take_request(at: IpvsPoint, entry: HookEntry) -> bool:
    """Give a packet for a virtual server to a real one; False when it ended here, or is sent elsewhere."""
    packet = at.skb.packet
    if at.skb.ipvs:
        return True
    if packet.icmp:
        return _take_error(at)
    if at.name == "FORWARD":
        return True
    if packet.proto not in KNOWN:
        refuse(at, "ignore_tunneled")  # what is in the packet would be none of IPVS's
        return True
    connection = at.host.virtual.from_client(packet, at.now)
    if connection and packet.tcp and "SYN" in packet.tcp.flags and _begins_anew(at, connection):
        if is_stored(at, connection):
            return _end(at, tr("the port was used for a connection that is closed: IPVS waits for another SYN"))
        at.host.virtual.forget(connection)
        connection = None
    if connection is None:
        connection, ended = _scheduled(at)
        if connection is None:
            return not ended
    at.host.virtual.put(connection.after(packet, "in", at.now))
    changed = packet.but(dst=connection.server.address, dport=connection.dport)
    return _transmit(at, connection, changed)


def _begins_anew(at: IpvsPoint, connection: IpvsConnection) -> bool:
    """Tell whether a SYN finds a connection that is over. Source: is_new_conn_expected()."""
    over = connection.state in (IpvsTcp.TIME_WAIT, IpvsTcp.CLOSE) and not connection.persistent
    return over and at.host.flag(VS + "conn_reuse_mode")


def _scheduled(at: IpvsPoint) -> tuple[IpvsConnection | None, bool]:
    """Choose a server for a new connection; whether the packet ended, where there is none.

    Source: tcp_conn_schedule(), udp_conn_schedule(), ip_vs_schedule(), ip_vs_leave().
    """
    packet, host = at.skb.packet, at.host
    if packet.tcp and ("RST" in packet.tcp.flags or ("SYN" not in packet.tcp.flags and not asks(at, "sloppy_tcp"))):
        return None, False
    service = _service_of(at)
    if service is None:
        return None, False
    if packet.tcp and "SYN" not in packet.tcp.flags:
        refuse(at, "sloppy_tcp")
    refuse_unusual(at)
    server = schedule(service, packet, host.virtual, host.chance, at.now, host.name)
    if server is None:
        if service.mark:
            refuse(at, "cache_bypass")
        at.log.note(
            Stage.IPVS, tr("no server of {service} takes connections", service=service.name),
            line=service, iif=at.iif, fate=Fate.REJECTED,
        )  # fmt: skip
        at.rejected = Reject("icmp-port-unreachable")
        return None, True
    if server.forwarding != "-m":
        raise Unsupported(tr("`{server}` of {host}: only masquerading (-m) is modelled", server=server, host=host.name))
    nfct, persistent = host.flag(VS + "conntrack"), service.timeout > 0
    found = IpvsConnection(packet.proto, packet.src, packet.sport, packet.dst, packet.dport, server, nfct, persistent)
    return found, False


def _service_of(at: IpvsPoint) -> VirtualServer | None:
    """Return the virtual server a packet is for: those by mark first, those of any port last. Raises: Unsupported."""
    packet, services = at.skb.packet, at.host.netns.ip4.ipvs
    taking = [service for service in services if service.takes(packet)]
    service = next(iter(sorted(taking, key=lambda x: (not x.mark, not x.port))), None)
    if service is None:
        return None
    odd = service.timeout > 0 if service.mark else not service.port
    odd = odd or packet.proto not in ("tcp", "udp") or service.one_packet
    if odd:
        raise Unsupported(tr("{service} of IPVS in {host}", service=service, host=at.host.name))
    return service


def _take_error(at: IpvsPoint) -> bool:
    """Give an ICMP error about an answer to the real server that sent it. Source: ip_vs_in_icmp()."""
    packet, error = at.skb.packet, quoted_by(at.skb.packet)
    if error is None:
        return True
    icmp, quoted, turned = error
    connection = at.host.virtual.from_client(turned, at.now)
    if connection is None:
        if any(service.takes(turned.but(mark=packet.mark)) for service in at.host.netns.ip4.ipvs):
            refuse(at, "schedule_icmp")
        return True
    server = connection.server.address
    about = quoted.but(src=server, sport=connection.dport)
    if at.name == "FORWARD":
        raise Unsupported(tr("an ICMP error about an answer of {place}", place=connection.server.place))
    return _transmit(at, connection, packet.but(dst=server, icmp=replace(icmp, quoted=about)))


def _transmit(at: IpvsPoint, connection: IpvsConnection, changed: Packet) -> bool:
    """Rewrite a packet, and send it, or let it go on where the server is this machine. Source: ip_vs_nat_xmit()."""
    skb, server = at.skb, connection.server
    if is_large(skb.packet):
        raise Unsupported(tr("a packet that may be too long for the way, through IPVS of {host}", host=at.host.name))
    try:
        decision = at.host.route(Query(server.address))
    except NoRoute as error:
        at.log.note(Stage.IPVS, tr("no route to {place}", place=server.place), line=error.line, fate=Fate.UNREACHABLE)
        at.rejected = Reject("icmp-host-unreachable")
        return False
    local = decision.route.type is RouteType.LOCAL
    if local and server.address.is_loopback and at.name == "INPUT":
        return _end(at, tr("what comes from outside is not sent to 127.0.0.0/8"))
    if not local and skb.packet.ttl <= 1:
        at.log.note(Stage.FORWARDING, tr("TTL used up"), iif=at.iif, fate=Fate.DROPPED)
        at.expired = True
        return False
    after = changed if local else changed.but(ttl=changed.ttl - 1)
    at.log.note(Stage.IPVS, tr("sent to {place}", place=server.place), after, line=server, iif=at.iif)
    skb.packet, skb.ipvs = after, True
    sync_conntrack(at, connection, request=True)
    if not local:
        skb.local, at.sent = False, decision
    return local


def _end(at: IpvsPoint, why: str) -> bool:
    at.log.note(Stage.IPVS, why, iif=at.iif, fate=Fate.DROPPED)
    at.host.connections.drop_unconfirmed(at.skb.tracked)
    return False
