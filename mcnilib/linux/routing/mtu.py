"""What a route and its device say of sizes: the MTU, whether it is locked, and the MSS that is announced.

Sizes are bytes; an MTU counts the IP header. Not modelled: the room that a route's `encap` takes,
and that a learned MTU is forgotten after ten minutes.
Source: ip_dst_mtu_maybe_forward() in include/net/ip.h, ipv4_default_advmss() in net/ipv4/route.c (Linux 6.18),
ip-route(8).
"""

from __future__ import annotations

import re

from mcnilib.linux.device.link import Link
from mcnilib.linux.packet import IP_HEADER, TCP_HEADER
from mcnilib.linux.routing.route import Route

_HEADERS = IP_HEADER + TCP_HEADER

MAX_MTU = 0xFFFF
"""IP_MAX_MTU: no packet is longer, whatever the device takes (lo has 65536)."""

MIN_ADVMSS = 256
"""The least MSS a device's MTU leads to (ip_rt_min_advmss)."""

MIN_PMTU = 512 + _HEADERS
"""A router that names a smaller MTU is believed only down to here, and the MTU is locked (ip_rt_min_pmtu)."""


def _metric(route: Route, name: str) -> tuple[int, bool]:
    """Return a number of the route's settings, 0 where it has none, and whether it is locked."""
    found = re.search(rf"(?:^| ){name} (lock )?(\d+)", route.settings)
    return (int(found[2]), bool(found[1])) if found else (0, False)


def mtu_locked(route: Route) -> bool:
    """Tell whether the route's MTU is not to be changed by what routers say; packets over it go without DF."""
    return _metric(route, "mtu")[1]


def route_mtu(route: Route, link: Link) -> int:
    """Return the longest packet that goes out by a route and its device."""
    return min(own_mtu(route) or link.mtu, MAX_MTU)


def own_mtu(route: Route) -> int:
    """Return the MTU that is the route's own; 0 where its device's counts."""
    return _metric(route, "mtu")[0]


def advertised_mss(route: Route, mtu: int) -> int:
    """Return the MSS a socket announces: what the route says, or what the path MTU leaves for it."""
    return _metric(route, "advmss")[0] or min(max(mtu - _HEADERS, MIN_ADVMSS), MAX_MTU - _HEADERS)
