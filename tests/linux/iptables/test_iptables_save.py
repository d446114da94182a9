"""iptables-save text: what is read, what is printed, and what is refused.

The facts are in `rule_facts`; `test_iptables_kernel` asks the real tool about the same ones.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rule_facts import LOADED, PLACED, PRINTED, REFUSED_BY_KERNEL, REFUSED_BY_TOOL, UNSUPPORTED, in_table

from mcnilib.errors import Refused, StateSyntaxError, Unsupported
from mcnilib.linux.netfilter.iptables.save import parse_rule, parse_tables, print_tables
from mcnilib.linux.origin import Origin

DATA = Path(__file__).parents[2] / "data"


@pytest.mark.parametrize(("given", "printed"), PRINTED)
def test_rules_are_printed_as_iptables_save_prints_them(given: str, printed: str) -> None:
    line = f"-A X {printed}".rstrip()
    assert str(parse_rule(f"-A X {given}")) == line
    assert str(parse_rule(line)) == line


@pytest.mark.parametrize(("table", "given", "printed"), PLACED)
def test_rules_of_other_tables(table: str, given: str, printed: str) -> None:
    assert print_tables(parse_tables(in_table(f"-A {given}", table))) == in_table(f"-A {printed}", table)


@pytest.mark.parametrize(("rule", "column", "what"), REFUSED_BY_TOOL)
def test_what_iptables_refuses_is_refused_with_line_and_column(rule: str, column: int, what: str) -> None:
    text = f"-A X {rule}"
    with pytest.raises(StateSyntaxError) as error:
        parse_rule(text, source="node1/iptables.txt", number=7)
    assert what in error.value.what
    assert str(error.value).splitlines()[1:] == [f"  {text}", f"  {' ' * (column - 1)}^"]
    assert str(error.value).startswith(f"node1/iptables.txt:7:{column}: ")


@pytest.mark.parametrize(
    ("rule", "what"),
    [  # the tool takes these, but never prints them
        ("-p tcp --dport http", "'http' is not a port"),
        ("-s localhost", "not an IPv4 address"),
        ("-p icmp --icmp-type echo-req", "did you mean 'echo-request'?"),
        ("-p tcp ! --dport 0:65535", "would match nothing"),
        ("-p tcp --tcp-flags NONE SYN", "would match nothing"),
        ('-m comment --comment a"b', "a quote that is not closed"),
        (f"-m comment --comment {'x' * 256}", "255 characters at most"),
    ],
)
def test_what_iptables_save_never_prints_is_refused(rule: str, what: str) -> None:
    with pytest.raises(StateSyntaxError) as error:
        parse_rule(f"-A X {rule}")
    assert what in error.value.what


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ("-A INPUT -o en0", "packets in INPUT have no device for -o"),
        ("-A POSTROUTING -i en0", "packets in POSTROUTING have no device for -i"),
        ("-A PREROUTING -p icmp -j DNAT --to-destination 10.0.0.1:80", "this needs -p tcp or udp"),
        ("-A POSTROUTING -j SNAT", "an option is missing"),
        ("-A PREROUTING -p tcp -j DNAT --to-destination 10.0.0.1:70000", "1 to 65535"),
        ("-A X -j REJECT --reject-with tcp-reset", "this needs -p tcp"),
        ("-I X", "a rule begins with -A"),
        ("-A", "a chain is missing"),
        (f"-A {'X' * 29}", "28 characters at most"),
    ],
)
def test_rules_that_do_not_fit_their_chain(rule: str, what: str) -> None:
    with pytest.raises(StateSyntaxError) as error:
        parse_rule(rule)
    assert what in error.value.what


@pytest.mark.parametrize(
    ("rule", "names"),
    [
        *((f"-A X {rule}", names) for rule, names in UNSUPPORTED),
        ("-A X -m frobnicate", "rule:1:9: match 'frobnicate' is not one iptables documents"),
    ],
)
def test_what_is_not_modelled_is_refused_by_name(rule: str, names: str) -> None:
    with pytest.raises(Unsupported) as error:
        parse_rule(rule)
    assert names in str(error.value)


@pytest.mark.parametrize(("table", "rules", "says"), REFUSED_BY_KERNEL)
def test_tables_the_kernel_would_not_load_are_refused(table: str, rules: str, says: str) -> None:
    with pytest.raises(Refused) as error:
        parse_tables(in_table(rules, table), "node1/iptables.txt")
    assert says in str(error.value)
    position = re.match(r"node1/iptables\.txt:(\d+):1: ", str(error.value))
    assert position
    assert in_table(rules, table).splitlines()[int(position[1]) - 1].startswith("-A ")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("-A FORWARD -j X\n[1:2] -A X -j X\n", "6:7"),
        ("-A FORWARD -j DROP\n-A FORWARD -j INPUT\n", "6:1"),
        ("-A X -j DROP\n-A X -j NOTRACK\n-A X -j NOTRACK\n", "6:1"),
    ],
)
def test_what_the_kernel_would_not_load_is_found_in_its_line(text: str, place: str) -> None:
    nat = "*nat\nCOMMIT\n"
    with pytest.raises(Refused, match=f"^iptables-save:{place}: "):
        parse_tables(f"{nat}*filter\n:X - [0:0]\n{text}COMMIT\n")


@pytest.mark.parametrize(("table", "rules"), LOADED)
def test_tables_the_kernel_loads_all_the_same(table: str, rules: str) -> None:
    assert [line for line in print_tables(parse_tables(in_table(rules, table))).splitlines() if line[0] == "-"]


@pytest.mark.parametrize(
    "path",
    sorted([*DATA.glob("calico/*.txt"), *DATA.glob("kube-proxy/*.txt")]),
    ids=lambda path: f"{path.parent.name}-{path.stem}",
)
def test_rulesets_of_real_nodes_come_back_to_the_letter(path: Path) -> None:
    assert print_tables(parse_tables(path.read_text(), path.name)) == path.read_text()


SAVED = """\
# Generated by iptables-save v1.8.9 (nf_tables) on Mon Nov 23 05:00:00 2026
*filter
:INPUT ACCEPT [12:3456]
:FORWARD DROP
:OUTPUT - [0:0]
:zebra - [0:0]
:ant ACCEPT [0:0]
[5:300] -A FORWARD -j zebra
-A INPUT -j ant
-A FORWARD -j ant
COMMIT
# Completed on Mon Nov 23 05:00:00 2026

