"""Which rules iptables-save prints whole, measured: `nft -j` of the same kernel tells which it prints in part."""

from __future__ import annotations

import extension_facts
import pytest
from iptables_shell import in_namespace
from rule_facts import in_table

from mcnilib.linux.netfilter.iptables.rule import Tables
from mcnilib.linux.netfilter.iptables.save import parse_tables
from mcnilib.linux.netfilter.nftables.rule import print_ruleset
from mcnilib.linux.netfilter.nftables.text.ruleset import read_ruleset
from mcnilib.linux.netns import new_netns
from mcnilib.snapshots.nft_json import Ruleset
from mcnilib.world.commands import run_command

LISTER = """
import json, subprocess, sys

def call(*words, text=""):
    return subprocess.run(words, input=text, capture_output=True, text=True)

given = json.load(sys.stdin)
call("ipset", "restore", text=given["sets"])
answers = []
for tool, text in given["texts"]:
    taken = call(*tool, text=text)
    saved = call("iptables-nft-save")
    answers.append([taken.stderr, saved.stdout if saved.returncode == 0 else "", call("nft", "-j", "list", "ruleset").stdout])
    call("nft", "flush", "ruleset")
json.dump(answers, sys.stdout)
"""
NFT, IPTABLES = ["nft", "-f", "-"], ["iptables-nft-restore"]


def listed(texts: list[tuple[list[str], str]]) -> list[tuple[str, str, str]]:
    """Load each text into empty tables; return the complaint, and what iptables-save and nft -j say."""
    return in_namespace(LISTER, {"texts": texts, "sets": extension_facts.SETS})  # type: ignore[return-value]


def both(saved: str, native: str) -> tuple[Tables, Tables]:
    """Return the tables as iptables-save prints them, and with what nft says of them."""
    tables = parse_tables(saved, partial=True)
    return tables, Ruleset(native, "nft.json", frozenset()).corrected(tables)


@pytest.mark.slow
def test_every_rule_of_iptables_is_printed_whole() -> None:
    given = [(table, rule) for _, table, rule, _ in extension_facts.EXTENSIONS]
    texts = [(IPTABLES, in_table(f"-A {rule}", table)) for table, rule in given]
    for (_, rule), (_, saved, native) in zip(given, listed(texts), strict=True):
        tables, corrected = both(saved, native)
        assert tables and all(a is b for a, b in zip(tables, corrected, strict=True)), rule


WHOLE = (
    *("tcp dport < 1024 drop", "tcp dport != 80-90 drop", "ip saddr 1.2.3.0/24 drop", "ip saddr != 1.2.3.4 drop"),
    *("meta mark and 3 == 1 drop", 'iifname "et*" drop', "ip ttl < 5 drop", "meta pkttype broadcast drop"),
    *("icmp type echo-request drop", "tcp flags & (syn|ack) == syn drop", "ip frag-off & 0x1fff != 0 drop", "accept"),
)
IN_PART = (
    *("tcp dport { 81, 82 } drop", "ip saddr @s drop", "tcp dport vmap { 80 : drop }", "ip saddr 1.2.3.4-1.2.3.9 drop"),
    *(
        "meta l4proto 6-17 drop",
        "tcp sequence 5 drop",
        "udp length 8 drop",
        "ip saddr . tcp dport { 1.2.3.4 . 80 } drop",
    ),
    *(
        "ip dscp 10 drop",
        "meta skuid 0 drop",
        "ct state new drop",
        "meta length > 100 drop",
        "reject",
        "th dport 53 drop",
    ),
    *("limit rate over 1/second drop", "meta mark set 5", "numgen random mod 2 == 0 drop", "fib daddr type local drop"),
)


def native_rule(rule: str) -> tuple[list[str], str]:
    """Write a rule of nft into the chain INPUT of iptables' own table."""
    chain = f"chain INPUT {{ type filter hook input priority 0; {rule}; }}"
    return NFT, f"table ip filter {{ set s {{ type ipv4_addr; }}\n {chain}\n}}\n"


@pytest.mark.parametrize(("rules", "whole"), [(WHOLE, True), (IN_PART, False)], ids=["whole", "in part"])
def test_rules_of_nft_that_iptables_save_prints(rules: tuple[str, ...], whole: bool) -> None:
    for rule, (complaint, saved, native) in zip(rules, listed([*map(native_rule, rules)]), strict=True):
        assert not complaint, rule
        if not saved or "is incompatible, use 'nft' tool" in saved:  # it fails, or says so itself
            assert not whole, rule
            continue
        tables, corrected = both(saved, native)
        assert (tables == corrected) is whole, rule


TYPER = """
import json, subprocess, sys

def call(*words, text=""):
    return subprocess.run(words, input=text, capture_output=True, text=True)

given = json.load(sys.stdin)
answers = []
for command in given["commands"]:
    call("nft", "flush", "ruleset")
    loaded = call("nft", "-f", "-", text=given["text"]).stderr
    before = call("nft", "-a", "list", "ruleset").stdout
    done = call("sh", "-c", command)
    answers.append([before, loaded + done.stderr, call("nft", "list", "ruleset").stdout])
json.dump(answers, sys.stdout)
"""
TYPED_TEXT = """table ip t {
	set s {
		type ipv4_addr
		elements = { 10.0.0.1 }
	}

	chain f {
		type filter hook forward priority filter; policy drop;
		ip saddr @s drop
		tcp dport { 22, 80 } accept comment "a # handle 9"
		jump own
	}

	chain own {
		counter packets 0 bytes 0 return
	}
}
"""
TYPED = (
    *("nft delete rule ip t f handle {1}", "nft insert rule ip t f position {2} udp dport 53 accept"),
    *("nft add rule ip t f handle {0} udp dport 53 accept", "nft replace rule ip t f handle {0} drop"),
    *("nft 'add chain ip t f {{ policy accept ; }}'", "nft add element ip t s '{{ 10.0.0.7 }}'"),
    "nft insert rule ip t own ip saddr 10.0.1.2 ip daddr 10.0.2.2 accept",
)


def test_rules_are_changed_by_handle_as_by_nft() -> None:
    (first, *_), *_ = in_namespace(TYPER, {"commands": ["true"], "text": TYPED_TEXT})  # type: ignore[misc]
    handles = [rule.handle for rule in read_ruleset(first)[0].chain("f").rules]
    assert all(handles)
    commands = [command.format(*handles) for command in TYPED]
    answers = in_namespace(TYPER, {"commands": commands, "text": TYPED_TEXT})
    for command, (before, said, after) in zip(commands, answers, strict=True):  # type: ignore[call-overload]
        done = run_command(new_netns("n").with_ip4(nft=read_ruleset(before)), command)
        assert (said, print_ruleset(done.ip4.nft)) == ("", after), command
