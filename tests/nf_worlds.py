"""What netfilter does with rules of both backends of iptables, and what a lost SYN-ACK leads to: for the model and the
kernel."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import NamedTuple

from kernel_worlds import chains
from small_worlds import routed

from mcnilib.kernel.lab.lab import Lab
from mcnilib.kernel.lab.tools import LEGACY
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
        lab.run("r", *LEGACY, text=print_tables(case.world["r"].ip4.legacy))
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
