"""Every match and target iptables documents for IPv4: read, printed, and modelled or refused by name."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from extension_facts import (
    EXTENSIONS,
    KEPT,
    MODELLED,
    NOT_IN_EVERY_KERNEL,
    NOT_YET,
    REFUSED,
    WITHOUT_EFFECT,
)
from rule_facts import in_table

from mcnilib.errors import Refused, StateSyntaxError, Unsupported
from mcnilib.linux.context import Context
from mcnilib.linux.iptables_save import parse_tables, print_tables
from mcnilib.linux.kept import KeptMatch, KeptTarget
from mcnilib.linux.netfilter import ChainRule, Table, traverse
from mcnilib.linux.packet import Packet

DOCUMENTED = """
addrtype ah bpf cgroup cluster comment connbytes connlabel connlimit connmark conntrack cpu dccp devgroup dscp ecn esp
hashlimit helper icmp iprange ipvs length limit mac mark multiport nfacct osf owner physdev pkttype policy quota rateest
realm recent rpfilter sctp set socket state statistic string tcp tcpmss time tos ttl u32 udp
AUDIT CHECKSUM CLASSIFY CLUSTERIP CONNMARK CONNSECMARK CT DNAT DSCP ECN HMARK IDLETIMER LED LOG MARK MASQUERADE NETMAP
NFLOG NFQUEUE NOTRACK RATEEST REDIRECT REJECT SECMARK SET SNAT SYNPROXY TCPMSS TCPOPTSTRIP TEE TOS TPROXY TRACE TTL ULOG
"""
"""The headings of iptables-extensions(8) in iptables 1.8.9 that are not for IPv6 alone."""


def read(table: str, rule: str) -> tuple[Table, ChainRule]:
    """Read one rule in a table of its own."""
    (found,) = parse_tables(in_table(f"-A {rule}", table))
    return found, next(rule for chain in found.chains for rule in chain.rules)


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
    assert sorted([*MODELLED, *KEPT, *WITHOUT_EFFECT, *NOT_YET]) == sorted(DOCUMENTED.split())


def kept_rules() -> list[tuple[str, str, str]]:
    found = [(name, table, rule) for name, table, _, rule in EXTENSIONS] + NOT_IN_EVERY_KERNEL
    return [(name, table, rule) for name, table, rule in found if name in KEPT or name in WITHOUT_EFFECT]


@pytest.mark.parametrize(("name", "table", "rule"), kept_rules())
def test_a_packet_that_needs_what_is_not_modelled_is_refused_by_name(name: str, table: str, rule: str) -> None:
    _, one = read(table, rule)
    kept = [part for part in (*one.matches, one.target) if isinstance(part, KeptMatch | KeptTarget)]
    if not kept or not kept[0].why:
        return
    with pytest.raises(Unsupported) as error:
        meet(*kept)
    assert f"{'match' if isinstance(kept[0], KeptMatch) else 'target'} {name}" in str(error.value)
    assert KEPT[name] in str(error.value)


PACKET = Packet(IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2"), "udp", 5, 6)


def meet(part: KeptMatch | KeptTarget) -> None:
    """Send a packet through a chain with one rule, which has nothing but this part."""
    rule = ChainRule("FORWARD", (part,)) if isinstance(part, KeptMatch) else ChainRule("FORWARD", (), part)
    (table,) = parse_tables("*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n")
    chain = table.chains[0].__class__("FORWARD", (rule,), "ACCEPT")
    traverse(Table("filter", (chain,)), "FORWARD", PACKET, Context("FORWARD"), lambda *_: None)


@pytest.mark.parametrize("name", [name for name in WITHOUT_EFFECT if name != "nfacct"])
def test_targets_without_effect_let_the_walk_go_on(name: str) -> None:
    for own, table, rule in kept_rules():
        if own == name:
            _, one = read(table, rule)
            assert isinstance(one.target, KeptTarget)
            assert one.ends == ""
            meet(one.target)
            return
    raise AssertionError(f"no example of {name}")
