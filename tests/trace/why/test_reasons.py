"""Why a conversation fails where the line that decided does not say it."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import NamedTuple

import pytest
from kernel_worlds import FORWARDS, bridged, chains
from small_worlds import namespace, plug, routed, talk

from mcnilib.linux.netfilter.conntrack import parse_connections
from mcnilib.linux.netfilter.iptables.save import parse_tables
from mcnilib.linux.netns import add_routes
from mcnilib.linux.routing.route import parse_route
from mcnilib.trace.explain import because, verdict
from mcnilib.trace.export import trace_to_json
from mcnilib.trace.flow import Flow, Listener
from mcnilib.trace.run import run
from mcnilib.trace.why.reasons import reasons
from mcnilib.world.world import World


class Why(NamedTuple):
    """State of router r and server b, and what the verdict says behind `because`; nothing where no reason decides."""

    router: str = ""
    tables: str = ""
    server: str = ""
    says: str = ""


def _world(case: Why) -> World:
    """Client a, router r, server b; b's path back is by a router c that knows nothing of a."""
    return plug(
        namespace("a", "eth0 10.0.1.2/24", "route default via 10.0.1.1 dev eth0"),
        namespace("r", "e1 10.0.1.1/24\ne2 10.0.2.1/24", FORWARDS + case.router, case.tables),
        namespace("b", "eth0 10.0.2.2/24\neth1 10.0.3.2/24", case.server or "route default via 10.0.3.1 dev eth1"),
        namespace("c", "e3 10.0.3.1/24", FORWARDS),
        lan1="a.eth0 r.e1",
        lan2="b.eth0 r.e2",
        lan3="b.eth1 c.e3",
    )


_MASQUERADE = "nat", "POSTROUTING -m mark --mark 0x4/0xf -j MASQUERADE"
_SO = "; so b answers to 10.0.1.2, an address of a"
_FAILED = "on r `-A POSTROUTING -m mark --mark 0x4/0xf -j MASQUERADE` did not match packet 1: mark is 0x0, not 0x4/0xf"
_TABLE_100 = "rule 99: from 10.0.2.2 lookup 100\nroute default via 10.0.3.1 dev eth1\n"

