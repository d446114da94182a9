"""What may be tried on a conversation that fails: standard repairs at the places its packets came to.

Each is derived from a step of the trace: the rule that dropped a packet, the sysctls that were asked in the namespace
where it ended, the routes and next hops of those it crossed, connection tracking that called it INVALID. Whether any
of them helps is not known here; that is found by trying.
Source: iptables(8), iptables-extensions(8), ip-route(8), ip-rule(8), ip-sysctl.rst.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mcnilib.linux.device.base import DeviceRole
from mcnilib.linux.netfilter.conntrack import ConnState
from mcnilib.linux.netfilter.hooks import BUILT_IN
from mcnilib.linux.netfilter.iptables.rule import Chain, ChainRule
from mcnilib.linux.netfilter.nftables.rule import NftChain, NftRule
from mcnilib.linux.netns import Netns
from mcnilib.linux.packet import IP_HEADER, TCP_HEADER, Packet
from mcnilib.linux.routing.route import Route
from mcnilib.linux.routing.rule import Rule
from mcnilib.linux.sysctl import CONF, FORWARD, GLOBAL, conf_key, stored
from mcnilib.repair.repair import Repair, RepairKind, typed_repair
from mcnilib.trace.sizes import tunnel_headers
from mcnilib.trace.trace import Fate, Journey, Stage, Step, TooBig, Trace, Visit
from mcnilib.trace.why.reason import Lack
from mcnilib.trace.why.reasons import reasons
from mcnilib.world.world import World

_LEVELS = {"rp_filter": ("0", "2", "1"), "arp_ignore": ("0", "1"), "arp_announce": ("0", "2")}
"""Sysctls with more than two values: those in use. Source: Documentation/networking/ip-sysctl.rst."""


def fresh(world: World) -> World:
    """Return the same world, in which no sysctl has been asked for yet (`Netns.asked`)."""
    return replace(world, namespaces=tuple(netns.but() for netns in world))


def standard_repairs(world: World, trace: Trace) -> list[Repair]:
    """Return what may be tried after a conversation in a world that is `fresh` otherwise: each once."""
    found = (_marked(world, each) for each in (*_of_causes(world, trace), *_along(world, trace)))
    return list(dict.fromkeys((*at_the_end(world, trace), *found)))


def _of_causes(world: World, trace: Trace) -> Iterator[Repair]:
    """Yield what mends the causes that the verdict names: a default route in a table without one, or a translation."""
    for reason in (reason for reason in reasons(trace) if reason.decides):
        netns = world[reason.netns]
        if reason.lack is Lack.ROUTE and isinstance(reason.line, Rule):
            for hop in _gateways(world, netns, trace, reason.line.table):
                where = f"ip route add default {hop} table {reason.line.table}"
                yield replace(typed_repair(RepairKind.ROUTE, netns.name, where), of_cause=True)
        elif reason.lack is Lack.TRANSLATION:
            step = trace.journeys[reason.journey - 1].steps[reason.index]
            yield replace(_masquerade(netns.name, step.before), of_cause=True)
        if reason.decides and reason.cure:
            writer = reason.origin.writer if reason.origin else ""
            yield replace(typed_repair(RepairKind.ELEMENT, netns.name, reason.cure, undone_by=writer), of_cause=True)


def _masquerade(netns: str, packet: Packet) -> Repair:
    where = f"iptables -t nat -I POSTROUTING {_pair(packet)} -j MASQUERADE"
    return typed_repair(RepairKind.MASQUERADE, netns, where)


def _gateways(world: World, netns: Netns, trace: Trace, table: str) -> list[str]:
    """Return the machines on the path that a routing table knows on a link, or that any does where it is empty."""
    links = [route for route in netns.ip4.routes if route.via is None and route.table != "local" and route.dev]
    own = [route for route in links if route.table == table] or links
    crossed = dict.fromkeys(name for journey in trace.journeys for name in journey.hops() if name != netns.name)
    hops = (
        f"via {address} dev {route.dev}"
        for name in crossed
        for address in sorted(world[name].own_addresses)
        for route in own
        if address in route.dst
    )
    return list(dict.fromkeys(hops))


def _marked(world: World, repair: Repair) -> Repair:
    """Mark what is typed in a container's namespace: one without a NIC of its own."""
    spaces = (world[command.netns] for command in repair.commands)
    own = (any(link.kind.role is DeviceRole.NIC for link in netns.links) for netns in spaces)
    return replace(repair, passing=not all(own))


def at_the_end(world: World, trace: Trace) -> Iterator[Repair]:
    """Yield what may be tried where packets end: at the rule, the sysctls asked there, and the tracking."""
    for journey in ends(trace):
        step = journey.last
        found = (*_rules(step), *_sysctls(world[step.netns], journey.visits[-1].iif), *_untracked(journey))
        found += (*_too_long(world, journey),)
        yield from (_marked(world, repair) for repair in found)


