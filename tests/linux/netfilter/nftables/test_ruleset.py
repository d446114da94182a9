"""Rulesets of nft: read, printed as nft prints them, and asked why a rule does not match."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from pathlib import Path

import nft_facts
import pytest

from mcnilib.errors import StateSyntaxError, Unsupported
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.hooks import NfVerdict
from mcnilib.linux.netfilter.nftables.rule import NftTable, print_ruleset
from mcnilib.linux.netfilter.nftables.text.json_form import ruleset_text
from mcnilib.linux.netfilter.nftables.text.ruleset import read_ruleset
from mcnilib.linux.netfilter.nftables.walk import Passed, pass_chain
from mcnilib.linux.packet import Packet, Tcp

DATA = Path(__file__).parents[3] / "data" / "nftables"
CLIENT, SERVER = IPv4Address("172.16.100.2"), IPv4Address("10.233.101.2")
PACKET = Packet(CLIENT, SERVER, "tcp", 40000, 80, Tcp(frozenset({"SYN"})), mark=0x4001)


def at() -> Context:
    return Context(
        "FORWARD", "veth1", "cali123", "NEW", memory={},
        address_type=lambda ip, dev: "LOCAL" if ip == CLIENT else "UNICAST", reverse_path=lambda *_: False,
    )  # fmt: skip


def in_table(*rules: str, more: str = "") -> NftTable:
    lines = "\n".join(f"\t\t{rule}" for rule in rules)
    return read_ruleset(f"table ip t {{{nft_facts.SETS}{more}\n\tchain c {{\n{lines}\n\t}}\n}}\n")[0]


def passed(*rules: str, packet: Packet = PACKET, more: str = "", policy: str = "accept") -> Passed:
    base = f"\n\tchain base {{ type filter hook forward priority 0; policy {policy}; jump c; }}"
    table = in_table(*rules, more=more)
    table = read_ruleset(print_ruleset((table,)).rstrip().removesuffix("}") + base + "\n}\n")[0]
    return pass_chain(table, table.chain("base"), packet, at(), lambda *_: None)


@pytest.mark.parametrize("name", ["every.nft", "kube-proxy-1.34.nft"])
def test_what_nft_lists_is_printed_back(name: str) -> None:
    text = (DATA / name).read_text()
    assert print_ruleset(read_ruleset(text)) == text


@pytest.mark.parametrize(("typed", "listed"), nft_facts.TYPED_AND_LISTED.items())
def test_what_is_typed_is_printed_as_nft_lists_it(typed: str, listed: str) -> None:
    assert str(in_table(typed).chain("c").rules[0]) == listed
    assert str(in_table(listed).chain("c").rules[0]) == listed


@pytest.mark.parametrize(("rule", "mistake"), nft_facts.MISTAKES.items())
def test_a_mistake_is_named_with_its_place(rule: str, mistake: tuple[int, str]) -> None:
    with pytest.raises(StateSyntaxError) as error:
        read_ruleset(f"table ip t {{\nchain c {{\n{rule}\n}}\n}}\n")
    assert (error.value.line, error.value.column, error.value.what) == (3, *mistake)


@pytest.mark.parametrize(("rule", "why_not"), nft_facts.WHY_NOT.items())
def test_a_rule_says_why_it_does_not_match(rule: str, why_not: str) -> None:
    table = in_table(rule)
    assert table.chain("c").rules[0].why_not(PACKET, at(), table.set_of) == why_not


@pytest.mark.parametrize(
    ("rules", "verdict", "decider"),
    [
        (["tcp dport 80 drop"], NfVerdict.DROP, "tcp dport 80 drop"),
        (["tcp dport 80 accept", "drop"], NfVerdict.ACCEPT, "tcp dport 80 accept"),
        (["tcp dport 80 return", "drop"], NfVerdict.ACCEPT, "type filter hook forward priority filter; policy accept;"),
        (["tcp dport 80 continue", "drop"], NfVerdict.DROP, "drop"),
        (["reject with tcp reset"], NfVerdict.DROP, "reject with tcp reset"),
        (["meta mark set 5", "meta mark 5 drop"], NfVerdict.DROP, "meta mark 0x00000005 drop"),
        (["goto d", "drop"], NfVerdict.ACCEPT, "type filter hook forward priority filter; policy accept;"),
        (["jump d", "drop"], NfVerdict.DROP, "drop"),
        (["tcp dport vmap { 80 : drop, 443 : accept }"], NfVerdict.DROP, "tcp dport vmap { 80 : drop, 443 : accept }"),
        (["update @seen { ip saddr }", "ip saddr @seen drop"], NfVerdict.DROP, "ip saddr @seen drop"),
        (["limit rate 1/hour burst 1 packets drop"], NfVerdict.DROP, "limit rate 1/hour burst 1 packets drop"),
    ],
)  # fmt: skip
def test_the_walk(rules: list[str], verdict: NfVerdict, decider: str) -> None:
    more = "\n\tset seen { type ipv4_addr; flags dynamic; }\n\tchain d { udp dport 1 drop; }"
    walked = passed(*rules, more=more)
    assert (walked.verdict, str(walked.decider)) == (verdict, decider)


def test_a_mark_is_computed_in_32_bits() -> None:
    walked = passed("meta mark set meta mark ^ 0x00004000")
    assert walked.packet.mark == 0x1


@pytest.mark.parametrize("rule", ["meta skuid 0 accept", "socket transparent 1 accept", "queue to 3"])
def test_what_is_not_modelled_is_kept_and_refused_when_a_packet_meets_it(rule: str) -> None:
    table = in_table(f'tcp dport 80 {rule} comment "kept"')
    assert str(table.chain("c").rules[0]) == f'tcp dport 80 {rule} comment "kept"'
    assert passed(f"udp dport 1 {rule}").verdict is NfVerdict.ACCEPT
    with pytest.raises(Unsupported):
        passed(f"tcp dport 80 {rule}")


def test_the_json_of_nft_says_the_same() -> None:
    entries = json.loads((DATA / "kube-proxy-1.34.json").read_text())["nftables"]
    (told,), (listed,) = read_ruleset(ruleset_text(entries)), read_ruleset((DATA / "kube-proxy-1.34.nft").read_text())
    assert [one.rules for one in told.chains] == [one.rules for one in listed.chains]
    assert [one.elements for one in told.sets] == [one.elements for one in listed.sets]
