"""Hand-made worlds and traces for the tests of the pictures and tables: small, and independent of the simulator."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from html import unescape
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from mcnilib.linux.device.base import Kind, LinkEnd
from mcnilib.linux.device.link import Address, Link
from mcnilib.linux.device.macvlan import Macvlan
from mcnilib.linux.device.nic import Loopback, Physical
from mcnilib.linux.device.tunnel.ipip import Ipip
from mcnilib.linux.device.tunnel.vxlan import Vxlan
from mcnilib.linux.device.veth import Veth
from mcnilib.linux.netfilter.conntrack import Entry, tuple_of
from mcnilib.linux.netfilter.iptables.rule import Chain, ChainRule, Table
from mcnilib.linux.netfilter.iptables.target.nat import Dnat, Masquerade
from mcnilib.linux.netfilter.iptables.target.verdict import DROP
from mcnilib.linux.netns import Family, Netns
from mcnilib.linux.origin import Origin
from mcnilib.linux.packet import Inner, Packet, Tcp
from mcnilib.linux.routing.neigh import Neigh
from mcnilib.linux.routing.route import Route
from mcnilib.linux.sysctl import Setting
from mcnilib.trace.trace import Fate, Journey, Outcome, Stage, Step, Trace, Verdict
from mcnilib.world.world import Port, Segment, World

MAC1, CAL2, NODE1, NODE2 = map(IPv4Address, ("172.16.100.2", "10.233.101.2", "172.16.1.2", "172.16.1.3"))
SERVICE = IPv4Address("10.233.0.100")
VETH, CALI1, CALI2 = "vethc41ca4a1b2c", "cali2d1f0e3c4b5", "cali9f8e7d6c5b4"

PROXY = Origin("kube-proxy 1.28", "drops what conntrack calls INVALID, so that it cannot be answered with a reset")
FELIX = Origin("Felix", "lets packets of its workloads through")
KERNEL = Origin("the kernel", "derived from an address")


def text_of(html: str) -> str:
    """Return what a reader sees of HTML."""
    return unescape(re.sub("<[^>]*>", "", html))


@dataclass(frozen=True, slots=True)
class Words:
    """A match that is only text: enough for a picture."""

    text: str

    def holds(self, packet: Packet, at: object) -> bool:
        return True

    def why_not(self, packet: Packet, at: object) -> str:
        return f"{self.text} does not hold"

    def __str__(self) -> str:
        return self.text


INVALID = ChainRule("KUBE-FORWARD", (Words("-m conntrack --ctstate INVALID"),), DROP, PROXY)
ACCEPTS = ChainRule("cali-FORWARD", (Words("-i cali+"),), None, FELIX)
TO_POD = ChainRule("KUBE-SEP-ABCDEFGHIJKLMNOP", (Words("-p tcp -m tcp"),), Dnat(CAL2, 80), PROXY)
MASQUERADE = ChainRule("KUBE-POSTROUTING", (), Masquerade(True), PROXY)


def link(index: int, name: str, kind: Kind, address: str = "") -> Link:
    """Make a device with at most one address."""
    return Link(index, name, kind, f"02:00:00:00:{index:02x}:01", (Address(IPv4Interface(address)),) if address else ())


def _pod(name: str, *links: Link) -> Netns:
    return Netns(name, (link(1, "lo", Loopback(), "127.0.0.1/8"), *links))


def _tables() -> tuple[Table, ...]:
    rules = (Chain("FORWARD", (), "ACCEPT"), Chain("KUBE-FORWARD", (INVALID,)), Chain("cali-FORWARD", (ACCEPTS,)))
    return (Table("filter", rules), Table("nat", (Chain("KUBE-POSTROUTING", (MASQUERADE,)),)))


def world(tunnel: str = "") -> World:
    """Two nodes with three pods, a gateway between two segments, a client outside; `tunnel` is vxlan or ipip."""
    node1 = [
        link(2, "en0", Physical(), "172.16.1.2/16"),
        link(10, VETH, Veth(LinkEnd("mac1", 3))),
        link(13, CALI1, Veth(LinkEnd("cal1", 2))),
    ]
    node2 = [link(2, "en0", Physical(), "172.16.1.3/16"), link(11, CALI2, Veth(LinkEnd("cal2", 2)))]
    if tunnel:
        node1.append(link(4, *_tunnel(tunnel, NODE1), "10.233.100.0/32"))
        node2.append(link(4, *_tunnel(tunnel, NODE2), "10.233.101.0/32"))
    mac1 = (
        link(2, "eth0", Macvlan(LinkEnd("node1", 2)), "172.16.100.2/16"),
        link(3, "veth0", Veth(LinkEnd("node1", 10))),
    )
    gateway = (link(2, "lan16", Physical(), "172.16.0.1/16"), link(3, "wan", Physical(), "1.1.1.254/24"))
    return World(
        (
            Netns("node1", tuple(node1), ip4=Family(tables=_tables())),
            Netns("node2", tuple(node2), ip4=Family(tables=_tables())),
            _pod("mac1", *mac1),
            _pod("cal1", link(2, "eth0", Veth(LinkEnd("node1", 13)), "10.233.100.3/32")),
            _pod("cal2", link(2, "eth0", Veth(LinkEnd("node2", 11)), "10.233.101.2/32")),
            _pod("gateway", *gateway),
            _pod("client", link(2, "eth0", Physical(), "1.1.1.1/24")),
        ),
        (
            Segment("lan-172.16", (Port("node1", "en0"), Port("node2", "en0"), Port("gateway", "lan16"))),
            Segment("outside", (Port("gateway", "wan"), Port("client", "eth0"))),
        ),
    )


def _tunnel(kind: str, local: IPv4Address) -> tuple[str, Kind]:
    return ("vxlan.calico", Vxlan(4096, local, "en0")) if kind == "vxlan" else ("tunl0", Ipip())


def tcp(flags: str, reply: bool = False, length: int = 0) -> Packet:
    """Make a segment between mac1 and cal2."""
    segment = Packet(MAC1, CAL2, "tcp", 40000, 80, Tcp(frozenset(flags.split())), length=length)
    return segment.but(src=CAL2, dst=MAC1, sport=80, dport=40000) if reply else segment


def wire(packet: Packet, *path: tuple[str, str], to: tuple[str, str]) -> Step:
    """A frame crosses devices and segments."""
    (netns, dev), text = path[0], f"leaves through {path[0][1]}, arrives at {to[1]} of {to[0]}"
    return Step(netns, Stage.DEVICE, text, packet, packet, oif=dev, to=to, path=path)


def route(netns: str, packet: Packet, dev: str, via: str = "", origin: Origin = KERNEL) -> Step:
    """A route decides the way out."""
    line = Route(IPv4Network(f"{packet.dst}/32"), dev, IPv4Address(via) if via else None, origin=origin)
    return Step(netns, Stage.ROUTE, f"route: {dev}", packet, packet, line, oif=dev)


def rule(netns: str, packet: Packet, hook: str, table: str, line: ChainRule, action: str, **more: object) -> Step:
    """A netfilter rule matches."""
    return Step(netns, Stage.NETFILTER, action, packet, more.pop("after", packet), line, table, hook, **more)  # type: ignore[arg-type]


def seen(netns: str, packet: Packet, hook: str, state: str, **entry: object) -> Step:
    """Conntrack looks the packet up."""
    flow = tuple_of(packet)
    known = Entry(flow, flow.inverse(), confirmed=True, expires=120.0, **entry) if flow else None  # type: ignore[arg-type]
    return Step(netns, Stage.CONNTRACK, state, packet, packet, hook=hook, entry=known, ctstate=state)


def socket(netns: str, packet: Packet, dev: str) -> Step:
    """A socket takes the packet."""
    return Step(netns, Stage.SOCKET, f"{packet.kind} for the socket", packet, packet, iif=dev, fate=Fate.DELIVERED)


OUT = (("mac1", "veth0"), ("node1", VETH))
CROSS = (("node1", "en0"), ("lan-172.16", ""), ("node2", "en0"))
IN = (("node2", CALI2), ("cal2", "eth0"))


def _start(p: Packet) -> list[Step]:
    steps = [
        route("mac1", p, "veth0", "172.16.1.2", Origin("the coordinator", "cluster addresses go through the node"))
    ]
    return [*steps, wire(p, *OUT, to=("node1", VETH))]


def request(packet: Packet, number: int) -> Journey:
    """A packet of the client that arrives: mac1, node1, en0, node2, cal2."""
    p = packet
    steps = [*_start(p), seen("node1", p, "PREROUTING", "NEW"), route("node1", p, "en0", "172.16.1.3")]
    steps += [wire(p, *CROSS, to=("node2", "en0")), seen("node2", p, "PREROUTING", "NEW"), route("node2", p, CALI2)]
    steps += [rule("node2", p, "FORWARD", "filter", ACCEPTS, "counted"), wire(p, *IN, to=("cal2", "eth0"))]
    return Journey(number, 0.0, p, (*steps, socket("cal2", p, "eth0")))


def lost(packet: Packet, number: int, repeats: int = 0) -> Journey:
    """A packet of the client that node1 drops in KUBE-FORWARD."""
    steps = [
        *_start(packet),
        seen("node1", packet, "PREROUTING", "INVALID"),
        route("node1", packet, "en0", "172.16.1.3"),
    ]
    devices = {"iif": VETH, "oif": "en0", "ctstate": "INVALID", "fate": Fate.DROPPED}
    steps += [rule("node1", packet, "FORWARD", "filter", INVALID, "dropped", **devices)]
    return Journey(number, 0.0, packet, tuple(steps), retransmission_of=repeats)


def reply(packet: Packet, number: int, repeats: int = 0) -> Journey:
    """A packet of the server: cal2, node2, en0 and straight to the macvlan child; node1 never sees it."""
    p = packet
    steps = [route("cal2", p, "eth0", "169.254.1.1"), wire(p, *reversed(IN), to=("node2", CALI2))]
    steps += [seen("node2", p, "PREROUTING", "ESTABLISHED", seen_reply=True), route("node2", p, "en0")]
    steps += [wire(p, *reversed(CROSS), to=("mac1", "eth0")), socket("mac1", p, "eth0")]
    return Journey(number, 0.0, p, tuple(steps), reply=True, retransmission_of=repeats)


def _trace(verdict: Verdict, deciding: int, *journeys: Journey, error: str = "") -> Trace:
    journey = journeys[deciding - 1]
    return Trace(journeys, Outcome(verdict, journey, journey.last, "172.16.100.2", error))


def hangs() -> Trace:
    """Connect succeeds, then hangs: the ACK is dropped on node1."""
    ack = (lost(tcp("ACK"), 3), lost(tcp("PSH ACK", length=100), 4))
    again = (lost(tcp("PSH ACK", length=100), 5, 4), reply(tcp("SYN ACK", True), 6, 2), lost(tcp("ACK"), 7, 3))
    first = (request(tcp("SYN"), 1), reply(tcp("SYN ACK", True), 2))
    return _trace(Verdict.HANGS, 3, *first, *ack, *again, error="ETIMEDOUT")


def connects() -> Trace:
    """The whole conversation arrives."""
    packets = ("SYN", "SYN ACK", "ACK", "PSH ACK", "ACK", "PSH ACK", "ACK", "FIN ACK", "FIN ACK", "ACK")
    back = (2, 5, 6, 9)
    made = [(n, tcp(p, n in back, 100 if "PSH" in p else 0)) for n, p in enumerate(packets, start=1)]
    return _trace(Verdict.CONNECTED, 9, *((reply if n in back else request)(p, n) for n, p in made))


def filtered_in_the_pod() -> Trace:
    """rp_filter of the pod drops the SYN-ACK; nothing else is sent."""
    back = reply(tcp("SYN ACK", True), 2)
    line = Setting("net.ipv4.conf.all.rp_filter", "1", Origin("the coordinator", "podRPFilter: 1"))
    drop = Step(
        "mac1", Stage.RP_FILTER, "the way back is veth0", back.packet, back.packet, line, iif="eth0", fate=Fate.DROPPED
    )
    return _trace(
        Verdict.TIMED_OUT, 2, request(tcp("SYN"), 1), replace(back, steps=(*back.steps[:-1], drop)), error="ETIMEDOUT"
    )


def nobody_answers() -> Trace:
    """node1 asks for the next hop and nobody answers."""
    p = tcp("SYN")
    steps = [*_start(p), route("node1", p, "en0", "172.16.1.3")]
    steps += [Step("node1", Stage.ARP, "nothing answers ARP for 172.16.1.3", p, p, oif="en0", fate=Fate.UNREACHABLE)]
    return _trace(Verdict.UNREACHABLE, 1, Journey(1, 0.0, p, tuple(steps)), error="EHOSTUNREACH")


def rewritten() -> Trace:
    """A service address: node1 rewrites destination and source, the answer passes node1 again."""
    start = tcp("SYN").but(dst=SERVICE)
    there, masked = start.but(dst=CAL2), start.but(dst=CAL2, src=NODE1)
    steps = [*_start(start), rule("node1", start, "PREROUTING", "nat", TO_POD, f"DNAT to {CAL2}:80", after=there)]
    steps += [route("node1", there, "en0", "172.16.1.3")]
    steps += [rule("node1", there, "POSTROUTING", "nat", MASQUERADE, f"SNAT to {NODE1}:40000", after=masked)]
    steps += [wire(masked, *CROSS, to=("node2", "en0")), route("node2", masked, CALI2)]
    steps += [wire(masked, *IN, to=("cal2", "eth0")), socket("cal2", masked, "eth0")]
    answer = tcp("SYN ACK", True).but(dst=NODE1)
    home = answer.but(src=SERVICE, dst=MAC1)
    back = [wire(answer, *reversed(IN), to=("node2", CALI2)), route("node2", answer, "en0")]
    back += [wire(answer, *reversed(CROSS), to=("node1", "en0"))]
    back += [Step("node1", Stage.NAT, "source rewritten as the connection says", answer, home, hook="PREROUTING")]
    back += [wire(home, *reversed(OUT), to=("mac1", "veth0")), socket("mac1", home, "veth0")]
    journeys = (Journey(1, 0.0, start, tuple(steps)), Journey(2, 0.0, answer, tuple(back), reply=True))
    return _trace(Verdict.CONNECTED, 2, *journeys)


def tunnelled(device: str = "vxlan.calico") -> Trace:
    """The request travels inside a tunnel from node1 to node2, the reply does not."""
    p = tcp("SYN")
    outer = Packet(NODE1, NODE2, "udp", 50000, 4789, inner=Inner(p))
    steps = [*_start(p), route("node1", p, device, "10.233.101.0")]
    steps += [Step("node1", Stage.TUNNEL, f"packed by {device} for {NODE2}", p, outer, oif=device)]
    steps += [route("node1", outer, "en0"), wire(outer, *CROSS, to=("node2", "en0"))]
    steps += [Step("node2", Stage.TUNNEL, f"unpacked by {device}", outer, p, oif=device), route("node2", p, CALI2)]
    steps += [wire(p, *IN, to=("cal2", "eth0")), socket("cal2", p, "eth0")]
    journeys = (Journey(1, 0.0, p, tuple(steps)), reply(tcp("SYN ACK", True), 2), lost(tcp("ACK"), 3))
    return _trace(Verdict.HANGS, 3, *journeys)


EXAMPLES = {
    "hangs": (world(), hangs()),
    "connects": (world(), connects()),
    "rp_filter in the pod": (world(), filtered_in_the_pod()),
    "nobody answers ARP": (world(), nobody_answers()),
    "rewritten": (world(), rewritten()),
    "inside VXLAN": (world("vxlan"), tunnelled()),
    "inside IPIP": (world("ipip"), tunnelled("tunl0")),
}
"""name -> (world, trace)"""

NEIGH = Neigh(IPv4Address("169.254.1.1"), "eth0", "ee:ee:ee:ee:ee:ee")