def ends(trace: Trace) -> list[Journey]:
    """Return the packets that did not arrive, one for each step that ended some; those sent again are passed over."""
    lost = [journey for journey in trace.journeys if journey.fate is not Fate.DELIVERED]
    places = {(journey.last.netns, journey.last.evidence, journey.reply): journey for journey in reversed(lost)}
    return [*places.values()] or [trace.outcome.journey]


def _too_long(world: World, journey: Journey) -> Iterator[Repair]:
    """Yield what makes packets shorter that were too long for a place: a lower MSS, a lower MTU of a route before it.

    Routers change the MSS of SYNs that cross them outside of tunnels. Source: TCPMSS in iptables-extensions(8).
    """
    what, carried = journey.last.what, journey.packet
    if not isinstance(what, TooBig):
        return
    room = what.mtu - tunnel_headers(journey.last.before)
    for visit in journey.visits if carried.tcp else ():
        if visit.iif and visit.steps[0].before.tcp:
            clamp = "iptables -t mangle -I FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS"
            yield typed_repair(RepairKind.MSS, visit.netns, f"{clamp} --clamp-mss-to-pmtu")
            yield typed_repair(RepairKind.MSS, visit.netns, f"{clamp} --set-mss {room - IP_HEADER - TCP_HEADER}")
    for visit in journey.visits[:-1]:
        yield from (
            typed_repair(RepairKind.MTU, visit.netns, command)
            for step in _routed(visit)
            if not step.after.inner and (command := _with_mtu(world[visit.netns], step, room))
        )


def _with_mtu(netns: Netns, step: Step, mtu: int) -> str:
    """Return the command for a route like the one that decided, to the packet's destination alone, with an MTU."""
    route = step.line
    if not isinstance(route, Route) or not route.dev:
        return ""
    hop = f"via {route.via} dev {route.dev}{' onlink' if route.onlink else ''}" if route.via else f"dev {route.dev}"
    source = f" src {route.src}" if route.src else ""
    where = "" if route.table == "main" else f" table {route.table}"
    return f"ip route {_verb(netns, step, route.table)} {step.after.dst} {hop}{source}{where} mtu {mtu}"


def _verb(netns: Netns, step: Step, table: str) -> str:
    """Return what `ip route` has to do for a route to the packet's destination alone: there may be one."""
    own = (route for route in netns.ip4.routes if route.dst.prefixlen == 32 and route.table == table)
    return "replace" if any(step.after.dst in route.dst for route in own) else "add"


def _pair(packet: Packet) -> str:
    return f"-s {packet.src}/32 -d {packet.dst}/32"


def _rules(step: Step) -> Iterator[Repair]:
    """Yield an exception before the deciding rule, and the end of that rule."""
    if step.fate not in (Fate.DROPPED, Fate.REJECTED):
        return
    if isinstance(step.line, NftRule | NftChain):
        yield from _native_rules(step, step.line)
    if step.table not in BUILT_IN:
        return
    table = "" if step.table == "filter" else f"-t {step.table} "
    yield typed_repair(RepairKind.ACCEPT, step.netns, f"iptables {table}-I {step.hook} {_pair(step.before)} -j ACCEPT")
    if isinstance(step.line, ChainRule):
        spec = str(step.line).removeprefix("-A ")
        writer = step.origin.writer if step.origin else ""
        yield typed_repair(RepairKind.DELETE, step.netns, f"iptables {table}-D {spec}", undone_by=writer)
    elif isinstance(step.line, Chain):
        yield typed_repair(RepairKind.POLICY, step.netns, f"iptables {table}-P {step.hook} ACCEPT")


def _native_rules(step: Step, line: NftRule | NftChain) -> Iterator[Repair]:
    """Yield an exception first in the chain of nft that ended the packet, and the end of the rule or the policy."""
    chain, packet = f"{step.table} {line.chain}", step.before
    there = f"ip saddr {packet.src} ip daddr {packet.dst} accept"
    yield typed_repair(RepairKind.ACCEPT, step.netns, f"nft insert rule {chain} {there}")
    if isinstance(line, NftChain):
        yield typed_repair(RepairKind.POLICY, step.netns, f"nft 'add chain {chain} {{ policy accept ; }}'")
    elif line.handle:
        writer = line.origin.writer if line.origin else ""
        command = f"nft delete rule {chain} handle {line.handle}"
        yield typed_repair(RepairKind.DELETE, step.netns, command, undone_by=writer)


def _sysctls(netns: Netns, iif: str) -> Iterator[Repair]:
    """Yield other values of the sysctls that were asked in a namespace; of the device the packet came in by."""
    for name, dev in netns.asked:
        if name in CONF and dev == iif:
            yield from (_device_sysctl(netns, name, dev, value) for value in _values(name, netns.conf(name, dev)))
        elif name in GLOBAL and GLOBAL[name][0] in ("0", "1"):
            yield typed_repair(RepairKind.SYSCTL, netns.name, f"sysctl -w {name}={int(not netns.number(name))}")


