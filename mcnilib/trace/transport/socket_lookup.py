"""The source address that a namespace sends from, and whether it may; and the socket that a packet is for.

Source: inet_bind() and inet_addr_valid_or_nonlocal() in net/ipv4/af_inet.c and include/net/inet_sock.h,
tcp_v4_connect() in net/ipv4/tcp_ipv4.c, __ip4_datagram_connect() in net/ipv4/datagram.c, raw_sendmsg() in
net/ipv4/raw.c, ip_route_output_key_hash_rcu() and __mkroute_output() in net/ipv4/route.c (Linux 6.18); ip(7),
SO_BROADCAST in socket(7).
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import NoReturn

from mcnilib.errors import NoRoute, Unknown, Unsupported
from mcnilib.language import tr
from mcnilib.linux.packet import Packet
from mcnilib.linux.routing.fib import Decision
from mcnilib.linux.routing.route import LIMITED_BROADCAST, Query, Route, RouteType
from mcnilib.linux.routing.source import preferred_source
from mcnilib.linux.sysctl import deciding
from mcnilib.trace.flow import ANY_ADDRESS, Listener
from mcnilib.trace.stack.host import Host


class NotSent(NoRoute):
    """Nothing is sent, whatever the routes say. The message says why, `error` is the errno name."""


def route_out(host: Host, query: Query, *, any_source: bool = False) -> Decision:
    """Look up the way of what the namespace itself sends.

    Its source must be an address of one of its devices, or local by the table `local`; that a rule leads to another
    table, where it is local, does not count. `any_source` leaves that out, as netfilter does when it looks up again.
    Raises: NoRoute (NotSent where the source decides).
    Source: __ip_dev_find() in net/ipv4/devinet.c, ip_route_me_harder() in net/ipv4/netfilter.c.
    """
    src = query.src
    if src != ANY_ADDRESS and not any_source and not (src in host.netns.own_addresses or host.is_local(src)):
        raise NotSent(
            tr("{src} is no address of {host}: no device has it, nor table local", src=src, host=host.name),
            error="ENETUNREACH",
        )
    decision = host.route(query)
    _keep_inside(host, src, decision.device)
    return decision


def _keep_inside(host: Host, src: IPv4Address, dev: str) -> None:
    """Keep the loopback network's addresses on the loopback device. Source: __mkroute_output()."""
    if int(src) >> 24 != 127 or host.links[dev].is_loopback or host.conf("route_localnet", dev):
        return
    setting = deciding(host.netns.settings, "route_localnet", dev)
    raise NotSent(tr("{src} may not leave through {dev}", src=src, dev=dev), error="EINVAL", line=setting)


def refused(error: NoRoute) -> str:
    """Say why a packet has no way out; the errno comes last."""
    return f"{error} ({error.error})" if isinstance(error, NotSent) else tr("no route ({error})", error=error.error)


def choose_source(host: Host, packet: Packet) -> Packet | NoRoute:
    """Return the packet with its socket's source: the address it is bound to, or the one the first lookup chooses.

    Returns what connect() or bind() fails with, where they do: the errno is in it.
    Raises: Unsupported where there is no address to send from: Linux takes 0.0.0.0, which most receivers drop.
    """
    if packet.dst == ANY_ADDRESS:
        raise Unsupported(tr("0.0.0.0 as a destination, in {host}, is not modelled: name an address", host=host.name))
    bound = packet.src != ANY_ADDRESS
    if bound and not host.is_local(packet.src):
        if host.flag("net.ipv4.ip_nonlocal_bind"):
            bind = tr("a socket of {host} with {src}, which ip_nonlocal_bind allows", host=host.name, src=packet.src)
            raise Unsupported(tr("{feature}, is not modelled", feature=bind))
        return NotSent(tr("{src} is no address of {host}", src=packet.src, host=host.name), error="EADDRNOTAVAIL")
    if bound and (
        packet.dst == LIMITED_BROADCAST or packet.dst.is_multicast
    ):  # by the device of its address, whatever the routes
        return _group(host, packet, None)
    try:
        decision = route_out(host, Query(packet.dst, packet.src, mark=packet.mark))
        if for_many(packet.dst, decision.route):
            return _group(host, packet, decision.route)
        src = packet.src if bound else preferred_source(host.netns, decision.route, packet.dst)
        if src:
            _keep_inside(host, src, decision.device)
    except NoRoute as error:
        return error
    return packet.but(src=src or nobody(host, packet.dst))


