"""A World as the commands that make it real: pure text, nothing is run here.

One `ip -batch` file per group of devices and one per namespace. Devices are created in an order that gives every
namespace the registration order its indexes promise, because Linux chooses some source addresses by that order.
Source: ip-link(8), ip-route(8), ip-rule(8), bridge(8); inet_select_addr() in net/ipv4/devinet.c.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter

from mcnilib.errors import Refused, Unsupported
from mcnilib.linux.fdb import LEARNED, print_fdb
from mcnilib.linux.link import NO_MAC, Bridge, Far, Ipip, Link, Loopback, Macvlan, Opaque, Physical, Veth, Vxlan
from mcnilib.linux.neigh import PROXY, Neigh
from mcnilib.linux.netns import Netns
from mcnilib.linux.nexthop import check_route
from mcnilib.linux.route import REJECTING, Route, Rule, print_routes
from mcnilib.linux.world import Segment, World

SWITCH = "(switch)"
"""The namespace that holds one bridge per segment. No world can have a namespace of that name."""

Place = Callable[[str], str]
"""Namespace name -> what `ip ... netns` accepts for it."""


@dataclass(frozen=True, slots=True)
class Making:
    """One device, or one veth pair, to create: the namespaces it can be created from, the ends it has, the command."""

    homes: tuple[str, ...]
    ends: tuple[tuple[str, int], ...]
    command: str
    after: tuple[tuple[str, int], ...] = field(default=())  # ends that must exist before


def makings(world: World, place: Place) -> tuple[Making, ...]:
    """Describe every device of the world, and the switch, as things to create."""
    ports = [(s, i, port) for i, s in enumerate(world.segments) for port in s.ports]
    made = [_bridge_of_segment(i, s.name) for i, s in enumerate(world.segments)]
    made += [_cable(world, number, netns, link, place) for number, (netns, link) in enumerate(_nics(world))]
    plugged = {(port.netns, port.link): (segment, number) for segment, number, port in ports}
    return (*made, *_plugs(world, plugged), *_others(world, place))


def in_order(made: Iterable[Making]) -> list[tuple[str, list[str]]]:
    """Order the creations and group them by the namespace to run them from.

    Raises: Unsupported when the indexes of different namespaces contradict each other.
    """
    makings_ = list(made)
    sorter = TopologicalSorter(_dependencies(makings_))
    try:
        sorter.prepare()
    except CycleError as problem:
        devices = ", ".join(str(makings_[i].ends) for i in problem.args[1])
        raise Unsupported(f"no order of creation gives these devices their indexes: {devices}") from None
    return _greedy(makings_, sorter)


def _greedy(made: list[Making], sorter: TopologicalSorter[int]) -> list[tuple[str, list[str]]]:
    """Stay in one namespace as long as something can be created from there."""
    batches: list[tuple[str, list[str]]] = []
    ready: list[int] = []
    while sorter.is_active():
        ready += sorter.get_ready()
        home = _next_home(made, ready, batches[-1][0] if batches else "")
        if not batches or batches[-1][0] != home:
            batches.append((home, []))
        for number in [n for n in ready if home in made[n].homes]:
            batches[-1][1].append(made[number].command)
            ready.remove(number)
            sorter.done(number)
    return batches


def _next_home(made: list[Making], ready: list[int], current: str) -> str:
    homes = [home for number in ready for home in made[number].homes]
    return current if current in homes else max(homes, key=homes.count)


def _dependencies(made: list[Making]) -> dict[int, set[int]]:
    maker = {end: number for number, making in enumerate(made) for end in making.ends}
    needs: dict[int, set[int]] = {number: set() for number in range(len(made))}
    for number, making in enumerate(made):
        needs[number] |= {maker[end] for end in making.after if end in maker}
    last: dict[str, int] = {}
    for netns, index in sorted(end for end in maker if end[0] != SWITCH):
        number = maker[(netns, index)]
        if netns in last and last[netns] != number:
            needs[number].add(last[netns])
        last[netns] = number
    return needs


def _nics(world: World) -> list[tuple[Netns, Link]]:
    return [(netns, link) for netns in world for link in netns.links if isinstance(link.kind, Physical)]


def _bridge_of_segment(number: int, name: str) -> Making:
    command = f"link add name {bridge_name(number)} index {10000 + number} type bridge mcast_snooping 0 stp_state 0"
    return Making((SWITCH,), ((SWITCH, 10000 + number),), command)


def bridge_name(number: int) -> str:
    """Name the switch's bridge of the segment with that number."""
    return f"segment{number}"


