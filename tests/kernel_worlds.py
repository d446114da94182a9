"""Worlds and conversations for the kernel lab, in the words of `small_worlds`: one row per thing Linux does."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from typing import NamedTuple

from small_worlds import _add as add
from small_worlds import device, mac, namespace, plug, routed

from mcnilib.linux.device.base import NO_MAC, LinkEnd
from mcnilib.linux.device.bridge import Bridge
from mcnilib.linux.device.link import Link
from mcnilib.linux.device.macvlan import Macvlan
from mcnilib.linux.device.port import FdbEntry
from mcnilib.linux.device.tunnel.ipip import Ipip
from mcnilib.linux.device.tunnel.vxlan import Vxlan
from mcnilib.linux.device.veth import Veth
from mcnilib.linux.netfilter.ipset import parse_sets
from mcnilib.linux.netns import Netns, add_link, new_netns
from mcnilib.trace.flow import Flow, Listener
from mcnilib.world.world import World

FORWARDS = "sysctl net.ipv4.ip_forward 1\n"
PATIENCE = 0.7


def chains(table: str, *rules: str, policy: str = "ACCEPT") -> str:
    """A table with its built-in chains; the policy is FORWARD's."""
    names = {"filter": "INPUT FORWARD OUTPUT", "nat": "PREROUTING INPUT OUTPUT POSTROUTING", "raw": "PREROUTING OUTPUT"}
    names["mangle"], names["security"] = "PREROUTING INPUT FORWARD OUTPUT POSTROUTING", names["filter"]
    heads = "".join(f":{n} {policy if n == 'FORWARD' else 'ACCEPT'} [0:0]\n" for n in names[table].split())
    return f"*{table}\n{heads}" + "".join(f"-A {rule}\n" for rule in rules) + "COMMIT\n"


DROP_INVALID = chains("filter", "FORWARD -m conntrack --ctstate INVALID -j DROP")


def asymmetric(tables: str) -> World:
    """The flagship in small: a's request passes router r, b's answer goes straight to a; r never sees the SYN-ACK."""
    a = namespace("a", "eth0 10.0.1.2/24", "route 10.0.2.0/24 via 10.0.1.1 dev eth0")
    r = namespace("r", "e1 10.0.1.1/24\ne2 10.0.2.1/24", FORWARDS, tables)
    b = namespace("b", "eth0 10.0.2.2/24\neth1 10.0.1.3/24")
    return plug(a, r, b, one="a.eth0 r.e1 b.eth1", two="b.eth0 r.e2")


def macvlans(mode: str = "bridge", *, reflects: bool = False) -> World:
    """Two nodes n and m on a switch: pods a, p on n, b on m; a has a veth to its node as well."""
    n = namespace("n", "en0 10.0.1.1/24\nva veth a 3", FORWARDS + "route 10.0.1.11 dev va scope link")
    m = namespace("m", "en0 10.0.1.2/24")
    a = namespace("a", f"eth0 10.0.1.11/24 macvlan n 2 {mode}\nveth0 veth n 3", "route 10.0.1.1 dev veth0 scope link")
    p = namespace("p", f"eth0 10.0.1.12/24 macvlan n 2 {mode}")
    b = namespace("b", f"eth0 10.0.1.13/24 macvlan m 2 {mode}")
    return plug(n, m, a, p, b, reflects=reflects, lan="n.en0 m.en0")


def everywhere_else() -> World:
    """The tunnel, whose forwarding entry is for all MACs that have none."""
    world = tunnelled()
    for netns in (world["n"], world["m"]):
        links = tuple(replace(x, kind=_for_all(x.kind)) if isinstance(x.kind, Vxlan) else x for x in netns.links)
        world = world.put(netns.but(links=links))
    return world


def _for_all(kind: Vxlan) -> Vxlan:
    return replace(kind, fdb=tuple(("00:00:00:00:00:00", far) for _, far in kind.fdb))


def tunnelled() -> World:
    """Two nodes with a VXLAN between them; pods a and b behind veths that have no address on the node's side."""
    return plug(
        _node("n", "m", "a", 1), _node("m", "n", "b", 2), _pod("a", "n", 1), _pod("b", "m", 2), lan="n.en0 m.en0"
    )


def _node(name: str, other: str, pod: str, number: int) -> Netns:
    far, own = 3 - number, IPv4Address(f"10.0.1.{number}")
    kind = Vxlan(4096, own, "en0", 4789, ((f"66:00:00:00:00:0{far}", IPv4Address(f"10.0.1.{far}")),))
    tunnel = device(name, 3, "vxlan.0", f"10.9.{number}.0/32", kind)
    links = device(name, 2, "en0", f"{own}/24"), replace(tunnel, mac=f"66:00:00:00:00:0{number}", mtu=1450)
    state = f"""route default via 10.0.1.254 dev en0
        route 10.9.{far}.0/26 via 10.9.{far}.0 dev vxlan.0 onlink
        route 10.9.{number}.5 dev cali0 scope link
        neigh 10.9.{far}.0 dev vxlan.0 lladdr 66:00:00:00:00:0{far} PERMANENT
        sysctl net.ipv4.ip_forward 1
        sysctl net.ipv4.conf.cali0.proxy_arp 1"""
    return made(name, *links, device(name, 4, "cali0", "", Veth(LinkEnd(pod, 2))), state=state)


