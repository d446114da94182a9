"""Worlds in which something is too long for a device, and how conversations end there: for the model and the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address
from typing import NamedTuple

from kernel_worlds import DROP_INVALID, FORWARDS, bridged, chains, ipip_tunnels, macvlans, tunnelled
from small_worlds import namespace, plug

from mcnilib.linux.device.tunnel.vxlan import Vxlan
from mcnilib.linux.netfilter.nftables.text.ruleset import read_ruleset
from mcnilib.linux.netns import add_routes
from mcnilib.linux.routing.route import parse_route
from mcnilib.trace.flow import Flow, Listener
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


def natively(rule: str) -> World:
    """The routers and their hosts; r sends no ICMP, and has a native rule in its forward chain."""
    chain = f"chain f {{\n type filter hook forward priority mangle; policy accept;\n {rule}\n}}\n"
    world = between(NO_ICMP)
    return world.put(world["r"].with_ip4(nft=read_ruleset(f"table inet m {{\n{chain}}}\n")))


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


class Case(NamedTuple):
    """A world, who asks whom, how much both send, and how it ends."""

    world: World
    verdict: str
    proto: str = "tcp"
    size: int = 20000
    ends: tuple[str, str, str] = ("a", "b", "10.0.3.2")
    error: str = ""
    answer: int = 0
    patience: float = 1.5

    def talk(self, number: int) -> tuple[Flow, tuple[Listener, ...]]:
        """The conversation, with a port of its own."""
        client, server, address = self.ends
        sport = 0 if self.proto == "icmp" else 10000 + number
        port = 0 if self.proto == "icmp" else 8080
        flow = Flow(
            client, IPv4Address(address), self.proto, port, sport=sport, patience=self.patience,
            request=self.size, answer=self.answer or self.size,
        )  # fmt: skip
        listeners = (Listener(server, 8080), Listener(server, 8080, "udp", pinned=True))
        return flow, listeners


PODS = ("a", "b", "10.9.2.5")


HANGS = "connect succeeds, then hangs"
ONE_WAY, LOST = "delivered one way only", "lost"
CASES = {
    "all alike": Case(between(), "connected"),
    "a narrow link, and the sender hears of it": Case(with_mtu(between(), NARROW), "connected"),
    "a narrow link, one full segment": Case(with_mtu(between(), NARROW), "connected", size=1400),
    "a narrow link, small packets": Case(with_mtu(between(NO_ICMP), NARROW), "connected", size=1000),
    "a narrow link, the router's ICMP is dropped": Case(with_mtu(between(NO_ICMP), NARROW), HANGS, error="ETIMEDOUT"),
    "the client's route knows": Case(
        with_mtu(between(NO_ICMP, a="route 10.0.3.0/24 via 10.0.1.1 dev eth0 mtu 1300"), NARROW), "connected"
    ),
    "the client's route locks its MTU": Case(
        with_mtu(between(NO_ICMP, a="route 10.0.3.0/24 via 10.0.1.1 dev eth0 mtu lock 1400"), NARROW), "connected"
    ),
    "the client does not discover the path MTU": Case(
        with_mtu(between(NO_ICMP, a="sysctl net.ipv4.ip_no_pmtu_disc 1"), NARROW), "connected"
    ),
    "both announce a small MSS": Case(
        with_mtu(
            between(
                NO_ICMP,
                a="route 10.0.3.0/24 via 10.0.1.1 dev eth0 advmss 1200",
                b="route 10.0.1.0/24 via 10.0.3.1 dev eth0 advmss 1200",
            ),
            NARROW,
        ),
        "connected",
    ),
    "the client tries smaller segments after a while": Case(
        with_mtu(between(NO_ICMP, a="sysctl net.ipv4.tcp_mtu_probing 1"), NARROW), "connected", answer=10, patience=8
    ),
    "the client begins with smaller segments": Case(
        with_mtu(between(NO_ICMP, a="sysctl net.ipv4.tcp_mtu_probing 2"), NARROW), "connected", answer=10
    ),
    "nft clamps the MSS": Case(
        with_mtu(natively("tcp flags syn / syn,rst tcp option maxseg size set rt mtu"), NARROW), "connected"
    ),
    "nft sets the MSS": Case(with_mtu(natively("tcp option maxseg size set 1200"), NARROW), "connected"),
    "nft sets a larger MSS": Case(
        with_mtu(natively("tcp option maxseg size set 1400"), NARROW), HANGS, error="ETIMEDOUT"
    ),
    "the router clamps the MSS": Case(with_mtu(between(CLAMP + NO_ICMP), NARROW), "connected"),
    "the router sets the MSS": Case(with_mtu(between(SET_MSS + NO_ICMP), NARROW), "connected"),
    "the router sets an MSS that is too large": Case(
        with_mtu(between(SET_MSS.replace("1200", "1300") + NO_ICMP), NARROW), HANGS, error="ETIMEDOUT"
    ),
    "a long datagram is cut by its sender": Case(between(), "connected", "udp", 4000),
    "a datagram with DF is refused": Case(with_mtu(between(), NARROW), LOST, "udp", 1400, error="EMSGSIZE"),
    "a datagram with DF is refused in silence": Case(with_mtu(between(NO_ICMP), NARROW), LOST, "udp", 1400),
    "a long datagram is cut again": Case(with_mtu(between(NO_ICMP), NARROW), "connected", "udp", 4000),
    "a ping with DF is refused": Case(with_mtu(between(), NARROW), LOST, "icmp", 1400, error="EMSGSIZE"),
    "a long ping is cut": Case(with_mtu(between(), NARROW), "connected", "icmp", 4000),
    "the veth's far end takes less, a datagram": Case(with_mtu(between(), {"r.e1": 1300}), LOST, "udp", 1400),
    "the veth's far end takes four bytes less": Case(
        with_mtu(between(), {"r.e1": 1424}), "connected", "udp", 1400, answer=10
    ),
    "the veth's far end takes five bytes less": Case(with_mtu(between(), {"r.e1": 1423}), LOST, "udp", 1400, answer=10),
    "the veth's far end takes less, one segment": Case(
        with_mtu(between(), {"r.e1": 1300}), HANGS, size=1400, error="ETIMEDOUT"
    ),
    "a port of a bridge takes less": Case(
        with_mtu(bridged(), {"n.vb": 1300}), LOST, "udp", 1400, ("a", "b", "10.0.7.3"), answer=10
    ),
    "the way back through the bridge": Case(
        with_mtu(bridged(), {"n.vb": 1300}), ONE_WAY, "udp", 10, ("a", "b", "10.0.7.3"), answer=1400
    ),
    "the ICMP error is INVALID where it passes": Case(
        with_mtu(between(UNTRACKED_TCP), {"s.e2": 1300}), HANGS, answer=10, error="ETIMEDOUT"
    ),
    "the ICMP error passes conntrack as RELATED": Case(
        with_mtu(between(DROP_INVALID), {"s.e2": 1300}), "connected", answer=10
    ),
    "the ICMP error is undone by NAT": Case(with_mtu(between(SNAT), NARROW), "connected"),
    "NAT, and the next router says it": Case(with_mtu(between(SNAT), {"s.e2": 1300}), "connected", answer=10),
    "macvlan": Case(macvlans(), "connected", ends=("a", "b", "10.0.1.13")),
    "VXLAN as it should be": Case(tunnelled(), "connected", ends=PODS),
    "VXLAN takes more than the underlay": Case(poor_underlay(), "connected", ends=PODS),
    "VXLAN takes more, with DF outside": Case(with_df(poor_underlay(), "set"), HANGS, ends=PODS, error="ETIMEDOUT"),
    "VXLAN takes more, with DF outside, and the node itself sends": Case(
        with_df(poor_underlay(), "set"), "connected", ends=("n", "b", "10.9.2.5"), answer=10
    ),
    "VXLAN takes more, with DF of the inside": Case(
        with_df(poor_underlay(), "inherit"), HANGS, ends=PODS, error="ETIMEDOUT"
    ),
    "VXLAN with DF outside, long datagrams that fit it in fragments": Case(
        with_df(tunnelled(), "set"), "connected", "udp", 4000, ends=PODS
    ),
    "VXLAN, long datagrams": Case(poor_underlay(), "connected", "udp", 4000, ends=PODS),
}

OVER_IPIP = ("a", "b", "10.9.2.1")
KNOWS_1400 = "route 10.0.1.2 dev en0 scope link mtu 1400"
IPIP_CASES = {
    "IPIP as it should be": Case(ipip_tunnels(), "connected", ends=OVER_IPIP),
    "IPIP, the sender knows that the path takes less": Case(
        ipip_tunnels(KNOWS_1400), "connected", ends=OVER_IPIP, answer=10
    ),
    "IPIP, a datagram with DF that the path does not take": Case(
        ipip_tunnels(KNOWS_1400), LOST, "udp", 1400, ends=OVER_IPIP, error="EMSGSIZE"
    ),
    "IPIP, a datagram that fits": Case(ipip_tunnels(KNOWS_1400), "connected", "udp", 1300, ends=OVER_IPIP, answer=10),
    "IPIP, a ping that the path does not take": Case(
        ipip_tunnels(KNOWS_1400), LOST, "icmp", 1400, ends=OVER_IPIP, error="EMSGSIZE"
    ),
    "IPIP takes less than it could": Case(
        with_mtu(ipip_tunnels(), {"a.t": 1300, "b.t": 1300}), "connected", ends=OVER_IPIP
    ),
    "IPIP takes more than the underlay": Case(
        with_mtu(ipip_tunnels(), {"a.t": 1500, "b.t": 1500}), "connected", ends=OVER_IPIP
    ),
    "IPIP takes more, a datagram with DF": Case(
        with_mtu(ipip_tunnels(), {"a.t": 1500, "b.t": 1500}), LOST, "udp", 1460, ends=OVER_IPIP, error="EMSGSIZE"
    ),
}
"""The same through an IPIP tunnel, which this machine's kernel may lack: measured on Linux 6.1 (user-mode Linux)."""
