"""Worlds of devices that not every kernel has: the fuzzer draws them in the second kernel only.

They are declared by name, as those of `topologies` are, so that a case that was kept finds its world anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mcnilib.kernel.fuzz.parts import FORWARDS, netns, nic, segment, typed
from mcnilib.linux.device.base import LinkEnd
from mcnilib.linux.device.child.ipvlan import Ipvlan
from mcnilib.linux.device.child.vlan import Vlan
from mcnilib.linux.device.link import Link
from mcnilib.linux.device.nic import Dummy
from mcnilib.linux.netns import Netns
from mcnilib.world.world import World


def vlans() -> World:
    """Client a and server b on one cable, a in VLAN 7 and b in VLAN 8, and r that routes between the two."""
    made = World(
        (
            netns("a", nic(1, 2, "en0"), _tagged(1, 3, 7, "10.0.1.2/24")),
            netns("b", nic(2, 2, "en0"), _tagged(2, 3, 8, "10.0.2.2/24"), nic(2, 4, "d0", "10.0.2.22/32", Dummy())),
            netns("r", nic(3, 2, "en0"), _tagged(3, 3, 7, "10.0.1.1/24"), _tagged(3, 4, 8, "10.0.2.1/24")),
        ),
        (segment("lan", "a/en0", "b/en0", "r/en0"),),
    )
    routes = ("a: ip route add default via 10.0.1.1 dev en0.7", "b: ip route add default via 10.0.2.1 dev en0.8")
    return typed(made, *routes, f"r: {FORWARDS}")


def _tagged(number: int, index: int, tag: int, address: str) -> Link:
    end = LinkEnd("abr"[number - 1], 2)
    return replace(nic(number, index, f"en0.{tag}", address, Vlan(end, tag)), mac=nic(number, 2, "en0").mac)


def ipvlans() -> World:
    """Pods a and b of n with ipvlan children of its NIC, and c on the LAN, which forwards."""
    n, c = netns("n", nic(1, 2, "en0", "10.0.1.1/24")), netns("c", nic(4, 2, "eth0", "10.0.1.4/24"))
    pods = (_child("a", n, "10.0.1.2/24"), _child("b", n, "10.0.1.3/24"))
    return typed(World((n, *pods, c), (segment("lan", "n/en0", "c/eth0"),)), f"n: {FORWARDS}", f"c: {FORWARDS}")


def _child(name: str, node: Netns, address: str) -> Netns:
    lower = node.links[1]
    kind = Ipvlan(LinkEnd(node.name, lower.index), "l2", "bridge")
    return netns(name, replace(nic(2, 2, "eth0", address, kind), mac=lower.mac))


MORE_WORLDS: dict[str, Callable[[], World]] = {make.__name__: make for make in (vlans, ipvlans)}
"""The worlds by name."""
