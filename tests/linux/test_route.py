"""Routes and rules as text, and the lookup: which line decides, and why another does not."""

from __future__ import annotations

import re
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from ip_shell import answer, model, query_of, real, real_answer, source
from ip_states import STATES, State

from mcnilib.errors import EXCERPT, NoRoute, StateSyntaxError, Unknown, Unsupported
from mcnilib.linux.device.link import Link
from mcnilib.linux.device.nic import UnmodelledDevice
from mcnilib.linux.netns import Netns
from mcnilib.linux.routing.route import Query, Route, parse_route, parse_routes, print_routes
from mcnilib.linux.routing.rule import DEFAULT_RULES, UNNUMBERED, Rule, parse_ip_rule, parse_rules
from mcnilib.linux.unmodelled import Gap

ROUTES = """\
default via 10.1.0.9 dev v0 
10.1.0.0/16 dev v0 proto kernel scope link src 10.1.0.1 
10.50.0.0/24 via 10.1.0.7 dev v0 metric 5 
10.63.0.0/16 via 192.0.2.1 dev v0 src 10.1.0.1 onlink 
10.64.0.1 dev v0 scope link linkdown 
10.67.0.0/16 dev v0 proto bird 
10.68.0.0/16 dev v0 proto 200 scope 77 
10.69.0.0/16 dev v0 scope site metric 9 onlink linkdown 
blackhole 10.233.100.0/26 proto 80 
unreachable 10.60.0.0/16 metric 7 
prohibit 10.61.0.0/16 
throw default 
10.70.0.0/16 dev cali0123456789a@x table 500 scope link 
local 10.1.0.1 dev v0 table local proto kernel scope host src 10.1.0.1 
broadcast 10.1.255.255 dev v0 table local proto kernel scope link src 10.1.0.1 
"""  # noqa: W291

RULES = """\
0:	from all lookup local
0:	from 10.1.2.2/31 prohibit
5:	from all to 10.1.2.3 blackhole
9:	not from 10.1.0.0/16 lookup 7
19:	from all fwmark 0x5/0 lookup 99
20:	from all fwmark 0/0xff lookup 8
1000:	from all to 10.1.2.3 iif lo oif eth0 lookup main
32760:	from all lookup main suppress_prefixlength 0 proto static
32761:	from all lookup 77 proto static
32762:	from all fwmark 0x4000/0x4000 lookup 5000000
32763:	from 10.0.0.0/8 unreachable
32766:	from all lookup main
32767:	from all lookup default
"""


def test_routes_print_as_the_tool_prints_them() -> None:
    assert print_routes(parse_routes(ROUTES, "all")) == ROUTES


def test_rules_print_as_the_tool_prints_them() -> None:
    assert "".join(f"{rule}\n" for rule in parse_rules(RULES)) == RULES


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ("10.0.0.0/8 dev x table 254 proto 12", "10.0.0.0/8 dev x proto bird"),
        ("10.0.0.0/8 proto 3 scope 0 dev x", "10.0.0.0/8 dev x"),
        ("0.0.0.0/0 dev x", "default dev x"),
        ("10.0.0.1/32 dev x metric 0x10", "10.0.0.1 dev x metric 16"),
        ("unicast 10.0.0.0/8 dev x", "10.0.0.0/8 dev x"),
    ],
)
def test_other_words_for_the_same_route(line: str, same: str) -> None:
    assert parse_route(line) == parse_route(same)
    assert str(parse_route(line)).strip() == same


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ("5: from 0.0.0.0/0 to 0.0.0.0/0 lookup 254", "5: from all lookup main"),
        ("5: from 10.1.2.3/31 lookup 7", "5: from 10.1.2.2/31 lookup 7"),  # the kernel keeps host bits and ignores them
        ("5: from all fwmark 16 lookup 7", "5: from all fwmark 0x10/0xffffffff lookup 7"),
        ("5: from all iif gone [detached] lookup 7", "5: from all iif gone lookup 7"),
    ],
)
def test_other_words_for_the_same_rule(line: str, same: str) -> None:
    assert parse_ip_rule(line) == parse_ip_rule(same)


def test_a_rule_without_priority_is_unnumbered() -> None:
    rule = parse_ip_rule("from all fwmark 0x1 lookup 100")
    assert (rule.priority, str(rule)) == (UNNUMBERED, "from all fwmark 0x1 lookup 100")


