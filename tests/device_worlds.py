"""Worlds of VLAN, IPVLAN, dummy devices and their like, and how conversations end there: for the model and the kernel."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import NamedTuple

from kernel_worlds import FORWARDS
from small_worlds import namespace, plug

from mcnilib.trace.flow import Flow, Listener
from mcnilib.world.world import World


class Case(NamedTuple):
    """A world, who asks whom by which protocol, and how it ends."""

    world: World
    ends: str  # CLIENT PROTOCOL ADDRESS SERVER
    verdict: str
    error: str = ""

    def talk(self, number: int) -> tuple[Flow, tuple[Listener, ...]]:
        """The conversation, with a port of its own."""
        client, proto, address, server = self.ends.split()
        sport, port = (0, 0) if proto == "icmp" else (10000 + number, 8080)
        flow = Flow(client, IPv4Address(address), proto, port, sport=sport, patience=1.5)
        return flow, (Listener(server, 8080), Listener(server, 8080, "udp", pinned=True))


def vlans(first: str = "7", second: str = "7", *, more: str = "") -> World:
    """n and m on a switch, each with a NIC that has an address, and a VLAN on it that has another."""
    n = namespace("n", f"en0 10.0.1.1/24\nen0.v 10.0.7.1/24 vlan n 2 {first}")
    m = namespace("m", f"en0 10.0.1.2/24\nen0.v 10.0.7.2/24 vlan m 2 {second}", more)
    return plug(n, m, lan="n.en0 m.en0")


def vlan_of_a_pod() -> World:
    """The VLAN of n stands in a pod a."""
    a = namespace("a", "eth0 10.0.7.1/24 vlan n 2 7")
    return plug(namespace("n", "en0 10.0.1.1/24"), a, vlans()["m"], lan="n.en0 m.en0")


def macvlan_on_a_vlan() -> World:
    """A pod a with a macvlan child of n's VLAN."""
    a = namespace("a", "eth0 10.0.7.3/24 macvlan n 3 bridge")
    return plug(vlans()["n"], vlans()["m"], a, lan="n.en0 m.en0")


def ipvlans(mode: str = "l2", forwarding: str = "bridge", *, reflects: bool = False, node: str = "") -> World:
    """Node n with pods a and p on its NIC, a machine m on the same switch, whose routes lead to n."""
    n = namespace("n", "en0 10.0.1.1/24", FORWARDS + node)
    m = namespace("m", "en0 10.0.1.2/24", "" if mode == "l2" else "route 10.0.2.0/24 via 10.0.1.1 dev en0")
    net, route = ("10.0.1.1{}/24", "") if mode == "l2" else ("10.0.2.1{}/24", "route default dev eth0")
    pods = (namespace(x, f"eth0 {net.format(i)} ipvlan n 2 {mode} {forwarding}", route) for i, x in enumerate("ap", 1))
    return plug(n, m, *pods, lan="n.en0 m.en0", reflects=reflects)


def dummy() -> World:
    """n, with an address on a dummy device that m has a route to, and one behind it that nobody has."""
    n = namespace("n", "en0 10.0.1.1/24\nd0 10.0.9.1/32 dummy", "route 10.0.8.0/24 dev d0")
    return plug(n, namespace("m", "en0 10.0.1.2/24", "route 10.0.9.1 via 10.0.1.1 dev en0"), lan="n.en0 m.en0")


LOST, ALIVE = "lost", "connected"
CASES = {
    "a VLAN": Case(vlans(), "n icmp 10.0.7.2 m", ALIVE),
    "a VLAN, TCP": Case(vlans(), "n tcp 10.0.7.2 m", ALIVE),
    "beside a VLAN": Case(vlans(), "n icmp 10.0.1.2 m", ALIVE),
    "two VLANs do not hear each other": Case(vlans(second="8"), "n icmp 10.0.7.2 m", LOST),
    "a VLAN of a pod": Case(vlan_of_a_pod(), "a tcp 10.0.7.2 m", ALIVE),
    "a macvlan child of a VLAN": Case(macvlan_on_a_vlan(), "a tcp 10.0.7.2 m", ALIVE),
    "a macvlan child and its VLAN": Case(macvlan_on_a_vlan(), "a icmp 10.0.7.1 n", LOST),
    "an ipvlan child and the LAN": Case(ipvlans(), "a tcp 10.0.1.2 m", ALIVE),
    "the LAN and an ipvlan child": Case(ipvlans(), "m tcp 10.0.1.11 a", ALIVE),
    "two ipvlan children": Case(ipvlans(), "a tcp 10.0.1.12 p", ALIVE),
    "two ipvlan children, private": Case(ipvlans(forwarding="private"), "a icmp 10.0.1.12 p", LOST),
    "two ipvlan children, vepa": Case(ipvlans(forwarding="vepa"), "a icmp 10.0.1.12 p", LOST),
    "two ipvlan children, vepa, a switch that reflects": Case(
        ipvlans(forwarding="vepa", reflects=True), "a icmp 10.0.1.12 p", ALIVE
    ),
    "an ipvlan child and its node": Case(ipvlans(), "a icmp 10.0.1.1 n", LOST),
    "a node and its ipvlan child": Case(ipvlans(), "n icmp 10.0.1.11 a", LOST),
    "a node and its ipvlan child, a switch that reflects": Case(ipvlans(reflects=True), "n icmp 10.0.1.11 a", ALIVE),
    "an address on a dummy": Case(dummy(), "m tcp 10.0.9.1 n", ALIVE),
    "what leaves by a dummy": Case(dummy(), "n icmp 10.0.8.1 m", LOST),
}
