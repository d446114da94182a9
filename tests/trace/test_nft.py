"""Native nftables: conversations end as the kernel ends them (`tests/kernel/test_kernel_nft.py` asks it)."""

from __future__ import annotations

import pytest
from kernel_worlds import chains
from nft_worlds import CASES, SERVICE, NftCase, at, service

from mcnilib.linux.netfilter.nftables.text.json_form import ruleset_text
from mcnilib.linux.netfilter.nftables.text.ruleset import read_ruleset
from mcnilib.trace.branches import follow
from mcnilib.trace.run import Run, run
from mcnilib.trace.trace import Verdict


@pytest.mark.parametrize("name", CASES)
def test_a_conversation_through_nftables_ends_as_on_the_kernel(name: str) -> None:
    case = CASES[name]
    assert run(case.world, *case.talk(1)).outcome.verdict.value == case.verdict


DRAWN = at("postrouting", "masquerade fully-random", kind="nat", priority="srcnat")
LOW = "\tset low {\n\t\ttype inet_service\n\t\tflags interval\n\t\telements = { 1024-32767 }\n\t}\n"


@pytest.mark.parametrize(
    ("rule", "proto", "more"),
    [
        ("udp sport 1024-32767 drop", "udp", ""),
        ('oifname "e2" tcp sport < 32768 drop', "tcp", ""),
        ("th sport > 32767 drop", "tcp", ""),
        ("udp sport { 1024-20000, 40000-50000 } drop", "udp", ""),
        ("udp sport @low drop", "udp", LOW),
        ("tcp sport vmap { 1024-32767 : drop }", "tcp", ""),
        ("ip saddr . tcp sport { 10.0.2.1 . 1024-32767 } drop", "tcp", ""),
        ("ct reply proto-dst 1024-32767 drop", "tcp", ""),
        ("meta mark set tcp sport map { 1024-32767 : 0x1 } meta mark 0x1 drop", "tcp", ""),
    ],
)
def test_rules_that_ask_for_a_drawn_port_make_it_a_branch(rule: str, proto: str, more: str) -> None:
    case = NftCase(DRAWN, "", proto=proto)
    asking = at("postrouting", rule, priority="srcnat + 1", family="inet", more=more)
    world = case.world.put(case.world["r"].with_ip4(nft=read_ruleset(DRAWN + asking)))
    talk = case.talk(1)
    trace = follow(world, lambda chance: Run(world, *talk, chance=chance).finish())
    assert trace.outcome.verdict is Verdict.DEPENDS


@pytest.mark.parametrize(("rules", "there"), [("tcp dport 22 accept", True), ("", False)])
def test_native_rules_stand_at_a_hook(rules: str, there: bool) -> None:
    netns = NftCase(at("forward", *filter(None, [rules])), "").world["r"]
    assert netns.ip4.has_native("FORWARD") is there
    assert not netns.ip4.has_native("INPUT")


MARKS = "FORWARD -j MARK --set-xmark 0x1/0xffffffff"


@pytest.mark.parametrize(
    ("native", "tables", "ends"),
    [
        (at("forward", "meta mark 0x1 drop"), chains("filter", MARKS), {"connected", "connect times out"}),
        (at("forward", "tcp dport 80 reject"), chains("filter", "FORWARD -j DROP"), {"connection refused", "connect times out"}),
        (at("forward", "meta mark 0x1 drop", priority="filter - 1"), chains("filter", MARKS), {"connected"}),
        (at("forward", "tcp dport 22 drop"), chains("filter", "FORWARD -j DROP"), {"connect times out"}),
        (at("forward", "accept"), chains("filter", "FORWARD -j DROP"), {"connect times out"}),
        (at("forward", "drop"), chains("filter", "FORWARD -p tcp -m tcp --dport 22 -j REJECT"), {"connect times out"}),
        (
            service("ip daddr 172.30.0.41 dnat to 10.0.2.2:80"),
            chains("nat", f"PREROUTING -d {SERVICE}/32 -p tcp -j DNAT --to-destination 10.0.2.2:81"),
            {"connected", "connection refused"},
        ),
        (
            service("ip daddr 172.30.0.41 dnat to 10.0.2.2:80"),
            chains("nat", "PREROUTING -p tcp -m tcp --dport 22 -j DNAT --to-destination 10.0.2.2:81"),
            {"connected"},
        ),
        (
            at("forward", "meta mark set 0x1").replace("table ip t", "table ip s") + at("forward", "meta mark 0x1 drop"),
            "",
            {"connected", "connect times out"},
        ),
    ],
)  # fmt: skip
def test_of_one_priority_both_orders_count_where_they_differ(native: str, tables: str, ends: set[str]) -> None:
    case = NftCase(native, "", tables=tables, to=SERVICE if "172.30" in native else CASES["dropped"].to)
    talk = case.talk(1)
    trace = follow(case.world, lambda chance: Run(case.world, *talk, chance=chance).finish())
    assert {course.outcome.verdict.value for course in trace.courses} == ends
    assert bool(trace.branches) is (len(ends) > 1)


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        ("fib saddr . iif check missing drop", "fib saddr . iif oif missing drop"),
        ('tcp dport 80 drop comment "a # handle 3" # handle 6', 'tcp dport 80 drop comment "a # handle 3"'),
        ("meta nfproto ipv6 reject with icmpv6 port-unreachable", "meta nfproto ipv6 reject with icmpv6 port-unreachable"),
        ('ip6 saddr @any drop comment "six"', 'ip6 saddr @any drop comment "six"'),
        ("pkttype multicast accept", "meta pkttype multicast accept"),
        ("dnat ip addr . port to ip saddr map { 10.0.0.1 : 10.0.1.1 . 80 }", "dnat ip addr . port to ip saddr map { 10.0.0.1 : 10.0.1.1 . 80 }"),
    ],
)  # fmt: skip
def test_what_real_listings_hold_is_read(typed: str, printed: str) -> None:
    rule = NftCase(at("forward", typed, family="inet"), "").world["r"].ip4.nft[0].chain("base").rules[0]
    assert str(rule) == printed


def test_a_set_that_rules_add_to_is_dynamic_also_in_json() -> None:
    element = {"set": {"op": "update", "elem": {"payload": {"protocol": "ip", "field": "saddr"}}, "set": "@seen"}}
    table = {"family": "ip", "table": "t"}
    entries = [
        {"table": {"family": "ip", "name": "t"}},
        {"set": {**table, "name": "seen", "type": "ipv4_addr", "size": 100}},
        {"chain": {**table, "name": "c", "type": "filter", "hook": "input", "prio": 0, "policy": "accept"}},
        {"rule": {**table, "chain": "c", "expr": [element]}},
    ]
    assert read_ruleset(ruleset_text(entries))[0].set_of["seen"].options == ("size 100", "flags dynamic")