@pytest.mark.parametrize(
    ("line", "column", "what"),
    [
        ("10.233.0.0/18 dve veth0", 15, "unknown word 'dve'; did you mean 'dev'?"),
        ("10.233.0.0/18 via veth0 dev x", 19, "'veth0' is not an IPv4 address"),
        ("10.233.0.1/18 dev x", 1, "'10.233.0.1/18' is not an IPv4 prefix"),
        ("10.0.0.0/8 dev", 15, "a device is missing"),
        ("10.0.0.0/8 via 10.0.0.1", 24, "dev is missing"),
        ("10.0.0.0/8 dev x proto brid", 24, "unknown word 'brid'; did you mean 'bird'?"),
        ("10.0.0.0/8 dev x metric -1", 25, "'-1' is not a number from 0 to 4294967295"),
        ("10.0.0.0/8 dev x dev y", 18, "'dev' sets the dev a second time"),
        ("blackhole 10.0.0.0/8 dev x", 27, "a blackhole route has neither gateway nor device"),
        ("10.0.0.0/8 dev x table mine", 24, "unknown word 'mine'; did you mean 'main'?"),
        (f"10.0.0.0/8 dev x metric {'1' * 5000}", 25, f"'{'1' * 5000}' is not a number from 0 to 4294967295"),
        (f"10.0.0.0/8 dev x table {'1' * 5000}", 24, f"'{'1' * 5000}' is not a number from 0 to 4294967295"),
        ("fe80::/64 dev x", 1, "'fe80::/64' is not an IPv4 prefix"),
        ("", 1, "a prefix is missing"),
    ],
)
def test_where_a_route_line_is_wrong(line: str, column: int, what: str) -> None:
    with pytest.raises(StateSyntaxError) as caught:
        parse_route(line, source="node1/ip-route.txt", number=4)
    assert (caught.value.column, caught.value.what) == (column, what)
    assert str(caught.value).startswith(f"node1/ip-route.txt:4:{column}: ")
    assert str(caught.value).endswith(f"\n  {line[:EXCERPT]}\n  {' ' * (column - 1)}^")


@pytest.mark.parametrize(
    ("line", "column", "what"),
    [
        ("x: from all lookup main", 1, "'x' is not a priority"),
        ("5: from all lokup main", 13, "unknown word 'lokup'; did you mean 'lookup'?"),
        ("5: from all fwmark 1/2/3 lookup 3", 20, "'1/2/3' is not a mark"),
        (f"{'1' * 5000}: from all lookup main", 1, f"'{'1' * 5000}' is not a priority"),
        (f"5: from all fwmark {'1' * 5000} lookup 3", 20, f"'{'1' * 5000}' is not a mark"),
        (f"5: from all fwmark 1/{'1' * 5000} lookup 3", 20, f"'1/{'1' * 5000}' is not a mark"),
        ("5: from all fwmark 0x100000000 lookup 3", 20, "'0x100000000' does not fit 32 bits"),
        ("5: from all lookup 3 blackhole", 31, "a rule says either lookup or what becomes of the packet"),
        ("5: from all", 12, "a rule says either lookup or what becomes of the packet"),
        ("5: to all lookup 3", 4, "from is missing"),
    ],
)
def test_where_a_rule_line_is_wrong(line: str, column: int, what: str) -> None:
    with pytest.raises(StateSyntaxError) as caught:
        parse_ip_rule(line)
    assert (caught.value.column, caught.value.what) == (column, what)


@pytest.mark.parametrize(
    ("parse", "text", "named"),
    [
        (parse_route, "10.0.0.0/8 dev x scope link window 1400", "window"),
        (parse_route, "multicast 224.0.0.0/4 dev x", "multicast"),
        (parse_routes, "default proto static \n\tnexthop via inet6 fe80::1 dev x weight 1 \n", "nexthop"),
        (parse_ip_rule, "5: from all lookup main suppress_ifgroup 3", "suppress_ifgroup"),
        (parse_ip_rule, "5: from all ipproto tcp lookup 5", "ipproto"),
        (parse_ip_rule, "5: from all goto 32766", "goto"),
        (parse_ip_rule, "5: not from all lookup [l3mdev-table]", "[l3mdev-table]"),
        (parse_route, "10.0.0.0/8 via inet6 fe80::1 dev x", "inet6"),
        (parse_ip_rule, "5: from all tos 0x10 lookup 5", "tos"),
    ],
)
def test_what_is_not_modelled_is_named(parse, text: str, named: str) -> None:
    with pytest.raises(Unsupported, match=re.escape(repr(named))):
        parse(text)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_the_lookup_answers_as_the_kernel_did(state: State) -> None:
    netns = model(state.commands)
    for question, expected, from_ in state.rows():
        assert (question, answer(netns, question)) == (question, expected)
        if from_:
            assert (question, source(netns, question)) == (question, from_)


