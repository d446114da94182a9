"""The worlds the fuzzer begins with, before chance types its commands: small, and connected in more than one way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface

from mcnilib.kernel.fuzz.parts import FORWARDS, netns, nic, segment, typed
from mcnilib.linux.device.base import LinkEnd
from mcnilib.linux.device.bridge import Bridge
from mcnilib.linux.device.child.ipvlan import Ipvlan
from mcnilib.linux.device.child.vlan import Vlan
from mcnilib.linux.device.l3.kinds import Tun
from mcnilib.linux.device.link import Address, Link
from mcnilib.linux.device.macvlan import Macvlan
from mcnilib.linux.device.nic import Dummy
from mcnilib.linux.device.tunnel.vxlan import Vxlan
from mcnilib.linux.device.veth import Veth
from mcnilib.linux.netns import Netns
from mcnilib.world.world import World

_UNSEEN = "sysctl -w net.bridge.bridge-nf-call-iptables=0"


def bridged() -> World:
    """A node n with a bridge of two pods, and c on its LAN."""
    ports = (port(1, 4, "va", "a"), port(1, 5, "vb", "b"))
    n = netns("n", nic(1, 2, "en0", "10.0.1.1/24"), nic(1, 3, "br0", "10.0.7.1/24", Bridge()), *ports)
    made = World((n, pod("a", 2, 4), pod("b", 3, 5), _outside(4)), (segment("lan", "n/en0", "c/eth0"),))
    return _routed(made, "a", "b")


def stacked() -> World:
    """The bridge has the LAN as a port too, and macvlan children: c, and d that may talk to none of the others."""
    lan = replace(nic(1, 2, "en0"), master="br0")
    n = netns("n", lan, nic(1, 3, "br0", "10.0.7.1/24", Bridge()), port(1, 4, "va", "a"), port(1, 5, "vb", "b"))
    children = (
        netns("c", nic(4, 2, "eth0", "10.0.7.4/24", Macvlan(LinkEnd("n", 3), "bridge"))),
        netns("d", nic(5, 2, "eth0", "10.0.7.5/24", Macvlan(LinkEnd("n", 3), "private"))),
    )
    e = netns("e", nic(6, 2, "eth0", "10.0.7.6/24"))
    made = World((n, pod("a", 2, 4), pod("b", 3, 5), *children, e), (segment("lan", "n/en0", "e/eth0"),))
    return typed(made, f"n: {FORWARDS}", f"n: {_UNSEEN}")


def guests() -> World:
    """A guest b behind a bridge of m, whose way out is a macvlan in mode passthru on the NIC of n; a on the LAN."""
    n = netns("n", nic(1, 2, "en0", "10.0.7.1/24"))
    way_out = replace(nic(2, 3, "mv", "", Macvlan(LinkEnd("n", 2), "passthru")), mac=n.link("en0").mac, master="br0")
    m = netns("m", nic(2, 2, "br0", "10.0.7.4/24", Bridge()), way_out, port(2, 4, "vb", "b"))
    b = netns("b", nic(3, 2, "eth0", "10.0.7.3/24", Veth(LinkEnd("m", 4))))
    made = World((n, m, b, netns("a", nic(4, 2, "eth0", "10.0.7.2/24"))), (segment("lan", "n/en0", "a/eth0"),))
    return typed(made, f"m: {_UNSEEN}")


def two_ports() -> World:
    """Pod b has two legs in one bridge, in different networks; who asks for one may hear of the other."""
    ports = (port(1, 4, "va", "a"), port(1, 5, "vb", "b"), replace(port(1, 6, "vb2", "b"), kind=Veth(LinkEnd("b", 3))))
    n = netns("n", nic(1, 2, "en0", "10.0.1.1/24"), nic(1, 3, "br0", "10.0.7.1/24 10.0.8.1/24", Bridge()), *ports)
    second = nic(3, 3, "eth1", "10.0.8.3/24", Veth(LinkEnd("n", 6)))
    b = netns("b", nic(3, 2, "eth0", "10.0.7.3/24", Veth(LinkEnd("n", 5))), second)
    made = World((n, pod("a", 2, 4), b, _outside(4)), (segment("lan", "n/en0", "c/eth0"),))
    return typed(_routed(made, "a", "b"), "c: ip route add 10.0.8.0/24 via 10.0.1.1 dev eth0")


def port(number: int, index: int, name: str, guest: str) -> Link:
    """Return a port of br0, whose other end is the device 2 of a guest."""
    return replace(nic(number, index, name, "", Veth(LinkEnd(guest, 2))), master="br0")


def pod(name: str, number: int, index: int) -> Netns:
    """Return a pod of n, whose device there has the given index."""
    return netns(name, nic(number, 2, "eth0", f"10.0.7.{number}/24", Veth(LinkEnd("n", index))))


def _outside(number: int) -> Netns:
    return netns("c", nic(number, 2, "eth0", "10.0.1.3/24"))


def _routed(made: World, *pods: str) -> World:
    routes: Iterable[str] = (f"{pod}: ip route add default via 10.0.7.1 dev eth0" for pod in pods)
    return typed(made, *routes, f"n: {FORWARDS}", f"n: {_UNSEEN}", "c: ip route add 10.0.7.0/24 via 10.0.1.1 dev eth0")


def routers() -> World:
    """Client a and server b behind two routers, r and s: what goes by one may come back by the other."""
    made = World(
        (
            netns("a", nic(1, 2, "eth0", "10.0.1.2/24")),
            netns("b", nic(2, 2, "eth0", "10.0.2.2/24 10.0.2.22/24")),
            netns("r", nic(3, 2, "e1", "10.0.1.1/24"), nic(3, 3, "e2", "10.0.2.1/24")),
            netns("s", nic(4, 2, "e1", "10.0.1.254/24"), nic(4, 3, "e2", "10.0.2.254/24")),
        ),
        (segment("lan1", "a/eth0", "r/e1", "s/e1"), segment("lan2", "b/eth0", "r/e2", "s/e2")),
    )
    routes = ("a: ip route add default via 10.0.1.1 dev eth0", "b: ip route add default via 10.0.2.1 dev eth0")
    return typed(made, *routes, f"r: {FORWARDS}", f"s: {FORWARDS}")


def two_legs() -> World:
    """Server b has a leg in the client's network too, so its answers need not cross router r."""
    made = World(
        (
            netns("a", nic(1, 2, "eth0", "10.0.1.2/24")),
            netns("b", nic(2, 2, "eth0", "10.0.2.2/24"), nic(2, 3, "eth1", "10.0.1.3/24")),
            netns("r", nic(3, 2, "e1", "10.0.1.1/24"), nic(3, 3, "e2", "10.0.2.1/24")),
        ),
        (segment("lan1", "a/eth0", "r/e1", "b/eth1"), segment("lan2", "b/eth0", "r/e2")),
    )
    return typed(made, "a: ip route add 10.0.2.0/24 via 10.0.1.1 dev eth0", f"r: {FORWARDS}")


