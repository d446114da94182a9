"""Every match and target iptables documents for IPv4: read, printed, and modelled or refused by name."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from extension_facts import (
    EXTENSIONS,
    KEPT,
    MODELLED,
    NOT_IN_EVERY_KERNEL,
    REFUSED,
    WITHOUT_EFFECT,
)
from rule_facts import in_table

from mcnilib.errors import Refused, StateSyntaxError, Unsupported
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.match.opaque import OpaqueMatch
from mcnilib.linux.netfilter.iptables.rule import ChainRule, Table
from mcnilib.linux.netfilter.iptables.save import parse_rule, parse_tables, print_tables
from mcnilib.linux.netfilter.iptables.target.opaque import OpaqueTarget
from mcnilib.linux.netfilter.iptables.traverse import traverse
from mcnilib.linux.packet import Packet, Tcp

DOCUMENTED = """
addrtype ah bpf cgroup cluster comment connbytes connlabel connlimit connmark conntrack cpu dccp devgroup dscp ecn esp
hashlimit helper icmp iprange ipvs length limit mac mark multiport nfacct osf owner physdev pkttype policy quota rateest
realm recent rpfilter sctp set socket state statistic string tcp tcpmss time tos ttl u32 udp
AUDIT CHECKSUM CLASSIFY CLUSTERIP CONNMARK CONNSECMARK CT DNAT DSCP ECN HMARK IDLETIMER LED LOG MARK MASQUERADE NETMAP
NFLOG NFQUEUE NOTRACK RATEEST REDIRECT REJECT SECMARK SET SNAT SYNPROXY TCPMSS TCPOPTSTRIP TEE TOS TPROXY TRACE TTL ULOG
"""
"""The headings of iptables-extensions(8) in iptables 1.8.9 that are not for IPv6 alone."""

UNDOCUMENTED = {"ipcomp", "QUEUE"}
"""What iptables knows besides, and the model keeps as text."""


def read(table: str, rule: str) -> tuple[Table, ChainRule]:
    """Read one rule in a table of its own."""
    (parsed,) = parse_tables(in_table(f"-A {rule}", table))
    return parsed, next(rule for chain in parsed.chains for rule in chain.rules)


@pytest.mark.parametrize(("name", "table", "given", "printed"), EXTENSIONS)
def test_rules_are_printed_as_iptables_save_prints_them(name: str, table: str, given: str, printed: str) -> None:
    text = in_table(f"-A {printed}", table)
    assert print_tables(parse_tables(in_table(f"-A {given}", table))) == text
    assert print_tables(parse_tables(text)) == text


@pytest.mark.parametrize(("name", "table", "rule"), NOT_IN_EVERY_KERNEL)
def test_rules_that_need_what_may_be_missing(name: str, table: str, rule: str) -> None:
    assert print_tables(parse_tables(in_table(f"-A {rule}", table))) == in_table(f"-A {rule}", table)


@pytest.mark.parametrize(("table", "rule"), REFUSED)
def test_what_iptables_refuses_is_refused(table: str, rule: str) -> None:
    with pytest.raises((StateSyntaxError, Refused)):
        parse_tables(in_table(f"-A {rule}", table))


def test_every_documented_match_and_target_has_its_place() -> None:
    assert sorted([*MODELLED, *KEPT, *WITHOUT_EFFECT]) == sorted(DOCUMENTED.split())


def kept_rules() -> list[tuple[str, str, str]]:
    rules = [(name, table, rule) for name, table, _, rule in EXTENSIONS] + NOT_IN_EVERY_KERNEL
    return [(name, table, rule) for name, table, rule in rules if name in KEPT or name in WITHOUT_EFFECT]


@pytest.mark.parametrize(("name", "table", "rule"), kept_rules())
def test_a_packet_that_needs_what_is_not_modelled_is_refused_by_name(name: str, table: str, rule: str) -> None:
    _, opaque = read(table, rule)
    kept = [part for part in (*opaque.matches, opaque.target) if isinstance(part, OpaqueMatch | OpaqueTarget)]
    if not kept or not kept[0].gap:
        return
    with pytest.raises(Unsupported) as error:
        meet(*kept)
    assert f"{'match' if isinstance(kept[0], OpaqueMatch) else 'target'} {name}" in str(error.value)
    assert KEPT[name] in str(error.value)


PACKET = Packet(IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2"), "udp", 5, 6)


def meet(part: OpaqueMatch | OpaqueTarget) -> None:
    """Send a packet through a chain with one rule, which has nothing but this part."""
    rule = ChainRule("FORWARD", (part,)) if isinstance(part, OpaqueMatch) else ChainRule("FORWARD", (), part)
    (table,) = parse_tables("*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n")
    chain = table.chains[0].__class__("FORWARD", (rule,), "ACCEPT")
    traverse(Table("filter", (chain,)), "FORWARD", PACKET, Context("FORWARD"), lambda *_: None)


@pytest.mark.parametrize("name", WITHOUT_EFFECT)
def test_targets_without_effect_let_the_walk_go_on(name: str) -> None:
    for own, table, rule in kept_rules():
        if own == name:
            _, opaque = read(table, rule)
            assert isinstance(opaque.target, OpaqueTarget)
            assert opaque.ends is None
            meet(opaque.target)
            return
    raise AssertionError(f"no example of {name}")


def walked(rules: list[str], times: list[float], packet: Packet = PACKET) -> list[list[str]]:
    """Send a packet through FORWARD at several moments: the rules that matched, by their place in the chain."""
    (table,) = parse_tables(in_table("\n".join(f"-A FORWARD {rule}" for rule in rules)))
    chain = table.chain("FORWARD").rules
    matches: list[list[str]] = []
    memory: dict = {}
    for now in times:
        met: list[str] = []
        at = Context("FORWARD", now=now, memory=memory)
        traverse(table, "FORWARD", packet, at, lambda rule, *_, met=met: met.append("abc"[chain.index(rule)]))
        matches.append("".join(met))
    return matches


@pytest.mark.parametrize(
    ("rules", "times", "matched"),
    [
        (["-m limit --limit 1/sec --limit-burst 2"], [0, 0, 0, 0.5, 1, 1, 9, 9, 9], "a a - - a - a a -"),
        (["-m limit --limit 1/min"], [0, 1, 2, 3, 4, 5, 60, 60], "a a a a a - a -"),
        (["-m recent --rcheck --seconds 10 --name x", "-m recent --set --name x"], [0, 10, 20.5, 21], "b ab b ab"),
        (["-m recent --update --seconds 10 --hitcount 2 --name x", "-m recent --set --name x"], [0, 1, 2, 30], "b b ab b"),
        (["-m recent ! --remove --name x", "-m recent --set --name y"], [0, 1], "ab ab"),
        (["-m recent --rcheck --seconds 5 --reap --name x", "-m recent ! --rcheck --name x", "-m recent --set --name x"], [0, 1, 9, 9], "bc ac bc ac"),
    ],
)  # fmt: skip
def test_what_is_remembered_and_forgotten_in_the_time_of_the_run(
    rules: list[str], times: list[float], matched: str
) -> None:
    assert " ".join(numbers or "-" for numbers in walked(rules, times)) == matched


def test_two_equal_rules_remember_apart() -> None:
    rule = "-m limit --limit 1/hour --limit-burst 1"
    a, b = parse_rule(f"-A X {rule}"), parse_rule(f"-A X {rule}")
    at = Context("X", memory={})
    assert [a.holds(PACKET, at), b.holds(PACKET, at), a.holds(PACKET, at), b.holds(PACKET, at)] == [
        True,
        True,
        False,
        False,
    ]
    assert a == b


def test_to_say_why_takes_nothing_from_a_bucket() -> None:
    rule, at = parse_rule("-A X -m limit --limit 1/hour --limit-burst 1"), Context("X", memory={})
    assert rule.why_not(PACKET, at) == "the rate decides, 1 packets at once, then 1/hour"
    assert rule.holds(PACKET, at)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("-m length --length 0:100", "for a packet of 60 to 100 bytes"),
        ("-m quota --quota 90", "its exact length"),
        ("-m limit", "outside a run"),
    ],
)
def test_what_the_length_of_a_segment_decides_is_refused(rule: str, says: str) -> None:
    segment = Packet(PACKET.src, PACKET.dst, "tcp", 5, 6, Tcp(frozenset({"ACK"})), length=20)
    match = parse_rule(f"-A X {rule}")
    assert parse_rule("-A X -m length --length 60:100").holds(segment, Context("X"))
    assert not parse_rule("-A X -m length --length 101:200").holds(segment, Context("X"))
    if "length 0" in rule:
        segment = segment.but(length=30)
        says = says.replace("60 to 100", "70 to 110")
    with pytest.raises(Unsupported) as error:
        match.holds(segment, Context("X", memory=None if "limit" in rule else {}))
    assert says in str(error.value)
