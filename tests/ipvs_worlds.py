"""Worlds with virtual servers on the router, and how conversations end there: for the model and the kernel."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import NamedTuple

from kernel_worlds import FORWARDS, chains
from small_worlds import namespace, plug

from mcnilib.linux.netfilter.ipvs.service import parse_services
from mcnilib.trace.flow import Flow, Listener
from mcnilib.world.world import World

SERVICE, ROUTER = IPv4Address("172.30.0.41"), IPv4Address("10.0.1.1")
B = IPv4Address("10.0.2.2")
TRACKS, REFUSES = "sysctl net.ipv4.vs.conntrack 1\n", "sysctl net.ipv4.vs.nat_icmp_send 1\n"
CALM = "".join(f"sysctl net.ipv4.vs.{name} 1\n" for name in ("drop_entry", "drop_packet", "secure_tcp"))


class IpvsCase(NamedTuple):
    """What the router's virtual servers are, and how a conversation with one of them ends."""

    services: str
    verdict: str
    seen: str = ""  # the client, as the server saw it
    state: str = TRACKS
    tables: str = ""
    to: IPv4Address = SERVICE
    port: int = 80
    proto: str = "tcp"
    client: str = "a"
    listeners: tuple[str, ...] = ("b", "c")

    @property
    def world(self) -> World:
        """A client, the router, which has the service's address on a device that is down, and two servers."""
        a = namespace("a", "eth0 10.0.1.2/24 veth r 2", "route default via 10.0.1.1 dev eth0\n")
        devices = "e1 10.0.1.1/24 veth a 2\ne2 10.0.2.1/24 veth b 2\ne3 10.0.3.1/24 veth c 2\nipvs 172.30.0.41/32 dummy"
        r = namespace("r", devices, FORWARDS + self.state, self.tables)
        b = namespace("b", "eth0 10.0.2.2/24 veth r 3", "route default via 10.0.2.1 dev eth0\n")
        c = namespace("c", "eth0 10.0.3.2/24 veth r 4", "route default via 10.0.3.1 dev eth0\n")
        return plug(a, r.with_ip4(ipvs=parse_services(self.services)), b, c)

    def talk(self, number: int) -> tuple[Flow, tuple[Listener, ...]]:
        """The conversation, and who listens."""
        ping = self.proto == "icmp"
        port, sport = (0, 0) if ping else (self.port, 40000 + number)
        flow = Flow(self.client, self.to, self.proto, port, sport=sport)
        return flow, () if ping else tuple(Listener(name, 8080, self.proto) for name in self.listeners)


def service(*servers: str, name: str = "-t 172.30.0.41:80", scheduler: str = "rr", more: str = "") -> str:
    """A virtual server with its real servers, each `ADDRESS:PORT` and perhaps a weight."""
    lines = [f"-A {name} -s {scheduler}{more}"]
    for server in servers:
        place, _, weight = server.partition(" ")
        lines.append(f"-a {name} -r {place} -m -w {weight or 1}")
    return "\n".join(lines) + "\n"


ONE = service("10.0.2.2:8080")
TWO = service("10.0.2.2:8080", "10.0.3.2:8080")
UDP = service("10.0.2.2:8080", name="-u 172.30.0.41:80")
STATEFUL = chains("filter", "FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", policy="DROP")
NO_INVALID = chains("filter", "FORWARD -m conntrack --ctstate INVALID -j DROP")
MASQUERADE = chains("nat", "POSTROUTING -m conntrack --ctstate NEW -j MASQUERADE")
WORKS, TIMES_OUT, REFUSED, LOST = "connected", "connect times out", "connection refused", "lost"
ONE_WAY = "delivered one way only"

