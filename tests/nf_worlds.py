"""What netfilter does with rules of both backends of iptables and with TPROXY, what a lost SYN-ACK leads to, and which of
several next hops is taken: for the model and the kernel."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import NamedTuple

from kernel_worlds import FORWARDS, chains
from small_worlds import namespace, plug, routed

from mcnilib.kernel.lab.lab import Lab
from mcnilib.kernel.lab.tools import IPTABLES_LEGACY
from mcnilib.kernel.observe.observe import observe
from mcnilib.linux.netfilter.iptables.save import parse_tables, print_tables
from mcnilib.trace.flow import Flow, Listener
from mcnilib.trace.trace import Trace
from mcnilib.world.world import World

TIMES_OUT = "connect times out"
HERE, GONE = (chains("nat", f"PREROUTING -d 10.9.9.9/32 -j DNAT --to-destination 10.0.2.{n}") for n in (2, 99))
PASSES = chains("nat", "PREROUTING -d 10.9.9.9/32 -j ACCEPT")
EMPTY_NAT = chains("nat")


def marks(table: str, hook: str = "FORWARD") -> str:
    """A table that marks everything."""
    return chains(table, f"{hook} -j MARK --set-xmark 0x7/0xffffffff")


def drops(table: str, hook: str = "FORWARD") -> str:
    """A table that drops what is marked so."""
    return chains(table, f"{hook} -m mark --mark 0x7 -j DROP")


ALL = chains("filter", "FORWARD -j DROP")
REFUSES = chains("filter", "FORWARD -p tcp -j REJECT --reject-with tcp-reset")
NEVER = chains("filter", "FORWARD -s 10.7.7.7/32 -j DROP")


class Both(NamedTuple):
    """Rules of the router in both backends, and how it ends where iptables-nft, and where iptables-legacy was last."""

    nft: str
    legacy: str
    nft_last: str
    legacy_last: str = ""

    @property
    def ends(self) -> tuple[str, str]:
        """Both ends."""
        return self.nft_last, self.legacy_last or self.nft_last

    @property
    def world(self) -> World:
        """The router with both, between client and server."""
        world = routed(self.nft)
        return world.put(world["r"].with_ip4(legacy=parse_tables(self.legacy)))


BACKENDS = {
    "two services: the first address holds": Both(HERE, GONE, "connected", TIMES_OUT),
    "ACCEPT in one nat table leaves it to the other": Both(HERE, PASSES, "connected"),
    "ACCEPT of the other backend": Both(PASSES, HERE, "connected"),
    "an empty nat table": Both(HERE, EMPTY_NAT, "connected"),
    "a mark, and who asks for it": Both(marks("filter"), drops("filter"), TIMES_OUT, "connected"),
    "the other way round": Both(drops("filter"), marks("filter"), "connected", TIMES_OUT),
    "a mark of mangle, which is asked before filter": Both(marks("mangle"), drops("filter"), TIMES_OUT),
    "marks of both mangle tables": Both(marks("mangle"), drops("mangle"), TIMES_OUT, "connected"),
    "a mark of raw": Both(marks("raw", "PREROUTING"), drops("raw", "PREROUTING"), TIMES_OUT, "connected"),
    "one drops": Both(NEVER, ALL, TIMES_OUT),
    "the other drops": Both(ALL, NEVER, TIMES_OUT),
    "one drops, the other refuses": Both(ALL, REFUSES, TIMES_OUT, "connection refused"),
}  # fmt: skip


def both_talk(case: Both, number: int) -> tuple[Flow, tuple[Listener, ...]]:
    """The client's conversation with the service or the server, with a port of its own."""
    to = IPv4Address("10.9.9.9" if "10.9.9.9" in case.nft + case.legacy else "10.0.2.2")
    return Flow("a", to, "tcp", 80, sport=10000 + number, patience=0.7), (Listener("b", 80),)


def in_order(lab: Lab, case: Both, number: int, legacy_last: bool) -> Trace:
    """Hold the conversation in a fresh lab, where one of the backends registers its tables last."""
    lab.clear()
    if not legacy_last:
        lab.realise(routed())
        lab.run("r", *IPTABLES_LEGACY, text=print_tables(case.world["r"].ip4.legacy))
    lab.realise(case.world)
    return observe(lab, *both_talk(case, number))


NO_SYN_ACK = routed(chains("filter", "FORWARD -p tcp -m tcp --tcp-flags SYN,ACK SYN,ACK -j DROP"))
SECONDS = 3.4