def pods() -> World:  # long because a world is one piece
    """Two nodes n and m: a Macvlan pod a with a second way to n, and pod b behind a veth of m."""
    made = World(
        (
            netns("n", nic(1, 2, "en0", "10.0.1.1/24"), nic(1, 3, "va", "", Veth(LinkEnd("a", 3)))),
            netns("m", nic(2, 2, "en0", "10.0.1.2/24"), nic(2, 3, "vb", "", Veth(LinkEnd("b", 2)))),
            netns(
                "a",
                nic(3, 2, "eth0", "10.0.1.11/24", Macvlan(LinkEnd("n", 2), "bridge")),
                nic(3, 3, "veth0", "", Veth(LinkEnd("n", 3))),
            ),
            netns("b", nic(4, 2, "eth0", "10.9.2.5/32", Veth(LinkEnd("m", 3)))),
        ),
        (segment("lan", "n/en0", "m/en0"),),
    )
    return typed(
        made,
        *(f"n: {FORWARDS}", f"m: {FORWARDS}", "m: sysctl -w net.ipv4.conf.vb.proxy_arp=1"),
        "n: ip route add 10.9.2.0/26 via 10.0.1.2 dev en0",
        "n: ip route add 10.0.1.11 dev va table 500",
        "n: ip rule add from all lookup 500 priority 1000",
        "m: ip route add 10.9.2.5 dev vb",
        "m: ip route add default via 10.0.1.1 dev en0",  # proxy ARP answers for what is reached elsewhere
        "a: ip route add 10.0.1.1 dev veth0",
        "a: ip route add 10.9.2.0/26 via 10.0.1.1 dev veth0",
        "b: ip route add 169.254.1.1 dev eth0",
        "b: ip route add default via 169.254.1.1 dev eth0 onlink",
    )


