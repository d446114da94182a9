"""Routes and rules as text, and the lookup: which line decides, and why another does not."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from ip_shell import answer, model, query_of, real, real_answer, source
from ip_states import STATES, State

from mcnilib.errors import NoRoute, StateSyntaxError, Unsupported
from mcnilib.linux.fib import lookup
from mcnilib.linux.route import (
    UNNUMBERED,
    Query,
    Route,
    Rule,
    parse_route,
    parse_routes,
    parse_rule,
    parse_rules,
    print_routes,
)

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
    assert parse_rule(line) == parse_rule(same)


def test_a_rule_without_priority_is_unnumbered() -> None:
    rule = parse_rule("from all fwmark 0x1 lookup 100")
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
        ("fe80::/64 dev x", 1, "'fe80::/64' is not an IPv4 prefix"),
        ("", 1, "a prefix is missing"),
    ],
)
def test_where_a_route_line_is_wrong(line: str, column: int, what: str) -> None:
    with pytest.raises(StateSyntaxError) as caught:
        parse_route(line, source="node1/ip-route.txt", number=4)
    assert (caught.value.column, caught.value.what) == (column, what)
    assert str(caught.value).startswith(f"node1/ip-route.txt:4:{column}: ")
    assert str(caught.value).endswith(f"\n  {line}\n  {' ' * (column - 1)}^")


@pytest.mark.parametrize(
    ("line", "column", "what"),
    [
        ("x: from all lookup main", 1, "'x' is not a priority"),
        ("5: from all lokup main", 13, "unknown word 'lokup'; did you mean 'lookup'?"),
        ("5: from all fwmark 1/2/3 lookup 3", 20, "'1/2/3' is not a mark"),
        ("5: from all fwmark 0x100000000 lookup 3", 20, "'0x100000000' does not fit 32 bits"),
        ("5: from all lookup 3 blackhole", 31, "a rule says either lookup or what becomes of the packet"),
        ("5: from all", 12, "a rule says either lookup or what becomes of the packet"),
        ("5: to all lookup 3", 4, "from is missing"),
    ],
)
def test_where_a_rule_line_is_wrong(line: str, column: int, what: str) -> None:
    with pytest.raises(StateSyntaxError) as caught:
        parse_rule(line)
    assert (caught.value.column, caught.value.what) == (column, what)


@pytest.mark.parametrize(
    ("parse", "text", "named"),
    [
        (parse_route, "10.0.0.0/8 dev x scope link mtu 1400", "mtu"),
        (parse_route, "multicast 224.0.0.0/4 dev x", "multicast"),
        (parse_routes, "default proto static \n\tnexthop via 10.0.0.1 dev x weight 1 \n", "nexthop"),
        (parse_rule, "5: from all lookup main suppress_prefixlength 0", "suppress_prefixlength"),
        (parse_rule, "5: from all ipproto tcp lookup 5", "ipproto"),
        (parse_rule, "5: from all goto 32766", "goto"),
        (parse_rule, "5: from all tos 0x10 lookup 5", "tos"),
    ],
)
def test_what_is_not_modelled_is_named(parse, text: str, named: str) -> None:
    with pytest.raises(Unsupported, match=repr(named)):
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
    decision = lookup(model(commands), query_of(question))
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
        lookup(model(POLICY), query_of(question))
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
    assert parse_rule(rule).why_not(query_of(question)) == why


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
    decisions = [lookup(netns, Query(IPv4Address(number))) for number in range(1 << 24, (1 << 24) + 5000)]
    assert {str(decision.route) for decision in decisions} == {"default via 10.0.0.9 dev e0 "}
    assert isinstance(decisions[0].rule, Rule) and isinstance(decisions[0].route, Route)
