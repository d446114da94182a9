"""Source addresses: which one the kernel chooses, and which it believes (rp_filter, martians, `-m rpfilter`).

Source: net/ipv4/{devinet,fib_semantics,fib_frontend,route}.c, net/ipv4/netfilter/ipt_rpfilter.c (Linux 6.18).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from mcnilib.errors import NoRoute
from mcnilib.language import listed, tr
from mcnilib.linux.netns import Netns
from mcnilib.linux.packet import Packet
from mcnilib.linux.routing.route import LIMITED_BROADCAST, SCOPES, UNCHOSEN, Query, Route, RouteType, scope_id
from mcnilib.linux.routing.rule import Rule
from mcnilib.linux.sysctl import Setting, deciding

_LOCAL_MULTICAST = IPv4Network("224.0.0.0/24")
"""Groups that stay on a link. Source: ipv4_is_local_multicast()."""


class Martian(NamedTuple):
    """Why a packet's source (or loopback destination) is not believed: in words, by which line, over which way back."""

    why: str
    line: Setting | None  # the sysctl that would let it pass; None when none would
    way_back: Route | None = None  # where the sender is, as far as this namespace knows


def source_address(
    netns: Netns, dev: str, next_hop: IPv4Address | None = None, scope: str = "global"
) -> IPv4Address | None:
    """Choose an address of a device towards a next hop (None: towards nowhere in particular), as MASQUERADE does.

    The first primary address whose subnet holds the next hop, else the device's first; when it has none, the first of
    the other devices by index. Addresses that reach less far than `scope` are passed over. None: no such address.
    Source: inet_select_addr() in net/ipv4/devinet.c.
    """
    limit = scope_id(scope)
    nearest = SCOPES["link"] if netns.conf("route_localnet", dev) else SCOPES["host"]
    own = [a for a in netns.link(dev).primaries() if min(scope_id(a.scope), nearest) <= limit]
    for address in own:
        if next_hop is None or next_hop in address.interface.network:
            return address.ip
    if own:
        return own[0].ip
    everywhere = (a for link in netns.links for a in link.primaries())
    return next((a.ip for a in everywhere if a.scope != "link" and scope_id(a.scope) <= limit), None)


def preferred_source(netns: Netns, route: Route, dst: IPv4Address) -> IPv4Address | None:
    """Choose the source of a packet whose sender has not: the route's `src`, else an address towards its gateway.

    Source: fib_result_prefsrc() in net/ipv4/fib_semantics.c, ip_route_output_key_hash_rcu() in net/ipv4/route.c.
    """
    if route.src:
        return route.src
    if route.type is RouteType.LOCAL:
        return dst
    return source_address(netns, route.dev, route.via, route.scope)


def validate_source(netns: Netns, packet: Packet, iif: str, oif: str = "") -> Martian | None:
    """Tell why a packet that came in by `iif` is dropped for its addresses; None when it is believed.

    `oif` is the device a forwarded packet would leave by, empty for one delivered here: rules with `iif` see it.
    Source: ip_route_input_slow() in net/ipv4/route.c, fib_validate_source() in net/ipv4/fib_frontend.c.
    """
    martian = _impossible(netns, packet, iif)
    if martian:
        return martian
    strictness = netns.conf("rp_filter", iif)
    if strictness or (oif == iif and netns.conf("send_redirects", iif)):
        return _full_check(netns, packet, iif, oif, strictness)
    if netns.conf("accept_local", iif):
        return None
    if netns.fib.custom or netns.ip4.has_custom_local_routes:
        return _full_check(netns, packet, iif, oif, 0)
    if packet.src in netns.own_addresses:
        return _own_source(netns, packet, iif)
    return None


def _impossible(netns: Netns, packet: Packet, iif: str) -> Martian | None:
    """Find addresses that no route can make good."""
    if packet.src.is_multicast or packet.src in (UNCHOSEN, LIMITED_BROADCAST):
        return Martian(tr("no host has the address {src}", src=packet.src), None)
    for address in (packet.dst, packet.src):
        if address.is_loopback and not netns.conf("route_localnet", iif):
            setting = deciding(netns.settings, "route_localnet", iif)
            return Martian(tr("{address} came in by {iif}", address=address, iif=iif), setting)
    return None