@pytest.mark.kernel
@pytest.mark.parametrize("state", [s for s in STATES if s.answers], ids=lambda state: state.name)
def test_the_kernel_still_answers_so(state: State) -> None:
    rows = state.rows()
    plain = [question for question, _, from_ in rows if from_]
    asked = [f"ip -4 route get fibmatch {row[0]}" for row in rows] + [
        f"ip -4 route get {question}" for question in plain
    ]
    found = real(state.commands, asked)
    assert [real_answer(text) for text in found[: len(rows)]] == [answer for _, answer, _ in rows]
    assert [text.split(" src ")[1].split()[0] for text in found[len(rows) :]] == [
        from_ for _, _, from_ in rows if from_
    ]


POLICY = """
address add 10.0.0.1/24 dev e0
address add 10.2.0.1/16 dev e2
route add default via 10.0.0.9 dev e0
route add blackhole 10.9.0.0/16
route add unreachable 10.8.0.0/16
rule add from 10.2.0.0/16 to 7.7.7.7 prohibit
rule add fwmark 0x1 lookup 100
route add default via 10.2.0.9 dev e2 table 100
"""


@pytest.mark.parametrize(
    ("question", "rule", "route"),
    [
        ("1.1.1.1", "32766:\tfrom all lookup main", "default via 10.0.0.9 dev e0 "),
        ("1.1.1.1 mark 1", "32764:\tfrom all fwmark 0x1 lookup 100", "default via 10.2.0.9 dev e2 "),
        ("10.0.0.1", "0:\tfrom all lookup local", "local 10.0.0.1 dev e0 proto kernel scope host src 10.0.0.1 "),
    ],
)
@pytest.mark.parametrize("rules_of_its_own", [True, False])
def test_a_decision_keeps_rule_and_route(question: str, rule: str, route: str, rules_of_its_own: bool) -> None:
    commands = POLICY if rules_of_its_own else "\n".join(c for c in POLICY.splitlines() if not c.startswith("rule"))
    if not rules_of_its_own and "mark" in question:
        return
    decision = model(commands).fib.lookup(query_of(question))
    assert (str(decision.rule), str(decision.route)) == (rule, route)


@pytest.mark.parametrize(
    ("question", "error", "evidence", "what"),
    [
        ("10.9.0.1", "EINVAL", "blackhole 10.9.0.0/16 ", "blackhole route to 10.9.0.0/16"),
        ("10.8.0.1", "EHOSTUNREACH", "unreachable 10.8.0.0/16 ", "unreachable route to 10.8.0.0/16"),
        (
            "7.7.7.7 from 10.2.0.1",
            "EACCES",
            "32765:\tfrom 10.2.0.0/16 to 7.7.7.7 prohibit",
            "prohibit rule for 7.7.7.7",
        ),
        ("1.1.1.1 oif e3", "ENETUNREACH", "", "no route to 1.1.1.1 on e3"),
    ],
)
def test_why_there_is_no_route(question: str, error: str, evidence: str, what: str) -> None:
    with pytest.raises(NoRoute) as caught:
        model(POLICY).fib.lookup(query_of(question))
    assert (caught.value.error, caught.value.evidence, str(caught.value)) == (error, evidence, what)


@pytest.mark.parametrize(
    ("rule", "question", "why"),
    [
        ("5: from 10.2.0.0/16 lookup 7", "1.1.1.1 from 10.0.0.1", "source 10.0.0.1 is not in 10.2.0.0/16"),
        ("5: from 10.2.0.0/16 lookup 7", "1.1.1.1", "source 0.0.0.0 is not in 10.2.0.0/16"),
        ("5: from all to 10.2.0.0/16 lookup 7", "1.1.1.1", "destination 1.1.1.1 is not in 10.2.0.0/16"),
        ("5: from all iif e0 lookup 7", "1.1.1.1 from 10.0.0.5 iif e2", "came in by e2, not e0"),
        ("5: from all oif e0 lookup 7", "1.1.1.1", "is not bound to e0"),
        ("5: from all fwmark 0x4000/0xff00 lookup 7", "1.1.1.1 mark 1", "mark is 0x1, not 0x4000/0xff00"),
        ("5: from all fwmark 0x1 lookup 7", "1.1.1.1 mark 1", ""),
        ("5: not from all fwmark 0x1 lookup 7", "1.1.1.1 mark 1", "every selector holds, and the rule says `not`"),
        ("5: not from all fwmark 0x1 lookup 7", "1.1.1.1", ""),
    ],
)
def test_why_a_rule_does_not_apply(rule: str, question: str, why: str) -> None:
    assert parse_ip_rule(rule).why_not(query_of(question)) == why