CASES = {
    "a rule that nothing came near": Why(tables=chains("nat", "POSTROUTING -s 10.9.9.9/32 -j RETURN")),
    "a condition that failed": Why(tables=chains(*_MASQUERADE), says=_FAILED + _SO),
    "the line that changed the mark": Why(
        tables=chains("filter", "FORWARD -j MARK --set-xmark 0x4/0xf")
        + chains("mangle", "POSTROUTING -j MARK --set-xmark 0x0/0xf")
        + chains(*_MASQUERADE),
        says=f"{_FAILED}, since it was changed in mangle POSTROUTING by `-A POSTROUTING -j MARK --set-xmark 0x0/0xf`{_SO}",
    ),
    "in a chain of its own, without its comment": Why(
        tables=chains("nat", "POSTROUTING -j X", 'X -s 10.0.1.0/24 -m comment --comment "a b" ! -d 10.0.2.0/24 -j MASQUERADE').replace(
            ":POST", ":X - [0:0]\n:POST"
        ),
        says="on r `-A X -s 10.0.1.0/24 ! -d 10.0.2.0/24 -j MASQUERADE` did not match packet 1: "
        f"destination is 10.0.2.2, which the rule excludes{_SO}",
    ),
    "two conditions that failed": Why(tables=chains("nat", "POSTROUTING -o e9 -m mark --mark 0x4 -j MASQUERADE")),
    "one that would not have helped": Why(tables=chains("nat", "POSTROUTING -o e9 -j SNAT --to-source 10.0.9.9")),
    "a table without a default route": Why(
        server=f"{_TABLE_100}route 10.0.2.0/24 dev eth0 table 100",
        says="on b table 100, which `99: from 10.0.2.2 lookup 100` asks, has no route to 10.0.1.2 and no default "
        "route: the look-up went on to table main and took `default via 10.0.3.1 dev eth1`",
    ),
    "an empty table": Why(
        server=_TABLE_100,
        says="on b table 100, which `99: from 10.0.2.2 lookup 100` asks, is empty: the look-up went on to table main "
        "and took `default via 10.0.3.1 dev eth1`",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_verdict_gives_the_reason(case):
    assert verdict(talk(_world(case), "tcp:10.0.2.2:80")).partition(", because ")[2] == case.says


def test_the_reason_is_in_the_json_with_its_line_and_is_told_once():
    trace = talk(_world(CASES["a condition that failed"]), "tcp:10.0.2.2:80")
    (reason,) = trace_to_json(trace)["reasons"]
    assert (reason["netns"], reason["listing"], reason["decides"]) == ("r", "iptables-save -t nat", True)
    assert reason["evidence"] == "-A POSTROUTING -m mark --mark 0x4/0xf -j MASQUERADE"
    assert because(trace) == []


def test_a_conversation_that_works_has_no_reasons():
    works = talk(_world(Why(server="route default via 10.0.2.1 dev eth0")), "tcp:10.0.2.2:80")
    assert (works.outcome.works, reasons(works)) == (True, ())


_SERVICE = "nat", "PREROUTING -d 10.9.9.9/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination {to}:80"
_AGAIN = chains("filter", "OUTPUT -s 10.0.1.1/32 -j POD", "FORWARD -s 10.0.1.1/32 -j POD", "POD -j REJECT")


def _on_a_bridge() -> World:
    """Pods a and b on a bridge of node n, which translates a service's address; bridged packets pass iptables by."""
    world = bridged()
    node = namespace("x", "", f"{FORWARDS}sysctl net.bridge.bridge-nf-call-iptables 0")
    node = world["n"].but(sysctls=node.sysctls).with_ip4(tables=parse_tables(_filled(_SERVICE, "10.0.7.3")))
    return world.put(node).put(add_routes(world["a"], parse_route("default via 10.0.7.1 dev eth0")))


def _filled(rules: tuple[str, str], to: str) -> str:
    return chains(rules[0], rules[1].format(to=to))


def _neighbours() -> World:
    """Client a and server b on one switch; the router between them translates a service's address."""
    hosts = [
        namespace(n, f"eth0 10.0.1.{i}/24", "route default via 10.0.1.1 dev eth0") for n, i in (("a", 2), ("b", 3))
    ]
    router = namespace("r", "e1 10.0.1.1/24", FORWARDS, _filled(_SERVICE, "10.0.1.3"))
    return plug(*hosts, router, lan="a.eth0 b.eth0 r.e1")


_STRICT = "sysctl net.ipv4.conf.all.rp_filter 1\n"
_POD = _AGAIN.replace(":INPUT", ":POD - [0:0]\n:INPUT", 1)


@pytest.mark.parametrize(
    ("world", "client", "to", "says"),
    [
        (
            _on_a_bridge(), "a", "tcp:10.9.9.9:80",
            "on n the address was translated, and the answer crosses the bridge br0 as a frame, which iptables does "
            "not see: net.bridge.bridge-nf-call-iptables = 0",
        ),
        (_neighbours(), "a", "tcp:10.9.9.9:80", "on r the address was translated, and the answer goes b → a"),
        (
            routed(_POD), "r", "udp:10.0.2.2:80",
            "10.0.1.1 is an address of r itself, and `-A OUTPUT -s 10.0.1.1/32 -j POD` takes its packets there",
        ),
        (routed(_POD.replace("-A FORWARD -s 10.0.1.1/32 -j POD\n", "")), "r", "udp:10.0.2.2:80", ""),
        (
            _world(Why(f"{_STRICT}rule 99: from all to 10.0.1.2 iif e2 lookup 7\nroute default via 10.0.2.9 dev e2 table 7")),
            "a", "tcp:10.0.2.2:80",
            "the path back to 10.0.1.2 is not through e1 but by `default via 10.0.2.9 dev e2` in table 7, which "
            "`99: from all to 10.0.1.2 iif e2 lookup 7` asks",
        ),
    ],
    ids=["past a bridge", "past the router", "a pod's policy", "a policy of the machine", "the path back"],
)  # fmt: skip
def test_the_verdict_gives_the_reason_of_other_losses(world, client, to, says):
    trace = talk(world, to, client=client, src=IPv4Address("10.0.1.1") if client == "r" else None)
    assert verdict(trace).partition(", because ")[2] == says


def test_a_listed_connection_that_decides_is_named():
    line = "udp 17 29 src=10.0.1.2 dst=10.9.9.9 sport=5000 dport=80 [UNREPLIED] src=10.0.2.77 dst=10.0.1.2 sport=80 dport=5000 mark=0 use=1"
    world = routed(_filled(_SERVICE, "10.0.2.2").replace("tcp", "udp"))
    flow, servers = Flow("a", IPv4Address("10.9.9.9"), "udp", 80, sport=5000), (Listener("b", 80, "udp", pinned=True),)
    assert run(world, flow, servers).outcome.works
    trace = run(world, flow, servers, connections=[("r", one) for one in parse_connections(line)])
    (reason,) = reasons(trace)
    assert (reason.decides, reason.listing.command) == (True, "conntrack -L")
    assert ", because packet 1 belongs to a connection that is listed already: `udp " in verdict(trace)