def port_name(number: int) -> str:
    """Name the switch's end of the cable to the NIC with that number."""
    return f"port{number}"


def _cable(world: World, number: int, netns: Netns, link: Link, place: Place) -> Making:
    near = f"{_new(link)} netns {place(netns.name)}"
    far = f"name {port_name(number)} index {1000 + number} mtu {link.mtu} netns {place(SWITCH)}"
    ends = ((netns.name, link.index), (SWITCH, 1000 + number))
    return Making((SWITCH, netns.name), ends, f"link add {near} type veth peer {far}")


def _plugs(world: World, plugged: dict[tuple[str, str], tuple[Segment, int]]) -> list[Making]:
    made = []
    for number, (netns, link) in enumerate(_nics(world)):
        after = [(SWITCH, 1000 + number)]
        commands = [f"link set {port_name(number)} up"]
        if (netns.name, link.name) in plugged:
            _, segment = plugged[netns.name, link.name]
            hairpin = "on" if world.segments[segment].reflects else "off"
            commands = [
                f"link set {port_name(number)} up master {bridge_name(segment)}",
                f"link set {port_name(number)} type bridge_slave hairpin {hairpin}",
            ]
            after.append((SWITCH, 10000 + segment))
        made.append(Making((SWITCH,), (), "\n".join(commands), tuple(after)))
    ups = [f"link set {bridge_name(i)} up" for i in range(len(world.segments))]
    bridges = tuple((SWITCH, 10000 + i) for i in range(len(world.segments)))
    return [*made, *([Making((SWITCH,), (), "\n".join(ups), bridges)] if ups else [])]


def _others(world: World, place: Place) -> list[Making]:
    made = []
    for netns in world:
        for link in netns.links:
            making = _making(world, netns, link, place)
            made += [making] if making else []
    return made


def _making(world: World, netns: Netns, link: Link, place: Place) -> Making | None:
    end, new = (netns.name, link.index), f"link add {_new(link)}"
    match link.kind:
        case Loopback() | Physical():
            return None
        case Veth(peer=peer):
            return _pair(world, netns, link, peer, place)
        case Macvlan(lower=lower, mode=mode):
            command = f"link add link {_at(world, lower).name} {_new(link)} netns {place(netns.name)} type macvlan"
            return Making((lower.netns,), (end,), f"{command} mode {mode}", ((lower.netns, lower.index),))
        case Bridge():
            return Making((netns.name,), (end,), f"{new} type bridge mcast_snooping 0 stp_state 0")
        case Vxlan() as kind:
            words = f"id {kind.vni} local {kind.local} dev {kind.dev} dstport {kind.port} nolearning"
            words += "" if kind.udpcsum else " noudpcsum"
            return Making(
                (netns.name,), (end,), f"{new} type vxlan {words}", ((netns.name, netns.link(kind.dev).index),)
            )
        case Opaque(why=why):
            raise Unsupported(why)
        case Ipip(local=local, remote=remote):
            words = f"{f' local {local}' if local else ''}{f' remote {remote}' if remote else ''}"
            return Making((netns.name,), (end,), f"{new} type ipip{words}")


def _pair(world: World, netns: Netns, link: Link, peer: Far, place: Place) -> Making | None:
    """Describe a veth pair once, at its first end."""
    ends = ((netns.name, link.index), (peer.netns, peer.index))
    if ends[1] < ends[0]:
        return None
    other = _at(world, peer)
    near, far = f"{_new(link)} netns {place(netns.name)}", f"{_new(other)} netns {place(peer.netns)}"
    return Making((SWITCH, netns.name, peer.netns), ends, f"link add {near} type veth peer {far}")


def _at(world: World, far: Far) -> Link:
    return next(link for link in world[far.netns].links if link.index == far.index)