@pytest.mark.parametrize(
    ("route", "question", "why"),
    [
        ("10.2.0.0/16 dev e0", "1.1.1.1", "1.1.1.1 is not in 10.2.0.0/16"),
        ("default dev e0", "1.1.1.1 oif e2", "the device is e0, not e2"),
        ("default dev e0", "1.1.1.1", ""),
    ],
)
def test_why_a_route_does_not_fit(route: str, question: str, why: str) -> None:
    assert parse_route(route).why_not(query_of(question)) == why


def test_routes_over_a_device_that_is_down_are_passed_over() -> None:
    """In a listing they stand as `dead` or not at all; a namespace put together from parts may have them."""
    netns = model(POLICY)
    down = netns.but(links=tuple(replace(link, up=link.name != "e0") for link in netns.links))
    assert answer(down, "1.1.1.1") == "ENETUNREACH"
    assert answer(down, "10.0.0.1") == answer(netns, "10.0.0.1")  # its own address stays


def test_many_lookups_are_remembered_and_forgotten() -> None:
    netns = model(POLICY)
    decisions = [netns.fib.lookup(Query(IPv4Address(number))) for number in range(1 << 24, (1 << 24) + 5000)]
    assert {str(decision.route) for decision in decisions} == {"default via 10.0.0.9 dev e0 "}
    assert isinstance(decisions[0].rule, Rule) and isinstance(decisions[0].route, Route)


KEPT_ROUTES = """\
10.1.0.0/16 \n\tnexthop via 10.0.0.8 dev e0 weight 2 \n\tnexthop via inet6 fe80::2 dev e2 weight 1 linkdown
10.1.1.0/24 via 10.0.0.8 dev e0 realms 3/5
10.1.2.0/24 tos 0x10 via 10.0.0.8 dev e0
10.1.3.0/24 via inet6 fe80::1 dev e0
10.1.5.0/24 encap ip id 7 src 0.0.0.0 dst 1.2.3.4 ttl 0 tos 0 via 10.0.0.8 dev e0
10.1.6.0/24 nhid 9 table wan1 proto cilium \n\tnexthop via inet6 fe80::3 dev e0 weight 1
10.1.7.0/24 via 10.0.0.8 dev e0 hoplimit 7 features ecn tcp_usec_ts mtu 1400
multicast 10.1.8.0/24 dev e0 scope link
anycast 10.1.9.1 dev e0 table local scope link
blackhole 10.1.10.1 nhid 9 dev lo
"""


def test_a_route_that_is_not_modelled_is_kept_as_it_was() -> None:
    found = parse_routes(KEPT_ROUTES, "all", source="r", partial=True)
    assert [str(route).strip() for route in found] == [
        " ".join(line.split()) for line in KEPT_ROUTES.replace("\n\t", " ").splitlines()
    ]
    assert parse_routes(print_routes(found), "all", partial=True) == found
    assert [route.gap.why.partition(": ")[2] for route in found] == [
        *("'nexthop' in a route", "'realms' in a route", "'tos' in a route", "'via inet6 fe80::1' in a route"),
        *("'encap' in a route", "'nhid' in a route", "'hoplimit' in a route"),
        *("route type 'multicast'", "route type 'anycast'", "'nhid' in a route"),
    ]
    assert [route.gap.why.split(":")[1] for route in found] == [str(n) for n in (1, 4, 5, 6, 7, 8, 10, 11, 12, 13)]
    assert (found[5].table, found[5].proto) == ("wan1", "cilium")


def test_a_route_over_a_next_hop_object_goes_where_ip_says() -> None:
    line = "10.0.0.0/8 nhid 5 via 10.0.0.1 dev x proto zebra metric 20 "
    route = parse_route(line, partial=True)
    assert (str(route), route.text, route.dev, route.nhid) == (line, "", "x", 5)
    with pytest.raises(Unsupported, match="'nhid' in a route"):
        parse_route(line)