ENDS = IPv4Address("10.0.1.1"), IPv4Address("10.0.1.2")


def tunnel(netns: str, index: int, name: str, address: str, kind: Ipip) -> Link:
    """An IPIP device, which has no MAC."""
    return replace(device(netns, index, name, address, kind), mac=NO_MAC, mtu=1480)


def ipip_tunnels(*state: str, fallback: int = 9, ends: Ipip = Ipip(ENDS[1], ENDS[0])) -> World:
    """a and b with an IPIP device each; at b tunl0, with the given number, takes what no other device does."""
    one, other = ENDS
    routes = "route 10.9.2.1 dev t\n" + "\n".join(state)
    a = made(
        "a", device("a", 2, "en0", f"{one}/24"), tunnel("a", 3, "t", "10.9.1.1/32", Ipip(one, other)), state=routes
    )
    devices = [tunnel("b", 5, "t", "10.9.2.1/32", ends), tunnel("b", fallback, "tunl0", "10.9.3.1/32", Ipip())]
    back = "route 10.9.1.1 dev t\nsysctl net.ipv4.conf.all.rp_filter 1"
    b = made("b", device("b", 2, "en0", f"{other}/24"), *sorted(devices, key=lambda link: link.index), state=back)
    return plug(a, b, lan="a.en0 b.en0")


def _pod(name: str, node: str, number: int) -> Netns:
    state = "route 169.254.1.1 dev eth0 scope link\nroute default via 169.254.1.1 dev eth0"
    return made(name, device(name, 2, "eth0", f"10.9.{number}.5/32", Veth(LinkEnd(node, 4))), state=state)


def made(name: str, *links: Link, state: str = "") -> Netns:
    """A namespace of given devices; `state` as in `small_worlds.namespace`."""
    netns = new_netns(name)
    for link in links:
        netns = add_link(netns, link)
    for line in filter(None, map(str.strip, state.splitlines())):
        word, _, rest = line.partition(" ")
        netns = add(netns, word, rest)
    return netns


def bridged() -> World:
    """A node with a bridge of two veths and an address, as Docker makes it."""
    ends = [device("n", index, f"v{pod}", "", Veth(LinkEnd(pod, 2))) for index, pod in ((3, "a"), (4, "b"))]
    n = made("n", device("n", 2, "br0", "10.0.7.1/24", Bridge()), *(replace(end, master="br0") for end in ends))
    pods = (namespace(pod, f"eth0 10.0.7.{i}/24 veth n {i + 1}") for i, pod in ((2, "a"), (3, "b")))
    return plug(n, *pods)


def macvlan_on_bridge(mode: str = "bridge") -> World:
    """The node with the bridge, on which pods c and d stand as macvlan children."""
    pods = (namespace(pod, f"eth0 10.0.7.{i}/24 macvlan n 2 {mode}") for i, pod in ((4, "c"), (5, "d")))
    return World((*bridged(), *pods))


def passthru_port() -> World:
    """A guest b behind a bridge of m, whose way out is a macvlan in mode passthru on the NIC of n."""
    n = namespace("n", "en0 10.0.7.1/24")
    mv, vb = (
        device("m", 3, "mv", "", Macvlan(LinkEnd("n", 2), "passthru")),
        device("m", 4, "vb", "", Veth(LinkEnd("b", 2))),
    )
    mv = replace(mv, mac=n.link("en0").mac)  # which it has in this mode
    m = made("m", device("m", 2, "br0", "10.0.7.4/24", Bridge()), *(replace(x, master="br0") for x in (mv, vb)))
    return plug(
        namespace("a", "eth0 10.0.7.2/24"), n, m, namespace("b", "eth0 10.0.7.3/24 veth m 4"), lan="a.eth0 n.en0"
    )


def two_legs(dropping: str) -> World:
    """The node with the bridge, at which b has two ports, of one network; packets that come by one of them it drops."""
    ends = [
        device("n", index, f"v{at}", "", Veth(LinkEnd(pod, at)))
        for index, pod, at in ((3, "a", 2), (4, "b", 2), (5, "b", 3))
    ]
    ends = [replace(end, name=f"v{end.index}", master="br0") for end in ends]
    n = made("n", device("n", 2, "br0", "10.0.7.1/24", Bridge()), *ends)
    b = namespace(
        "b",
        "eth0 10.0.7.3/24 veth n 4\neth1 10.0.7.4/24 veth n 5",
        "",
        chains("filter", f"INPUT -i {dropping} -j DROP"),
    )
    return plug(n, namespace("a", "eth0 10.0.7.2/24 veth n 3"), b)


