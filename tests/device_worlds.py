"""Worlds of VLAN, IPVLAN, dummy devices and their like, and how conversations end there: for the model and the kernel."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from typing import NamedTuple

from kernel_worlds import FORWARDS, chains, made
from small_worlds import device, mac, namespace, plug

from mcnilib.linux.device.base import NO_MAC
from mcnilib.linux.device.tunnel.ipip import Gre
from mcnilib.linux.netns import add_neigh
from mcnilib.linux.routing.neigh import parse_neigh
from mcnilib.trace.flow import Flow, Listener
from mcnilib.world.world import World


class Case(NamedTuple):
    """A world, who asks whom by which protocol, and how it ends."""

    world: World
    ends: str  # CLIENT PROTOCOL ADDRESS SERVER
    verdict: str
    error: str = ""
    dev: str = ""  # what the server is bound to
    observed: str = ""  # the verdict by what is seen from outside, which sees neither a tunnel refuse a packet nor who got one by a VRF

    def talk(self, number: int) -> tuple[Flow, tuple[Listener, ...]]:
        """The conversation, with a port of its own."""
        client, proto, address, server = self.ends.split()
        sport, port = (0, 0) if proto == "icmp" else (10000 + number, 8080)
        flow = Flow(client, IPv4Address(address), proto, port, sport=sport, patience=1.5)
        return flow, (Listener(server, 8080, dev=self.dev), Listener(server, 8080, "udp", pinned=True, dev=self.dev))


def vlans(first: str = "7", second: str = "7", *, more: str = "", told: str = "") -> World:
    """n and m on a switch, each with a NIC that has an address, and a VLAN on it that has another."""
    n = namespace("n", f"en0 10.0.1.1/24\nen0.v 10.0.7.1/24 vlan n 2 {first}", told)
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


ROUTE = "route 10.0.2.0/24 via 10.0.1.1 dev en0"
MASQUERADE = chains("nat", "POSTROUTING -s 10.0.2.0/24 -o en0 -j MASQUERADE")


def ipvlans(
    mode: str = "l2",
    forwarding: str = "bridge",
    *,
    reflects: bool = False,
    rules: str = "",
    back: str = ROUTE,
    more: str = "",
) -> World:
    """Node n with pods a and p on its NIC, a machine m on the same switch, whose routes lead to n."""
    n = namespace("n", "en0 10.0.1.1/24", FORWARDS + more, rules)
    m = namespace("m", "en0 10.0.1.2/24", FORWARDS + ("" if mode == "l2" else back))
    net, route = ("10.0.1.1{}/24", "") if mode == "l2" else ("10.0.2.1{}/24", "route default dev eth0")
    pods = (namespace(x, f"eth0 {net.format(i)} ipvlan n 2 {mode} {forwarding}", route) for i, x in enumerate("ap", 1))
    return plug(n, m, *pods, lan="n.en0 m.en0", reflects=reflects)


def bonds(mode: str = "active-backup", active: str = "en1", *, apart: bool = False) -> World:
    """n with a bond of two NICs and a VLAN on it, m a machine on the switch, with the same VLAN; `apart`: on two."""
    n = namespace(
        "n",
        f"en0 master bond0\nen1 master bond0\nbond0 10.0.1.1/24 bond {mode} {active}\nbond0.7 10.0.7.1/24 vlan n 4 7",
    )
    n = n.but(links=tuple(replace(x, mac=n.link("bond0").mac) if x.name == "bond0.7" else x for x in n.links))
    m = namespace("m", "en0 10.0.1.2/24\nen0.7 10.0.7.2/24 vlan m 2 7")
    if apart:
        return plug(n, m, lan="n.en0", other="n.en1 m.en0")
    return plug(n, m, lan="n.en0 n.en1 m.en0")


def gre(there: Gre, back: Gre) -> World:
    """Routers n and m on a switch with a GRE device each, and addresses behind them."""
    one, other = (
        made(
            name,
            device(name, 2, "en0", f"10.0.1.{number}/24"),
            replace(device(name, 3, "g", f"10.9.{number}.1/32", kind), mac=NO_MAC, mtu=1472),
            state=f"route 10.9.{3 - number}.0/24 dev g",
        )
        for number, (name, kind) in enumerate((("n", there), ("m", back)), 1)
    )
    return plug(one, other, lan="n.en0 m.en0")


N, M, KEY, OTHER_KEY = (IPv4Address(x) for x in ("10.0.1.1", "10.0.1.2", "0.0.0.5", "0.0.0.6"))


L3MDEV = "rule 1000: from all lookup [l3mdev-table]\n"


def vrfs(state: str = "", rules: str = "", *, mgmt: str = "") -> World:
    """Router n with clients a and b in a VRF, table 10, and c in none; a and c have the same network."""
    n = namespace(
        "n",
        "red vrf 10\ne1 10.0.1.1/24 veth a 2 master red\ne2 10.0.2.1/24 veth b 2 master red\ne3 10.0.3.1/24 veth c 2",
        FORWARDS + L3MDEV + state,
        rules,
    )
    return plug(
        n,
        namespace("a", "eth0 10.0.1.2/24 veth n 3", "route default via 10.0.1.1 dev eth0"),
        namespace("b", "eth0 10.0.2.2/24 veth n 4", "route default via 10.0.2.1 dev eth0"),
        namespace("c", "eth0 10.0.3.2/24 veth n 5", "route default via 10.0.3.1 dev eth0"),
    )


def four_nics() -> World:
    """Pod a of n with a pair, a macvlan and an ipvlan child and a VLAN, and m, which is in each of these networks."""
    n = namespace(
        "n",
        "en0 10.0.1.1/24\nen1\ncali veth a 2",
        FORWARDS + "route 10.9.0.1 dev cali scope link\nsysctl net.ipv4.conf.cali.proxy_arp 1",
    )
    a = namespace(
        "a",
        "eth0 10.9.0.1/32 veth n 4\nnet1 10.0.1.11/24 macvlan n 2 bridge\nnet2 10.0.2.11/24 ipvlan n 3 l2 bridge\n"
        "net3 10.0.7.11/24 vlan n 3 7",
        "route 169.254.1.1 dev eth0 scope link\nroute default via 169.254.1.1 dev eth0",
    )
    m = namespace("m", "en0 10.0.1.2/24\nen1 10.0.2.2/24\nen1.7 10.0.7.2/24 vlan m 3 7")
    return plug(n, a, m, lan="n.en0 m.en0", two="n.en1 m.en1")


def dummy() -> World:
    """n, with an address on a dummy device that m has a route to, and one behind it that nobody has."""
    n = namespace("n", "en0 10.0.1.1/24\nd0 10.0.9.1/32 dummy", "route 10.0.8.0/24 dev d0")
    return plug(n, namespace("m", "en0 10.0.1.2/24", "route 10.0.9.1 via 10.0.1.1 dev en0"), lan="n.en0 m.en0")


def knowing(world: World, netns: str, neighbour: str) -> World:
    """The world in which a namespace has an entry of a neighbour."""
    return world.put(add_neigh(world[netns], parse_neigh(neighbour)))


LOST, ALIVE, ONE_WAY, HANGS = "lost", "connected", "delivered one way only", "connect times out"
CASES = {
    "a VLAN": Case(vlans(), "n icmp 10.0.7.2 m", ALIVE),
    "a VLAN, TCP": Case(vlans(), "n tcp 10.0.7.2 m", ALIVE),
    "beside a VLAN": Case(vlans(), "n icmp 10.0.1.2 m", ALIVE),
    "two VLANs do not hear each other": Case(vlans(second="8"), "n icmp 10.0.7.2 m", LOST),
    "two VLANs do not hear each other, whoever knows the MAC": Case(
        vlans(second="8", told=f"neigh 10.0.7.2 dev en0.v lladdr {mac('m', 2)} PERMANENT"), "n icmp 10.0.7.2 m", LOST
    ),
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
    "an ipvlan child and its node, whose MAC it knows": Case(
        knowing(ipvlans(), "a", f"10.0.1.1 dev eth0 lladdr {mac('n', 2)} PERMANENT"), "a icmp 10.0.1.1 n", ONE_WAY
    ),
    "a node and its ipvlan child": Case(ipvlans(), "n icmp 10.0.1.11 a", LOST),
    "a node and its ipvlan child, a switch that reflects": Case(ipvlans(reflects=True), "n icmp 10.0.1.11 a", ALIVE),
    "l3, out to the LAN": Case(ipvlans("l3"), "a tcp 10.0.1.2 m", ALIVE),
    "l3, in from the LAN": Case(ipvlans("l3"), "m tcp 10.0.2.11 a", ALIVE),
    "l3, two children": Case(ipvlans("l3"), "a tcp 10.0.2.12 p", ALIVE),
    "l3, two children, private": Case(ipvlans("l3", "private"), "a icmp 10.0.2.12 p", LOST, "ENOBUFS"),
    "l3, two children, vepa, by a router": Case(
        ipvlans("l3", "vepa", more=ROUTE.replace(".1.1", ".1.2")), "a icmp 10.0.2.12 p", ALIVE
    ),
    "l3, a child and its node": Case(ipvlans("l3"), "a icmp 10.0.1.1 n", ONE_WAY),
    "l3, a node and its child": Case(ipvlans("l3"), "n icmp 10.0.2.11 a", "unreachable", "ENETUNREACH"),
    "l3 passes the node's OUTPUT": Case(
        ipvlans("l3", rules=chains("filter", "OUTPUT -s 10.0.2.11 -j DROP")), "a icmp 10.0.1.2 m", LOST, "ENOBUFS"
    ),
    "l3 passes the node's OUTPUT, UDP": Case(
        ipvlans("l3", rules=chains("filter", "OUTPUT -s 10.0.2.11 -j DROP")), "a udp 10.0.1.2 m", LOST
    ),
    "l3 passes the node's OUTPUT, TCP": Case(
        ipvlans("l3", rules=chains("filter", "OUTPUT -s 10.0.2.11 -j DROP")), "a tcp 10.0.1.2 m", HANGS, "ETIMEDOUT"
    ),
    "l3 passes the node's POSTROUTING": Case(
        ipvlans("l3", rules=chains("mangle", "POSTROUTING -s 10.0.2.11 -j DROP")), "a icmp 10.0.1.2 m", LOST, "ENOBUFS"
    ),
    "l3 passes the node's OUTPUT, but not its INPUT and FORWARD": Case(
        ipvlans("l3", rules=chains("filter", "INPUT -j DROP", "FORWARD -j DROP")), "m tcp 10.0.2.11 a", ALIVE
    ),
    "l3, masqueraded by the node": Case(ipvlans("l3", rules=MASQUERADE, back=""), "a icmp 10.0.1.2 m", ONE_WAY),
    "l3s, masqueraded by the node": Case(ipvlans("l3s", rules=MASQUERADE, back=""), "a tcp 10.0.1.2 m", ALIVE),
    "l3s, out to the LAN": Case(ipvlans("l3s"), "a tcp 10.0.1.2 m", ALIVE),
    "l3s, in from the LAN": Case(ipvlans("l3s"), "m tcp 10.0.2.11 a", ALIVE),
    "l3s, two children": Case(ipvlans("l3s"), "a tcp 10.0.2.12 p", ALIVE),
    "l3s passes the node's INPUT": Case(
        ipvlans("l3s", rules=chains("filter", "INPUT -i en0 -d 10.0.2.11 -j DROP")),
        "m tcp 10.0.2.11 a",
        HANGS,
        "ETIMEDOUT",
    ),
    "l3s does not pass the node's FORWARD": Case(
        ipvlans("l3s", rules=chains("filter", "FORWARD -j DROP")), "m tcp 10.0.2.11 a", ALIVE
    ),
    "l3s with DNAT on the node": Case(
        ipvlans("l3s", rules=chains("nat", "PREROUTING -d 10.0.1.1 -p tcp -j DNAT --to-destination 10.0.2.11")),
        "m tcp 10.0.1.1 a",
        ALIVE,
    ),
    "a bond": Case(bonds(), "n tcp 10.0.1.2 m", ALIVE),
    "to a bond": Case(bonds(), "m tcp 10.0.1.1 n", ALIVE),
    "a VLAN on a bond": Case(bonds(), "m tcp 10.0.7.1 n", ALIVE),
    "a bond whose active NIC is on the switch": Case(bonds(apart=True), "n tcp 10.0.1.2 m", ALIVE),
    "a bond whose active NIC is on another switch": Case(bonds(active="en0", apart=True), "n icmp 10.0.1.2 m", LOST),
    "within a VRF": Case(vrfs(), "a tcp 10.0.2.2 b", ALIVE),
    "out of a VRF": Case(vrfs(), "a icmp 10.0.3.2 c", ONE_WAY),
    "into a VRF": Case(vrfs(), "c icmp 10.0.1.2 a", "unreachable", "ENETUNREACH"),
    "a VRF has a route that leads out": Case(vrfs("route 10.0.3.0/24 dev e3 table 10"), "a icmp 10.0.3.2 c", ONE_WAY),
    "ping to an address of a VRF": Case(vrfs(), "a icmp 10.0.1.1 n", ALIVE),
    "a server bound to nothing": Case(vrfs(), "a tcp 10.0.1.1 n", "connection refused", "ECONNREFUSED"),
    "a server bound to nothing, UDP": Case(vrfs(), "a udp 10.0.1.1 n", "connection refused", "ECONNREFUSED"),
    "a server bound to nothing, tcp_l3mdev_accept": Case(
        vrfs("sysctl net.ipv4.tcp_l3mdev_accept 1"), "a tcp 10.0.1.1 n", ALIVE
    ),
    "a server bound to the VRF": Case(vrfs(), "a tcp 10.0.1.1 n", ALIVE, dev="red"),
    "a server bound to the VRF, UDP": Case(vrfs(), "a udp 10.0.1.1 n", ALIVE, dev="red"),
    "a server bound to a device of the VRF": Case(vrfs(), "a tcp 10.0.1.1 n", ALIVE, dev="e1"),
    "a server bound to another device of the VRF": Case(
        vrfs(), "a tcp 10.0.1.1 n", "connection refused", "ECONNREFUSED", dev="e2"
    ),
    "a server bound to the VRF, asked from elsewhere": Case(
        vrfs(), "c tcp 10.0.3.1 n", "connection refused", "ECONNREFUSED", dev="red"
    ),
    "a server bound to nothing, asked from elsewhere": Case(vrfs(), "c tcp 10.0.3.1 n", ALIVE),
    "a server bound to nothing, tcp_l3mdev_accept, INVALID is dropped": Case(
        vrfs("sysctl net.ipv4.tcp_l3mdev_accept 1", chains("filter", "OUTPUT -m conntrack --ctstate INVALID -j DROP")),
        "a tcp 10.0.1.1 n",
        ALIVE,
    ),
    "a server bound to nothing, udp_l3mdev_accept: it answers by the main table": Case(
        vrfs("sysctl net.ipv4.udp_l3mdev_accept 1"), "a udp 10.0.1.1 n", ONE_WAY
    ),
    "FORWARD sees the VRF as the device of entry": Case(
        vrfs(rules=chains("filter", "FORWARD -i red -o e2 -j DROP")), "a icmp 10.0.2.2 b", LOST
    ),
    "FORWARD does not see the device itself": Case(
        vrfs(rules=chains("filter", "FORWARD -i e1 -j DROP")), "a icmp 10.0.2.2 b", ALIVE
    ),
    "INPUT sees the VRF": Case(vrfs(rules=chains("filter", "INPUT -i red -j DROP")), "a icmp 10.0.1.1 n", LOST),
    "PREROUTING sees the device": Case(
        vrfs(rules=chains("raw", "PREROUTING -i e1 -j DROP")), "a icmp 10.0.2.2 b", LOST
    ),
    "PREROUTING sees the VRF": Case(vrfs(rules=chains("raw", "PREROUTING -i red -j DROP")), "a icmp 10.0.2.2 b", LOST),
    "OUTPUT sees the VRF": Case(
        vrfs(rules=chains("filter", "OUTPUT -o red -j DROP")), "a icmp 10.0.1.1 n", ONE_WAY, observed=LOST
    ),
    "OUTPUT sees the device": Case(
        vrfs(rules=chains("filter", "OUTPUT -o e1 -j DROP")), "a icmp 10.0.1.1 n", ONE_WAY, observed=LOST
    ),
    "a VRF with connection tracking": Case(
        vrfs(
            rules=chains(
                "filter",
                "OUTPUT -m conntrack --ctstate INVALID -j DROP",
                "FORWARD -m conntrack --ctstate INVALID -j DROP",
            )
        ),
        "a tcp 10.0.2.2 b",
        ALIVE,
    ),
    "a VRF with masquerading": Case(
        vrfs(rules=chains("nat", "POSTROUTING -o e2 -j MASQUERADE")), "a tcp 10.0.2.2 b", ALIVE
    ),
    "a VRF with DNAT": Case(
        vrfs(rules=chains("nat", "PREROUTING -i e1 -p tcp -d 10.0.1.1 -j DNAT --to-destination 10.0.2.2")),
        "a tcp 10.0.1.1 b",
        ALIVE,
    ),
    "a VRF with DNAT by its name": Case(
        vrfs(rules=chains("nat", "PREROUTING -i red -p tcp -d 10.0.1.1 -j DNAT --to-destination 10.0.2.2")),
        "a tcp 10.0.1.1 b",
        "connection refused",
        "ECONNREFUSED",
    ),
    "a VRF with a strict reverse path filter": Case(
        vrfs("sysctl net.ipv4.conf.all.rp_filter 1"), "a tcp 10.0.2.2 b", ALIVE
    ),
    "a pod's second NIC, a macvlan child": Case(four_nics(), "a tcp 10.0.1.2 m", ALIVE),
    "a pod's third NIC, an ipvlan child": Case(four_nics(), "a tcp 10.0.2.2 m", ALIVE),
    "a pod's fourth NIC, a VLAN": Case(four_nics(), "m tcp 10.0.7.11 a", ALIVE),
    "GRE": Case(gre(Gre(N, M), Gre(M, N)), "n tcp 10.9.2.1 m", ALIVE),
    "GRE with a key": Case(
        gre(Gre(N, M, ikey=KEY, okey=KEY), Gre(M, N, ikey=KEY, okey=KEY)), "n tcp 10.9.2.1 m", ALIVE
    ),
    "GRE with a key for each direction": Case(
        gre(Gre(N, M, ikey=KEY, okey=OTHER_KEY), Gre(M, N, ikey=OTHER_KEY, okey=KEY)), "n icmp 10.9.2.1 m", ALIVE
    ),
    "GRE with another key": Case(
        gre(Gre(N, M, ikey=KEY, okey=KEY), Gre(M, N, ikey=OTHER_KEY, okey=OTHER_KEY)),
        "n icmp 10.9.2.1 m",
        LOST,
        observed=ONE_WAY,
    ),
    "GRE, only one with a key": Case(
        gre(Gre(N, M, ikey=KEY, okey=KEY), Gre(M, N)), "n icmp 10.9.2.1 m", LOST, observed=ONE_WAY
    ),
    "GRE, whose far end has no fixed remote": Case(gre(Gre(N, M), Gre(M)), "n icmp 10.9.2.1 m", ONE_WAY),
    "an address on a dummy": Case(dummy(), "m tcp 10.0.9.1 n", ALIVE),
    "what leaves by a dummy": Case(dummy(), "n icmp 10.0.8.1 m", LOST),
}
