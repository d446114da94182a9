"""A packet's walk through small worlds: who decides, and what a person at the client's shell sees."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from kernel_worlds import ANSWERED, CASES
from small_worlds import mac, namespace, plug, routed, talk

from mcnilib.errors import Unsupported
from mcnilib.kernel.fuzz.case import parse_case, simulated
from mcnilib.linux.chance import Chance
from mcnilib.snapshots.question import read_flow
from mcnilib.trace.flow import ANY_ADDRESS, Flow, Listener, NoConversation
from mcnilib.trace.run import run
from mcnilib.trace.stack.host import Host
from mcnilib.trace.stack.icmp import route_error_allowed
from mcnilib.trace.trace import Fate, Stage, Verdict
from mcnilib.world.world import World


def local_gateway(rule: str) -> list[str]:
    local = "b: ip route add local 10.0.2.1 dev eth0 table 66"
    case = "\n".join(["world routers", local, f"b: ip rule add {rule}", "from b to tcp:10.0.1.2:80 at a"])
    return [trace.outcome.verdict.value for trace, _ in simulated(parse_case(case, "case"))]


def test_nobody_can_tell_whether_a_local_route_to_the_gateway_was_there_before_the_route() -> None:
    with pytest.raises(Unsupported, match=r"asked only if `default via 10\.0\.2\.1 dev eth0` was added first"):
        local_gateway("from all iif lo lookup 66")
    assert local_gateway("from all iif eth0 lookup 66") == ["connected"]


def filter_rules(*rules: str, policy: str = "ACCEPT") -> str:
    return f"*filter\n:FORWARD {policy} [0:0]\n" + "".join(f"-A FORWARD {rule}\n" for rule in rules) + "COMMIT\n"


@pytest.mark.parametrize(
    ("to", "tables", "verdict", "error", "step"),
    [
        ("tcp:10.0.2.2:80", "", "connected", "", "for the connection with"),
        ("udp:10.0.2.2:80", "", "connected", "", "the answer for the client's socket"),
        ("icmp:10.0.2.2", "", "connected", "", "echo reply"),
        ("tcp:10.0.2.2:81", "", "connection refused", "ECONNREFUSED", "answers RST"),
        ("udp:10.0.2.2:81", "", "connection refused", "ECONNREFUSED", "answers port unreachable"),
        ("tcp:10.0.2.2:80", filter_rules("-j DROP"), "connect times out", "ETIMEDOUT", "dropped"),
        ("tcp:10.0.2.2:80", filter_rules(policy="DROP"), "connect times out", "ETIMEDOUT", "dropped by the chain's policy"),
        ("udp:10.0.2.2:80", filter_rules("-j DROP"), "lost", "", "dropped"),
        ("tcp:10.0.2.2:80", filter_rules("-j REJECT"), "connection refused", "ECONNREFUSED", "rejected"),
        ("tcp:10.0.2.2:80", filter_rules("-p tcp -j REJECT --reject-with tcp-reset"), "connection refused", "ECONNREFUSED", "tcp-reset"),
        ("tcp:10.0.2.2:80", filter_rules("-j REJECT --reject-with icmp-host-unreachable"), "unreachable", "EHOSTUNREACH", "rejected"),
        ("tcp:10.0.2.2:80", filter_rules("-s 10.0.2.2/32 -j DROP"), "connect times out", "ETIMEDOUT", "dropped"),
        ("udp:10.0.2.2:80", filter_rules("-s 10.0.2.2/32 -j DROP"), "delivered one way only", "", "dropped"),
        ("tcp:10.0.2.2:80", filter_rules("-p tcp -m tcp --tcp-flags SYN,PSH PSH -j DROP"), "connect succeeds, then hangs", "ETIMEDOUT", "dropped"),
        ("tcp:10.0.2.77:80", "", "unreachable", "EHOSTUNREACH", "nothing answers ARP"),
        ("tcp:10.7.0.1:80", "", "unreachable", "ENETUNREACH", "no route"),
    ],
)  # fmt: skip
def test_what_the_client_sees(to: str, tables: str, verdict: str, error: str, step: str) -> None:
    outcome = talk(routed(tables), to).outcome
    assert (outcome.verdict.value, outcome.error) == (verdict, error)
    assert step in outcome.step.action


NAT = """*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -d 10.9.9.9/32 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.0.2.2:80
-A PREROUTING -d 10.9.9.9/32 -p icmp -j DNAT --to-destination 10.0.2.2
{}COMMIT
"""
MASQUERADE = "-A POSTROUTING -o e2 -j MASQUERADE --random-fully\n"


@pytest.mark.parametrize(
    ("to", "tables", "works", "seen"),
    [
        ("tcp:10.9.9.9:8080", NAT.format(""), True, "10.0.1.2"),
        ("tcp:10.9.9.9:8080", NAT.format(MASQUERADE), True, "10.0.2.1"),
        ("icmp:10.9.9.9", NAT.format(MASQUERADE), True, "10.0.2.1"),
        ("tcp:10.0.2.2:80", NAT.format("-A POSTROUTING -j SNAT --to-source 10.0.2.1\n"), True, "10.0.2.1"),
        ("tcp:10.0.2.2:80", NAT.format("-A POSTROUTING -j SNAT --to-source 10.0.2.99\n"), False, "10.0.2.99"),
    ],
)
def test_nat_is_applied_once_and_undone_for_the_answer(to: str, tables: str, works: bool, seen: str) -> None:
    outcome = talk(routed(tables), to).outcome
    assert (outcome.works, outcome.seen_source) == (works, seen)


@pytest.mark.parametrize(
    ("tables", "to"),
    [
        (MASQUERADE, "tcp:10.0.2.2:81"),  # the RST is the only answer, and is translated all the same
        (MASQUERADE, "udp:10.0.2.2:81"),  # the ICMP error and the packet it quotes
        (MASQUERADE, "tcp:10.0.2.77:80"),  # an ICMP error of the router itself, sent to its own address first
    ],
)
def test_errors_find_their_way_back_through_nat(tables: str, to: str) -> None:
    trace = talk(routed(NAT.format(tables)), to)
    assert trace.outcome.error in ("ECONNREFUSED", "EHOSTUNREACH")


@pytest.mark.parametrize(
    ("sysctls", "works"),
    [
        ({"net.ipv4.conf.all.rp_filter": "1"}, True),
        ({"net.ipv4.conf.e1.forwarding": "0"}, False),
    ],
)
def test_sysctls_of_the_router(sysctls: dict[str, str], works: bool) -> None:
    assert talk(routed(sysctls=sysctls), "tcp:10.0.2.2:80").outcome.works is works


def asymmetric(rules: str = "", r1_state: str = "", **b_sysctl: str):
    """The request goes a > r1 > b, the answer b > r2 > a: each router sees one half."""
    a = namespace("a", "eth0 10.0.1.2/24", "route default via 10.0.1.1 dev eth0")
    b = namespace("b", "eth0 10.0.2.2/24", "route 10.0.1.0/24 via 10.0.2.254 dev eth0")
    forward = "sysctl net.ipv4.ip_forward 1\n"
    r1 = namespace("r1", "e1 10.0.1.1/24\ne2 10.0.2.1/24", forward + r1_state, rules)
    r2 = namespace("r2", "e1 10.0.1.254/24\ne2 10.0.2.254/24", forward)
    return plug(a, r1, r2, b, lan1="a.eth0 r1.e1 r2.e1", lan2="b.eth0 r1.e2 r2.e2")


INVALID = filter_rules("-m conntrack --ctstate INVALID -j DROP")


@pytest.mark.parametrize(
    ("to", "rules", "verdict"),
    [
        ("tcp:10.0.2.2:80", INVALID, "connect succeeds, then hangs"),
        ("tcp:10.0.2.2:80", "", "connected"),
        ("udp:10.0.2.2:80", INVALID, "connected"),
        ("icmp:10.0.2.2", INVALID, "connected"),
        (
            "tcp:10.0.2.2:80",
            "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j NOTRACK\nCOMMIT\n" + INVALID,
            "connected",
        ),
    ],
)
def test_a_router_that_sees_one_half_drops_tcp_as_invalid(to: str, rules: str, verdict: str) -> None:
    trace = talk(asymmetric(rules), to)
    assert trace.outcome.verdict.value == verdict
    if verdict.startswith("connect succeeds"):
        assert trace.outcome.step.evidence == "-A FORWARD -m conntrack --ctstate INVALID -j DROP"
        assert (trace.outcome.step.ctstate, trace.outcome.journey.packet.kind) == ("INVALID", "ACK")


def test_the_hang_is_not_for_ever() -> None:
    """After 120 s conntrack forgets the SYN and picks the flow up; by then the server has given up and answers RST."""
    outcome = talk(asymmetric(INVALID), "tcp:10.0.2.2:80", patience=300.0).outcome
    assert (outcome.verdict.value, outcome.error) == ("connect succeeds, then the connection is reset", "ECONNRESET")


def test_with_a_short_syn_sent_timeout_the_connection_recovers() -> None:
    state = "sysctl net.netfilter.nf_conntrack_tcp_timeout_syn_sent 3"
    assert talk(asymmetric(INVALID, state), "tcp:10.0.2.2:80", patience=30.0).outcome.works


MARKS = """*mangle
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -i e2 -m conntrack --ctstate NEW -j MARK --set-xmark 0x1/0xffffffff
-A PREROUTING -m mark --mark 0x1 -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff
-A OUTPUT -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff
COMMIT
"""


def two_ways(marks: str):
    """Server s has two NICs; its default route is by e1, requests come in by e2 from a router that keeps state."""
    s = namespace(
        "s",
        "e1 10.0.1.9/24\ne2 10.0.2.9/24",
        "route default via 10.0.1.1 dev e1\nroute default via 10.0.2.1 dev e2 table 100\n"
        "rule 1000: from all fwmark 0x1 lookup 100",
        marks,
    )
    r1 = namespace("r1", "in 10.0.1.1/24\nout 10.0.3.1/24", "sysctl net.ipv4.ip_forward 1", INVALID)
    r2 = namespace("r2", "in 10.0.2.1/24\nout 10.0.3.2/24", "sysctl net.ipv4.ip_forward 1")
    c = namespace("c", "eth0 10.0.3.9/24", "route default via 10.0.3.2 dev eth0")
    return plug(s, r1, r2, c, lan1="s.e1 r1.in", lan2="s.e2 r2.in", wan="r1.out r2.out c.eth0")


@pytest.mark.parametrize(("marks", "works"), [(MARKS, True), ("", False)])
def test_a_restored_mark_reroutes_the_answer(marks: str, works: bool) -> None:
    trace = talk(two_ways(marks), "tcp:10.0.2.9:80", client="c", server="s")
    assert trace.outcome.works is works
    answer = next(j for j in trace.journeys if j.reply)
    assert any(step.action.startswith("rerouted: e2") for step in answer.steps) is works


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: Flow("a", ANY_ADDRESS, "TCP"), "the protocol is one of tcp, udp, icmp, not 'TCP'"),
        (lambda: Flow("a", ANY_ADDRESS, ""), "not ''"),
        (lambda: Flow("a", ANY_ADDRESS, "sctp"), "not 'sctp'"),
        (lambda: Flow("a", ANY_ADDRESS, "udp", 65536), "dport is a port from 1 to 65535, not 65536"),
        (lambda: Flow("a", ANY_ADDRESS, "tcp", 0), "dport is a port"),
        (lambda: Flow("a", ANY_ADDRESS, "tcp", "80"), "not '80'"),
        (lambda: Flow("a", ANY_ADDRESS, sport=-1), "sport is a port from 1 to 65535, not -1"),
        (lambda: Flow("a", "10.0.0.1"), "takes an IPv4Address, not '10.0.0.1'"),
        (lambda: Flow("a", ANY_ADDRESS, patience=float("nan")), "patience is a number of seconds"),
        (lambda: Flow("a", ANY_ADDRESS, patience=-1.0), "patience is a number of seconds"),
        (lambda: Listener("a", 80, "icmp"), "the protocol is one of tcp, udp, not 'icmp'"),
        (lambda: Listener("a", 0), "port is a port from 1 to 65535"),
    ],
)
def test_a_conversation_that_nobody_can_hold_is_refused(made, says: str) -> None:
    with pytest.raises(NoConversation, match=says):
        made()


def test_a_ping_needs_no_port() -> None:
    assert Flow("a", ANY_ADDRESS, "icmp", 0, sport=0).dport == 0


@pytest.mark.parametrize("name", CASES)
def test_a_conversation_ends_as_the_kernel_lets_it_end(name: str) -> None:
    case = CASES[name]
    courses = run(case.world, case.flow, case.listeners).courses  # of which chance took one
    assert case.verdict in {one.outcome.verdict.value for one in courses}
    assert len(courses) == 1 or "two legs" in name


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("a mark of mangle is routed again", "eth1"),
        ("a mark of raw is not", "eth0"),
        ("a mark of filter is not", "eth0"),
        ("a mark of mangle that filter clears", "eth1"),
        ("a mark of raw, then the TOS", "eth1"),
        ("a mark of raw, then the TTL", "eth0"),
        ("a mark of raw, then DNAT", "eth1"),
        ("a mark of filter after DNAT", "eth0"),
    ],
)
def test_only_mangle_and_nat_look_the_route_up_again(name: str, device: str) -> None:
    case = CASES[name]
    trace = run(case.world, case.flow, case.listeners)
    assert next(step.oif for step in trace.journeys[0].steps if step.to) == device


def actions(name: str) -> list[str]:
    case = CASES[name]
    return [step.action for step in run(case.world, case.flow, case.listeners).journeys[0].steps]


@pytest.mark.parametrize(
    ("name", "told", "silent"),
    [("errors that are limited", 1, True), ("errors of a type that is not limited", 4, False)],
)
def test_a_limit_keeps_errors_back_and_the_step_says_so(name: str, told: int, silent: bool) -> None:
    case = CASES[name]
    journeys = run(case.world, case.flow, case.listeners).journeys
    assert sum(journey.packet.icmp is not None for journey in journeys) == told
    why = "rejected with icmp-port-unreachable: says nothing, as net.ipv4.icmp_ratelimit = 60000"
    assert any(step.action == why for journey in journeys for step in journey.steps) is silent


@pytest.mark.parametrize(
    ("key", "value"),
    [("icmp_msgs_burst", 0), ("icmp_msgs_per_sec", 0), ("icmp_msgs_per_sec", 1), ("icmp_ratelimit", 60001)],
)
def test_what_was_sent_before_may_decide_whether_an_error_is_sent(key: str, value: int) -> None:
    world = routed(ANSWERED, {f"net.ipv4.{key}": str(value)})
    outcome = talk(world, "tcp:10.0.2.2:80").outcome
    assert outcome.verdict is Verdict.UNKNOWN
    assert f"net.ipv4.{key} = {value} on r" in outcome.step.action


def test_who_was_told_that_there_is_no_route_is_not_told_at_once_again() -> None:
    host = Host(routed()["r"], Chance())
    told = [route_error_allowed(host, IPv4Address("10.0.1.2"), now) for now in (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0)]
    assert told == [True, True, True, True, True, False, True, False]


def test_a_packet_that_table_nat_only_marked_keeps_its_port() -> None:
    told = actions("a mark of nat is not")
    assert "MARK --set-xmark 0x1/0xffffffff" in told
    assert not [action for action in told if "taken" in action]


@pytest.mark.parametrize("priority", [0, 1, 32766])
def test_a_rule_is_told_whatever_its_priority(priority: int) -> None:
    a = namespace(
        "a", "eth0 10.0.1.2/24", f"rule {priority}: from all lookup 7\nroute default via 10.0.1.1 dev eth0 table 7"
    )
    told = [step.action for step in talk(routed().put(a), "icmp:10.0.2.2").journeys[0].steps]
    assert f"rule {priority}: table 7" in told
    assert f"rule {priority}: table 7" not in actions("through a router")


@pytest.mark.parametrize(
    ("modes", "reflects", "works"),
    [
        ("bridge bridge", False, True),
        ("private private", False, False),
        ("private private", True, False),  # even when the switch sends the frames back
        ("vepa vepa", False, False),
        ("vepa vepa", True, True),
    ],
)
def test_macvlan_siblings(modes: str, reflects: bool, works: bool) -> None:
    first, second = modes.split()
    node = namespace("node", "en0 10.0.0.1/24")
    a = namespace("a", f"eth0 10.0.0.2/24 macvlan node 2 {first}")
    b = namespace("b", f"eth0 10.0.0.3/24 macvlan node 2 {second}")
    assert talk(plug(node, a, b, lan="node.en0", reflects=reflects), "tcp:10.0.0.3:80").outcome.works is works


@pytest.mark.parametrize(("reflects", "works"), [(False, False), (True, True)])
def test_a_macvlan_child_reaches_its_master_only_by_way_of_a_reflecting_switch(reflects: bool, works: bool) -> None:
    node = namespace("b", "en0 10.0.0.1/24")
    child = namespace("a", "eth0 10.0.0.2/24 macvlan b 2 bridge")
    assert talk(plug(node, child, lan="b.en0", reflects=reflects), "tcp:10.0.0.1:80").outcome.works is works


def test_a_child_is_served_before_the_node_s_ip_layer() -> None:
    drop = "*raw\n:PREROUTING DROP [0:0]\nCOMMIT\n"
    node = namespace("node", "en0 10.0.0.1/24", "", drop)
    child = namespace("b", "eth0 10.0.0.2/24 macvlan node 2 bridge")
    other = namespace("a", "eth0 10.0.0.3/24")
    trace = talk(plug(node, child, other, lan="node.en0 a.eth0"), "tcp:10.0.0.2:80")
    assert trace.outcome.works
    assert all(step.netns != "node" for journey in trace.journeys for step in journey.steps)


@pytest.mark.parametrize(
    ("rp_filter", "works"),
    [("0", True), ("1", False), ("2", True)],
)
def test_rp_filter_of_the_client_when_the_answer_comes_by_another_nic(rp_filter: str, works: bool) -> None:
    a = namespace(
        "a",
        "e1 10.0.1.2/24\ne2 10.0.2.2/24",
        f"sysctl net.ipv4.conf.all.rp_filter {rp_filter}\nroute 10.0.9.0/24 via 10.0.1.1 dev e1",
    )
    r = namespace("r", "in 10.0.1.1/24\nout 10.0.9.1/24", "sysctl net.ipv4.ip_forward 1")
    known = f"neigh 10.0.2.2 dev e2 lladdr {mac('a', 3)} PERMANENT\n"  # else ARP itself fails the strict check
    b = namespace("b", "e1 10.0.9.2/24\ne2 10.0.2.9/24", known + "route 10.0.1.0/24 via 10.0.2.2 dev e2")
    trace = talk(plug(a, r, b, lan1="a.e1 r.in", lan9="r.out b.e1", lan2="a.e2 b.e2"), "tcp:10.0.9.2:80")
    assert trace.outcome.works is works
    if not works:
        assert trace.outcome.step.stage is Stage.RP_FILTER


def test_a_route_loop_ends_when_the_ttl_is_used_up() -> None:
    a = namespace("a", "eth0 10.0.1.2/24", "route default via 10.0.1.1 dev eth0")
    forward = "sysctl net.ipv4.ip_forward 1\n"
    r1 = namespace("r1", "e1 10.0.1.1/24\ne2 10.0.2.1/24", forward + "route default via 10.0.2.2 dev e2")
    r2 = namespace("r2", "e2 10.0.2.2/24", forward + "route default via 10.0.2.1 dev e2")
    trace = talk(plug(a, r1, r2, lan1="a.eth0 r1.e1", lan2="r1.e2 r2.e2"), "icmp:8.8.8.8")
    assert trace.journeys[0].last.action == "TTL used up"
    assert trace.outcome.error == "EHOSTUNREACH"


def test_a_connection_to_oneself_stays_on_loopback() -> None:
    a = namespace("a", "eth0 10.0.1.2/24")
    trace = talk(plug(a, lan="a.eth0"), "tcp:10.0.1.2:80", server="a")
    assert trace.outcome.works
    assert {step.oif for j in trace.journeys for step in j.steps if step.stage is Stage.DEVICE} == {"lo"}


def test_every_journey_ends_in_a_fate() -> None:
    for journey in talk(asymmetric(INVALID), "tcp:10.0.2.2:80").journeys:
        assert journey.fate is not Fate.GOES_ON
        assert all(step.fate is Fate.GOES_ON for step in journey.steps[:-1])


@pytest.mark.parametrize("to", ["udp:10.0.0.1:40000", "tcp:10.0.0.1:40000", "tcp:127.0.0.1:40000"])
def test_a_socket_may_talk_to_itself(to: str) -> None:
    """Linux takes its SYN for a simultaneous open (RFC 9293, section 3.5); the kernel was asked."""
    world = World((namespace("a", "eth0 10.0.0.1/24"),))
    assert run(world, read_flow("a", to), []).outcome.works


def test_where_connections_are_tracked_a_socket_that_talks_to_itself_is_refused() -> None:
    rules = "*filter\n:INPUT ACCEPT\n-A INPUT -m conntrack --ctstate NEW\nCOMMIT\n"
    world = World((namespace("a", "eth0 10.0.0.1/24", tables=rules),))
    with pytest.raises(Unsupported, match="conntrack of a, whose socket is connected with itself"):
        run(world, read_flow("a", "tcp:10.0.0.1:40000"), [])