def knowing(mac: str, port: str, state: str = "static", *, sticky: bool = False, world: World | None = None) -> World:
    """The node with the bridge, which has an entry for a MAC."""
    return altered(world or bridged(), "n", "br0", kind=Bridge((FdbEntry(mac, port, state, sticky),)))


def told(world: World) -> World:
    """The pods, of which a was told where p is."""
    a = add(world["a"], "neigh", f"10.0.1.12 dev eth0 lladdr {mac('p', 2)} PERMANENT")
    return world.put(a)


def altered(world: World, netns: str, dev: str, **fields: object) -> World:
    """The world with a device that is a little different."""
    links = tuple(replace(x, **fields) if x.name == dev else x for x in world[netns].links)  # type: ignore[arg-type]
    return world.put(world[netns].but(links=links))


def marked() -> World:
    """A router that sends marked packets by another table, drops what a set holds, and counts what is left."""
    tables = chains("mangle", "PREROUTING -p udp -j MARK --set-xmark 0x1/0xffffffff") + chains(
        "filter", "FORWARD -m set --match-set bad src -j DROP", "FORWARD -m nfacct --nfacct-name  seen -j ACCEPT"
    )
    state = FORWARDS + "rule 100: from all fwmark 0x1 lookup 5\nroute blackhole default table 5"
    r = namespace("r", "e1 10.0.1.1/24\ne2 10.0.2.1/24", state, tables)
    r = r.but(sets=parse_sets("create bad hash:net family inet hashsize 1024 maxelem 65536\nadd bad 10.0.1.128/25\n"))
    return World(tuple(r if n.name == "r" else n for n in routed()), routed().segments)


NAT = chains("nat", "PREROUTING -d 10.9.9.9/32 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.0.2.2:80",
             "POSTROUTING -o e2 -j MASQUERADE --random-fully")  # fmt: skip
REJECT = chains("filter", "FORWARD -p tcp -j REJECT --reject-with tcp-reset", "FORWARD -j REJECT")


def redirected(*rules: str) -> World:
    """The router a client talks to through rules of its table nat; a server on it listens on port 80."""
    return routed(chains("nat", *rules))


AFFINITY = chains(
    "nat",
    "PREROUTING -d 10.9.9.9/32 -m recent --rcheck --seconds 60 --reap --name seen --mask 255.255.255.255 --rsource -j ACCEPT",
    "PREROUTING -d 10.9.9.9/32 -p tcp -m recent --set --name seen --mask 255.255.255.255 --rsource -j DNAT --to-destination 10.0.2.2:80",
)  # fmt: skip
LIMITED = chains("filter", "FORWARD -p tcp -m limit --limit 1/hour --limit-burst 2 -j ACCEPT", "FORWARD -p tcp -j DROP")
CHANGED = chains(
    "mangle", "PREROUTING -j TTL --ttl-set 9", "PREROUTING -j TOS --set-tos 0x10/0xff", "FORWARD -m ttl --ttl-eq 8",
    "FORWARD -m tos --tos 0x10/0xff", "POSTROUTING -j DSCP --set-dscp 0x2e", "POSTROUTING -m dscp --dscp 0x2e",
)  # fmt: skip
ODD = chains(
    "filter", "FORWARD -m iprange --src-range 10.0.1.0-10.0.1.9", "FORWARD -s 10.0.0.2/255.0.0.255 -m length --length 0:39 -j DROP",
    "FORWARD -f -j DROP", "FORWARD -p tcp ! -f -m ecn --ecn-ip-ect 0", "FORWARD -m pkttype --pkt-type unicast",
    "FORWARD -m helper --helper ftp -j DROP", "FORWARD -m statistic --mode nth --every 3 --packet 1",
)  # fmt: skip


def behind(entry: str) -> World:
    """A router that a takes the server's address to be behind, on its own link."""
    a = namespace("a", "eth0 10.0.1.2/24", "route 10.0.2.0/24 dev eth0 scope link")
    r = namespace("r", "e1 10.0.1.1/24\ne2 10.0.2.1/24", f"{FORWARDS}{entry}")
    b = namespace("b", "eth0 10.0.2.2/24", "route default via 10.0.2.1 dev eth0")
    return plug(a, r, b, one="a.eth0 r.e1", two="b.eth0 r.e2")


def two_ways_out(*tables: str) -> World:
    """A client with two cables to the router: what is marked leaves through the second."""
    state = "route default via 10.0.1.1 dev eth0\nrule 100: from all fwmark 0x1 lookup 5\nroute default via 10.0.3.1 dev eth1 table 5"
    a = namespace("a", "eth0 10.0.1.2/24\neth1 10.0.3.2/24", state, "".join(tables))
    r = namespace("r", "e1 10.0.1.1/24\ne2 10.0.2.1/24\ne3 10.0.3.1/24", FORWARDS)
    b = namespace("b", "eth0 10.0.2.2/24", "route default via 10.0.2.1 dev eth0")
    return plug(a, r, b, one="a.eth0 r.e1", two="b.eth0 r.e2", three="a.eth1 r.e3")