def nobody(host: Host, dst: IPv4Address) -> NoReturn:
    """Raise: Unsupported, for what Linux sends from 0.0.0.0 because no device has an address for it."""
    raise Unsupported(
        tr("{host} has no address to send to {dst} from, and takes 0.0.0.0: not modelled", host=host.name, dst=dst)
    )


def for_many(dst: IPv4Address, route: Route) -> bool:
    """Tell whether packets to the address are for more than one receiver: broadcast or multicast."""
    return route.type is RouteType.BROADCAST or dst == LIMITED_BROADCAST or dst.is_multicast


def _group(host: Host, packet: Packet, route: Route | None) -> NoRoute:
    """TCP has one peer; a broadcast takes SO_BROADCAST, which the client does not set; multicast is not modelled."""
    if packet.proto == "tcp":
        return NotSent(tr("{dst} is not one host", dst=packet.dst), line=route)
    if packet.dst.is_multicast:
        raise Unsupported(tr("multicast to {dst} from {host} is not modelled", dst=packet.dst, host=host.name))
    return NotSent(tr("broadcast to {dst} without SO_BROADCAST", dst=packet.dst), error="EACCES", line=route)


def lookup_listener(listeners: Sequence[Listener], host: Host, iif: str, packet: Packet) -> Listener | None:
    """Return the socket for a packet that came by `iif`, of several the one bound to most; None when nobody listens.

    Raises: Unsupported where the answer of a socket bound to a device has no way by that device; Unknown for a SYN to a
    socket whose queue was full: whether the program has accepted since then, nobody can tell.
    Source: sk_acceptq_is_full() in tcp_conn_request(), which drops the SYN.
    """
    wanted = (host.name, packet.proto, packet.dport)
    there = (x for x in listeners if (x.netns, x.proto, x.port) == wanted and x.address in (ANY_ADDRESS, packet.dst))
    there = (listener for listener in there if listener.peer in (None, (packet.src, packet.sport)))
    devices = _devices(host, iif, packet)
    matching = [listener for listener in there if listener.dev in devices]
    # those of an address are looked up before those of all; a peer counts more than a device
    best = max(matching, key=lambda x: (x.address != ANY_ADDRESS, bool(x.peer), bool(x.dev)), default=None)
    if best and best.dev and not _leads_back(host, best.dev, packet):
        raise Unsupported(
            tr(
                "{best} of {host} answers {src}, to which no route leads by {dev}",
                best=best,
                host=host.name,
                src=packet.src,
                dev=best.dev,
            )
        )
    if best and best.full:
        raise Unknown(
            tr("the queue of {best} was full (Recv-Q above Send-Q), and a full one drops SYNs", best=best), collect=""
        )
    return best


def _devices(host: Host, iif: str, packet: Packet) -> tuple[str, ...]:
    """Name the devices to which a socket may be bound that gets a packet; empty: it need not be bound.

    What came by a VRF is for sockets that are bound to it, or for all with `tcp_l3mdev_accept` or `udp_l3mdev_accept`.
    Source: inet_sk_bound_dev_eq() in include/net/inet_sock.h.
    """
    if not (vrf := host.netns.fib.vrf_of.get(iif)):
        return "", _device(host, iif, packet)
    return (vrf, iif, *([""] if host.flag(f"net.ipv4.{packet.proto}_l3mdev_accept") else []))


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
    if dev in host.netns.fib.vrf_of:
        return True  # by the table of the VRF
    try:
        route = host.route(Query(packet.src, packet.dst)).route
    except NoRoute:
        return False
    return route.type is RouteType.LOCAL or route.dev == dev


def answers_from(host: Host, packet: Packet, listener: Listener) -> IPv4Address:
    """Return the address a UDP server sends its answer from, 0.0.0.0 to let the route choose.

    How a program does it that was only listed, nobody knows: where it matters, it may do either.
    """
    if listener.address != ANY_ADDRESS:
        return listener.address
    if listener.pinned is None:
        chosen = choose_source(host, Packet(ANY_ADDRESS, packet.src, "udp", packet.dport, packet.sport))
        if isinstance(chosen, Packet) and chosen.src != packet.dst:
            ways = (
                tr("answers from {dst}, where it was asked", dst=packet.dst),
                tr("answers from {src}, as its route has it", src=chosen.src),
            )
            return (packet.dst, ANY_ADDRESS)[
                host.chance.pick(tr("the server on UDP port {dport}", dport=packet.dport), ways)
            ]
    return packet.dst if listener.pinned is not False else ANY_ADDRESS
