"""To whom a packet is handed, and what the kernel asks of a new route: that device, gateway and source make sense.

Source: fib_check_nh() and fib_create_info() in net/ipv4/fib_semantics.c (Linux 6.18).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address

from mcnilib.errors import Refused, Unsupported
from mcnilib.language import tr
from mcnilib.linux.routing.fib import Fib, applies
from mcnilib.linux.routing.route import ANY, REJECTING, SCOPES, UNCHOSEN, Query, Route, RouteType, scope_id


def check_route(fib: Fib, route: Route, netns: str) -> None:
    """Refuse a route the kernel would not take beside those that are there; `netns` names the namespace.

    Raises: Refused: ENODEV or ENETDOWN for the device, EINVAL or ENETUNREACH for gateway or source.
    """
    if route.type in REJECTING:
        return
    if route.hops:
        for hop in route.hops:
            check_route(fib, replace(route.by(hop), hops=()), netns)
        return
    link = next((link for link in fib.links if link.name == route.dev), None)
    if link is None:
        raise Refused(
            tr("Cannot find device {dev!r} in {netns} for {route}", dev=route.dev, netns=netns, route=route),
            error="ENODEV",
        )
    if not link.up and route.type is not RouteType.LOCAL:
        raise Refused(tr("Device for nexthop is not up: {route}", route=route), error="ENETDOWN")
    if route.onlink and not route.via:
        raise Refused(
            tr("Invalid flags for nexthop, a route is onlink by its gateway: {route}", route=route), error="EINVAL"
        )
    if route.via:
        _check_gateway(fib, route, route.via)
    own = route.type is RouteType.LOCAL and route.src == route.dst.network_address
    if route.src and not own and not _is_local(route.src, fib.routes):
        raise Refused(tr("Invalid prefsrc address: {route}", route=route), error="EINVAL")


def _check_gateway(fib: Fib, route: Route, via: IPv4Address) -> None:
    if route.onlink:
        if fib.address_type(via) != "UNICAST":
            raise Refused(tr("Nexthop has invalid gateway: {route}", route=route), error="EINVAL")
        return
    way = _way(fib, route, _scope_of_gateway(route))
    if way is None:
        raise Refused(tr("Nexthop has invalid gateway: {route}", route=route), error="ENETUNREACH")
    if way.type not in (RouteType.UNICAST, RouteType.LOCAL):
        raise Refused(tr("Nexthop has invalid gateway: {route}", route=route), error="EINVAL")


def device_of(fib: Fib, gateway: IPv4Address, table: str, netns: str) -> str:
    """Return the device by which the kernel reaches the gateway of a new route whose device was not given.

    Raises: Refused (ENETUNREACH) when the gateway is on no link.
    """
    way = _way(fib, Route(table=table, dst=ANY, dev="", via=gateway), SCOPES["link"])
    if way is None:
        raise Refused(
            tr("Nexthop has invalid gateway: {gateway} is on no link of {netns}", gateway=gateway, netns=netns),
            error="ENETUNREACH",
        )
    return way.dev


def next_hop(fib: Fib, route: Route, destination: IPv4Address, netns: str) -> IPv4Address:
    """Return whom the packet is handed to: the gateway, or the destination itself.

    A gateway that was an address of the namespace when the route was added is one of its own devices in other words,
    and is not asked.
    Source: fib_check_nh_v4_gw() in net/ipv4/fib_semantics.c, rt_set_nexthop() in net/ipv4/route.c.
    Raises: Unsupported when somebody added a local route to the gateway: was it there before this route?
    """
    if route.via is None or (route.via in fib.own_addresses and not route.onlink):
        return destination
    if not route.onlink and any(route.via in local.dst for local in fib.added_local):
        found = _way(fib, route, _scope_of_gateway(route))
        if found in fib.added_local:
            made = tr(
                "`{found}` makes the gateway {via} an address of {netns} itself",
                found=str(found).strip(),
                via=route.via,
                netns=netns,
            )
            raise Unsupported(
                tr(
                    "{made}: the gateway is asked only if `{route}` was added first",
                    made=made,
                    route=str(route).strip(),
                )
            )
    return route.via


def _scope_of_gateway(route: Route) -> int:
    return max(scope_id(route.scope) + 1, SCOPES["link"])


def _way(fib: Fib, route: Route, scope: int) -> Route | None:
    """Look the gateway up: in the route's own table first, then as a packet of the namespace without source and mark.

    Without a device any will do.
    """
    query = Query(route.via or UNCHOSEN, UNCHOSEN)
    tables = [route.table] if route.table != "main" else []
    tables += [rule.table for rule in fib.rules if rule.action == "lookup" and applies(rule, query)]
    for table in dict.fromkeys(tables):
        fits = [
            r
            for r in fib.routes
            if r.table == table and route.via in r.dst and route.dev in (r.dev, "") and scope_id(r.scope) >= scope
        ]
        if fits:
            return max(fits, key=lambda r: r.dst.prefixlen)
    return None


def _is_local(address: IPv4Address, routes: Iterable[Route]) -> bool:
    return any(address in r.dst and r.type is RouteType.LOCAL for r in routes)
