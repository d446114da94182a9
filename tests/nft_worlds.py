"""Worlds with native nftables on the router, and how conversations end there: for the model and the kernel."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import NamedTuple

from kernel_worlds import FORWARDS, chains
from small_worlds import namespace, plug

from mcnilib.linux.netfilter.nftables.text.ruleset import read_ruleset
from mcnilib.trace.flow import Flow, Listener
from mcnilib.world.world import World

CLIENT, ROUTER, SERVER, SERVICE = (IPv4Address(ip) for ip in ("10.0.1.2", "10.0.1.1", "10.0.2.2", "172.30.0.41"))


class NftCase(NamedTuple):
    """What the router's ruleset says beside `table ip t {`, and how a conversation with the server ends."""

    ruleset: str
    verdict: str
    to: IPv4Address = SERVER
    port: int = 80
    proto: str = "tcp"
    tables: str = ""  # of iptables
    backwards: bool = False  # the server asks the client

    @property
    def world(self) -> World:
        """Client, router with the rules, server."""
        a = namespace("a", "eth0 10.0.1.2/24 veth r 2", "route default via 10.0.1.1 dev eth0\n")
        r = namespace("r", "e1 10.0.1.1/24 veth a 2\ne2 10.0.2.1/24 veth b 2", FORWARDS, self.tables)
        b = namespace("b", "eth0 10.0.2.2/24 veth r 3", "route default via 10.0.2.1 dev eth0\n")
        return plug(a, r.with_ip4(nft=read_ruleset(self.ruleset)), b)

    def talk(self, number: int) -> tuple[Flow, tuple[Listener, ...]]:
        """The conversation, and who listens."""
        flow = Flow(
            "a",
            self.to,
            self.proto,
            self.port if self.proto != "icmp" else 0,
            sport=40000 + number if self.proto != "icmp" else 0,
        )
        return flow, (Listener("b", 80, self.proto),) if self.proto != "icmp" else ()


def at(
    hook: str,
    *rules: str,
    priority: str = "filter",
    kind: str = "filter",
    policy: str = "accept",
    family: str = "ip",
    more: str = "",
) -> str:
    """A table with one base chain."""
    lines = "\n".join(f"\t\t{rule}" for rule in rules)
    base = f"\tchain base {{\n\t\ttype {kind} hook {hook} priority {priority}; policy {policy};\n{lines}\n\t}}\n"
    return f"table {family} t {{\n{more}{base}}}\n"


def service(*rules: str, more: str = "") -> str:
    """A table whose chain `services` has these rules; packets to the service's address come there."""
    lines = "\n".join(f"\t\t{rule}" for rule in rules)
    nat = "\tchain pre {\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n\t\tjump services\n\t}\n"
    return f"table ip kube-proxy {{\n{more}{nat}\tchain services {{\n{lines}\n\t}}\n}}\n"


VMAP = """	map service-ips {
		type ipv4_addr . inet_proto . inet_service : verdict
		elements = { 172.30.0.41 . tcp . 80 : goto service-1 }
	}
	chain endpoint-1 {
		meta l4proto tcp dnat to 10.0.2.2:80
	}
	chain service-1 {
		ip daddr 172.30.0.41 ip saddr != 10.244.0.0/16 jump mark-for-masquerade
		numgen random mod 1 vmap { 0 : goto endpoint-1 }
	}
	chain mark-for-masquerade {
		meta mark set meta mark | 0x00004000
	}
	chain post {
		type nat hook postrouting priority srcnat; policy accept;
		meta mark & 0x00004000 == 0x00000000 return
		meta mark set meta mark ^ 0x00004000
		masquerade fully-random
	}
"""
BY_MAP = "ip daddr . meta l4proto . th dport vmap @service-ips"
WORKS, TIMES_OUT, REFUSED, UNREACHABLE = (
    "connected", "connect times out", "connection refused", "unreachable",
)  # fmt: skip