def syn_acks(trace: Trace) -> dict[int, int]:
    """How many SYN-ACKs were sent around each second."""
    sent = [round(j.time) for j in trace.journeys if j.packet.tcp and {"SYN", "ACK"} <= j.packet.tcp.flags]
    return {second: sent.count(second) for second in dict.fromkeys(sent)}


def to_server(number: int) -> tuple[Flow, tuple[Listener, ...]]:
    """A conversation that lasts a few SYNs."""
    flow = Flow("a", IPv4Address("10.0.2.2"), "tcp", 80, sport=10000 + number, patience=SECONDS)
    return flow, (Listener("b", 80),)


MARKED = "rule 100: from all fwmark 0x1 lookup 100\nroute local default dev lo table 100 scope host\n"
TPROXY = "PREROUTING -p tcp -m tcp --dport 443 -j TPROXY --on-port 8080 --tproxy-mark 0x1/0x1"
SYN_ONLY = TPROXY.replace("--dport 443", "--dport 443 --tcp-flags FIN,SYN,RST,ACK SYN")
DIVERT = "PREROUTING -p tcp -m socket{} -j MARK --set-xmark 0x1/0xffffffff"


class Proxy(NamedTuple):
    """Rules of mangle on a router, its other state, and how the client's conversation with 203.0.113.80:443 ends."""

    rules: tuple[str, ...]
    verdict: str
    state: str = MARKED
    address: str = "0.0.0.0"
    proto: str = "tcp"

    @property
    def world(self) -> World:
        """The router with a proxy on port 8080."""
        return routed_by(chains("mangle", *self.rules), self.state + "route default via 10.0.2.2 dev e2\n")

    def talk(self, number: int) -> tuple[Flow, tuple[Listener, ...]]:
        """The client's conversation, with a port of its own."""
        flow = Flow("a", IPv4Address("203.0.113.80"), self.proto, 443, sport=10000 + number, patience=0.7)
        return flow, (Listener("r", 8080, self.proto, IPv4Address(self.address), pinned=True),)


def routed_by(tables: str, state: str) -> World:
    """The router with more state than `routed` gives it."""
    world = routed()
    r = namespace("r", "e1 10.0.1.1/24\ne2 10.0.2.1/24", f"{FORWARDS}{state}", tables)
    return world.put(r)


VALID = "sysctl net.ipv4.conf.all.src_valid_mark 1\n"
HANGS = "connect succeeds, then hangs"
PROXIES = {
    "a transparent proxy": Proxy((TPROXY,), "connected"),
    "UDP": Proxy((TPROXY.replace("tcp", "udp"),), "connected", proto="udp"),
    "the first address of the device": Proxy((TPROXY,), "connected", address="10.0.1.1"),
    "another address": Proxy((TPROXY,), TIMES_OUT, address="127.0.0.1"),
    "that address, named": Proxy((f"{TPROXY} --on-ip 127.0.0.1",), "connected", address="127.0.0.1"),
    "nobody listens": Proxy((TPROXY.replace("8080", "8081"),), TIMES_OUT),
    "no rule leads to a local route": Proxy((TPROXY,), TIMES_OUT, state=""),
    "the mark takes part in the source check": Proxy((TPROXY,), TIMES_OUT, state=MARKED + VALID),
    "and local sources are accepted": Proxy(
        (TPROXY,), "connected", state=MARKED + VALID + "sysctl net.ipv4.conf.all.accept_local 1\n"
    ),
    "a strict source check without the mark": Proxy(
        (TPROXY,), "connected", state=f"{MARKED}sysctl net.ipv4.conf.e1.rp_filter 1\n"
    ),
    "only the SYN": Proxy((SYN_ONLY,), HANGS),
    "only the SYN, the rest by its socket": Proxy((DIVERT.format(""), SYN_ONLY), "connected"),
    "by its transparent socket": Proxy((DIVERT.format(" --transparent"), SYN_ONLY), "connected"),
    "a listening socket on all addresses is none": Proxy(
        ("PREROUTING -p tcp -m socket -j DROP", SYN_ONLY), HANGS
    ),
    "unless wildcards count": Proxy(
        (f"{TPROXY.replace('443', '4433')}", "PREROUTING -p tcp -m socket --nowildcard -j DROP"), TIMES_OUT
    ),
}  # fmt: skip


HOPS = "route default proto static nexthop via 10.0.1.1 dev eth0 weight 1 nexthop via 10.0.3.1 dev eth1 weight 2\n"


