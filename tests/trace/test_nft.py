"""Native nftables: conversations end as the kernel ends them (`tests/kernel/test_kernel_nft.py` asks it)."""

from __future__ import annotations

import pytest
from nft_worlds import CASES, NftCase, at

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
