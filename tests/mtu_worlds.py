"""Worlds in which something is too long for a device: for the model's tests and the kernel's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kernel_worlds import DROP_INVALID, FORWARDS, chains, tunnelled
from small_worlds import namespace, plug

from mcnilib.linux.device.vxlan import Vxlan
from mcnilib.linux.netns import add_routes
from mcnilib.linux.routing.route import parse_route
from mcnilib.world.world import World

NARROW = {"r.e2": 1300, "s.e1": 1300}
NO_ICMP = chains("filter", "OUTPUT -p icmp -j DROP")
SNAT = chains("nat", "POSTROUTING -o e2 -j MASQUERADE")
UNTRACKED_TCP = chains("raw", "PREROUTING -p tcp -j CT --notrack") + DROP_INVALID
CLAMP, SET_MSS = (
    chains("mangle", f"FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS {how}")
    for how in ("--clamp-mss-to-pmtu", "--set-mss 1200")
)


def between(rules: str = "", **more: str) -> World:
    """Client a, routers r and s, server b, each with its own network; `more` is state of one of them."""
    a = namespace("a", "eth0 10.0.1.2/24 veth r 2", "route default via 10.0.1.1 dev eth0\n" + more.get("a", ""))
    r = namespace(
        "r",
        "e1 10.0.1.1/24 veth a 2\ne2 10.0.2.1/24 veth s 2",
        FORWARDS + "route 10.0.3.0/24 via 10.0.2.2 dev e2\n" + more.get("r", ""),
        rules,
    )
    s = namespace(
        "s", "e1 10.0.2.2/24 veth r 3\ne2 10.0.3.1/24 veth b 2", FORWARDS + "route 10.0.1.0/24 via 10.0.2.1 dev e1\n"
    )
    b = namespace("b", "eth0 10.0.3.2/24 veth s 3", "route default via 10.0.3.1 dev eth0\n" + more.get("b", ""))
    return plug(a, r, s, b)


def with_mtu(world: World, mtus: Mapping[str, int]) -> World:
    """The world with other MTUs: NETNS.DEVICE to bytes."""
    for name, mtu in mtus.items():
        netns, device = name.split(".", 1)
        links = tuple(replace(x, mtu=mtu) if x.name == device else x for x in world[netns].links)
        world = world.put(world[netns].but(links=links))
    return world


def with_df(world: World, df: str | None) -> World:
    """The tunnel with another DF bit in its outer headers."""
    for netns in ("n", "m"):
        links = tuple(
            replace(x, kind=replace(x.kind, df=df)) if isinstance(x.kind, Vxlan) else x for x in world[netns].links
        )
        world = world.put(world[netns].but(links=links))
    return world


def poor_underlay(mtu: int = 1400) -> World:
    """The tunnel of 1450 bytes, of which the nodes know that the path between them takes less than 1500."""
    world = tunnelled()
    for netns, far in (("n", 2), ("m", 1)):
        world = world.put(add_routes(world[netns], parse_route(f"10.0.1.{far} dev en0 scope link mtu {mtu}")))
    return world
