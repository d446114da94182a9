"""Rules of `ip rule` that nearly applied, tables nobody asked, the path back, whose address it was, what was listed."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import NamedTuple

import pytest
from kernel_worlds import FORWARDS, chains
from small_worlds import namespace, plug, routed, talk

from mcnilib.linux.netfilter.conntrack import parse_connections
from mcnilib.trace.explain import because, tell, verdict
from mcnilib.trace.flow import Flow, Listener
from mcnilib.trace.run import run
from mcnilib.trace.why.reasons import reasons
from mcnilib.world.world import World


class Look(NamedTuple):
    """State of router r, whose main table leads to nobody, and what the verdict says behind `because`."""

    router: str
    tables: str = ""
    says: str = ""


def _world(case: Look) -> World:
    """Client a, router r, server b behind r."""
    return plug(
        namespace("a", "eth0 10.0.1.2/24", "route default via 10.0.1.1 dev eth0"),
        namespace("r", "e1 10.0.1.1/24\ne2 10.0.2.1/24", FORWARDS + case.router, case.tables),
        namespace("b", "eth0 10.0.2.2/24\nlo0 10.0.5.2/32 dummy", "route default via 10.0.2.1 dev eth0"),
        lan1="a.eth0 r.e1",
        lan2="b.eth0 r.e2",
    )


WRONG = "route default via 10.0.1.9 dev e1\n"
TABLE = "\nroute 10.0.5.0/24 via 10.0.2.2 dev e2 table 7"
MARKED = "PREROUTING -j MARK --set-xmark 0x1/0x1", "PREROUTING -j MARK --set-xmark 0x0/0x1"
LATE = "FORWARD -j MARK --set-xmark 0x1/0x1"
LOOKS = {
    "another device": Look(
        f"{WRONG}rule 99: from 10.0.1.0/24 iif e2 lookup 7{TABLE}",
        says="on r `99: from 10.0.1.0/24 iif e2 lookup 7` does not apply to packet 1: came in by e1, not e2",
    ),
    "a selector alone": Look(f"{WRONG}rule 99: from 10.7.0.0/16 lookup 7{TABLE}"),
    "a mark that it never had": Look(f"{WRONG}rule 99: from all fwmark 0x1/0x1 lookup 7{TABLE}"),
    "a mark that was taken off": Look(
        f"{WRONG}rule 99: from all fwmark 0x1/0x1 lookup 7{TABLE}", chains("mangle", *MARKED),
        "on r `99: from all fwmark 0x1/0x1 lookup 7` does not apply to packet 1: mark is 0x0, not 0x1/0x1",
    ),
    "a mark that comes too late": Look(
        f"{WRONG}rule 99: from all fwmark 0x1/0x1 lookup 7{TABLE}", chains("filter", LATE),
        "on r `99: from all fwmark 0x1/0x1 lookup 7` does not apply to packet 1: mark is 0x0, not 0x1/0x1; only after "
        "this look-up filter FORWARD sets it by `-A FORWARD -j MARK --set-xmark 0x1/0x1`",
    ),
    "a table nobody asks": Look(
        f"{WRONG}{TABLE}", says="on r no rule asks table 7, which has `10.0.5.0/24 via 10.0.2.2 dev e2`",
    ),
    "a table nobody asks, of no use": Look(f"{WRONG}{TABLE}".replace("10.0.2.2", "10.0.2.8")),
    "a rule of no use": Look(f"{WRONG}rule 99: from 10.0.1.0/24 iif e2 lookup 7{TABLE}".replace("10.0.2.2", "10.0.2.8")),
}  # fmt: skip


@pytest.mark.parametrize("case", LOOKS.values(), ids=LOOKS)
def test_the_verdict_names_the_rule_and_the_table_that_were_passed_over(case):
    said = verdict(talk(_world(case), "tcp:10.0.5.2:80")).partition(", because ")[2]
    assert said.removeprefix("on r ") == case.says.removeprefix("on r ")


def test_what_is_of_no_use_is_told_beside_its_step():
    trace = talk(_world(LOOKS["a rule of no use"]), "tcp:10.0.5.2:80")
    assert because(trace) == ["10.0.5.2 is an address of b"]
    assert "    on r `99: from 10.0.1.0/24 iif e2 lookup 7` does not apply to packet 1: came in by e1, not e2" in tell(
        trace
    )


BACK = chains("raw", "PREROUTING -m rpfilter --validmark --invert -j DROP")


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("rule 99: from all to 10.0.1.2 lookup 7\nroute default via 10.0.2.9 dev e2 table 7",
         "the path back to 10.0.1.2 is not through e1 but by `default via 10.0.2.9 dev e2` in table 7, which "
         "`99: from all to 10.0.1.2 lookup 7` asks"),
        ("rule 99: from all to 10.0.1.2 prohibit", "no path leads back to 10.0.1.2: "),
    ],
)  # fmt: skip
def test_the_match_rpfilter_says_what_the_path_back_is(state, says):
    said = verdict(talk(_world(Look(state, BACK)), "tcp:10.0.5.2:80")).partition(", because ")[2]
    assert said.startswith(says)


def test_whose_address_a_lost_packet_was_for_is_told():
    assert because(talk(_world(Look("")), "tcp:10.0.5.2:80")) == ["10.0.5.2 is an address of b"]


LINE = "udp 17 29 src=10.0.1.2 dst=10.0.2.2 sport=5000 dport=80 [UNREPLIED] src=10.0.2.2 dst=10.0.1.2 sport=80 dport=5000 mark=0 use=1"


def test_the_listed_connection_of_a_conversation_that_works_is_told_beside_its_step():
    world, listeners = (
        routed(chains("filter", "FORWARD -m conntrack --ctstate NEW -j ACCEPT")),
        (Listener("b", 80, "udp"),),
    )
    flow = Flow("a", IPv4Address("10.0.2.2"), "udp", 80, sport=5000)
    trace = run(world, flow, listeners, connections=[("r", one) for one in parse_connections(LINE)])
    (reason,) = reasons(trace)
    assert (trace.outcome.works, because(trace)) == (True, [])
    assert f"    {reason.said}" in [line.replace("on r ", "") for line in tell(trace)]
    assert reason.said == f"packet 1 belongs to a connection that is listed already: `{reason.line}`"