def _own_source(
    netns: Netns, packet: Packet, iif: str, route: Route | None = None, rule: Rule | None = None
) -> Martian:
    """Say that the sender would be this namespace: a device has the address, or a route of type local claims it.

    `rule` is what led to the route: one that asks for a mark was met only because src_valid_mark is on.
    """
    if route and rule and rule.fwmark is not None and packet.src not in netns.own_addresses:
        valid = deciding(netns.settings, "src_valid_mark", iif)
        reason = tr(
            "{src} is local here by {dst} of table {table}: {setting} lets the mark {mark:#x} take part in the source "
            "check, and the rule {priority} sends it there",
            src=packet.src,
            dst=route.dst,
            table=route.table,
            setting=str(valid) if valid else "src_valid_mark",
            mark=packet.mark,
            priority=rule.priority,
        )
        return Martian(reason, valid, route)
    setting = deciding(netns.settings, "accept_local", iif)
    claimed = route is not None and packet.src not in netns.own_addresses
    reason = (
        tr("{src} is local here by {dst} of table {table}", src=packet.src, dst=route.dst, table=route.table)
        if route and claimed
        else tr("{src} is an address of this namespace", src=packet.src)
    )
    return Martian(reason, setting, route)


def way_back(netns: Netns, packet: Packet, iif: str, oif: str) -> Query:
    """Return the look-up of the path back to a sender. Source: __fib_validate_source()."""
    mark = packet.mark if netns.conf("src_valid_mark", iif) else 0
    return Query(packet.src, packet.dst, oif or "lo", netns.fib.vrf_of.get(iif, ""), mark)


def _full_check(netns: Netns, packet: Packet, iif: str, oif: str, strictness: int) -> Martian | None:
    """Look up the way back to the sender. Source: __fib_validate_source()."""
    link = netns.link(iif)
    try:
        rule, route = netns.fib.lookup(way_back(netns, packet, iif, oif))
    except NoRoute as problem:
        return _last_resort(
            netns,
            iif,
            strictness,
            tr("there is no way back to {src}: {problem}", src=packet.src, problem=problem),
            None,
        )
    if route.type is RouteType.LOCAL and not netns.conf("accept_local", iif):
        return _own_source(netns, packet, iif, route, rule)
    if route.type not in (RouteType.LOCAL, RouteType.UNICAST):
        return Martian(tr("{src} is a {kind} address", src=packet.src, kind=route.type), None, route)
    if route.leads_to(iif) or (route.type is RouteType.LOCAL and link.is_loopback):
        return None
    ways = listed(dict.fromkeys(hop.dev for hop in route.hops)) if route.hops else route.dev
    way = tr("the way back to {src} is by {dev}, not {iif}", src=packet.src, dev=ways, iif=iif)
    if not link.addresses:
        return _last_resort(netns, iif, strictness, tr("{way}, which has no address", way=way), route)
    return _last_resort(netns, iif, int(strictness == 1), way, route)


def _last_resort(netns: Netns, iif: str, strictness: int, reason: str, route: Route | None) -> Martian | None:
    return Martian(reason, deciding(netns.settings, "rp_filter", iif), route) if strictness else None


def rpfilter_passes(
    netns: Netns, packet: Packet, iif: str, loose: bool, validmark: bool, accept_local: bool = False
) -> bool:
    """Tell whether `-m rpfilter` holds: the way back to the source is by the device the packet came from.

    Unlike the sysctl it asks with iif lo always, and any route will do when loose.
    Source: rpfilter_mt() in net/ipv4/netfilter/ipt_rpfilter.c.
    """
    if netns.link(iif).is_loopback:
        return True
    dst = packet.dst
    if packet.src == UNCHOSEN and (dst == LIMITED_BROADCAST or dst in _LOCAL_MULTICAST):
        return True
    asked_from = UNCHOSEN if dst.is_multicast or dst in (UNCHOSEN, LIMITED_BROADCAST) else dst
    try:
        vrf, mark = netns.fib.vrf_of.get(iif, ""), packet.mark if validmark else 0
        route = netns.fib.lookup(Query(packet.src, asked_from, oif=vrf, mark=mark)).route
    except NoRoute:
        return False
    if route.type is not RouteType.UNICAST and not (route.type is RouteType.LOCAL and accept_local):
        return False
    return loose or route.leads_to(iif)