@pytest.mark.parametrize(
    "line", ["10.0.0.0/8 via 10.0.0.1 dev x proto cilium metric 5 linkdown mtu lock 1400 advmss 1000 rto_min lock 200ms quickack 1 congctl reno "]
)  # fmt: skip
def test_settings_of_a_route_s_connections_change_nothing_and_stay(line: str) -> None:
    route = parse_route(line, partial=True)
    assert (str(route), route.text) == (line, "")
    assert route.settings == "mtu lock 1400 advmss 1000 rto_min lock 200ms quickack 1 congctl reno"


@pytest.mark.parametrize(
    ("line", "column", "what"),
    [
        ("10.0.0.0/8 dev x mut 1400", 18, "unknown word 'mut'; did you mean 'mtu'?"),
        ("10.0.0.0/8 mtu 1400", 20, "dev is missing"),
        ("10.0.0.0/8 via inet6 10.0.0.1 dev x", 22, "'10.0.0.1' is not an IPv6 address"),
        ("10.0.0.0/8 nexthop weight 1", 20, "a next hop is missing"),
        ("10.0.0.0/8 dev x table 'a'", 24, "unknown word \"'a'\""),
        ("10.0.0.0/8 dev x mtu", 21, "a value is missing"),
    ],
)
def test_where_a_collected_route_is_wrong(line: str, column: int, what: str) -> None:
    with pytest.raises(StateSyntaxError) as caught:
        parse_route(line, partial=True)
    assert (caught.value.column, caught.value.what) == (column, what)


KEPT_RULES = """\
1001:	from 10.2.0.0/16 lookup main suppress_prefixlength 0 realms 3
1002:	from 10.2.0.0/16 lookup main suppress_ifgroup 3
1003:	from 10.2.0.0/16 uidrange 5-10 lookup main
1004:	from 10.2.0.0/16 ipproto tcp sport 10-20 dport 80 lookup wan1 proto cilium
1005:	from 10.2.0.0/16 tos 0x10 lookup main
1006:	from 10.2.0.0/16 goto 32766
1007:	from 10.2.0.0/16 nop
1008:	from 10.2.0.0/16 tun_id 5 lookup main
1009:	not from 10.2.0.0/16 lookup main realms 3/5
1010:	from all iif zz [detached] goto 40000 [unresolved]
"""


def test_a_rule_that_is_not_modelled_is_kept_as_it_was() -> None:
    found = parse_rules(KEPT_RULES, source="r", partial=True)
    assert "".join(f"{rule}\n" for rule in found) == KEPT_RULES
    assert [rule.gap.why.split()[1] for rule in found] == [
        *("'realms'", "'suppress_ifgroup'", "'uidrange'", "'ipproto'", "'tos'"),
        *("'goto'", "'nop'", "'tun_id'", "'realms'", "'goto'"),
    ]
    assert found[3].table == "wan1"


def collected(*added: str, routes: str = "") -> Netns:
    """Return a namespace with these rules and routes beside those everybody has."""
    netns = model("address add 10.0.0.1/24 dev e0\nroute add default via 10.0.0.9 dev e0")
    more = parse_routes(routes, "all", source="r", partial=True)
    lines = "0: from all lookup local\n32766: from all lookup main\n" + "".join(f"{rule}\n" for rule in added)
    links = (*netns.links, Link(9, "of-a-vrf", UnmodelledDevice(Gap("a device of a VRF")), up=True))
    rules = parse_rules(lines, source="u", partial=True)
    return netns.but(links=links).with_ip4(routes=(*more, *netns.ip4.routes), rules=rules)


@pytest.mark.parametrize(
    ("rule", "question", "known"),
    [
        ("5: from all lookup [l3mdev-table]", "1.1.1.1", True),
        ("5: from all lookup [l3mdev-table]", "1.1.1.1 oif e0", True),
        ("5: from all lookup [l3mdev-table]", "1.1.1.1 oif of-a-vrf", False),
        ("5: not from all lookup [l3mdev-table]", "1.1.1.1", False),
        ("5: from all lookup [l3mdev-table]", "10.0.0.1", True),
        ("5: from 10.2.0.0/16 ipproto tcp lookup main", "1.1.1.1", True),
        ("5: from 10.2.0.0/16 ipproto tcp lookup main", "1.1.1.1 from 10.2.0.1", False),
        ("5: from 10.2.0.0/16 ipproto tcp lookup 77", "1.1.1.1 from 10.2.0.1", True),
        ("5: not from 10.2.0.0/16 ipproto tcp lookup main", "1.1.1.1", False),
        ("5: not from 10.2.0.0/16 lookup main suppress_ifgroup 3", "1.1.1.1 from 10.2.0.1", False),
        ("5: not from 10.2.0.0/16 lookup main suppress_prefixlength 0", "1.1.1.1 from 10.2.0.1", True),
        ("5: from all fwmark 0x1 goto 32766", "1.1.1.1", True),
        ("5: from all fwmark 0x1 goto 32766", "1.1.1.1 mark 1", False),
        ("32767: from all goto 40000", "1.1.1.1", True),
    ],
)
def test_a_rule_nobody_understands_matters_where_its_selectors_hold(rule: str, question: str, known: bool) -> None:
    netns, query = collected(rule), query_of(question)
    if known:
        assert netns.fib.lookup(query).route.gap is None
    else:
        with pytest.raises(Unknown, match="it is unknown whether"):
            netns.fib.lookup(query)


