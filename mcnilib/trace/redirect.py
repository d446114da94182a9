"""ICMP redirects: a router that sends a packet back where it came from tells the sender of a shorter way.

What the sender does with that is not modelled: its next packet to that address is unknown. Only sysctls that are listed
count, as in the state of a real machine; worlds that list none have redirects off, in the kernel lab as well.
Source: __mkroute_input() and __ip_do_redirect() in net/ipv4/route.c, ip_forward(), nf_nat_icmp_reply_translation() in
net/netfilter/nf_nat_core.c, IN_DEV_RX_REDIRECTS in include/linux/inetdevice.h (Linux 6.18).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcnilib.errors import NoRoute, Unknown
from mcnilib.linux.packet import Packet
from mcnilib.linux.routing.fib import Decision
from mcnilib.linux.routing.route import Query
from mcnilib.linux.sysctl import conf_key
from mcnilib.trace.host import Host, Skb

if TYPE_CHECKING:
    from mcnilib.trace.network import Network


def tell_of_shorter_way(net: Network, host: Host, skb: Skb, iif: str, decision: Decision) -> None:
    """Remember that the sender of a packet was told, if it was: a neighbour's packet leaves by where it came in."""
    back = decision.device == iif and any(_listed(host, "send_redirects", iif))
    # of a connection that NAT changes, conntrack drops redirects
    if back and not host.rewrites(skb) and _is_neighbour(host, skb.packet, iif):
        net.redirected[skb.packet.src, skb.packet.dst] = host.name


def believe(net: Network, host: Host, packet: Packet, dev: str) -> None:
    """Raise Unknown for a packet whose sender was told of a shorter way and believes it."""
    router = net.redirected.get((packet.src, packet.dst))
    if not router:
        return
    accepts = all if host.conf("forwarding", dev) else any
    if accepts(_listed(host, "accept_redirects", dev)):
        way = f"{router} has told {host.name} of a shorter way to {packet.dst}, by an ICMP redirect"
        raise Unknown(f"{way}: with accept_redirects on, what {host.name} does then is not modelled", collect="")


def _listed(host: Host, name: str, dev: str) -> tuple[bool, bool]:
    """Tell whether the setting is on for all devices, and for this one, by the lines that are there."""
    values = {line.key: line.value for line in host.sysctls}
    one, every = (values.get(conf_key(name, scope), "0") != "0" for scope in ("all", dev))
    return one, every


def _is_neighbour(host: Host, packet: Packet, dev: str) -> bool:
    try:
        route = host.route(Query(packet.src, packet.dst, mark=packet.mark)).route
    except NoRoute:
        return False
    return route.via is None and route.dev == dev