def local_elsewhere(state: str, tables: str = "") -> World:
    """The server takes 8.8.8.0/24 for its own, by a route of type local that `state` has."""
    a = namespace("a", "eth0 10.0.1.2/24", "route default via 10.0.1.1 dev eth0")
    r = namespace("r", "e1 10.0.1.1/24\ne2 10.0.2.1/24", f"{FORWARDS}route 8.8.8.0/24 via 10.0.2.2 dev e2")
    b = namespace("b", "eth0 10.0.2.2/24", f"route default via 10.0.2.1 dev eth0\n{state}", tables)
    return plug(a, r, b, one="a.eth0 r.e1", two="b.eth0 r.e2")


IN_TABLE = "rule 100: from all iif eth0 lookup 100\nroute local 8.8.8.0/24 dev lo table 100 scope host"
OWN_TABLE = "rule 100: from all lookup 100\nroute local 8.8.8.0/24 dev lo table 100 scope host"
IN_MAIN = "route local 8.8.8.0/24 dev lo scope host"
IN_LOCAL = "route local 8.8.8.0/24 dev lo table local scope host"
REFUSES = chains("filter", "INPUT -p udp -j REJECT", "INPUT -p tcp -j REJECT --reject-with tcp-reset")


def of_loopback(*rules: str, localnet: str = "0", more: str = "") -> World:
    """A client that redirects what goes to its loopback address to the server."""
    dnat = chains("nat", "OUTPUT -d 127.0.0.1/32 -j DNAT --to-destination 10.0.2.2", *rules)
    state = f"route default via 10.0.1.1 dev eth0\nsysctl net.ipv4.conf.eth0.route_localnet {localnet}\n{more}"
    a = namespace("a", "eth0 10.0.1.2/24", state, dnat)
    return World(tuple(a if n.name == "a" else n for n in routed()), routed().segments)


def marking(table: str, *more: str, mark: int = 1) -> str:
    """A table whose OUTPUT marks the request, by number or by what the connection has."""
    return chains(table, f"OUTPUT -d 10.0.0.0/8 -j MARK --set-xmark {mark:#x}/0xffffffff", *more)


def apart(pvlan: str) -> World:
    """Two hosts on a segment that do not hear each other: b answers no ARP, and the router between them is asked."""
    a = namespace("a", "eth0 10.0.1.2/24")
    state = f"{FORWARDS}neigh 10.0.1.3 dev e1 lladdr 02:62:2d:2d:2d:02 PERMANENT\nsysctl net.ipv4.conf.e1.proxy_arp_pvlan {pvlan}"
    b = namespace("b", "eth0 10.0.1.3/24", "sysctl net.ipv4.conf.eth0.arp_ignore 8")
    return plug(a, namespace("r", "e1 10.0.1.1/24", state), b, lan="a.eth0 r.e1 b.eth0")


def not_asked() -> World:
    """The router has an entry for the server that ARP leaves alone, with another MAC."""
    world = routed()
    r = add(world["r"], "neigh", "10.0.2.2 dev e2 lladdr 02:00:00:00:99:99 NOARP")
    return World(tuple(r if n.name == "r" else n for n in world), world.segments)


class Case(NamedTuple):
    """A conversation, from `client` to `to`, and how it ends for the client."""

    world: World
    to: str
    verdict: str
    client: str = "a"
    server: str = "b"
    dev: str = ""  # the device the servers are bound to
    src: str = ""  # the address the client is bound to

    @property
    def flow(self) -> Flow:
        """The conversation, with the patience of the lab."""
        proto, ip, *port = self.to.split(":")
        src = IPv4Address(self.src) if self.src else None
        return Flow(self.client, IPv4Address(ip), proto, int(port[0]) if port else 0, src=src, patience=PATIENCE)

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """TCP and UDP on port 80."""
        udp = Listener(self.server, 80, "udp", pinned=True, dev=self.dev)
        return Listener(self.server, 80, dev=self.dev), udp


ANSWERED = chains("filter", "FORWARD -p tcp -m tcp --dport 80 -m conntrack --ctstate ESTABLISHED -j REJECT")
REFUSALS = {
    "net-unreachable": "unreachable",
    "host-unreachable": "unreachable",
    "proto-unreachable": "unreachable",
    "port-unreachable": "connection refused",
    "net-prohibited": "unreachable",
    "host-prohibited": "unreachable",
    "admin-prohibited": "unreachable",
}
RESTORE = "OUTPUT -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff"
SAVED = ("INPUT -j CONNMARK --set-xmark 0x1/0xffffffff",)


def copied(save: str, restore: str, *rules: str) -> str:
    """A mark that is saved with some masks, changed, and restored with others, before the rules look at it."""
    marks = "0xab/0xffffffff", "0xff/0xffffffff"
    copies = f"CONNMARK --save-mark {save}", f"CONNMARK --restore-mark {restore}"
    targets = (f"MARK --set-xmark {marks[0]}", copies[0], f"MARK --set-xmark {marks[1]}", copies[1])
    return chains("mangle", *(f"PREROUTING -j {target}" for target in targets), *rules)


