"""A line put together from pieces read before is the rule that reading it whole gives, or the same complaint."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rule_facts import PLACED, PRINTED, REFUSED_BY_TOOL, UNSUPPORTED

from mcnilib.errors import McniError
from mcnilib.linux.iptables_save import parse_tables
from mcnilib.linux.netfilter import ChainRule
from mcnilib.linux.rule_parse import read_rule
from mcnilib.linux.rule_pieces import read_line

RULES = [rule for rule, *_ in (*PRINTED, *REFUSED_BY_TOOL, *UNSUPPORTED)] + [rule for _, rule, _ in PLACED]
PIECES = sorted({piece for rule in RULES for piece in re.split(r" (?=(?:! )?-[a-z] )", rule)})
QUOTES = [
    '-m comment --comment "-j DROP -j ACCEPT"',
    '-m comment --comment "a -j \\" b"',
    '-m comment --comment "\\" -j "x"',
    '-m comment --comment "\\"',
    '-j "x"',
    "-m comment --comment -j",
]
CHAINS = ["-A X", "-A OUTPUT", "-A PREROUTING", "--append X", "-A", "-A " + 29 * "x", '-A "X"', "-A  X"]
lines = st.tuples(st.sampled_from(CHAINS), st.lists(st.sampled_from([*PIECES, *QUOTES]), max_size=4)).map(
    lambda words: " ".join([words[0], *words[1]])
)


def said(read, line: str) -> ChainRule | str:
    try:
        return read(line, "rules", 7)
    except McniError as problem:
        return str(problem)


@settings(max_examples=1500, deadline=None)
@given(lines)
@example("-A X -p tcp -m tcp --dport 80 -m tcp --sport 5 -j ACCEPT")
@example("-A X ! -s 10.0.0.0/8 ! -d 10.0.0.0/8 -j ACCEPT -m comment --comment late")
@example("-A OUTPUT -i eth0 -j ACCEPT")
@example('-A X -m comment --comment "\\" -j "x"')
def test_pieces_make_the_rule_that_is_read_whole(line: str) -> None:
    whole = said(read_rule, line)
    assert said(read_line, line) == whole
    assert said(read_line, line) == whole, "once more, when the shape is known"


@pytest.mark.parametrize(
    ("known", "line"),
    [
        ("-A X -i eth0 -j ACCEPT", "-A OUTPUT -i eth0 -j ACCEPT"),
        ("-A X -p tcp -m tcp --dport 1 -j DROP", "-A X -p udp -m tcp --dport 1 -j DROP"),
        ("-A X -p udp -m udp --dport 1 -j DROP", "-A X -p udp -m tcp --dport 1 -j DROP"),
        ("-A X -m comment --comment a -j ACCEPT", '-A X -m comment --comment "\\" -j "x"'),
        ("-A X -p tcp -m tcp --dport 1 -j DROP", "-A X ! -p tcp -m tcp --dport 1 -j DROP"),
        ("-A X -j DNAT --to-destination 1.1.1.1", "-A X -j DNAT --to-destination 1.1.1.1:80"),
        (
            "-A X -p icmp -j REJECT --reject-with icmp-port-unreachable",
            "-A X -p icmp -j REJECT --reject-with tcp-reset",
        ),
    ],
)
def test_a_known_shape_lets_nothing_through(known: str, line: str) -> None:
    read_line(known, "rules", 1)
    read_line(known, "rules", 1)
    assert isinstance(said(read_line, line), str)


@pytest.mark.parametrize("match", ["-m limit --limit 3/sec", "-m statistic --mode nth --every 2 --packet 0"])
def test_rules_that_remember_packets_share_nothing(match: str) -> None:
    lines = f"-A FORWARD {match} -j DROP\n" * 4
    (table,) = parse_tables(f"*filter\n:FORWARD ACCEPT [0:0]\n{lines}COMMIT\n")
    own = [rule.matches[0] for rule in table.chain("FORWARD").rules]
    assert len({id(one) for one in own}) == len(own) == 4


def test_rules_that_do_not_remember_share_their_words() -> None:
    first, second = (read_line(f"-A X -p tcp -m tcp --dport 80 -j {to}", "rules", 1) for to in ("A", "B"))
    third = read_line("-A X -p tcp -m tcp --dport 80 -j C", "rules", 1)
    assert second.matches[1] is third.matches[1]
    assert first == ChainRule("X", second.matches, first.target)
