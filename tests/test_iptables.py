"""iptables rules: what is read, what is printed, what matches and why not."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies_iptables import addresses, ports, rules, tables, targets

from mcnilib.errors import McniError, StateSyntaxError, Unsupported
from mcnilib.linux.conntrack import Entry, Flow
from mcnilib.linux.context import Context
from mcnilib.linux.ipset import IpSet, parse_sets, print_sets
from mcnilib.linux.iptables_save import parse_rule, parse_tables, print_tables
from mcnilib.linux.netfilter import Chain, Table, traverse
from mcnilib.linux.packet import Icmp, Packet, Tcp
from mcnilib.linux.tables import append, delete, empty_table, find_table, insert, new_chain

DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize(
    ("read", "printed"),
    [  # what kube-proxy and Felix feed to iptables-restore, and what iptables-save makes of it
        ("-A X -m tcp -p tcp -d 10.233.0.100 --dport 80 -j Y", "-A X -d 10.233.0.100/32 -p tcp -m tcp --dport 80 -j Y"),
        ("-A X -p tcp --dport 80 ! -s 10.0.0.0/8 -j Y", "-A X ! -s 10.0.0.0/8 -p tcp -m tcp --dport 80 -j Y"),
        ("-A X -m comment --comment demo/web:http -j Y", '-A X -m comment --comment "demo/web:http" -j Y'),
        ('-A X -m comment --comment "two words"', '-A X -m comment --comment "two words"'),
        ("-A X -m mark --mark 0x00004000/0x00004000 -j RETURN", "-A X -m mark --mark 0x4000/0x4000 -j RETURN"),
        ("-A X -j MARK --or-mark 0x00004000", "-A X -j MARK --set-xmark 0x4000/0x4000"),
        ("-A X -j MARK --xor-mark 0x00004000", "-A X -j MARK --set-xmark 0x4000/0x0"),
        ("-A X -j MARK --and-mark 0xffff", "-A X -j MARK --set-xmark 0x0/0xffff0000"),
        ("-A X -j MARK --set-mark 1", "-A X -j MARK --set-xmark 0x1/0xffffffff"),
        ("-A X -j REJECT", "-A X -j REJECT --reject-with icmp-port-unreachable"),
        ("-A X -m statistic --mode random --probability 0.5000000000 -j Y", "-A X -m statistic --mode random --probability 0.50000000000 -j Y"),
        ("-A X -m statistic --mode random --probability 0.3333333333 -j Y", "-A X -m statistic --mode random --probability 0.33333333349 -j Y"),
        ("-A X -m recent --name E --rcheck --seconds 10800 --reap -j Y", "-A X -m recent --rcheck --seconds 10800 --reap --name E --mask 255.255.255.255 --rsource -j Y"),
        ("-A X -m recent --name E --set -j Y", "-A X -m recent --set --name E --mask 255.255.255.255 --rsource -j Y"),
        ("-A X -m state --state ESTABLISHED,RELATED -j ACCEPT", "-A X -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
        ("-A X -p 17 -m multiport --destination-ports 4789", "-A X -p udp -m multiport --dports 4789"),
        ("-A X --in-interface cali+ --jump Y", "-A X -i cali+ -j Y"),
        ("-A X --goto Y", "-A X -g Y"),
        ("-A X -p tcp --syn -j DROP", "-A X -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP"),
        ("-A X -p icmp --icmp-type echo-request", "-A X -p icmp -m icmp --icmp-type 8"),
        ("-A X -m rpfilter --invert --validmark -j DROP", "-A X -m rpfilter --validmark --invert -j DROP"),
        ("-A X -m nfacct --nfacct-name n", "-A X -m nfacct --nfacct-name  n"),
        ("-A X -s 10.1.2.3/8 -j DROP", "-A X -s 10.0.0.0/8 -j DROP"),
    ],
)  # fmt: skip
def test_rules_are_printed_as_iptables_save_does(read: str, printed: str) -> None:
    assert str(parse_rule(read)) == printed
    assert str(parse_rule(printed)) == printed


@pytest.mark.parametrize(
    ("line", "where", "what"),
    [
        ("-A X -s 10.0.0.300", ":1:9:", "not an IPv4 address"),
        ("-A X -p tpc", ":1:9:", "did you mean 'tcp'?"),
        ("-A X -m conntrack --ctstate ESTABLISED", ":1:29:", "did you mean 'ESTABLISHED'?"),
        ("-A X -m mark --mark", ":1:20:", "a mark is missing"),
        ("-A X -m mark --mark 0x1ffffffff", ":1:21:", "is not a mark"),
        ("-A X --frobnicate 1", ":1:6:", "unknown option '--frobnicate'"),
        ("-A X -p tcp --dport 99999", ":1:21:", "0 to 65535"),
        ("-A X -s 1.1.1.1 -s 2.2.2.2", "", "stands twice"),
        ("-I X", ":1:1:", "begins with -A"),
    ],
)
def test_what_iptables_would_refuse_is_refused_with_line_and_column(line: str, where: str, what: str) -> None:
    with pytest.raises(StateSyntaxError) as error:
        parse_rule(line, source="node1/iptables.txt")
    assert f"node1/iptables.txt{where}" in str(error.value)
    assert what in str(error.value)


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("-A X -m string --string a --algo bm", "match 'string'"),
        ("-A X -j TPROXY --on-port 80", "target 'TPROXY'"),
        ("-A X -m conntrack --ctstatus ASSURED", "--ctstatus"),
        ("-A X -m set --match-set s src,dst", "src,dst"),
        ("-A X -j DNAT --to-destination 10.0.0.1-10.0.0.9", "range"),
        ("-A X -j CT --zone 1", "--zone"),
    ],
)
def test_what_is_not_modelled_is_refused_by_name(line: str, names: str) -> None:
    with pytest.raises(Unsupported, match=re.escape(names)):
        parse_rule(line)


CLIENT, SERVER = IPv4Address("172.16.100.2"), IPv4Address("10.233.101.2")
PACKET = Packet(CLIENT, SERVER, "tcp", 40000, 80, Tcp(frozenset({"SYN"})), mark=0x4001)
PING = Packet(CLIENT, SERVER, "icmp", icmp=Icmp(8))
DNATED = Entry(Flow("tcp", CLIENT, SERVER), Flow("tcp", SERVER, CLIENT), dnat=True, mark=0x7)
AT = Context(
    "FORWARD", "veth1", "cali123", "NEW", sets={"pods": IpSet("pods", members=(IPv4Network("10.233.64.0/18"),))},
    address_type=lambda ip, dev: "LOCAL" if ip == CLIENT else "UNICAST", reverse_path=lambda *_: False, random=lambda: 0.4,
)  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "why_not"),
    [
        ("-s 172.16.0.0/16", ""),
        ("-s 172.17.0.0/16", "source is 172.16.100.2, not 172.17.0.0/16"),
        ("! -s 172.16.0.0/16", "source is 172.16.100.2, which the rule excludes"),
        ("-d 10.233.101.2/32 -i veth+ -o cali+ -p tcp", ""),
        ("-i eth0", "incoming device is veth1, not eth0"),
        ("! -o cali+", "outgoing device is cali123, which the rule excludes"),
        ("-p udp", "protocol is tcp, not udp"),
        ("-p tcp -m tcp --dport 80", ""),
        ("-p tcp -m tcp --dport 1:79", "destination port is 80, not 1:79"),
        ("-p tcp -m tcp ! --sport 40000", "source port is 40000, which the rule excludes"),
        ("-p tcp -m tcp --tcp-flags SYN,ACK SYN", ""),
        ("-p tcp -m tcp --tcp-flags SYN,ACK ACK", "TCP flags is SYN, not ACK"),
        ("-p tcp -m multiport --dports 22,80", ""),
        ("-p tcp -m multiport --dports 22,81", "dport is 80, not 22,81"),
        ("-m mark --mark 0x4000/0x4000", ""),
        ("-m mark --mark 0x4000", "mark is 0x4001, not 0x4000"),
        ("-m mark ! --mark 0x4000/0x4000", "mark is 0x4001, which the rule excludes"),
        ("-m conntrack --ctstate NEW", ""),
        ("-m conntrack --ctstate INVALID", "ctstate is NEW, not INVALID"),
        ("-m conntrack ! --ctstate DNAT", ""),
        ("-m connmark --mark 0x7", "connection mark is absent (no connection), not 0x7"),
        ("-m addrtype --src-type LOCAL", ""),
        ("-m addrtype --dst-type LOCAL", "type of destination 10.233.101.2 is UNICAST, not LOCAL"),
        ("-m set --match-set pods dst", ""),
        ("-m set --match-set pods src", "src 172.16.100.2 is not in set pods"),
        ("-m statistic --mode random --probability 0.5", ""),
        ("-m statistic --mode random --probability 0.3", "the draw went against the probability 0.3"),
        ("-m rpfilter --invert", ""),
        ("-m rpfilter", "the way back to 172.16.100.2 is not by veth1"),
        ("-m comment --comment x -m nfacct --nfacct-name n", ""),
    ],
)
def test_why_a_rule_does_not_match(rule: str, why_not: str) -> None:
    parsed = parse_rule(f"-A FORWARD {rule}")
    assert parsed.why_not(PACKET, AT) == why_not
    assert parsed.holds(PACKET, AT) is (why_not == "")


@pytest.mark.parametrize(
    ("rule", "holds"), [("--ctstate DNAT", True), ("--ctstate SNAT", False), ("! --ctstate RELATED,DNAT", False)]
)
def test_ctstate_knows_translated_connections(rule: str, holds: bool) -> None:
    at = Context("FORWARD", ctstate="ESTABLISHED", entry=DNATED)
    assert parse_rule(f"-A X -m conntrack {rule}").holds(PACKET, at) is holds


@pytest.mark.parametrize(("rule", "holds"), [("8", True), ("8/0", True), ("8/1", False), ("0", False)])
def test_icmp_types(rule: str, holds: bool) -> None:
    assert parse_rule(f"-A X -p icmp -m icmp --icmp-type {rule}").holds(PING, AT) is holds


def test_an_unknown_set_is_an_error_not_a_miss() -> None:
    with pytest.raises(Unsupported, match="set nowhere does not exist"):
        parse_rule("-A X -m set --match-set nowhere src").holds(PACKET, AT)


def walk(table: Table, hook: str = "FORWARD", packet: Packet = PACKET) -> tuple[str, str, list[str], int]:
    met: list[str] = []
    verdict, after, line = traverse(table, hook, packet, AT, lambda rule, a, b: met.append(str(rule)))
    return verdict, str(line), met, after.mark


CHAINS = """*filter
:FORWARD {policy} [0:0]
:one - [0:0]
:two - [0:0]
{rules}
COMMIT
"""


@pytest.mark.parametrize(
    ("rules", "verdict", "decided"),
    [
        ("", "DROP", ":FORWARD DROP [0:0]"),
        ("-A FORWARD -j ACCEPT", "ACCEPT", "-A FORWARD -j ACCEPT"),
        ("-A FORWARD -j one\n-A FORWARD -j ACCEPT\n-A one -j RETURN\n-A one -j DROP", "ACCEPT", "-A FORWARD -j ACCEPT"),
        ("-A FORWARD -j one\n-A FORWARD -j ACCEPT\n-A one -s 9.9.9.9 -j DROP", "ACCEPT", "-A FORWARD -j ACCEPT"),
        ("-A FORWARD -j RETURN\n-A FORWARD -j ACCEPT", "DROP", ":FORWARD DROP [0:0]"),
        # goto: the end of `two` comes back to the caller of `one`, not to `one`
        ("-A FORWARD -j one\n-A FORWARD -j ACCEPT\n-A one -g two\n-A one -j DROP\n-A two -s 9.9.9.9 -j DROP", "ACCEPT", "-A FORWARD -j ACCEPT"),
        ("-A FORWARD -g one\n-A FORWARD -j ACCEPT\n-A one -s 9.9.9.9 -j DROP", "DROP", ":FORWARD DROP [0:0]"),
        # a mark set on the way is seen by later rules
        ("-A FORWARD -j MARK --set-xmark 0x10000/0x10000\n-A FORWARD -m mark --mark 0x10000/0x10000 -j ACCEPT", "ACCEPT", "-A FORWARD -m mark --mark 0x10000/0x10000 -j ACCEPT"),
        ("-A FORWARD -j LOG\n-A FORWARD\n-A FORWARD -j REJECT", "REJECT", "-A FORWARD -j REJECT --reject-with icmp-port-unreachable"),
    ],
)  # fmt: skip
def test_the_walk_through_a_table(rules: str, verdict: str, decided: str) -> None:
    table = parse_tables(CHAINS.format(policy="DROP", rules=rules))[0]
    assert walk(table)[:2] == (verdict, decided)


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ("-A one -j two\n-A two -j one", "one > two > one"),
        ("-A FORWARD -j FORWARD", "FORWARD > FORWARD"),
        ("-A FORWARD -j three", "jumps to three, which is not there"),
    ],
)
def test_circles_and_missing_chains_are_refused_as_the_kernel_does(rules: str, says: str) -> None:
    with pytest.raises(McniError, match=re.escape(says)):
        parse_tables(CHAINS.format(policy="ACCEPT", rules=rules))


@given(rules("FORWARD", targets))
def test_a_rule_reads_back_as_it_was(rule) -> None:
    assert parse_rule(str(rule)) == rule


@settings(max_examples=40, deadline=None)
@given(tables())
def test_tables_read_back_as_they_were(table: Table) -> None:
    assert parse_tables(print_tables((table,))) == (table,)


@settings(max_examples=40, deadline=None)
@given(tables(), addresses, addresses, ports, st.sampled_from(["tcp", "udp"]))
def test_an_indexed_chain_decides_as_a_scanned_one(table: Table, src, dst, port, proto) -> None:
    scanned = Table(table.name, tuple(Scanned(c.name, c.rules, c.policy) for c in table.chains))
    singles = [m.network for c in table.chains for r in c.rules for m in r.matches if type(m).__name__ == "Destination"]
    dst = singles[0].network_address if singles else dst
    packet = Packet(src, dst, proto, 1234, port, Tcp() if proto == "tcp" else None)
    try:
        expected = walk(scanned, "FORWARD", packet)
    except Unsupported:
        return
    assert walk(table, "FORWARD", packet) == expected


class Scanned(Chain):
    """A chain without index: the plain scan every index must agree with."""

    def candidates(self, packet: Packet):
        return self.rules


@given(st.text(max_size=200))
@example('*filter\n:X - [0:0]\n-A X -m comment --comment "\nCOMMIT\n')
@example("*nat\n:PREROUTING ACCEPT\n-A PREROUTING -j DNAT --to-destination 1.1.1.1:0\nCOMMIT")
@example("*filter\n-A X -p tcp --dport\nCOMMIT")
def test_nonsense_never_crashes(text: str) -> None:
    with suppress(McniError):
        parse_tables(text)


WORDS = [
    "-A", "X", "-s", "-d", "-i", "-o", "-p", "tcp", "udp", "-m", "comment", "--comment", '"', '"a b"', "!", "10.0.0.0/8", "1.1.1.1",
    "mark", "--mark", "0x1/0x2", "conntrack", "--ctstate", "NEW,INVALID", "-j", "DROP", "MARK", "--set-xmark", "DNAT", "--to-destination",
    "1.1.1.1:80", "--dport", "80", "1:2", "set", "--match-set", "src", "statistic", "--mode", "random", "--probability", "0.5", "--tcp-flags",
    "SYN", "ALL", "-g", "rpfilter", "--invert", "recent", "--name", "addrtype", "--dst-type", "LOCAL", "multiport", "--dports", "icmp",
]  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join))
def test_shuffled_words_are_read_or_refused_never_crash(line: str) -> None:
    try:
        rule = parse_rule(f"-A X {line}", source="fuzz")
    except McniError:
        return
    assert parse_rule(str(rule)) == rule


def test_editing_keeps_the_order_of_iptables_save() -> None:
    chains = new_chain(new_chain((empty_table("filter"),), "filter", "zebra"), "filter", "ant")
    chains = append(chains, "filter", [parse_rule("-A FORWARD -j zebra")])
    chains = insert(chains, "filter", parse_rule("-A FORWARD -j ant"))
    text = print_tables(chains)
    assert [line for line in text.splitlines() if line[0] in ":-"] == [
        ":INPUT ACCEPT [0:0]", ":FORWARD ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]", ":ant - [0:0]", ":zebra - [0:0]",
        "-A FORWARD -j ant", "-A FORWARD -j zebra",
    ]  # fmt: skip
    left = delete(chains, "filter", parse_rule("-A FORWARD -j ant"))
    assert [str(rule) for rule in find_table(left, "filter").chain("FORWARD").rules] == ["-A FORWARD -j zebra"]


SETS = "create pools hash:net family inet hashsize 1024 maxelem 1048576\nadd pools 10.233.64.0/18\nadd pools 10.9.0.1\n"


def test_sets_read_back() -> None:
    assert print_sets(parse_sets(SETS)) == SETS
    assert parse_sets(SETS)[0].has(IPv4Address("10.233.101.2"))
    assert not parse_sets(SETS)[0].has(IPv4Address("10.233.0.100"))
    with pytest.raises(Unsupported, match="hash:ip,port"):
        parse_sets("create x hash:ip,port family inet\n")
    with pytest.raises(StateSyntaxError, match="2:7"):
        parse_sets("create x hash:net family inet\nadd x nonsense\n")
