"""Default routes of one metric: which of them Linux takes depends on what ARP knows of their gateways.

The first is taken while nothing is known of its gateway, and while that has answered lately. Once it is silent, or its
entry is an old or a permanent one, the others have their turn, by a memory that no tool shows: then it is chance.
Source: fib_select_default(), fib_detect_death() in net/ipv4/fib_semantics.c (Linux 6.18).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from mcnilib.linux.neigh import PROXY
from mcnilib.linux.route import Route


def contested(routes: Iterable[Route]) -> frozenset[Route]:
    """Return the default routes with a gateway that share table and metric with another one."""
    default = [route for route in routes if route.via and not route.dst.prefixlen]
    many = Counter((route.table, route.metric) for route in default)
    return frozenset(route for route in default if many[route.table, route.metric] > 1)


def by_neighbours(routes: tuple[Route, ...], listing: str) -> tuple[Route, ...]:
    """Return the routes; those that may have their turn by `listing`, the output of `ip neigh`, name the line of doubt.

    The gateways of all of them count: where one is left, nobody knows for which.
    """
    rivals = contested(routes)
    gateways = {(str(route.via), "dev", route.dev) for route in rivals}
    lines = (line.strip() for line in listing.splitlines() if gateways and tuple(line.split()[:3]) in gateways)
    doubt = next((line for line in lines if not line.endswith(("REACHABLE", PROXY))), "")
    return tuple(replace(route, doubt=doubt) if route in rivals else route for route in routes) if doubt else routes