CASES = {
    "nothing is said": NftCase(at("forward", "tcp dport 22 drop"), WORKS),
    "dropped": NftCase(at("forward", "tcp dport 80 drop"), TIMES_OUT),
    "dropped by the policy": NftCase(at("forward", "ct state established accept", policy="drop"), TIMES_OUT),
    "what is established may pass": NftCase(
        at("forward", "ct state established,related accept", "tcp dport 80 accept", policy="drop"), WORKS
    ),
    "rejected": NftCase(at("forward", "reject"), REFUSED),
    "rejected with a reset": NftCase(at("forward", "tcp dport 80 reject with tcp reset"), REFUSED),
    "rejected, prohibited": NftCase(at("forward", "reject with icmp host-prohibited"), UNREACHABLE),
    "accepted here, dropped by another table": NftCase(
        at("forward", "tcp dport 80 accept") + at("forward", "drop", family="inet", priority="filter + 1"), TIMES_OUT
    ),
    "dropped by iptables, accepted here": NftCase(
        at("forward", "accept", priority="filter - 1"), TIMES_OUT, tables=chains("filter", "FORWARD -p tcp -j DROP")
    ),
    "a set of addresses": NftCase(at("forward", "ip daddr { 10.0.2.2, 10.0.2.3 } drop"), TIMES_OUT),
    "a set of prefixes": NftCase(at("forward", "ip saddr { 10.0.1.0/25, 10.9.0.0/16 } drop"), TIMES_OUT),
    "joined parts": NftCase(at("forward", "ip daddr . tcp dport { 10.0.2.2 . 81, 10.0.2.3 . 80 } drop"), WORKS),
    "a range of ports": NftCase(at("forward", "tcp dport 70-90 drop"), TIMES_OUT),
    "flags": NftCase(at("forward", "tcp flags syn,ack / syn,ack drop"), TIMES_OUT),
    "a flag and no other": NftCase(at("forward", "tcp flags == syn drop"), TIMES_OUT),
    "a flag and no other, of an answer": NftCase(at("forward", "tcp flags == ack tcp dport 80 drop"), WORKS),
    "not a flag and no other": NftCase(at("forward", "tcp flags != ack | syn tcp sport 80 drop"), "connect succeeds, then hangs"),
    "flags in order": NftCase(at("forward", "tcp flags & (fin | syn) < syn drop"), "connect succeeds, then hangs"),
    "flags in order, the other way": NftCase(at("forward", "tcp flags > ack tcp dport 80 drop"), "connect succeeds, then hangs"),
    "a set of flags": NftCase(at("forward", "tcp flags { fin, syn | ack } drop"), TIMES_OUT),
    "a state and no other": NftCase(at("forward", "ct state == established accept", policy="drop"), TIMES_OUT),
    "a range of addresses": NftCase(at("forward", "ip saddr 10.0.1.0-10.0.1.255 drop"), TIMES_OUT),
    "none of some flags": NftCase(at("forward", "tcp flags ! syn,rst drop"), "connect succeeds, then hangs"),
    "rules about IPv6": NftCase(
        at(
            "forward", "ip6 saddr fe80::/10 drop", "icmpv6 type nd-neighbor-solicit accept", "meta nfproto ipv6 drop",
            "reject with icmpv6 port-unreachable", "tcp dport 80 ip6 daddr ::1 drop", "meta priority set 1:2 tcp dport 22 drop",
            family="inet",
        ),
        WORKS,
    ),
    "devices": NftCase(at("forward", 'iifname "e2" oifname "e*" drop'), TIMES_OUT),
    "a vmap of ports": NftCase(at("forward", "tcp dport vmap { 80 : drop, 443 : accept }"), TIMES_OUT),
    "a mark between chains": NftCase(
        at("prerouting", "meta mark set 0x00000010", priority="mangle")
        + at("forward", "meta mark 0x00000010 drop", family="inet"), TIMES_OUT,
    ),
    "goto does not come back": NftCase(
        at("forward", "goto other", "drop", more="\tchain other {\n\t\ttcp dport 22 drop\n\t}\n"), WORKS
    ),
    "jump comes back": NftCase(
        at("forward", "jump other", "drop", more="\tchain other {\n\t\ttcp dport 22 drop\n\t}\n"), TIMES_OUT
    ),
    "return in a base chain is the policy": NftCase(at("forward", "return", "drop"), WORKS),
    "untracked is not established": NftCase(
        at("prerouting", "notrack", priority="raw") + at("forward", "ct state untracked drop", family="inet"), TIMES_OUT
    ),
    "the state of the first packet": NftCase(at("forward", "ct state new drop"), TIMES_OUT),
    "the connection's mark": NftCase(
        at("prerouting", "ct state new ct mark set 0x00000007", priority="mangle")
        + at("forward", "ct direction reply ct mark 0x00000007 drop", family="inet"), TIMES_OUT,
    ),
    "a limit": NftCase(at("forward", "limit rate over 1/hour burst 1 packets drop"), TIMES_OUT),
    "an element that a rule added": NftCase(
        at("forward", "update @seen { ip saddr }", "ip daddr @seen drop", more="\tset seen {\n\t\ttype ipv4_addr\n\t\tsize 65535\n\t\tflags dynamic\n\t}\n"),
        TIMES_OUT,
    ),
    "the kind of address": NftCase(at("prerouting", "fib daddr type local drop", priority="mangle"), WORKS),
    "the router itself": NftCase(at("prerouting", "fib daddr type local drop", priority="mangle"), TIMES_OUT, to=ROUTER),
    "no way back": NftCase(at("prerouting", "fib saddr . iif oif missing drop", priority="raw"), WORKS),
    "ping": NftCase(at("forward", "icmp type echo-request drop"), "lost", proto="icmp"),
    "a service": NftCase(service(BY_MAP, more=VMAP), WORKS, to=SERVICE),
    "a service, another port": NftCase(service(BY_MAP, more=VMAP), UNREACHABLE, to=SERVICE, port=81),
    "dnat by a map": NftCase(service("ip daddr 172.30.0.41 dnat ip to tcp dport map { 80 : 10.0.2.2 . 80 }"), WORKS, to=SERVICE),
    "dnat by chance of one": NftCase(
        service("ip daddr 172.30.0.41 meta l4proto tcp dnat ip to numgen random mod 1 map { 0 : 10.0.2.2 . 80 }"), WORKS, to=SERVICE
    ),
    "redirect": NftCase(service("tcp dport 8080 redirect to :81"), REFUSED, port=8080),
    "masquerade": NftCase(at("postrouting", 'oifname "e2" masquerade', kind="nat", priority="srcnat"), WORKS),
    "snat": NftCase(at("postrouting", "ip saddr 10.0.1.0/24 snat to 10.0.2.1", kind="nat", priority="srcnat"), WORKS),
}  # fmt: skip
"""Each by what it is about."""
