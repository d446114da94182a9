"""What is printed reads back as it was; nonsense is refused and never crashes."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rule_facts import PLACED, PRINTED, REFUSED_BY_TOOL, UNSUPPORTED, in_table
from strategies_iptables import rules, small_tables, tables, targets

from mcnilib.errors import McniError
from mcnilib.linux.netfilter.ipset import parse_sets
from mcnilib.linux.netfilter.iptables.rule import ChainRule, Table
from mcnilib.linux.netfilter.iptables.save import parse_rule, parse_tables, print_tables

slow = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@settings(max_examples=300)
@given(rules("FORWARD", targets))
def test_a_rule_reads_back_as_it_was(rule: ChainRule) -> None:
    assert parse_rule(str(rule), source="printed") == rule


@slow
@given(tables(size=8) | small_tables())
def test_tables_read_back_as_they_were(table: Table) -> None:
    assert parse_tables(print_tables((table,))) == (table,)


@given(st.text(max_size=200))
@example('*filter\n:X - [0:0]\n-A X -m comment --comment "\nCOMMIT\n')
@example("*nat\n:PREROUTING ACCEPT\n-A PREROUTING -j DNAT --to-destination 1.1.1.1:0\nCOMMIT")
@example("*filter\n-A FORWARD -p tcp --dport\nCOMMIT")
@example("*filter\n-A FORWARD -m mark --mark ²/١\nCOMMIT")
def test_nonsense_never_crashes(text: str) -> None:
    for parse in (parse_tables, parse_rule, parse_sets):
        with suppress(McniError):
            parse(text)


WORDS = [
    "-A", "X", "-s", "-d", "-i", "-o", "-p", "tcp", "udp", "-m", "comment", "--comment", '"', '"a b"', "!", "10.0.0.0/8", "1.1.1.1",
    "mark", "--mark", "0x1/0x2", "conntrack", "--ctstate", "NEW,INVALID", "-j", "DROP", "MARK", "--set-xmark", "DNAT", "--to-destination",
    "1.1.1.1:80", "--dport", "80", "1:2", "set", "--match-set", "src", "statistic", "--mode", "random", "--probability", "0.5", "--tcp-flags",
    "SYN", "ALL", "-g", "rpfilter", "--invert", "recent", "--name", "addrtype", "--dst-type", "LOCAL", "multiport", "--dports", "icmp",
]  # fmt: skip


WORDS += [
    "REJECT", "--reject-with", "tcp-reset", "LOG", "--log-prefix", "--log-level", "7", "CONNMARK", "--save-mark", "--nfmask", "SNAT", "--to-source",
    "--random-fully", "MASQUERADE", "NOTRACK", "CT", "--notrack", "--ctdir", "REPLY", "--ctproto", "--ctorigsrc", "--ctreplsrcport", "--ctstatus",
    "ASSURED", "state", "--state", "--icmp-type", "any", "255", "8/0", "nth", "--every", "3", "--packet", "--set", "--rcheck", "--seconds", "--reap",
    "--syn", "0:65535", "ALL", "NONE", "+", "0/0", "-c", "-4", "src,dst", "limit", "--limit-iface-in", "--sport", "1,2:3", "0", "all", "010", "²",
]  # fmt: skip


@settings(max_examples=1000)
@example('-j "a b"')
@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join))
def test_shuffled_words_are_read_or_refused_never_crash(line: str) -> None:
    try:
        rule = parse_rule(f"-A X {line}", source="fuzz")
    except McniError:
        return
    assert parse_rule(str(rule), source="printed") == rule


LINES = [in_table(f"-A X {rule}") for rule, *_ in (*PRINTED, *REFUSED_BY_TOOL, *UNSUPPORTED)]
LINES += [in_table(f"-A {rule}", table) for table, rule, _ in PLACED]
damage = st.tuples(
    st.integers(0, 400), st.integers(0, 6), st.text(max_size=4) | st.sampled_from(['"', " ! ", "\n", "/", ":", ","])
)


@settings(max_examples=500)
@given(st.sampled_from(LINES), damage)
def test_damaged_rules_are_read_or_refused_never_crash(text: str, change: tuple[int, int, str]) -> None:
    start, length, put = change
    with suppress(McniError):
        read = parse_tables(text[:start] + put + text[start + length :])
        assert parse_tables(print_tables(read)) == read