@pytest.mark.parametrize(
    ("route", "question", "known"),
    [
        ("1.1.0.0/16 nexthop via 10.0.0.8 dev e0 weight 1 nexthop via inet6 fe80::1 dev e0 weight 1", "1.1.1.1", False),
        ("1.1.0.0/16 nexthop via 10.0.0.8 dev e0 weight 1 nexthop via 10.0.0.7 dev e0 weight 1", "1.2.1.1", True),
        ("1.1.0.0/16 via inet6 fe80::1 dev e0", "1.1.1.1", False),
        ("1.1.0.0/16 via inet6 fe80::1 dev gone", "1.1.1.1", True),
        ("1.1.0.0/16 via 10.0.0.8 dev e0 mtu 1400", "1.1.1.1", True),
        ("1.1.0.0/16 via 10.0.0.8 dev e0 table wan1", "1.1.1.1", True),
    ],
)
def test_a_route_nobody_understands_matters_when_it_is_chosen(route: str, question: str, known: bool) -> None:
    netns = collected(routes=route)
    if known:
        assert netns.fib.lookup(query_of(question)).route.gap is None
    else:
        with pytest.raises(Unknown, match=r"r:1: .* in a route, which 1\.1\.1\.1 takes: 1\.1\.0\.0/16 "):
            netns.fib.lookup(query_of(question))


def test_a_table_of_the_machine_s_own_is_looked_into_by_its_name() -> None:
    netns = collected("5: from all fwmark 0x1 lookup wan1", routes="1.1.0.0/16 via 10.0.0.8 dev e0 table wan1")
    assert str(netns.fib.lookup(query_of("1.1.1.1 mark 1")).route.via) == "10.0.0.8"
    assert str(netns.fib.lookup(query_of("1.1.1.1")).route.via) == "10.0.0.9"


def test_what_kind_an_address_is_does_not_depend_on_the_next_hop() -> None:
    hops = "nexthop via 10.0.0.8 dev e0 weight 1 nexthop via 10.0.0.7 dev e0 weight 1"
    netns = collected("32767: from all lookup default", routes=f"1.1.0.0/16 {hops}\nanycast 1.2.0.1 dev e0\n")
    assert netns.ip4.rules == DEFAULT_RULES
    assert netns.fib.address_type(IPv4Address("1.1.1.1")) == "UNICAST"
    with pytest.raises(Unknown, match=r"route type 'anycast', which tells what kind of address 1\.2\.0\.1 is"):
        netns.fib.address_type(IPv4Address("1.2.0.1"))


def test_rules_are_tried_by_priority_in_whatever_order_they_stand() -> None:
    rules = parse_rules(
        "9: from all lookup main\n0: from all lookup local\n5: from all blackhole\n9: from all lookup 7\n",
        partial=True,
    )
    assert [str(rule) for rule in rules] == [
        *("0:\tfrom all lookup local", "5:\tfrom all blackhole"),
        *("9:\tfrom all lookup main", "9:\tfrom all lookup 7"),
    ]


def test_an_address_of_another_family_is_another_key() -> None:
    fib = model("address add 10.0.0.1/24 dev e0\nroute add default via 10.0.0.9 dev e0").fib
    known = IPv4Address("10.0.0.1")
    namesake: Any = IPv6Address(int(known))
    assert (fib.lookup(Query(known)).route.type, fib.address_type(known)) == ("local", "LOCAL")
    assert fib.address_type(namesake) == "UNICAST"
    with pytest.raises(NoRoute):
        fib.lookup(Query(namesake))