def _new(link: Link) -> str:
    mac = f" address {link.mac}" if link.mac != NO_MAC and link.has_arp else ""
    return f"name {link.name} index {link.index}{mac} mtu {link.mtu}"


def addresses(netns: Netns) -> list[str]:
    """Return the `ip -batch` lines that join bridges, bring devices up and give them their addresses."""
    lines = [f"link set {link.name} master {link.master}" for link in netns.links if link.master]
    lines += [f"link set {link.name} up" for link in netns.links if link.up]
    lines += [f"link set {link.name} protodown on" for link in netns.links if not link.carrier]
    for link in netns.links:
        for address in link.addresses:
            if not isinstance(link.kind, Loopback) or not address.ip.is_loopback:
                brd = f" brd {address.broadcast}" if address.broadcast else ""
                lines.append(f"address add {address.interface}{brd} dev {link.name} scope {address.scope}")
    return lines


def routing_changes(old: Netns, new: Netns) -> str:
    """Return the `ip -batch` text for what the kernel does not derive from addresses: routes, rules, neighbours."""
    was, will = _own_routes(old.routes), _own_routes(new.routes)
    kept = [route for route in will if _rivals(route, was) == _rivals(route, will)]
    lines, later = _rule_changes(old.rules, new.rules)
    lines += [f"route del {route_words(route)}" for route in reversed(_nearest_first(was, old)) if route not in kept]
    lines += [f"route append {route_words(route)}" for route in _nearest_first(will, new) if route not in kept]
    lines += [f"neigh del {_neigh_words(n)}" for n in old.neighbours if n not in new.neighbours]
    lines += [f"neigh replace {_neigh_words(n)}" for n in new.neighbours if n not in old.neighbours]
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
    was, will = list(old), list(new)
    gone = [f"rule del {rule_words(rule)}" for rule in was if rule not in will]
    added = [rule for rule in will if rule not in was]
    first, last = (
        [f"rule add {rule_words(r)}" for r in added if (r.action == "lookup") is leads] for leads in (True, False)
    )
    return gone + first, last


def _own_routes(routes: Iterable[Route]) -> list[Route]:
    """Return the routes somebody added, leaving out those the kernel derives from addresses."""
    return [route for route in routes if not (route.proto == "kernel" and route.table in ("local", "main"))]


def _rivals(route: Route, routes: list[Route]) -> list[Route]:
    """Return the routes of equal table, prefix and metric: the first of them wins, so their order is state."""
    return [r for r in routes if (r.table, r.dst, r.metric) == (route.table, route.dst, route.metric)]


def _nearest_first(routes: list[Route], netns: Netns) -> list[Route]:
    """Put on-link routes first and refusing ones last: a gateway must be reachable when its route is added.

    Before all go those that would be refused by now: what leads to their gateway elsewhere was added later. A route
    to its own gateway is not in the way of itself.
    """
    return sorted(routes, key=lambda r: (not _outdated(r, netns), r.type in REJECTING, r.via is not None))


def _outdated(route: Route, netns: Netns) -> bool:
    try:
        check_route(netns.but(routes=tuple(other for other in netns.routes if other != route)), route)
    except Refused:
        return True
    return False


def route_words(route: Route) -> str:
    """Return the words after `ip route add` or `del`: the line `ip route show table all` prints.

    What `ip` takes for granted is spelt out: a scope of link without a gateway, the table local for local addresses.
    """
    scope = " scope global" if (route.type, route.scope, route.via) == ("unicast", "global", None) else ""
    table = " table main" if (route.table, route.type) in (("main", "local"), ("main", "broadcast")) else ""
    return print_routes([replace(route, linkdown=False)]).strip() + scope + table


def rule_words(rule: Rule) -> str:
    """Return the words after `ip rule add` or `del`: the line `ip rule` prints."""
    return f"pref {str(rule).replace(':', ' ', 1).strip()}"


def forwarding_database(netns: Netns) -> list[str]:
    """Return the `bridge -batch` lines for the entries somebody wrote on VXLAN devices and bridges."""
    written = (line for line in print_fdb(netns.links).splitlines() if not LEARNED.search(line))
    return [f"fdb append {re.sub(r' master .*? ', ' master ', line)}" for line in written]