CASES = {
    "one server": IpvsCase(ONE, WORKS, "10.0.1.2"),
    "nothing tracks": IpvsCase(ONE, WORKS, "10.0.1.2", state=""),
    "tracked": IpvsCase(ONE, WORKS, "10.0.1.2", tables=STATEFUL),
    "conntrack keeps nothing": IpvsCase(ONE, TIMES_OUT, "10.0.1.2", state="", tables=NO_INVALID),
    "masqueraded": IpvsCase(ONE, WORKS, "10.0.2.1", tables=MASQUERADE),
    "not masqueraded where conntrack keeps nothing": IpvsCase(ONE, WORKS, "10.0.1.2", state="", tables=MASQUERADE),
    "two servers": IpvsCase(TWO, WORKS, "10.0.1.2"),
    "the router asks": IpvsCase(ONE, WORKS, "172.30.0.41", client="r"),
    "the router asks, masqueraded": IpvsCase(ONE, WORKS, "10.0.2.1", client="r", tables=MASQUERADE),
    "the router serves": IpvsCase(service("10.0.1.1:8080"), WORKS, "10.0.1.2", listeners=("r",)),
    "the router serves itself": IpvsCase(service("10.0.1.1:8080"), WORKS, "172.30.0.41", client="r", listeners=("r",)),
    "nobody listens": IpvsCase(ONE, REFUSED, "10.0.1.2", listeners=()),
    "udp": IpvsCase(UDP, WORKS, "10.0.1.2", proto="udp"),
    "udp, nobody listens": IpvsCase(UDP, REFUSED, "10.0.1.2", proto="udp", listeners=()),
    "udp, nothing tracks": IpvsCase(UDP, REFUSED, "10.0.1.2", state="", proto="udp", listeners=()),
    "no server": IpvsCase(service(), REFUSED),
    "no server, asked by the router": IpvsCase(service(), REFUSED, client="r"),
    "no server, tracked": IpvsCase(service(), REFUSED, tables=STATEFUL),
    "no server, tracked, asked by the router": IpvsCase(service(), REFUSED, client="r", tables=STATEFUL),
    "no server, udp": IpvsCase(
        service(name="-u 172.30.0.41:80"), REFUSED, proto="udp", tables=STATEFUL + MASQUERADE
    ),
    "nobody listens, tracked": IpvsCase(ONE, REFUSED, "10.0.2.1", listeners=(), tables=STATEFUL + MASQUERADE),
    "udp, nobody listens, masqueraded": IpvsCase(
        UDP, REFUSED, "10.0.2.1", proto="udp", listeners=(), tables=STATEFUL + MASQUERADE
    ),
    "udp, masqueraded": IpvsCase(UDP, WORKS, "10.0.2.1", proto="udp", tables=STATEFUL + MASQUERADE),
    "two servers, tracked": IpvsCase(TWO, WORKS, "10.0.1.2", tables=STATEFUL),
    "the router serves, tracked": IpvsCase(
        service("10.0.1.1:8080"), WORKS, "10.0.1.2", listeners=("r",), tables=STATEFUL
    ),
    "the router serves itself, masqueraded": IpvsCase(
        service("10.0.1.1:8080"), WORKS, "10.0.1.1", client="r", listeners=("r",), tables=MASQUERADE
    ),
    "a mark before the service": IpvsCase(
        service("10.0.2.2:8080", name="-f 7"), WORKS, "10.0.1.2",
        tables=chains("mangle", "PREROUTING -d 172.30.0.41 -j MARK --set-mark 7"),
    ),
    "the mark of OUTPUT chooses the way": IpvsCase(
        ONE, TIMES_OUT, tables=chains("mangle", "OUTPUT -d 10.0.2.2 -j MARK --set-mark 9"),
        state=TRACKS + "rule 100: from all fwmark 9 lookup 9\nroute blackhole default table 9\n",
    ),
    "TCP dropped at the way out": IpvsCase(ONE, TIMES_OUT, tables=chains("filter", "OUTPUT -p tcp -j DROP")),
    "refused at the way out": IpvsCase(ONE, REFUSED, tables=chains("filter", "OUTPUT -p tcp -j REJECT")),
    "reset at the way out": IpvsCase(
        ONE, TIMES_OUT, tables=chains("filter", "OUTPUT -p tcp -j REJECT --reject-with tcp-reset")
    ),
    "weight 0": IpvsCase(service("10.0.2.2:8080 0"), REFUSED),
    "weight 0 of one": IpvsCase(service("10.0.2.2:8080 0", "10.0.3.2:8080"), WORKS, "10.0.1.2"),
    "another port": IpvsCase(ONE, REFUSED, "10.0.1.2", port=81),
    "ping": IpvsCase(ONE, WORKS, "10.0.1.2", proto="icmp", port=0),
    "the address of a node": IpvsCase(service("10.0.2.2:8080", name="-t 10.0.1.1:80"), WORKS, "10.0.1.2", to=ROUTER),
    "weighted": IpvsCase(service("10.0.2.2:8080", "10.0.3.2:8080 3", scheduler="wrr"), WORKS, "10.0.1.2"),
    "least connections": IpvsCase(service("10.0.2.2:8080", "10.0.3.2:8080", scheduler="lc"), WORKS, "10.0.1.2"),
    "a hash of the source": IpvsCase(service("10.0.2.2:8080", "10.0.3.2:8080", scheduler="sh"), WORKS, "10.0.1.2"),
    "persistent": IpvsCase(service("10.0.2.2:8080", "10.0.3.2:8080", more=" -p 10800"), WORKS, "10.0.1.2"),
    "no way to the server": IpvsCase(service("10.0.9.9:8080"), "unreachable"),
    "INPUT drops the service": IpvsCase(ONE, TIMES_OUT, tables=chains("filter", "INPUT -d 172.30.0.41 -j DROP")),
    "OUTPUT drops the server": IpvsCase(ONE, TIMES_OUT, tables=chains("filter", "OUTPUT -d 10.0.2.2 -j DROP")),
    "FORWARD sees the server": IpvsCase(ONE, TIMES_OUT, "10.0.1.2", tables=chains("filter", "FORWARD -s 10.0.2.2 -j DROP")),
    "FORWARD sees no request": IpvsCase(ONE, WORKS, "10.0.1.2", tables=chains("filter", "FORWARD -d 10.0.2.2 -j DROP")),
    "a server asked by itself": IpvsCase(ONE, WORKS, "10.0.1.2", to=B, port=8080),
    "a server asked by itself, refused its answer": IpvsCase(ONE, TIMES_OUT, "10.0.1.2", state=REFUSES, to=B, port=8080),
    "a server asked by itself, refused its answer, udp": IpvsCase(
        UDP, ONE_WAY, "10.0.1.2", state=REFUSES, to=B, port=8080, proto="udp"
    ),
    "another protocol's server is refused nothing": IpvsCase(
        ONE, WORKS, "10.0.1.2", state=REFUSES, to=B, port=8080, proto="udp"
    ),
    "a marked service's server, refused its answer": IpvsCase(
        service("10.0.2.2:8080", name="-f 7"), ONE_WAY, "10.0.1.2", state=REFUSES, to=B, port=8080, proto="udp"
    ),
    "a server that nobody listens on may refuse": IpvsCase(ONE, REFUSED, "10.0.1.2", state=REFUSES, to=B, port=8080, listeners=()),
    "the router is a server, and refused its own answer": IpvsCase(
        service("10.0.1.1:8080"), TIMES_OUT, "10.0.1.2", state=REFUSES, to=ROUTER, port=8080, listeners=("r",)
    ),
    "known connections are refused nothing": IpvsCase(ONE, WORKS, "10.0.1.2", state=TRACKS + REFUSES),
    "defences that memory shortage would start": IpvsCase(ONE, WORKS, "10.0.1.2", state=TRACKS + CALM),
    "POSTROUTING sees the service answer": IpvsCase(
        ONE, TIMES_OUT, "10.0.1.2", tables=chains("mangle", "POSTROUTING -s 172.30.0.41 -j DROP")
    ),
}  # fmt: skip
"""Each by what it is about."""
