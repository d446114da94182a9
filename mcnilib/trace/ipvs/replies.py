"""What a real server sends back, in INPUT, FORWARD or OUTPUT: it gets the address of the service as its source.

Source: ip_vs_out_hook(), handle_response(), ip_vs_route_me_harder() in net/netfilter/ipvs/ip_vs_core.c (Linux 6.1).
"""

from __future__ import annotations

from dataclasses import replace

from mcnilib.language import tr
from mcnilib.linux.netfilter.hooks import HookEntry
from mcnilib.linux.netfilter.iptables.target.verdict import Reject
from mcnilib.linux.netfilter.ipvs.connection import IpvsConnection
from mcnilib.linux.netfilter.ipvs.service import real_server_of
from mcnilib.linux.packet import Packet
from mcnilib.linux.sysctl import VS
from mcnilib.trace.ipvs.conntrack import sync_conntrack
from mcnilib.trace.ipvs.point import IpvsPoint, quoted_by
from mcnilib.trace.ipvs.settings import asks
from mcnilib.trace.trace import Fate, Stage


def rewrite_reply(at: IpvsPoint, entry: HookEntry) -> bool:
    """Give an answer of a real server the service's address; False when there is no way for it then."""
    if at.skb.ipvs:
        return True
    found = _error(at) if at.skb.packet.icmp else _answer(at)
    if found is None:
        return not _refused(at)
    connection, after = found
    at.log.note(
        Stage.IPVS, tr("answers as {service}", service=connection.server.service), after, line=connection.server
    )
    at.skb.packet = after
    if not _routed_again(at):
        return False
    at.skb.ipvs = True
    sync_conntrack(at, connection, request=False)
    return True


def _refused(at: IpvsPoint) -> bool:
    """Tell a real server that IPVS knows no connection of what it sends, where it is set so; what is sent ends here."""
    packet = at.skb.packet
    resets = packet.tcp is not None and "RST" in packet.tcp.flags
    if resets or packet.proto not in ("tcp", "udp") or not asks(at, "nat_icmp_send"):
        return False
    server = real_server_of(at.host.netns.ip4.ipvs, packet)
    if server is None or not at.host.flag(VS + "nat_icmp_send"):
        return False
    at.log.note(Stage.IPVS, tr("of no connection that IPVS knows"), line=server, iif=at.iif, fate=Fate.REJECTED)
    at.rejected = Reject("icmp-port-unreachable")
    return True


def _answer(at: IpvsPoint) -> tuple[IpvsConnection, Packet] | None:
    packet = at.skb.packet
    connection = at.host.virtual.from_server(packet, at.now)
    if connection is None:
        return None
    at.host.virtual.put(connection.after(packet, "out", at.now))
    return connection, packet.but(src=connection.address, sport=connection.port)


def _error(at: IpvsPoint) -> tuple[IpvsConnection, Packet] | None:
    """Find what an ICMP error about a request is about. Source: ip_vs_out_icmp(), ip_vs_nat_icmp()."""
    packet, error = at.skb.packet, quoted_by(at.skb.packet)
    if error is None:
        return None
    icmp, quoted, turned = error
    connection = at.host.virtual.from_server(turned, at.now)
    if connection is None:
        return None
    about = quoted.but(dst=connection.address, dport=connection.port)
    return connection, packet.but(src=connection.address, icmp=replace(icmp, quoted=about))


def _routed_again(at: IpvsPoint) -> bool:
    """Look the way out up again, as for what this machine sends itself; False when there is none."""
    if at.name == "INPUT" or at.skb.local or at.route_again is None or not at.host.flag(VS + "snat_reroute"):
        return True
    at.decision = at.route_again()
    return at.decision is not None
