"""What a namespace has beside its devices: addresses, routes, rules, neighbours, as `ip -batch` lines. Nothing runs.

The devices themselves are made by `mcnilib.kernel.lab.devices`.
Source: ip-address(8), ip-route(8), ip-rule(8), ip-neighbour(8), bridge(8).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from mcnilib.errors import Refused
from mcnilib.linux.device.bridge_vlan import filtering
from mcnilib.linux.device.fdb import LEARNED_STATION, print_fdb
from mcnilib.linux.device.port import NO_PORT
from mcnilib.linux.netns import Netns
from mcnilib.linux.routing.neigh import PROXY, Neigh
from mcnilib.linux.routing.nexthop import check_route
from mcnilib.linux.routing.route import L3MDEV, REJECTING, Route, RouteType, print_routes
from mcnilib.linux.routing.rule import Rule


def address_lines(netns: Netns) -> list[str]:
    """Return the `ip -batch` lines that join bridges, bring devices up and give them their addresses."""
    lines = [f"link set dev {link.name} master {link.master}" for link in netns.links if link.master]
    lines += [f"link set dev {x.name} type bridge_slave {x.port}" for x in netns.links if x.port != NO_PORT]
    lines += [f"link set dev {link.name} up" for link in netns.links if link.up]
    lines += [f"link set dev {link.name} type {link.kind.settling}" for link in netns.links if link.kind.settling]
    lines += [f"link set dev {link.name} protodown on" for link in netns.links if not link.carrier]
    for link in netns.links:
        for address in link.addresses:
            if not link.is_loopback or not address.ip.is_loopback:
                brd = f" brd {address.broadcast}" if address.broadcast else ""
                lines.append(f"address add {address.interface}{brd} dev {link.name} scope {address.scope}")
    return lines


def routing_changes(old: Netns, new: Netns) -> str:
    """Return the `ip -batch` text for what the kernel does not derive from addresses: routes, rules, neighbours."""
    was, will = _own_routes(old), _own_routes(new)
    kept = [route for route in will if _rivals(route, was) == _rivals(route, will)]
    lines, later = _rule_changes(old.ip4.rules, new.ip4.rules)
    lines += [f"route del {route_words(route)}" for route in reversed(_nearest_first(was, old)) if route not in kept]
    lines += [f"route append {route_words(route)}" for route in _nearest_first(will, new) if route not in kept]
    lines += [f"neigh del {_neigh_words(n)}" for n in old.ip4.neighbours if n not in new.ip4.neighbours]
    lines += [f"neigh replace {_neigh_words(n)}" for n in new.ip4.neighbours if n not in old.ip4.neighbours]
    return "\n".join(lines + later)


def _neigh_words(neigh: Neigh) -> str:
    if neigh.state == PROXY:
        return f"proxy {neigh.ip} dev {neigh.dev}"
    return f"{neigh.ip} lladdr {neigh.mac} dev {neigh.dev} nud {neigh.state.lower()}"


def _rule_changes(old: Iterable[Rule], new: Iterable[Rule]) -> tuple[list[str], list[str]]:
    """Return the commands that turn one set of rules into another: those before the routes, and those after.

    The kernel asks the rules where the gateway of a new route is: what is gone goes and what leads to tables comes
    before the routes, what refuses packets after them.
    """
    was, will = ([rule for rule in rules if rule.table != L3MDEV] for rules in (old, new))  # that comes with a VRF
    gone = [f"rule del {rule_words(rule)}" for rule in was if rule not in will]
    added = [rule for rule in will if rule not in was]
    refusing = {rule.priority for rule in added if rule.action != "lookup"}  # of one priority the order is state
    first, last = (
        [f"rule add {rule_words(r)}" for r in added if (r.priority in refusing) is late] for late in (False, True)
    )
    return gone + first, last


def _own_routes(netns: Netns) -> list[Route]:
    """Return the routes somebody added, leaving out those the kernel derives from addresses."""
    derived = {"local", "main", *(link.kind.l3_table for link in netns.links)}
    return [route for route in netns.ip4.routes if not (route.proto == "kernel" and route.table in derived)]


def _rivals(route: Route, routes: list[Route]) -> list[Route]:
    """Return the routes of equal table, prefix and metric: the first of them wins, so their order is state."""
    return [r for r in routes if (r.table, r.dst, r.metric) == (route.table, route.dst, route.metric)]


def _nearest_first(routes: list[Route], netns: Netns) -> list[Route]:
    """Put on-link routes first and refusing ones last: a gateway must be reachable when its route is added.

    Before all go those that would be refused by now: what leads to their gateway elsewhere was added later. A route
    to its own gateway is not in the way of itself. Rivals keep their order: it is state.
    """
    order = sorted(routes, key=lambda r: (not _outdated(r, netns), r.type in REJECTING, r.via is not None))
    waiting: dict[tuple[object, ...], list[Route]] = {}
    for route in reversed(routes):
        waiting.setdefault((route.table, route.dst, route.metric), []).append(route)
    return [waiting[route.table, route.dst, route.metric].pop() for route in order]


def _outdated(route: Route, netns: Netns) -> bool:
    try:
        check_route(
            netns.with_ip4(routes=tuple(existing for existing in netns.ip4.routes if existing != route)).fib,
            route,
            netns.name,
        )
    except Refused:
        return True
    return False


def route_words(route: Route) -> str:
    """Return the words after `ip route add` or `del`: the line `ip route show table all` prints.

    What `ip` takes for granted is spelt out: a scope of link without a gateway, the table local for local addresses.
    """
    near = route.via is None and not route.hops
    scope = " scope global" if (route.type, route.scope) == (RouteType.UNICAST, "global") and near else ""
    table = " table main" if route.table == "main" and route.type in (RouteType.LOCAL, RouteType.BROADCAST) else ""
    line, *hops = print_routes([replace(route, linkdown=False)]).strip().split(" \n\t")
    return " ".join([line + scope + table, *hops])


def rule_words(rule: Rule) -> str:
    """Return the words after `ip rule add` or `del`: the line `ip rule` prints."""
    return f"pref {str(rule).replace(':', ' ', 1).strip()}"


def forwarding_database(netns: Netns) -> list[str]:
    """Return the `bridge -batch` lines for the entries somebody wrote on VXLAN devices and bridges."""
    written = (line for line in print_fdb(netns.links).splitlines() if not LEARNED_STATION.search(line))
    lines = [f"fdb append {re.sub(r' master .*? ', ' master ', line)}" for line in written]
    for name, link in filtering(netns.links).items():
        own = " self" if link.is_bridge else ""
        flags = {x: f"{' pvid' * x.pvid}{' untagged' * x.untagged}{own}" for x in link.vlans or ()}
        lines += [f"vlan add dev {name} vid {entry.id}{words}" for entry, words in flags.items()]
    return lines
