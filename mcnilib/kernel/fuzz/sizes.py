"""Cases about sizes: links and routes that take less, both ends send more, and somebody may drop what tells of it.

All ends of a link take the same: what a device does that gets more than its MTU is its driver's affair.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address
from random import Random

from mcnilib.errors import McniError, NoRoute
from mcnilib.kernel.fuzz.case import Case, Exchange, base
from mcnilib.kernel.fuzz.parts import addresses_of, typed
from mcnilib.linux.device.base import DeviceRole, LinkEnd
from mcnilib.linux.device.link import Link
from mcnilib.linux.netns import Netns
from mcnilib.linux.routing.route import Query
from mcnilib.linux.sysctl import BRIDGE_CALLS, FORWARD
from mcnilib.world.world import World

SIZED = 0.12
"""How often a case is about sizes."""

_MTUS = (600, 1300, 1400, 1492)
_SIZES = ((1400, 10), (10, 1400), (4000, 4000), (20000, 10), (10, 20000), (20000, 20000))


def sized(draw: Random, case: Case) -> Case:
    """Return mostly the case itself, else its first exchange with sizes, in a world with narrow places.

    Not where iptables sees what crosses a bridge: it puts fragments together there, and captures show both.
    """
    if draw.random() >= SIZED:
        return case
    first = case.turns[0]
    port = "" if first.proto == "icmp" else ":80"
    to = f"{first.proto}:{draw.choice(addresses_of(base(case.world)[first.server]))}{port}"
    first = replace(first, to=draw.choice((to, to, to, first.to)))
    few = first.lines[: draw.choice((0, 0, 1, 2, len(first.lines)))]  # most of what is typed lets nothing through
    kept = [line for line in few if BRIDGE_CALLS not in line]
    world = typed(base(case.world), *kept)
    with suppress(NoRoute):  # then less is typed
        for line in _narrow(draw, world, first):
            with suppress(McniError):
                world = typed(world, line)
                kept.append(line)
    return Case(case.world, (replace(first, lines=tuple(kept), sizes=draw.choice(_SIZES)),))


def _narrow(draw: Random, world: World, talk: Exchange) -> Iterator[str]:
    """Yield what is typed: a link or two, a route, a sysctl, a rule about the MSS, one about ICMP."""
    for ends in draw.sample(_links(world), min(len(_links(world)), draw.choice((0, 1, 1, 2)))):
        mtu = draw.choice(_MTUS)
        yield from (f"{netns}: ip link set {device} mtu {mtu}" for netns, device in ends)
    routers = [netns for netns in world if netns.number(FORWARD)] or list(world)
    one, other, third = draw.choice(routers), draw.choice(list(world)), draw.choice(list(world))
    if draw.random() < 0.6:
        yield _narrow_route(draw, one, draw.choice([talk.to.split(":")[1], *addresses_of(world[talk.client])]))
    if draw.random() < 0.4:
        yield f"{one.name}: iptables -I OUTPUT -p icmp -j DROP"
    if draw.random() < 0.15:
        yield f"{one.name}: sysctl -w net.ipv4.ip_no_pmtu_disc={draw.choice((1, 2))}"
    if draw.random() < 0.15:
        yield f"{one.name}: sysctl -w net.ipv4.tcp_mtu_probing=2"
    if draw.random() < 0.3:
        chain = draw.choice(("FORWARD", "POSTROUTING"))
        how = draw.choice(("--clamp-mss-to-pmtu", "--set-mss 1200", "--set-mss 500"))
        yield f"{other.name}: iptables -t mangle -A {chain} -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS {how}"
    if draw.random() < 0.4:
        yield f"{third.name}: iptables -I {draw.choice(('OUTPUT', 'INPUT', 'FORWARD'))} -p icmp -j DROP"


def _narrow_route(draw: Random, netns: Netns, address: str) -> str:
    """Type a route to one address like the one there is, which takes less."""
    how = draw.choice(("mtu 1300", "mtu 1300", "mtu 600", "mtu lock 1400", "advmss 1200", "mtu 1400 advmss 1000"))
    route = netns.fib.lookup(Query(IPv4Address(address))).route
    hop = f"via {route.via} dev {route.dev}{' onlink' if route.onlink else ''}" if route.via else f"dev {route.dev}"
    return f"{netns.name}: ip route add {address} {hop} {how}"


def _links(world: World) -> list[list[tuple[str, str]]]:
    """Return the links of a world, each as all its ends: those in a segment with their children, both ends of a pair.

    Ports of bridges are left out: the bridge goes along with them.
    """
    able = {(n.name, link.name): link for n in world for link in n.links if not (link.master or link.is_bridge)}
    segments = [[(port.netns, port.link) for port in segment.ports] for segment in world.segments]
    pairs = [
        [place, far]
        for place, link in able.items()
        if link.kind.role is DeviceRole.PAIR and (far := _far(able, link)) and place < far
    ]
    links = ([*ends, *_children(world, ends)] for ends in (*segments, *pairs))
    return [ends for ends in links if all(end in able for end in ends)]


def _far(able: dict[tuple[str, str], Link], link: Link) -> tuple[str, str] | None:
    """Find the other end of a pair."""
    return next((place for place, other in able.items() if LinkEnd(place[0], other.index) == link.kind.endpoint), None)


def _children(world: World, ends: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the devices that are children of some: they take no more."""
    lowers = [LinkEnd(netns, world[netns].link(device).index) for netns, device in ends]
    for netns in world:
        for link in netns.links:
            if link.kind.child and link.kind.child.lower in lowers:
                yield netns.name, link.name
