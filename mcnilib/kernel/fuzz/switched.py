"""Worlds of bridges: macvlan children on one, a passthru child as a port of one, two legs of one host in one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mcnilib.kernel.fuzz.parts import FORWARDS, device, netns, segment, typed
from mcnilib.linux.device.link import Bridge, Far, Link, Macvlan, Veth
from mcnilib.linux.netns import Netns
from mcnilib.world.world import World

UNSEEN = "sysctl -w net.bridge.bridge-nf-call-iptables=0"


def bridged() -> World:
    """A node n with a bridge of two pods, and c on its LAN."""
    ports = (port(1, 4, "va", "a"), port(1, 5, "vb", "b"))
    n = netns("n", device(1, 2, "en0", "10.0.1.1/24"), device(1, 3, "br0", "10.0.7.1/24", Bridge()), *ports)
    made = World((n, pod("a", 2, 4), pod("b", 3, 5), _outside(4)), (segment("lan", "n/en0", "c/eth0"),))
    return _routed(made, "a", "b")


def stacked() -> World:
    """The bridge has the LAN as a port too, and macvlan children: c, and d that may talk to none of the others."""
    lan = replace(device(1, 2, "en0"), master="br0")
    n = netns("n", lan, device(1, 3, "br0", "10.0.7.1/24", Bridge()), port(1, 4, "va", "a"), port(1, 5, "vb", "b"))
    children = (
        netns("c", device(4, 2, "eth0", "10.0.7.4/24", Macvlan(Far("n", 3), "bridge"))),
        netns("d", device(5, 2, "eth0", "10.0.7.5/24", Macvlan(Far("n", 3), "private"))),
    )
    e = netns("e", device(6, 2, "eth0", "10.0.7.6/24"))
    made = World((n, pod("a", 2, 4), pod("b", 3, 5), *children, e), (segment("lan", "n/en0", "e/eth0"),))
    return typed(made, f"n: {FORWARDS}", f"n: {UNSEEN}")


def guests() -> World:
    """A guest b behind a bridge of m, whose way out is a macvlan in mode passthru on the NIC of n; a on the LAN."""
    n = netns("n", device(1, 2, "en0", "10.0.7.1/24"))
    way_out = replace(device(2, 3, "mv", "", Macvlan(Far("n", 2), "passthru")), mac=n.link("en0").mac, master="br0")
    m = netns("m", device(2, 2, "br0", "10.0.7.4/24", Bridge()), way_out, port(2, 4, "vb", "b"))
    b = netns("b", device(3, 2, "eth0", "10.0.7.3/24", Veth(Far("m", 4))))
    made = World((n, m, b, netns("a", device(4, 2, "eth0", "10.0.7.2/24"))), (segment("lan", "n/en0", "a/eth0"),))
    return typed(made, f"m: {UNSEEN}")


def two_ports() -> World:
    """Pod b has two legs in one bridge, in different networks; who asks for one may hear of the other."""
    ports = (port(1, 4, "va", "a"), port(1, 5, "vb", "b"), replace(port(1, 6, "vb2", "b"), kind=Veth(Far("b", 3))))
    n = netns("n", device(1, 2, "en0", "10.0.1.1/24"), device(1, 3, "br0", "10.0.7.1/24 10.0.8.1/24", Bridge()), *ports)
    second = device(3, 3, "eth1", "10.0.8.3/24", Veth(Far("n", 6)))
    b = netns("b", device(3, 2, "eth0", "10.0.7.3/24", Veth(Far("n", 5))), second)
    made = World((n, pod("a", 2, 4), b, _outside(4)), (segment("lan", "n/en0", "c/eth0"),))
    return typed(_routed(made, "a", "b"), "c: ip route add 10.0.8.0/24 via 10.0.1.1 dev eth0")


def port(number: int, index: int, name: str, guest: str) -> Link:
    """Return a port of br0, whose other end is the device 2 of a guest."""
    return replace(device(number, index, name, "", Veth(Far(guest, 2))), master="br0")


def pod(name: str, number: int, index: int) -> Netns:
    """Return a pod of n, whose device there has the given index."""
    return netns(name, device(number, 2, "eth0", f"10.0.7.{number}/24", Veth(Far("n", index))))


def _outside(number: int) -> Netns:
    return netns("c", device(number, 2, "eth0", "10.0.1.3/24"))


def _routed(made: World, *pods: str) -> World:
    routes: Iterable[str] = (f"{pod}: ip route add default via 10.0.7.1 dev eth0" for pod in pods)
    return typed(made, *routes, f"n: {FORWARDS}", f"n: {UNSEEN}", "c: ip route add 10.0.7.0/24 via 10.0.1.1 dev eth0")
