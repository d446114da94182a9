"""Rules that look alike: read later, they say what they would have said at once; what is wrong is found at once."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest
from hypothesis import given
from strategies_iptables import tables

from mcnilib.errors import Refused, StateSyntaxError
from mcnilib.linux.netfilter.hooks import HOOKS
from mcnilib.linux.netfilter.iptables import save
from mcnilib.linux.netfilter.iptables.rule import Chain, asks_for_tracking
from mcnilib.linux.netfilter.iptables.rule_text import TARGET_NAMES, read_rule
from mcnilib.linux.netfilter.iptables.save import (
    RuleTemplate,
    RuleTemplates,
    parse_rule,
    parse_tables,
    print_table,
    print_tables,
)

DATA = Path(__file__).parents[2] / "data"
SERVICE = (
    '-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m comment --comment "a/b cluster IP" -m tcp --dport 80 -j KUBE-SVC-1'
)
ENDPOINT = '-A KUBE-SEP-1 -p tcp -m comment --comment "a/b" -m tcp -j DNAT --to-destination 10.0.0.1:80'
LOT = '-A KUBE-SVC-1 -m comment --comment "a/b -> x" -m statistic --mode random --probability 0.5 -j KUBE-SEP-1'
CHAINS = ("KUBE-SERVICES", "KUBE-SVC-1", "KUBE-SVC-2", "KUBE-SEP-1", "KUBE-SEP-2", "LOG", "kube-lower")


@pytest.fixture(autouse=True)
def from_the_first_line_on(monkeypatch) -> None:
    monkeypatch.setattr(save, "FEW", 0)


def table(*lines: str) -> str:
    return (
        "".join(["*nat\n:PREROUTING ACCEPT [0:0]\n", *(f":{c} - [0:0]\n" for c in CHAINS), *(f"{x}\n" for x in lines)])
        + "COMMIT\n"
    )


@pytest.mark.parametrize(
    ("first", "second", "chain", "to"),
    [
        (SERVICE, SERVICE.replace("10.96.0.1", "10.255.9.249"), "KUBE-SERVICES", "KUBE-SVC-1"),
        (SERVICE, SERVICE.replace("SVC-1", "SVC-2").replace("80", "65535"), "KUBE-SERVICES", "KUBE-SVC-2"),
        (SERVICE, SERVICE.replace("a/b cluster IP", "-j ACCEPT -m nothing"), "KUBE-SERVICES", "KUBE-SVC-1"),
        (ENDPOINT, ENDPOINT.replace("SEP-1", "SEP-2").replace("10.0.0.1:80", "10.0.0.2:8080"), "KUBE-SEP-2", ""),
        (LOT, LOT.replace("0.5", "0.33332999982"), "KUBE-SVC-1", "KUBE-SEP-1"),
        ("-A FORWARD -i cali1 -j A-1", "-A FORWARD -i cali2 -j A-2", "FORWARD", "A-2"),
    ],
)
def test_lines_of_one_form(first, second, chain, to):
    forms = RuleTemplates()
    forms.learn(first, read_rule(first, "", 1))
    recognised = forms.find(second)
    assert (recognised.chain, recognised.to) == (chain, to)
    assert [type(match) for match in recognised.sample.matches] == [
        type(match) for match in read_rule(second, "", 1).matches
    ]


@pytest.mark.parametrize(
    ("first", "other"),
    [
        (SERVICE, SERVICE.replace("10.96.0.1/32", "10.96.0.256/32")),
        (SERVICE, SERVICE.replace("10.96.0.1/32", "10.96.0.01/32")),
        (SERVICE, SERVICE.replace("10.96.0.1/32", "10.96.0.0/24")),
        (SERVICE, SERVICE.replace("80", "65536")),
        (SERVICE, SERVICE.replace("80", "0")),
        (SERVICE, SERVICE.replace("80", "080")),
        (SERVICE, SERVICE.replace("a/b", 'a"b')),
        (SERVICE, SERVICE.replace("a/b", "a\\b")),
        (SERVICE, SERVICE.replace("a/b cluster IP", "x" * 256)),
        (SERVICE, SERVICE.replace("-j KUBE-SVC-1", "-j LOG")),
        (SERVICE, SERVICE.replace("-j KUBE-SVC-1", "-g KUBE-SVC-1")),
        (SERVICE, SERVICE.replace("-A KUBE-SERVICES", "-A PREROUTING")),
        (SERVICE, SERVICE.replace("-p tcp", "-p udp")),
        (SERVICE, SERVICE.replace("-d", "! -d")),
        (SERVICE, f"{SERVICE} "),
        (SERVICE, f"{SERVICE}\n"),
        (SERVICE, SERVICE.replace("-d", " -d")),
        (ENDPOINT, ENDPOINT.replace("10.0.0.1:80", "10.0.0.1")),
        (ENDPOINT, ENDPOINT.replace("10.0.0.1:80", "10.0.0.1:80-90")),
        (LOT, LOT.replace("0.5", "1.5")),
        ("-A FORWARD -i cali1 -j A-1", "-A FORWARD -i cali+ -j A-1"),
        ("-A FORWARD -i cali1 -j A-1", "-A OUTPUT -i cali1 -j A-1"),
        ("-A FORWARD -i cali1 -j A-1", "-A FORWARD -i cali123456789012 -j A-1"),
    ],
)
def test_lines_of_another_form(first, other):
    forms = RuleTemplates()
    forms.learn(first, read_rule(first, "", 1))
    assert forms.find(other) is None


@pytest.mark.parametrize(
    "line", ["-A A-1 -m recent --set --name x --mask 255.255.255.255 --rsource", "-A A-1  -j ACCEPT"]
)
def test_what_remembers_or_is_written_unusually_has_no_form(line):
    assert RuleTemplate.of(line, read_rule(line, "", 1)) is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (SERVICE.replace("10.96.0.1/32", "10.96.0.256/32"), "'10.96.0.256/32' is not an IPv4 address or prefix"),
        (SERVICE.replace("80", "65536"), "a port must be 0 to 65535, not 65536"),
        (SERVICE.replace("-A KUBE-SERVICES", "-A KUBE-NOWHERE"), "chain KUBE-NOWHERE is not declared above"),
    ],
)
def test_what_is_wrong_is_found_at_once(line, said):
    with pytest.raises(StateSyntaxError, match=re.escape(said)) as caught:
        parse_tables(table(SERVICE, SERVICE, line), "node1/iptables.txt")
    assert f"node1/iptables.txt:{len(CHAINS) + 5}:" in str(caught.value)


def test_a_jump_to_nowhere_and_a_circle_are_found_at_once():
    with pytest.raises(Refused, match="KUBE-SVC-9, which is not there"):
        parse_tables(table(SERVICE, SERVICE.replace("-j KUBE-SVC-1", "-j KUBE-SVC-9")))
    start, back = (
        "-A PREROUTING -j KUBE-SERVICES",
        SERVICE.replace("A KUBE-SERVICES", "A KUBE-SVC-1").replace("j KUBE-SVC-1", "j KUBE-SERVICES"),
    )
    with pytest.raises(Refused, match="circle: KUBE-SERVICES > KUBE-SVC-1 > KUBE-SERVICES"):
        parse_tables(table(start, SERVICE, back))


def test_a_target_in_the_wrong_place_is_found_at_once_and_named():
    wrong = ENDPOINT.replace("SEP-1", "SEP-2")
    post = "*nat\n:POSTROUTING ACCEPT [0:0]\n:KUBE-SEP-1 - [0:0]\n:KUBE-SEP-2 - [0:0]\n-A POSTROUTING -j KUBE-SEP-2\n"
    with pytest.raises(Refused, match=r"-A KUBE-SEP-2 .* has no place in POSTROUTING"):
        parse_tables(f"{post}{ENDPOINT}\n{wrong}\nCOMMIT\n")


def test_counters_in_front_change_nothing():
    lines = (SERVICE, SERVICE.replace("10.96.0.1", "10.96.0.2"), SERVICE.replace("80", "81"))
    plain, counted = (parse_tables(table(*some)) for some in (lines, [f"[7:420] {line}" for line in lines]))
    assert print_tables(counted) == print_tables(plain)
    with pytest.raises(StateSyntaxError):
        parse_tables(table(*lines, f"[7:x] {SERVICE}"))


def test_no_name_of_a_target_or_a_hook_may_stand_where_a_chain_does():
    assert not [name for name in (*TARGET_NAMES, *HOOKS) if re.fullmatch(save._CHAIN, name)]


@pytest.mark.slow
@given(tables())
def test_a_table_that_repeats_itself_is_read_as_it_stands(one):
    text = print_table(one)
    rules = [line for line in text.splitlines() if line.startswith("-A")]
    twice = text.replace("COMMIT\n", "".join(f"{line}\n" for line in rules) + "COMMIT\n")
    (found,) = parse_tables(twice)
    for chain in found.chains:
        expected = [parse_rule(line) for line in rules * 2 if line.split()[1] == chain.name]
        assert list(map(str, chain.rules)) == list(map(str, expected))
        assert chain.summary.jumps == type(chain)(chain.name, chain.rules).summary.jumps
    assert asks_for_tracking((found,)) == asks_for_tracking((one,))


@pytest.mark.parametrize(
    "path", sorted([*DATA.glob("calico/*.txt"), *DATA.glob("kube-proxy/*.txt")]), ids=lambda p: p.stem
)
def test_the_rules_of_real_nodes(path):
    for parsed in parse_tables(path.read_text()):
        for chain in parsed.chains:
            assert all(rule == parse_rule(str(rule)) for rule in chain.rules)


def test_rules_read_later_are_what_a_tuple_of_them_is():
    (chain,) = (
        candidate for candidate in parse_tables(table(SERVICE, SERVICE))[0].chains if candidate.name == "KUBE-SERVICES"
    )
    again = (parse_rule(SERVICE), parse_rule(SERVICE))
    assert chain == Chain("KUBE-SERVICES", again)
    assert hash(chain) == hash(Chain("KUBE-SERVICES", again))
    assert pickle.loads(pickle.dumps(chain)).rules == again
    assert (chain.rules[0], chain.rules[1:], len(chain.rules)) == (again[0], again[1:], 2)
