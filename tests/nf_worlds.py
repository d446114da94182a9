"""What netfilter does with rules of both backends of iptables and with TPROXY, and what a lost SYN-ACK leads to: for the
model and the kernel."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import NamedTuple

from kernel_worlds import FORWARDS, chains
from small_worlds import namespace, routed

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
