"""Before a socket sends: the source address its packets get, and whether it may send to the destination at all.

Source: inet_bind() and inet_addr_valid_or_nonlocal() in net/ipv4/af_inet.c and include/net/inet_sock.h,
tcp_v4_connect() in net/ipv4/tcp_ipv4.c, __ip4_datagram_connect() in net/ipv4/datagram.c, raw_sendmsg() in
net/ipv4/raw.c, __mkroute_output() in net/ipv4/route.c (Linux 6.18); ip(7), SO_BROADCAST in socket(7).
"""

from __future__ import annotations

from ipaddress import IPv4Address

from mcnilib.errors import NoRoute, Unsupported
from mcnilib.linux.packet import Packet
from mcnilib.linux.route import Query, Route
from mcnilib.linux.source import preferred_source
from mcnilib.trace.host import Host

ANY = IPv4Address("0.0.0.0")
LIMITED = IPv4Address("255.255.255.255")


class NotSent(NoRoute):
    """The socket itself refuses: nothing is sent. The message says why, `error` is the errno name."""


def choose_source(host: Host, packet: Packet) -> Packet | NoRoute:
    """Return the packet with its socket's source: the address it is bound to, or the one the first lookup chooses.

    Returns what connect() or bind() fails with, where they do: the errno is in it.
    """
    if packet.dst == ANY:
        raise Unsupported(f"0.0.0.0 as a destination, in {host.name}, is not modelled: name an address")
    bound = packet.src != ANY
    if bound and not host.is_local(packet.src):
        if host.flag("net.ipv4.ip_nonlocal_bind"):
            raise Unsupported(
                f"a socket of {host.name} with {packet.src}, which ip_nonlocal_bind allows, is not modelled"
            )
        return NotSent(f"{packet.src} is no address of {host.name}", error="EADDRNOTAVAIL")
    if bound and (
        packet.dst == LIMITED or packet.dst.is_multicast
    ):  # by the device of its address, whatever the routes
        return _group(host, packet, None)
    try:
        route = host.route(Query(packet.dst, packet.src, mark=packet.mark)).route
    except NoRoute as error:
        return error
    if for_many(packet.dst, route):
        return _group(host, packet, route)
    src = packet.src if bound else preferred_source(host.netns, route, packet.dst)
    return packet.but(src=src) if src else NoRoute(f"no source address towards {packet.dst}", error="EADDRNOTAVAIL")


def for_many(dst: IPv4Address, route: Route) -> bool:
    """Tell whether packets to the address are for more than one receiver: broadcast or multicast."""
    return route.type == "broadcast" or dst == LIMITED or dst.is_multicast


def _group(host: Host, packet: Packet, route: Route | None) -> NoRoute:
    """TCP has one peer; a broadcast takes SO_BROADCAST, which the client does not set; multicast is not modelled."""
    if packet.proto == "tcp":
        return NotSent(f"{packet.dst} is not one host", line=route)
    if packet.dst.is_multicast:
        raise Unsupported(f"multicast to {packet.dst} from {host.name} is not modelled")
    return NotSent(f"broadcast to {packet.dst} without SO_BROADCAST", error="EACCES", line=route)
