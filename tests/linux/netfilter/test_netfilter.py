"""The walk through a table: jumps, goto, RETURN, policies, marks; long chains by index; editing tables."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies_iptables import FEW_DEVICES, small_packets, small_tables

from mcnilib.errors import Unsupported
from mcnilib.linux.netfilter.conntrack import ConnTuple, Entry
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.ipset import parse_sets
from mcnilib.linux.netfilter.iptables.edit import (
    append,
    delete,
    empty_table,
    find_table,
    flush_chain,
    insert,
    new_chain,
    put_table,
    set_policy,
)
from mcnilib.linux.netfilter.iptables.rule import Chain, ChainRule, RuleIndex, Table
from mcnilib.linux.netfilter.iptables.save import parse_rule, parse_tables, print_tables
from mcnilib.linux.netfilter.iptables.traverse import traverse
from mcnilib.linux.packet import Packet, Tcp

CLIENT, SERVER = IPv4Address("172.16.100.2"), IPv4Address("10.233.101.2")
PACKET = Packet(CLIENT, SERVER, "tcp", 40000, 80, Tcp(frozenset({"SYN"})), mark=0x4001)
ENTRY = Entry(ConnTuple("tcp", CLIENT, SERVER, 40000, 80), ConnTuple("tcp", SERVER, CLIENT, 80, 40000), mark=0x71)

CHAINS = """*filter
:FORWARD DROP [0:0]
:one - [0:0]
:two - [0:0]
{rules}
COMMIT
"""


def filter_table(rules: str) -> Table:
    return parse_tables(CHAINS.format(rules=rules.replace("; ", "\n")))[0]


def forward() -> Context:
    return Context("FORWARD", "veth1", "en0", entry=ENTRY)


def met_rules(table: Table, at: Context, packet: Packet = PACKET) -> tuple[str, str, Packet, list[str]]:
    met: list[str] = []
    verdict, after, line = traverse(table, at.hook, packet, at, lambda rule, a, b: met.append(str(rule)))
    return verdict, str(line), after, met


@pytest.mark.parametrize(
    ("rules", "verdict", "decided"),
    [
        ("", "DROP", ":FORWARD DROP [0:0]"),
        ("-A FORWARD -j ACCEPT", "ACCEPT", "-A FORWARD -j ACCEPT"),
        ("-A FORWARD -s 9.9.9.9 -j ACCEPT", "DROP", ":FORWARD DROP [0:0]"),
        ("-A FORWARD -j one; -A FORWARD -j ACCEPT; -A one -j RETURN; -A one -j DROP", "ACCEPT", "-A FORWARD -j ACCEPT"),
        ("-A FORWARD -j one; -A FORWARD -j ACCEPT; -A one -s 9.9.9.9 -j DROP", "ACCEPT", "-A FORWARD -j ACCEPT"),
        ("-A FORWARD -j one; -A one -j two; -A one -j ACCEPT; -A two -j RETURN", "ACCEPT", "-A one -j ACCEPT"),
        ("-A FORWARD -j RETURN; -A FORWARD -j ACCEPT", "DROP", ":FORWARD DROP [0:0]"),
        # goto: the end of `two` comes back to the caller of `one`, not to `one`
        ("-A FORWARD -j one; -A FORWARD -j ACCEPT; -A one -g two; -A one -j REJECT", "ACCEPT", "-A FORWARD -j ACCEPT"),
        ("-A FORWARD -j one; -A FORWARD -j ACCEPT; -A one -g two; -A one -j REJECT; -A two -j RETURN", "ACCEPT", "-A FORWARD -j ACCEPT"),
        ("-A FORWARD -g one; -A FORWARD -j ACCEPT; -A one -s 9.9.9.9 -j REJECT", "DROP", ":FORWARD DROP [0:0]"),
        ("-A FORWARD -j LOG; -A FORWARD; -A FORWARD -j REJECT", "DROP", "-A FORWARD -j REJECT --reject-with icmp-port-unreachable"),
    ],
)  # fmt: skip
def test_the_walk_through_a_table(rules: str, verdict: str, decided: str) -> None:
    assert met_rules(filter_table(rules), forward())[:2] == (verdict, decided)


def test_every_rule_that_matched_is_told_in_order_with_the_packet_before_and_after() -> None:
    table = filter_table(
        "-A FORWARD -s 9.9.9.9; -A FORWARD; -A FORWARD -j one; -A one -j MARK --set-mark 5; -A one -j ACCEPT"
    )
    matched: list[tuple[str, int, int]] = []
    traverse(table, "FORWARD", PACKET, forward(), lambda rule, a, b: matched.append((rule.action, a.mark, b.mark)))
    assert matched == [
        ("counted", 0x4001, 0x4001), ("one", 0x4001, 0x4001), ("MARK --set-xmark 0x5/0xffffffff", 0x4001, 5), ("ACCEPT", 5, 5),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("hook", "table", "rule", "ends"),
    [
        ("PREROUTING", "nat", "-A PREROUTING -j DNAT --to-destination 10.0.0.1", True),
        ("POSTROUTING", "nat", "-A POSTROUTING -j SNAT --to-source 10.0.0.1", True),
        ("POSTROUTING", "nat", "-A POSTROUTING -j MASQUERADE", True),
        ("PREROUTING", "raw", "-A PREROUTING -j NOTRACK", False),  # goes on, and remembers
    ],
)
def test_targets_of_other_tables(hook: str, table: str, rule: str, ends: bool) -> None:
    at = Context(hook)
    tables = append((empty_table(table),), table, [parse_rule(rule)])
    decided = rule if ends else f":{hook} ACCEPT [0:0]"
    assert met_rules(tables[0], at)[:2] == ("ACCEPT", decided)
    assert at.notrack is (table == "raw")


@pytest.mark.parametrize(
    ("first", "notrack", "state"),
    [("CT --ctevents new", False, "NEW"), ("NOTRACK", True, "UNTRACKED"), ("MARK --set-mark 1", True, "UNTRACKED")],
)
def test_where_a_template_is_attached_notrack_comes_too_late(first: str, notrack: bool, state: str) -> None:
    """Source: xt_ct_target() in net/netfilter/xt_CT.c: what the packet has already stays."""
    at = Context("PREROUTING", ctstate="INVALID")
    rules = [parse_rule(f"-A PREROUTING -j {target}") for target in (first, "NOTRACK")]
    met_rules(append((empty_table("raw"),), "raw", rules)[0], at)
    assert (at.notrack, at.ctstate) == (notrack, state)


def test_an_mss_is_clamped_only_where_there_are_routes_to_ask() -> None:
    syn = PACKET.but(proto="tcp", tcp=Tcp(frozenset({"SYN"}), mss=1460))
    clamp = parse_rule("-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu").target
    assert clamp
    with pytest.raises(Unsupported, match="no routing tables to ask"):
        clamp.apply(syn, Context("FORWARD"))
    clamped = clamp.apply(syn, Context("FORWARD", path_mtu=lambda *_: 1400)).tcp
    assert clamped and clamped.mss == 1360


def test_a_table_without_the_chain_lets_pass() -> None:
    assert traverse(Table("raw"), "OUTPUT", PACKET, Context("OUTPUT"), lambda *_: None) == ("ACCEPT", PACKET, None)


# The packet carries 0x4001, its connection 0x71.
@pytest.mark.parametrize(
    ("target", "mark", "connmark"),
    [
        ("MARK --set-xmark 0x10000/0x10000", 0x14001, 0x71),
        ("MARK --set-xmark 0x4000/0x0", 0x0001, 0x71),  # XOR, what kube-proxy clears its mark with
        ("MARK --set-xmark 0x0/0xff", 0x4000, 0x71),
        ("MARK --set-mark 0x2/0xff", 0x4002, 0x71),
        ("CONNMARK --save-mark", 0x4001, 0x4001),
        ("CONNMARK --save-mark --nfmask 0xf --ctmask 0xf0", 0x4001, 0x00),
        ("CONNMARK --save-mark --nfmask 0x4000 --ctmask 0x0", 0x4001, 0x4071),
        ("CONNMARK --restore-mark", 0x71, 0x71),
        ("CONNMARK --restore-mark --nfmask 0xff --ctmask 0x10", 0x4010, 0x71),
        ("CONNMARK --restore-mark --nfmask 0x0 --ctmask 0xffffffff", 0x4070, 0x71),
        ("CONNMARK --set-mark 0x1", 0x4001, 0x1),
        ("CONNMARK --set-xmark 0x10/0x0", 0x4001, 0x61),
        ("CONNMARK --and-mark 0x3f", 0x4001, 0x31),
    ],
)
def test_marks_are_changed_and_seen_by_later_rules(target: str, mark: int, connmark: int) -> None:
    seen = f"-A FORWARD -m mark --mark {mark} -m connmark --mark {connmark} -j ACCEPT"
    at = forward()
    verdict, _, after, _ = met_rules(filter_table(f"-A FORWARD -j {target}; {seen}"), at)
    assert (verdict, after.mark, at.entry and at.entry.mark) == ("ACCEPT", mark, connmark)


def test_without_a_connection_connmark_does_nothing() -> None:
    at = Context("FORWARD", ctstate="INVALID")
    table = filter_table("-A FORWARD -j CONNMARK --save-mark; -A FORWARD -j CONNMARK --restore-mark")
    assert met_rules(table, at)[2] == PACKET
    assert at.entry is None


def test_why_not_of_a_rule() -> None:
    rule = parse_rule("-A FORWARD -i veth+ -m mark --mark 0x4000/0x4000 -m conntrack --ctstate INVALID -j DROP")
    assert rule.why_not(PACKET, forward()) == "ctstate is NEW, not INVALID"
    assert rule.why_not(PACKET.but(mark=0), forward()) == "mark is 0x0, not 0x4000/0x4000"
    assert rule.why_not(PACKET, Context("FORWARD", ctstate="INVALID", iif="veth1")) == ""


# Long chains.


class Scanned(Chain):
    """A chain without index: the plain scan every index must agree with."""

    def candidates(self, packet: Packet, at: Context) -> Sequence[ChainRule]:
        return self.rules


class Indexed(Chain):
    """A chain that uses the index even when it is short."""

    def candidates(self, packet: Packet, at: Context) -> Sequence[ChainRule]:
        return self._index.candidates(packet, at)


def rebuilt(table: Table, kind: type[Chain]) -> Table:
    return Table(table.name, tuple(kind(chain.name, chain.rules, chain.policy) for chain in table.chains))


SETS = {one.name: one for one in parse_sets("create some hash:net family inet\nadd some 127.0.0.2/31\n")}


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(small_tables(), small_packets, st.sampled_from(FEW_DEVICES), st.sampled_from(["udp", "icmp"]))
def test_an_indexed_chain_decides_as_a_scanned_one(table: Table, addressed, device: str, proto: str) -> None:
    src, dst, port, mark = addressed
    ports = (1234, port) if proto == "udp" else (0, 0)
    packet = Packet(IPv4Address(src), IPv4Address(dst), proto, *ports, mark=mark)
    flow = ConnTuple(proto, packet.src, packet.dst, *ports)

    def walk(kind: type[Chain]) -> tuple[object, ...]:
        at = Context(
            "OUTPUT", oif=device, entry=Entry(flow, flow.inverse()), sets=SETS, address_type=lambda *_: "LOCAL"
        )
        return (*met_rules(rebuilt(table, kind), at, packet), at.entry)

    assert walk(Indexed) == walk(Scanned)


def many(rule: str, number: int) -> tuple[ChainRule, ...]:
    """Make rules from a pattern: {ip} is another address in each, {port} another port, {name} another device."""
    filled = (rule.format(ip=f"10.{i >> 8}.{i & 255}.1", port=i + 1, name=f"cali{i}") for i in range(number))
    return tuple(parse_rule(f"-A X {text}") for text in filled)


WANTED = 3000


@pytest.mark.parametrize(
    ("rule", "packet", "at"),
    [
        ("-d {ip} -p tcp --dport {port} -j DROP", {"dst": "10.11.184.1", "dport": 3001}, {}),
        ("-d 10.0.0.1 -p tcp --dport {port} -j DROP", {"dst": "10.0.0.1", "dport": 3001}, {}),
        ("-d {ip} -p tcp --dport 80 -j DROP", {"dst": "10.11.184.1", "dport": 80}, {}),
        ("-p tcp -m comment --comment x -m tcp --dport {port} -j DROP", {"dport": 3001}, {}),
        ("-s {ip} -j DROP", {"src": "10.11.184.1"}, {}),
        ("-i {name} -j DROP", {}, {"iif": "cali3000"}),
        ("-o {name} -j DROP", {}, {"oif": "cali3000"}),
    ],
)
def test_of_a_long_chain_few_rules_are_tried(rule: str, packet: dict[str, object], at: dict[str, str]) -> None:
    rules = (*many("-s 1.1.1.1 -m mark ! --mark 0x1 -j RETURN", 2), *many(rule, 5000), *many("-j RETURN", 1))
    changes = {name: IPv4Address(value) if isinstance(value, str) else value for name, value in packet.items()}
    tried = RuleIndex(rules).candidates(PACKET.but(**changes), Context("FORWARD", **at))
    assert [str(candidate) for candidate in tried] == [str(rules[2 + WANTED]), "-A X -j RETURN"]


def test_a_rule_that_draws_or_asks_is_tried_even_if_its_port_is_wrong() -> None:
    rules = many("-p tcp -m statistic --mode random --probability 0.5 -m tcp --dport {port} -j DROP", 20)
    assert list(RuleIndex(rules).candidates(PACKET, forward())) == list(rules)
    with pytest.raises(Unsupported):
        traverse(
            Table("filter", (Chain("FORWARD", many("-p tcp -m recent --set -m tcp --dport {port}", 20), "DROP"),)),
            "FORWARD", PACKET, forward(), lambda *_: None,
        )  # fmt: skip


# Editing.


def test_editing_keeps_the_order_of_iptables_save() -> None:
    tables = new_chain(new_chain((empty_table("filter"),), "filter", "zebra"), "filter", "ant")
    tables = append(tables, "filter", [parse_rule("-A FORWARD -j zebra")])
    tables = insert(tables, "filter", parse_rule("-A FORWARD -j ant"))
    tables = insert(tables, "filter", parse_rule("-A FORWARD -j DROP"), 2)
    text = print_tables(set_policy(tables, "filter", "INPUT", "DROP"))
    assert text.splitlines()[1:-1] == [
        ":INPUT DROP [0:0]", ":FORWARD ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]", ":ant - [0:0]", ":zebra - [0:0]",
        "-A FORWARD -j ant", "-A FORWARD -j DROP", "-A FORWARD -j zebra",
    ]  # fmt: skip
    left = delete(tables, "filter", parse_rule("-A FORWARD -j ant"))
    assert [str(rule) for rule in find_table(left, "filter").chain("FORWARD").rules] == [
        "-A FORWARD -j DROP",
        "-A FORWARD -j zebra",
    ]
    assert delete(left, "filter", parse_rule("-A FORWARD -j ant")) == left
    assert find_table(flush_chain(left, "filter", "FORWARD"), "filter").chain("FORWARD").rules == ()


def test_appending_creates_what_is_missing() -> None:
    tables = append((), "raw", [parse_rule("-A PREROUTING -j mine"), parse_rule("-A mine -j NOTRACK")])
    assert print_tables(tables) == (
        "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:mine - [0:0]\n-A PREROUTING -j mine\n-A mine -j NOTRACK\nCOMMIT\n"
    )


def test_tables_are_printed_in_the_order_of_iptables_save() -> None:
    tables: tuple[Table, ...] = ()
    for name in ("filter", "raw", "nat", "mangle", "filter"):
        tables = put_table(tables, empty_table(name))
    names = [line for line in print_tables(tables).splitlines() if line.startswith("*")]
    assert names == ["*mangle", "*raw", "*filter", "*nat"]


def test_a_missing_chain_is_named_with_its_table() -> None:
    with pytest.raises(KeyError, match="no chain 'X' in table raw"):
        empty_table("raw").chain("X")
