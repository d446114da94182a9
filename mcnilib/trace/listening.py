"""Which server socket takes a packet, and from which address it answers.

Source: __inet_lookup_listener() in net/ipv4/inet_hashtables.c, compute_score() in net/ipv4/udp.c,
inet_csk_route_req() in net/ipv4/inet_connection_sock.c, udp_sendmsg() (Linux 6.18); socket(7) SO_BINDTODEVICE, ip(7)
IP_PKTINFO.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address

from mcnilib.errors import NoRoute, Unknown, Unsupported
from mcnilib.linux.packet import Packet
from mcnilib.linux.routing.route import Query
from mcnilib.trace.bind import choose_source
from mcnilib.trace.flow import ANY_ADDRESS, Listener
from mcnilib.trace.host import Host


def listening(listeners: Sequence[Listener], host: Host, iif: str, packet: Packet) -> Listener | None:
    """Return the socket for a packet that came by `iif`, of several the one bound to most; None when nobody listens.

    Raises: Unsupported where the answer of a socket bound to a device has no way by that device; Unknown for a SYN to a
    socket whose queue was full: whether the program has accepted since then, nobody can tell.
    Source: sk_acceptq_is_full() in tcp_conn_request(), which drops the SYN.
    """
    wanted = (host.name, packet.proto, packet.dport)
    there = (x for x in listeners if (x.netns, x.proto, x.port) == wanted and x.address in (ANY_ADDRESS, packet.dst))
    there = (one for one in there if one.peer in (None, (packet.src, packet.sport)))
    found = [one for one in there if one.dev in ("", _device(host, iif, packet))]
    # those of an address are looked up before those of all; a peer counts more than a device
    best = max(found, key=lambda x: (x.address != ANY_ADDRESS, bool(x.peer), bool(x.dev)), default=None)
    if best and best.dev and not _leads_back(host, best.dev, packet):
        raise Unsupported(f"{best} of {host.name} answers {packet.src}, to which no route leads by {best.dev}")
    if best and best.full:
        raise Unknown(f"the queue of {best} was full (Recv-Q above Send-Q), and a full one drops SYNs", collect="")
    return best


def _device(host: Host, iif: str, packet: Packet) -> str:
    """Name the device a socket sees a packet come from: on loopback the one that has the address.

    Source: inet_iif(); ip_route_output_key_hash_rcu(), "make sure orig_oif points to fib result device".
    """
    if iif != "lo":
        return iif
    try:
        return host.route(Query(packet.dst)).route.dev
    except NoRoute:
        return iif


def _leads_back(host: Host, dev: str, packet: Packet) -> bool:
    """Tell whether the routes send an answer by the device: Linux looks up by the device, which is not modelled."""
    try:
        route = host.route(Query(packet.src, packet.dst)).route
    except NoRoute:
        return False
    return route.type == "local" or route.dev == dev


def answers_from(host: Host, packet: Packet, listener: Listener) -> IPv4Address:
    """Return the address a UDP server sends its answer from, 0.0.0.0 to let the route choose.

    How a program does it that was only listed, nobody knows: where it matters, it may do either.
    """
    if listener.address != ANY_ADDRESS:
        return listener.address
    if listener.pinned is None:
        chosen = choose_source(host, Packet(ANY_ADDRESS, packet.src, "udp", packet.dport, packet.sport))
        if isinstance(chosen, Packet) and chosen.src != packet.dst:
            ways = f"answers from {packet.dst}, where it was asked", f"answers from {chosen.src}, as its route has it"
            return (packet.dst, ANY_ADDRESS)[host.chance.pick(f"the server on UDP port {packet.dport}", ways)]
    return packet.dst if listener.pinned is not False else ANY_ADDRESS