def tunnelled() -> World:
    """Two nodes n and m with a VXLAN between them, and a pod of each."""
    nodes = (_tunnel_end(name, pod, number) for name, pod, number in (("n", "a", 1), ("m", "b", 2)))
    ends = (
        netns(pod, nic(number + 2, 2, "eth0", f"10.9.{number}.5/32", Veth(LinkEnd(node, 4))))
        for node, pod, number in (("n", "a", 1), ("m", "b", 2))
    )
    made = World((*nodes, *ends), (segment("lan", "n/en0", "m/en0"),))
    for node, pod, number in (("n", "a", 1), ("m", "b", 2)):
        made = typed(made, *_tunnel_lines(node, pod, number))
    return made


def _tunnel_end(name: str, pod: str, number: int) -> Netns:
    far, own = 3 - number, IPv4Address(f"10.0.1.{number}")
    kind = Vxlan(4096, own, "en0", 4789, ((f"66:00:00:00:00:0{far}", IPv4Address(f"10.0.1.{far}")),))
    address = (Address(IPv4Interface(f"10.9.{number}.0/32")),)
    tunnel = Link(3, "vxlan.0", kind, f"66:00:00:00:00:0{number}", address, mtu=1450)
    pipe = nic(number, 4, "cali0", "", Veth(LinkEnd(pod, 2)))
    return netns(name, nic(number, 2, "en0", f"{own}/24"), tunnel, pipe)


def _tunnel_lines(node: str, pod: str, number: int) -> tuple[str, ...]:
    far = 3 - number
    return (
        f"{node}: {FORWARDS}",
        f"{node}: sysctl -w net.ipv4.conf.cali0.proxy_arp=1",
        f"{node}: ip route add 10.9.{far}.0/26 via 10.9.{far}.0 dev vxlan.0 onlink",
        f"{node}: ip route add 10.9.{number}.5 dev cali0",
        f"{node}: ip route add default via 10.0.1.{far} dev en0",
        f"{node}: ip neigh add 10.9.{far}.0 lladdr 66:00:00:00:00:0{far} dev vxlan.0",
        f"{pod}: ip route add 169.254.1.1 dev eth0",
        f"{pod}: ip route add default via 169.254.1.1 dev eth0 onlink",
    )


def vpn() -> World:
    """Two nodes n and m whose tun devices a program connects, and a pod of each behind them."""
    nodes = (_tun_end(name, pod, number) for name, pod, number in (("n", "a", 1), ("m", "b", 2)))
    ends = (
        netns(pod, nic(number + 2, 2, "eth0", f"10.9.{number}.5/32", Veth(LinkEnd(node, 4))))
        for node, pod, number in (("n", "a", 1), ("m", "b", 2))
    )
    made = World((*nodes, *ends), (segment("lan", "n/en0", "m/en0"), segment("vpn", "n/tun0", "m/tun0")))
    for node, pod, number in (("n", "a", 1), ("m", "b", 2)):
        far = 3 - number
        made = typed(
            made,
            f"{node}: {FORWARDS}",
            f"{node}: sysctl -w net.ipv4.conf.cali0.proxy_arp=1",
            f"{node}: ip route add 10.9.{far}.0/24 dev tun0",
            f"{node}: ip route add 10.9.{number}.5 dev cali0",
            f"{pod}: ip route add 169.254.1.1 dev eth0",
            f"{pod}: ip route add default via 169.254.1.1 dev eth0 onlink",
        )
    return made


def _tun_end(name: str, pod: str, number: int) -> Netns:
    device = Link(3, "tun0", Tun(), addresses=(Address(IPv4Interface(f"10.9.{number}.0/32")),))
    pipe = nic(number, 4, "cali0", "", Veth(LinkEnd(pod, 2)))
    return netns(name, nic(number, 2, "en0", f"10.0.1.{number}/24"), device, pipe)


WORLDS: dict[str, Callable[[], World]] = {
    make.__name__: make for make in (routers, two_legs, pods, bridged, stacked, guests, two_ports, tunnelled, vpn)
}
"""The worlds by name, as a case's first line has it."""


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