CASES = {
    "through a router": Case(routed(), "tcp:10.0.2.2:80", "connected"),
    "a closed port": Case(routed(), "tcp:10.0.2.2:81", "connection refused"),
    "a socket bound to the device": Case(routed(), "tcp:10.0.2.2:80", "connected", dev="eth0"),
    "a socket bound to another device": Case(routed(), "tcp:10.0.2.2:80", "connection refused", dev="lo"),
    "on loopback, the address's device": Case(routed(), "tcp:10.0.2.2:80", "connected", "b", dev="eth0"),
    "on loopback, bound to it": Case(routed(), "udp:10.0.2.2:80", "connection refused", "b", dev="lo"),
    "on loopback, its address": Case(routed(), "udp:127.0.0.1:80", "connected", "b", dev="lo"),
    "a tunnel's entry for all others": Case(everywhere_else(), "tcp:10.9.2.5:80", "connected"),
    "a proxy for one address": Case(behind("neigh 10.0.2.2 dev e1 proxy"), "tcp:10.0.2.2:80", "connected"),
    "a proxy for another address": Case(behind("neigh 10.0.2.3 dev e1 proxy"), "tcp:10.0.2.2:80", "connect times out"),
    "a proxy on another device": Case(behind("neigh 10.0.2.2 dev e2 proxy"), "tcp:10.0.2.2:80", "connect times out"),
    "a private VLAN": Case(apart("1"), "tcp:10.0.1.3:80", "connected"),
    "no private VLAN": Case(apart("0"), "tcp:10.0.1.3:80", "connect times out"),
    "an entry that is not asked for": Case(not_asked(), "tcp:10.0.2.2:80", "connect times out"),
    "a closed UDP port": Case(routed(), "udp:10.0.2.2:81", "connection refused"),
    "echo": Case(routed(), "icmp:10.0.2.2", "connected"),
    "NAT both ways": Case(routed(NAT + DROP_INVALID), "tcp:10.9.9.9:8080", "connected"),
    "masqueraded echo": Case(routed(NAT), "icmp:10.0.2.2", "connected"),
    "REJECT with a RST": Case(routed(REJECT), "tcp:10.0.2.2:80", "connection refused"),
    "REJECT with an ICMP error": Case(routed(REJECT), "udp:10.0.2.2:80", "connection refused"),
    "a chain's policy": Case(routed(chains("filter", policy="DROP")), "tcp:10.0.2.2:80", "connect times out"),
    "no route at the router": Case(routed(), "tcp:10.7.7.7:80", "unreachable"),
    "no route, which UDP does not hear of": Case(routed(), "udp:10.7.7.7:80", "lost"),
    "nobody answers ARP": Case(routed(), "tcp:10.0.2.77:80", "connect times out"),
    "the flagship in small": Case(asymmetric(DROP_INVALID), "tcp:10.0.2.2:80", "connect succeeds, then hangs"),
    "the flagship over UDP": Case(asymmetric(DROP_INVALID), "udp:10.0.2.2:80", "connected"),
    "the flagship without the rule": Case(asymmetric(chains("nat")), "tcp:10.0.2.2:80", "connected"),
    "macvlan siblings": Case(macvlans(), "tcp:10.0.1.12:80", "connected", server="p"),
    "macvlan across nodes": Case(macvlans(), "udp:10.0.1.13:80", "connected"),
    "macvlan child to its lower device": Case(macvlans(), "icmp:10.0.1.1", "lost", client="p", server="n"),
    "macvlan child to its node by veth": Case(macvlans(), "tcp:10.0.1.1:80", "connected", server="n"),
    "private macvlan siblings": Case(macvlans("private"), "icmp:10.0.1.12", "lost", server="p"),
    "vepa siblings and a reflecting switch": Case(macvlans("vepa", reflects=True), "tcp:10.0.1.12:80", "connected", server="p"),
    "VXLAN": Case(tunnelled(), "tcp:10.9.2.5:80", "connected"),
    "strict rp_filter on an asymmetric path": Case(asymmetric(chains("nat")), "udp:10.0.1.3:80", "connected"),
    "IPIP": Case(ipip_tunnels(), "tcp:10.9.2.1:80", "connected"),
    "IPIP, echo": Case(ipip_tunnels(ends=Ipip(None, ENDS[0])), "icmp:10.9.2.1", "connected"),
    "a bridge": Case(bridged(), "tcp:10.0.7.3:80", "connected"),
    "from a macvlan child to its sibling on the bridge": Case(macvlan_on_bridge(), "tcp:10.0.7.5:80", "connected", client="c", server="d"),
    "from a macvlan child to the bridge below it": Case(macvlan_on_bridge(), "icmp:10.0.7.1", "lost", client="c", server="n"),
    "two legs on a bridge: the port added last hears ARP first": Case(two_legs("eth0"), "tcp:10.0.7.3:80", "connected"),
    "two legs on a bridge, of which the one added last drops": Case(two_legs("eth1"), "tcp:10.0.7.3:80", "connect times out"),
    "a mark chooses a table, which is a blackhole": Case(marked(), "udp:10.0.2.2:80", "lost"),
    "a set that does not hold the client": Case(marked(), "tcp:10.0.2.2:80", "connected"),
    "REDIRECT to the router itself": Case(redirected("PREROUTING -p tcp -j REDIRECT --to-ports 80"), "tcp:10.0.2.2:8080", "connected", server="r"),
    "REDIRECT to any port": Case(redirected("PREROUTING -i e1 -p udp -j REDIRECT"), "udp:10.0.2.2:80", "connected", server="r"),
    "NETMAP": Case(redirected("PREROUTING -d 10.9.9.0/24 -j NETMAP --to 10.0.2.0/24", "POSTROUTING -s 10.0.1.0/24 -j NETMAP --to 10.0.2.64/26"), "tcp:10.9.9.2:80", "connect times out"),
    "DNAT to a range, in which the hash chooses nobody": Case(redirected("PREROUTING -p tcp -j DNAT --to-destination 10.0.2.2-10.0.2.3:80"), "tcp:10.9.9.9:8080", "connect times out"),
    "DNAT to a port of a range": Case(redirected("PREROUTING -p tcp -j DNAT --to-destination 10.0.2.2:80-81/8080"), "tcp:10.9.9.9:8080", "connected"),
    "MASQUERADE with ports": Case(redirected("POSTROUTING -o e2 -p tcp -j MASQUERADE --to-ports 3000-3000"), "tcp:10.0.2.2:80", "connected"),
    "affinity": Case(routed(AFFINITY), "tcp:10.9.9.9:8080", "connected"),
    "a limit in the middle of a handshake": Case(routed(LIMITED), "tcp:10.0.2.2:80", "connect succeeds, then hangs"),
    "TTL and TOS changed": Case(routed(CHANGED), "udp:10.0.2.2:80", "connected"),
    "TTL spent": Case(routed(chains("mangle", "PREROUTING -j TTL --ttl-set 1")), "udp:10.0.2.2:80", "lost"),
    "a mark of mangle is routed again": Case(two_ways_out(marking("mangle")), "tcp:10.0.2.2:80", "connected"),
    "a mark of raw is not": Case(two_ways_out(marking("raw")), "tcp:10.0.2.2:80", "connected"),
    "a mark of filter is not": Case(two_ways_out(marking("filter")), "icmp:10.0.2.2", "connected"),
    "a mark of security is not": Case(two_ways_out(marking("security")), "udp:10.0.2.2:80", "connected"),
    "a mark of nat is not": Case(two_ways_out(marking("nat"), DROP_INVALID), "udp:10.0.2.2:80", "connected"),
    "a mark of mangle that filter clears": Case(two_ways_out(marking("mangle"), marking("filter", mark=0)), "tcp:10.0.2.2:80", "connected"),
    "a mark of raw that mangle clears": Case(two_ways_out(marking("raw"), marking("mangle", mark=0)), "tcp:10.0.2.2:80", "connected"),
    "a mark of raw, then the TOS": Case(two_ways_out(marking("raw"), chains("mangle", "OUTPUT -j TOS --set-tos 0x10/0xff")), "udp:10.0.2.2:80", "connected"),
    "a mark of raw, then the DSCP": Case(two_ways_out(marking("raw"), chains("mangle", "OUTPUT -j DSCP --set-dscp 0x2e")), "tcp:10.0.2.2:80", "connected"),
    "a mark of raw, then the TTL": Case(two_ways_out(marking("raw"), chains("mangle", "OUTPUT -j TTL --ttl-set 9")), "udp:10.0.2.2:80", "connected"),
    "a mark of raw, then DNAT": Case(two_ways_out(marking("raw"), chains("nat", "OUTPUT -d 10.9.9.9/32 -j DNAT --to-destination 10.0.2.2")), "tcp:10.9.9.9:80", "connected"),
    "a mark of nat before DNAT": Case(two_ways_out(marking("nat", "OUTPUT -d 10.9.9.9/32 -j DNAT --to-destination 10.0.2.2")), "tcp:10.9.9.9:80", "connected"),
    "a mark of filter after DNAT": Case(two_ways_out(marking("filter"), chains("nat", "OUTPUT -d 10.9.9.9/32 -j DNAT --to-destination 10.0.2.2")), "tcp:10.9.9.9:80", "connected"),
    "a mark of raw, then DNAT to the address it has": Case(two_ways_out(marking("raw"), chains("nat", "OUTPUT -p tcp -j DNAT --to-destination 10.0.2.2:80")), "tcp:10.0.2.2:8080", "connected"),
    "a mark restored with unequal masks": Case(
        routed(copied("--nfmask 0xf0 --ctmask 0xf0", "--nfmask 0x30 --ctmask 0xf0", "FORWARD -m mark ! --mark 0x6f -j DROP")),
        "tcp:10.0.2.2:80", "connected",
    ),
    "a mark saved with unequal masks, of the answer another": Case(
        routed(copied("--nfmask 0xf0 --ctmask 0x30", "--nfmask 0xff --ctmask 0xff", "FORWARD -m mark --mark 0x20 -j DROP")),
        "tcp:10.0.2.2:80", "connect times out",
    ),
    "a connection's mark, restored by raw": Case(two_ways_out(chains("raw", RESTORE), chains("mangle", *SAVED)), "tcp:10.0.2.2:80", "connected"),
    "a connection's mark, restored by mangle": Case(two_ways_out(chains("mangle", RESTORE, *SAVED)), "tcp:10.0.2.2:80", "connected"),
    "a source local by a rule's table": Case(local_elsewhere(IN_TABLE), "tcp:8.8.8.8:80", "connect times out"),
    "a source local by a rule's table, closed port": Case(local_elsewhere(IN_TABLE), "tcp:8.8.8.8:81", "connect times out"),
    "a source local by a rule's table, echo": Case(local_elsewhere(IN_TABLE), "icmp:8.8.8.8", "delivered one way only"),
    "a source local by a rule's table, UDP": Case(local_elsewhere(IN_TABLE), "udp:8.8.8.8:80", "delivered one way only"),
    "a source local by a rule's table, closed UDP port": Case(local_elsewhere(IN_TABLE), "udp:8.8.8.8:81", "lost"),
    "a source local by a rule's table, REJECT": Case(local_elsewhere(IN_TABLE, REFUSES), "udp:8.8.8.8:80", "lost"),
    "a source local by a rule's table, REJECT with a RST": Case(local_elsewhere(IN_TABLE, REFUSES), "tcp:8.8.8.8:80", "connection refused"),
    "to oneself, local by a rule's table": Case(local_elsewhere(OWN_TABLE), "tcp:8.8.8.8:80", "unreachable", "b"),
    "to oneself, local by a rule's table, UDP": Case(local_elsewhere(OWN_TABLE), "udp:8.8.8.8:80", "unreachable", "b"),
    "to oneself, local by a rule's table, echo": Case(local_elsewhere(OWN_TABLE), "icmp:8.8.8.8", "delivered one way only", "b"),
    "bound to what a rule's table has": Case(local_elsewhere(OWN_TABLE), "tcp:10.0.1.2:80", "unreachable", "b", "a", src="8.8.8.8"),
    "a source local by table main": Case(local_elsewhere(IN_MAIN), "tcp:8.8.8.8:80", "connected"),
    "a source local by table main, bound to it": Case(local_elsewhere(IN_MAIN), "udp:10.0.1.2:80", "connected", "b", "a", src="8.8.8.8"),
    "a source local by table main, where there is a rule": Case(local_elsewhere(f"rule 100: from all to 9.9.9.9 lookup 7\n{IN_MAIN}"), "tcp:8.8.8.8:80", "connect times out"),
    "a source local by table local": Case(local_elsewhere(IN_LOCAL), "tcp:8.8.8.8:80", "connected"),
    "a source local by table local, where there is a rule": Case(local_elsewhere(f"rule 100: from all to 9.9.9.9 lookup 7\n{IN_LOCAL}"), "icmp:8.8.8.8", "connected"),
    "a loopback address leaves nothing": Case(routed(), "tcp:10.0.2.2:80", "unreachable", src="127.0.0.1"),
    "a loopback address pings nothing": Case(routed(), "icmp:10.0.2.2", "unreachable", src="127.0.0.1"),
    "DNAT of loopback outwards": Case(of_loopback(), "tcp:127.0.0.1:80", "connect times out"),
    "DNAT of loopback outwards, UDP": Case(of_loopback(), "udp:127.0.0.1:80", "unreachable"),
    "DNAT of loopback outwards, echo": Case(of_loopback(), "icmp:127.0.0.1", "unreachable"),
    "DNAT of loopback outwards, allowed": Case(of_loopback("POSTROUTING -o eth0 -j MASQUERADE", localnet="1"), "tcp:127.0.0.1:80", "connected"),
    "DNAT of loopback outwards from an address": Case(of_loopback(), "tcp:127.0.0.1:80", "connected", src="10.0.1.2"),
    "nobody's network": Case(routed(), "tcp:0.1.2.3:80", "unreachable"),
    **{
        f"an echo that is refused: {kind}": Case(routed(chains("filter", f"FORWARD -j REJECT --reject-with icmp-{kind}")), "icmp:10.0.2.2", verdict)
        for kind, verdict in REFUSALS.items()
    },
    "errors that are limited": Case(routed(ANSWERED, {"net.ipv4.icmp_ratelimit": "60000"}), "tcp:10.0.2.2:80", "connect succeeds, then hangs"),
    "errors of a type that is not limited": Case(routed(ANSWERED, {"net.ipv4.icmp_ratelimit": "60000", "net.ipv4.icmp_ratemask": "16"}), "tcp:10.0.2.2:80", "connect succeeds, then hangs"),
    "the first error is sent": Case(routed(REJECT, {"net.ipv4.icmp_msgs_burst": "0"}), "udp:10.0.2.2:80", "connection refused"),
    "errors to oneself are not limited": Case(routed(sysctls={"net.ipv4.icmp_ratelimit": "60000"}), "udp:10.0.1.1:81", "connection refused", "r"),
    "odd matches": Case(routed(ODD), "tcp:10.0.2.2:80", "connected"),
}  # fmt: skip