class Hops(NamedTuple):
    """A client with two cables to the router, which it has as two next hops; how it may end, and what it is bound to."""

    ends: tuple[str, ...]
    rules: str = ""
    src: str = ""
    state: str = HOPS
    router: str = ""

    @property
    def world(self) -> World:
        """The client, the router with its rules, the server."""
        a = namespace("a", "eth0 10.0.1.2/24\neth1 10.0.3.2/24\nlo1 10.0.9.9/32", self.state)
        r = namespace("r", "e1 10.0.1.1/24\ne2 10.0.2.1/24\ne3 10.0.3.1/24", FORWARDS + self.router, self.rules)
        b = namespace("b", "eth0 10.0.2.2/24", "route default via 10.0.2.1 dev eth0")
        return plug(a, r, b, one="a.eth0 r.e1", two="b.eth0 r.e2", three="a.eth1 r.e3")

    def talk(self, number: int) -> tuple[Flow, tuple[Listener, ...]]:
        """The client's conversation, with a port of its own."""
        src = IPv4Address(self.src) if self.src else None
        flow = Flow("a", IPv4Address("10.0.2.2"), "tcp", 80, src=src, sport=10000 + number, patience=0.7)
        return flow, (Listener("b", 80),)


NO_E3 = chains("filter", "FORWARD -i e3 -j DROP")
BACK = "route 10.0.9.0/24 nexthop via 10.0.1.2 dev e1 weight 1 nexthop via 10.0.3.2 dev e3 weight 1\n"
STRICT = "".join(f"sysctl net.ipv4.conf.{dev}.rp_filter 1\n" for dev in ("e1", "e3"))
MULTIPATH = {
    "either": Hops(("connected",)),
    "one of them is closed": Hops(("connected", TIMES_OUT), NO_E3),
    "the address of one": Hops(("connected",), NO_E3, "10.0.1.2"),
    "the address of the other": Hops((TIMES_OUT,), NO_E3, "10.0.3.2"),
    "another address": Hops(("connected", TIMES_OUT), NO_E3, "10.0.9.9", router=BACK),
    "the way back is by either": Hops(("connected",), "", "10.0.9.9", router=BACK + STRICT),
    "a longer prefix": Hops(("connected",), NO_E3, state=HOPS + "route 10.0.2.0/24 via 10.0.1.1 dev eth0\n"),
}


def way_after_echo(lab: Lab, world: World) -> str:
    """Let a ping 10.0.9.9 once, and return what its route is then."""
    lab.clear()
    lab.realise(world)
    observe(lab, Flow("a", IPv4Address("10.0.9.9"), "icmp", patience=0.3), ())
    return lab.run("a", "ip", "route", "get", "10.0.9.9")


KNOWN_ONLY = chains(
    "filter",
    "FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "FORWARD -i e1 -j ACCEPT",
    "FORWARD -j DROP",
)


def zoned(*rules: str) -> World:
    """A router that lets in what belongs to a connection, with rules that put packets into zones."""
    return routed(chains("raw", *rules) + KNOWN_ONLY)


ZONES = {
    "both directions in one zone": (zoned("PREROUTING -j CT --zone 5"), "connected"),
    "requests only": (zoned("PREROUTING -i e1 -j CT --zone 5"), TIMES_OUT),
    "answers only": (zoned("PREROUTING -i e2 -j CT --zone 5"), TIMES_OUT),
    "two zones": (zoned("PREROUTING -i e1 -j CT --zone 5", "PREROUTING -i e2 -j CT --zone 6"), TIMES_OUT),
    "the first rule holds": (zoned("PREROUTING -j CT --zone 5", "PREROUTING -i e2 -j CT --zone 6"), "connected"),
    "the original direction only": (zoned("PREROUTING -i e1 -j CT --zone-orig 5"), "connected"),
    "the reply direction only": (zoned("PREROUTING -i e1 -j CT --zone-reply 5"), TIMES_OUT),
    "the reply direction, asked for both ways": (zoned("PREROUTING -j CT --zone-reply 5"), "connected"),
    "the reply direction, answers in its zone": (
        zoned("PREROUTING -i e1 -j CT --zone-reply 5", "PREROUTING -i e2 -j CT --zone 5"), "connected"
    ),
    "the mark is the zone": (
        zoned("PREROUTING -i e1 -j MARK --set-xmark 0x7/0xffffffff", "PREROUTING -j CT --zone mark"), TIMES_OUT
    ),
    "the mark is the zone both ways": (
        zoned("PREROUTING -j MARK --set-xmark 0x10007/0xffffffff", "PREROUTING -j CT --zone mark"), "connected"
    ),
}  # fmt: skip