def _values(name: str, now: int) -> Iterator[str]:
    yield from (value for value in _LEVELS.get(name, ("0", "1")) if value != str(now))


def _device_sysctl(netns: Netns, name: str, dev: str, value: str) -> Repair:
    """Set a sysctl of a device: the greater one of `all` and its own holds, so both are lowered where both are above.

    Source: IN_DEV_MAXCONF and IN_DEV_ORCONF in include/linux/inetdevice.h.
    """
    if name == "forwarding":
        return typed_repair(RepairKind.SYSCTL, netns.name, f"sysctl -w {FORWARD}={value}")
    keys = [conf_key(name, where) for where in ("all", dev)]
    above = [key for key in keys if stored(netns.settings, key).value > value]
    return typed_repair(RepairKind.SYSCTL, netns.name, *(f"sysctl -w {key}={value}" for key in above or keys[1:]))


def _untracked(journey: Journey) -> Iterator[Repair]:
    """Yield NOTRACK where connection tracking called the packet INVALID: for the pair, and for all of the device."""
    for visit in journey.visits:
        judged = next((step for step in visit.steps if step.stage is Stage.CONNTRACK), None)
        if judged is None or judged.ctstate is not ConnState.INVALID or not visit.iif:
            continue
        from_there = f"iptables -t raw -I PREROUTING -i {visit.iif}"
        for which in (f" {_pair(judged.before)}", ""):
            yield typed_repair(RepairKind.NOTRACK, visit.netns, f"{from_there}{which} -j CT --notrack")


def _along(world: World, trace: Trace) -> Iterator[Repair]:
    """Yield what changes the path: routes, look-ups, and source NAT where a router passes the first packet on."""
    for visit in _visits(trace):
        yield from _routes(world, world[visit.netns], visit, trace)
        yield from _lookups(world[visit.netns], visit)
    for visit in trace.journeys[0].visits:
        if visit.iif and visit.oif:
            yield _masquerade(visit.netns, visit.steps[-1].after)


def _visits(trace: Trace) -> list[Visit]:
    """Return where routes decided about packets of the conversation, once for each namespace and destination."""
    first = [journey for journey in trace.journeys if not journey.retransmission_of]
    visits = [visit for journey in first for visit in journey.visits if _routed(visit)]
    places = {(visit.netns, visit.iif, _routed(visit)[-1].after.dst): visit for visit in reversed(visits)}
    return [*reversed(places.values())]


def _routed(visit: Visit) -> list[Step]:
    return [step for step in visit.steps if step.stage is Stage.ROUTE]


def _routes(world: World, netns: Netns, visit: Visit, trace: Trace) -> Iterator[Repair]:
    """Yield a route to the packet's destination over each next hop that the namespace could use instead."""
    step = _routed(visit)[-1]
    dst, now = step.after.dst, step.line
    table = getattr(now, "table", "main")
    where = "" if table in ("main", "local") else f" table {table}"
    made_here = not visit.iif and table != "local" and getattr(now, "src", None)
    source = f" src {made_here}" if made_here else ""
    there = f"{getattr(now, 'via', None) or ''} {step.oif}"
    verb = _verb(netns, step, table)
    for hop in _next_hops(world, netns, trace):
        if hop.split(" onlink")[0] != f"via {there.strip().replace(' ', ' dev ')}" and dst not in netns.own_addresses:
            yield typed_repair(RepairKind.ROUTE, netns.name, f"ip route {verb} {dst} {hop}{source}{where}")


def _next_hops(world: World, netns: Netns, trace: Trace) -> list[str]:
    """Return ways on from a namespace, as `ip route` spells them: gateways of its routes, those it has on a link."""
    routes = (route for route in netns.ip4.routes if route.via and route.dev)
    hops = [f"via {route.via} dev {route.dev}{' onlink' if route.onlink else ''}" for route in routes]
    crossed = dict.fromkeys(name for journey in trace.journeys for name in journey.hops())
    others = [world[name] for name in crossed if name != netns.name]
    hops += [
        f"via {address} dev {route.dev}"
        for other in others
        for address in sorted(other.own_addresses)
        for route in netns.ip4.routes
        if route.via is None
        and route.table == "main"
        and route.dst.prefixlen > 0
        and address in route.dst
        and route.dev
    ]
    hops += [f"dev {link.name}" for link in netns.links if link.addresses and not link.is_loopback]
    return list(dict.fromkeys(hops))


def _lookups(netns: Netns, visit: Visit) -> Iterator[Repair]:
    """Yield the look-up in another table of the namespace, for what goes to the packet's destination."""
    step = _routed(visit)[-1]
    tables = dict.fromkeys(route.table for route in netns.ip4.routes if route.table != "local")
    for table in tables if len(tables) > 1 else ():
        if table != getattr(step.line, "table", ""):
            yield typed_repair(RepairKind.LOOKUP, netns.name, f"ip rule add to {step.after.dst} lookup {table}")