# Warning: iptables-legacy tables present, use iptables-legacy-save to see them
*raw
-A PREROUTING -j NOTRACK
COMMIT
"""


def test_counters_comments_and_order_are_no_content() -> None:
    raw, filtering = parse_tables(SAVED)
    assert print_tables([raw]) == "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j NOTRACK\nCOMMIT\n"
    assert print_tables([filtering]).splitlines()[1:-1] == [
        ":INPUT ACCEPT [0:0]", ":FORWARD DROP [0:0]", ":OUTPUT ACCEPT [0:0]", ":ant - [0:0]", ":zebra - [0:0]",
        "-A INPUT -j ant", "-A FORWARD -j zebra", "-A FORWARD -j ant",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("-A FORWARD -j DROP", 1, "expected *TABLE"),
        ("*filter\n*nat\nCOMMIT", 2, "COMMIT is missing"),
        ("*filter\n:X\nCOMMIT", 2, "expected :CHAIN POLICY"),
        (f"*filter\n:{'X' * 29} - [0:0]\nCOMMIT", 2, "28 characters at most"),
        ("*filter\n-A X -j DROP\nCOMMIT", 2, "chain X is not declared above"),
        ("*broute\nCOMMIT", 1, "'broute' is not a table"),
        ("*filter\n:FORWARD ACCEPT\n-A FORWARD -j DROP", 4, "COMMIT is missing"),
        ("*filter\n:FORWARD ACCEPT\n-A FORWARD -j DROP\n:FORWARD ACCEPT\nCOMMIT", 4, "chain FORWARD is declared twice"),
        ("*filter\nCOMMIT\n*filter\nCOMMIT", 3, "table filter stands twice"),
        ("*filter\n[1:2] -A FORWARD -p tpc\nCOMMIT", 2, "'tpc' is not a protocol"),
    ],
)
def test_what_is_no_file_of_rules(text: str, line: int, what: str) -> None:
    with pytest.raises(StateSyntaxError) as error:
        parse_tables(text)
    assert error.value.line == line
    assert what in error.value.what


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ('-A X -j ""', "a target has a name"),
        ('-A X -g ""', "a target has a name"),
        ('-A "" -j DROP', "a chain has a name"),
        (f"-A X -m comment --comment {'x' * 65536}", "65536 characters at most"),
        (f"-A X -m quota --quota {'9' * 5000}", "below 2"),
        (f"-A X -m quota --quota 0x{'f' * 5000}", "below 2"),
        (f"-A X -m hashlimit --hashlimit-name a --hashlimit-upto {'9' * 5000}b/s", "is not a rate"),
        (f"-A X -m connbytes --connbytes {'9' * 5000} --connbytes-mode bytes --connbytes-dir both", "is not a number"),
        (f"-A X -j RATEEST --rateest-name a --rateest-interval {'9' * 500}s --rateest-ewmalog 1s", "is not a time"),
    ],
)
def test_names_without_letters_and_numbers_without_end_are_refused(rule: str, what: str) -> None:
    with pytest.raises(StateSyntaxError, match=what):
        parse_rule(rule)


@pytest.mark.parametrize("words", ["realm --realm cosmos", "realm ! --realm cosmos", "devgroup --src-group default"])
def test_names_out_of_the_files_of_iproute2_stay_names(words: str) -> None:
    assert str(parse_rule(f"-A X -m {words}")) == f"-A X -m {words}"


@pytest.mark.parametrize("table", ["raw", "mangle", "nat", "filter", "security"])
def test_classify_stands_in_every_table_but_not_before_routing(table: str) -> None:
    rule = "-A {} -j CLASSIFY --set-class 0001:0002\n"
    assert parse_tables(f"*{table}\n{rule.format('OUTPUT')}COMMIT\n")
    if table in ("raw", "mangle", "nat"):
        with pytest.raises(Refused, match="no place in PREROUTING"):
            parse_tables(f"*{table}\n{rule.format('PREROUTING')}COMMIT\n")


def test_the_column_counts_the_counters() -> None:
    with pytest.raises(StateSyntaxError) as error:
        parse_tables("*filter\n[1:2] -A FORWARD -p tpc\nCOMMIT")
    assert error.value.column == 21


def test_tables_are_printed_in_the_order_of_the_tool() -> None:
    texts = [in_table("", name).replace("\n\n", "\n") for name in ("mangle", "security", "raw", "filter", "nat")]
    assert print_tables(parse_tables("".join(reversed(texts)))) == "".join(texts)


def test_a_rule_knows_its_writer() -> None:
    origin = Origin("somebody", "for a reason")
    rule = parse_rule("-A X -j DROP", origin)
    assert (rule.origin, rule) == (origin, parse_rule("-A X -j DROP"))


@pytest.mark.parametrize(
    ("text", "tool"),
    [
        ("table ip filter {\n\tchain INPUT {\n", "nft"),
        ("table ip nat\ntable ip6 nat\n", "nft"),
        ('{"nftables": [{"metainfo": {"version": "1.0.6"}}]}', "nft"),
        ("IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n", "ipvsadm"),
        ("-A -t 10.233.0.1:443 -s rr\n-a -t 10.233.0.1:443 -r 172.16.1.2:6443 -m -w 1\n", "ipvsadm"),
        ("TCP  10.233.0.1:443 rr\n  -> 172.16.1.2:6443 Masq 1 0 0\n", "ipvsadm"),
    ],
)
def test_the_text_of_another_tool_is_named(text: str, tool: str) -> None:
    with pytest.raises(Unsupported) as error:
        parse_tables(f"# comment\n{text}", "node1/iptables.txt")
    assert str(error.value).startswith(f"node1/iptables.txt:2: this is what {tool} prints")


def test_a_table_of_which_only_a_part_is_printed_is_refused() -> None:
    with pytest.raises(Unsupported, match=r"^iptables-save:2: table nat holds chains or rules of nftables"):
        parse_tables("# comment\n# Table `nat' is incompatible, use 'nft' tool.\n")
