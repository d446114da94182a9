"""Small worlds for the kernel lab: hosts, a router, macvlan children, tunnels, built with the verbs of `mcnilib.linux`."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Interface

from mcnilib.linux.iptables_save import parse_tables
from mcnilib.linux.link import Address, Far, Kind, Link, Macvlan, Physical, Veth
from mcnilib.linux.netns import Netns, add_link, add_routes, add_rule, new_netns, set_sysctl
from mcnilib.linux.route import parse_route, parse_rule
from mcnilib.linux.world import Port, Segment, World
from mcnilib.trace.flow import Flow, Listener

FILTER = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{}COMMIT\n"
NAT = "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n{}COMMIT\n"
DROP_INVALID = FILTER.format("-A FORWARD -m conntrack --ctstate INVALID -j DROP\n")


def device(index: int, name: str, address: str = "", kind: Kind | None = None, **more: object) -> Link:
    """A device; its MAC follows from the last two octets of its address, or from its index."""
    addresses = (Address(IPv4Interface(address)),) if address else ()
    number = int(addresses[0].ip) & 0xFFFF if addresses else index
    mac = str(more.pop("mac", f"02:00:00:{index:02x}:{number >> 8:02x}:{number & 255:02x}"))
    return Link(index, name, kind or Physical(), mac, addresses, **more)  # type: ignore[arg-type]


def host(name: str, *links: Link, routes: str = "", rules: str = "", tables: str = "", sysctls: str = "") -> Netns:
    """A namespace; every text is in the words of the tool, one thing a line, `table N` in front of a route's line."""
    netns = new_netns(name)
    for link in links:
        netns = add_link(netns, link)
    for line in routes.splitlines():
        table, _, words = line.strip().partition(": ")
        netns = add_routes(netns, parse_route(words, table=table))
    for line in rules.splitlines():
        netns = add_rule(netns, parse_rule(line))
    for line in sysctls.splitlines():
        key, _, value = line.partition(" = ")
        netns = set_sysctl(netns, key, value)
    return netns.but(tables=parse_tables(tables)) if tables else netns


def cable(name: str, *ports: str, reflects: bool = False) -> Segment:
    """A switch; a port is `namespace device`."""
    return Segment(name, tuple(Port(*port.split()) for port in ports), reflects)


def routed(tables: str = "", *, routes: str = "main: default via 10.1.0.1 dev eth0") -> World:
    """Client a and server b on two segments, router r between them."""
    a = host("a", device(2, "eth0", "10.1.0.2/24"), routes=routes)
    b = host("b", device(2, "eth0", "10.2.0.2/24"), routes="main: default via 10.2.0.1 dev eth0")
    nics = device(2, "eth0", "10.1.0.1/24"), device(3, "eth1", "10.2.0.1/24")
    r = host("r", *nics, tables=tables, sysctls="net.ipv4.ip_forward = 1")
    return World((a, b, r), (cable("one", "a eth0", "r eth0"), cable("two", "b eth0", "r eth1")))


def asymmetric(tables: str) -> World:
    """The flagship in small: a's request passes router r, b's answer goes straight to a; r never sees the SYN-ACK."""
    a = host("a", device(2, "eth0", "10.1.0.2/24"), routes="main: 10.2.0.0/24 via 10.1.0.1 dev eth0")
    r = host("r", device(2, "eth0", "10.1.0.1/24"), device(3, "eth1", "10.2.0.1/24"), tables=tables,
             sysctls="net.ipv4.ip_forward = 1")  # fmt: skip
    b = host("b", device(2, "eth0", "10.2.0.2/24"), device(3, "eth1", "10.1.0.3/24"))
    return World((a, b, r), (cable("one", "a eth0", "r eth0", "b eth1"), cable("two", "b eth0", "r eth1")))


def macvlans(mode: str = "bridge", *, reflects: bool = False) -> World:
    """Two nodes on a switch: pods p1, p2 on node1, p3 on node2; p1 has a veth to its node as well."""
    node1 = host(
        "node1", device(2, "en0", "10.1.0.1/24"), device(5, "vethp1", "", Veth(Far("p1", 3))),
        routes="main: 10.1.0.11 dev vethp1 scope link", sysctls="net.ipv4.ip_forward = 1",
    )  # fmt: skip
    node2 = host("node2", device(2, "en0", "10.1.0.2/24"))
    child = {n: device(2, "eth0", f"10.1.0.{n}/24", Macvlan(Far("node1" if n < 13 else "node2", 2), mode)) for n in (11, 12, 13)}
    p1 = host("p1", child[11], device(3, "veth0", "", Veth(Far("node1", 5))), routes="main: 10.1.0.1 dev veth0 scope link")
    p2, p3 = host("p2", child[12]), host("p3", child[13])
    return World((node1, node2, p1, p2, p3), (cable("lan", "node1 en0", "node2 en0", reflects=reflects),))


def flow(netns: str, dst: str, proto: str = "tcp", sport: int = 40000, dport: int = 80, patience: float = 0.7) -> Flow:
    """A conversation with the patience of the lab."""
    return Flow(netns, IPv4Address(dst), proto, dport if proto != "icmp" else 0, sport=sport, patience=patience)


def servers(netns: str) -> Sequence[Listener]:
    """TCP and UDP on port 80."""
    return Listener(netns, 80), Listener(netns, 80, "udp", pinned=True)