FLOODED = {
    "to a macvlan child on the bridge": Case(macvlan_on_bridge(), "tcp:10.0.7.4:80", "connected", server="c"),
    "from a macvlan child on the bridge": Case(macvlan_on_bridge(), "tcp:10.0.7.3:80", "connected", client="c"),
    "to a private macvlan child on the bridge": Case(macvlan_on_bridge("private"), "udp:10.0.7.4:80", "connected", server="c"),
    "through a bridge whose port is a macvlan in mode passthru": Case(passthru_port(), "tcp:10.0.7.3:80", "connected"),
    "back through a bridge whose port is a macvlan in mode passthru": Case(passthru_port(), "tcp:10.0.7.2:80", "connected", client="b", server="a"),
    "to a bridge whose port is a macvlan in mode passthru": Case(passthru_port(), "tcp:10.0.7.4:80", "connected", server="m"),
    "to the device below a macvlan in mode passthru": Case(passthru_port(), "icmp:10.0.7.1", "lost", server="n"),
    "client and server with one MAC on a bridge": Case(altered(bridged(), "b", "eth0", mac=mac("a", 2)), "tcp:10.0.7.3:80", "connect times out"),
    "a client with the MAC of a bridge port": Case(altered(bridged(), "a", "eth0", mac=mac("n", 4)), "tcp:10.0.7.3:80", "connect times out"),
    "a client with the MAC of another bridge port, to the bridge": Case(altered(bridged(), "a", "eth0", mac=mac("n", 4)), "tcp:10.0.7.1:80", "connect times out", server="n"),
    "a client with the MAC of its bridge port, to the bridge": Case(altered(bridged(), "a", "eth0", mac=mac("n", 3)), "tcp:10.0.7.1:80", "connected", server="n"),
    "a client with the MAC of the bridge": Case(altered(bridged(), "a", "eth0", mac=mac("n", 2)), "tcp:10.0.7.1:80", "connect times out", server="n"),
    "a server with the MAC of its bridge port": Case(altered(bridged(), "b", "eth0", mac=mac("n", 4)), "tcp:10.0.7.3:80", "connect times out"),
    "to a macvlan child with protodown": Case(altered(macvlans(), "p", "eth0", carrier=False), "tcp:10.0.1.12:80", "connect times out", server="p"),
    "from a macvlan child with protodown": Case(altered(macvlans(), "p", "eth0", carrier=False), "tcp:10.0.1.13:80", "connect times out", client="p"),
    "without an answer to a macvlan child with protodown": Case(told(altered(macvlans(), "p", "eth0", carrier=False)), "udp:10.0.1.12:80", "delivered one way only", server="p"),
    "a sticky entry that points back": Case(knowing(mac("b", 2), "va", sticky=True), "tcp:10.0.7.3:80", "connect times out"),
    "a sticky entry that is right": Case(knowing(mac("b", 2), "vb", sticky=True), "tcp:10.0.7.3:80", "connected"),
    "a sticky entry for the client": Case(knowing(mac("a", 2), "vb", sticky=True), "tcp:10.0.7.3:80", "connect times out"),
    "a sticky entry for the client, who talks to the bridge": Case(knowing(mac("a", 2), "vb", sticky=True), "tcp:10.0.7.1:80", "connect times out", server="n"),
    "a permanent entry, which makes it the bridge's own": Case(knowing(mac("b", 2), "va", "permanent"), "tcp:10.0.7.3:80", "connect times out"),
    "a permanent entry for the client": Case(knowing(mac("a", 2), "va", "permanent"), "tcp:10.0.7.3:80", "connect times out"),
    "a permanent entry at another port, from the bridge": Case(knowing(mac("a", 2), "vb", "permanent"), "tcp:10.0.7.2:80", "connect times out", client="n", server="a"),
    "a sticky entry for a macvlan child on the bridge": Case(knowing(mac("c", 2), "vb", sticky=True, world=macvlan_on_bridge()), "tcp:10.0.7.4:80", "connected", server="c"),
    "client and server with one MAC, which sticks to the server's port": Case(knowing(mac("a", 2), "vb", sticky=True, world=altered(bridged(), "b", "eth0", mac=mac("a", 2))), "tcp:10.0.7.3:80", "connect times out"),
    "client and server with one MAC, which sticks to the client's port": Case(knowing(mac("a", 2), "va", sticky=True, world=altered(bridged(), "b", "eth0", mac=mac("a", 2))), "tcp:10.0.7.3:80", "connect times out"),
    "a static entry that is right": Case(knowing(mac("b", 2), "vb"), "tcp:10.0.7.3:80", "connected"),
}  # fmt: skip
"""Cases of which only the outcome is compared: a bridge hands out more than one copy, and the lab mixes them up."""
