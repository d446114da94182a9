"""iptables against the real kernel: what is loaded and saved again, and which rules a packet meets on its way."""

from __future__ import annotations

from ipaddress import IPv4Address
from itertools import product
from pathlib import Path

import extension_facts
import pytest
from extension_facts import BY_CHANCE, CHANGED, EXTENSIONS, MATCHES, TRANSLATED
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from iptables_shell import in_namespace, load
from rule_facts import LOADED, PLACED, PRINTED, REFUSED_BY_KERNEL, REFUSED_BY_TOOL, UNSUPPORTED, in_table
from set_facts import ASKED, ASKED_SETS, LOADED_SETS
from strategies_iptables import FEW_ADDRESSES, FEW_PORTS, small_packets, small_tables, tables

from mcnilib.linux.chance import Chance
from mcnilib.linux.netfilter.conntrack import Conntrack, ConnTuple, Entry
from mcnilib.linux.netfilter.conntrack_tcp import Limits
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.ipset import parse_sets
from mcnilib.linux.netfilter.iptables.rule import Table
from mcnilib.linux.netfilter.iptables.save import parse_rule, parse_tables, print_tables
from mcnilib.linux.netfilter.iptables.traverse import traverse
from mcnilib.linux.netfilter.nat import NatPoint, decide
from mcnilib.linux.packet import Packet

pytestmark = pytest.mark.kernel
LOOPBACK = IPv4Address("127.0.0.1")
DATA = Path(__file__).parents[2] / "data"
SETS = "create some hash:net family inet hashsize 1024 maxelem 65536\nadd some 127.0.0.2/31\n"


def drawn(strategy: st.SearchStrategy, number: int) -> list:
    """Draw random values, the same in every run, so that one namespace can try them all."""
    values: list = []

    @seed(number)
    @settings(
        max_examples=number,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: object) -> None:
        values.append(value)

    collect()
    return values


def by_chain(text: str) -> str:
    """Sort the rules of a text by chain, as iptables-save prints them."""
    return print_tables(parse_tables(text))


def test_rules_are_printed_as_the_tool_prints_them() -> None:
    given = [in_table(f"-A X {rule}") for rule, _ in PRINTED]
    given += [in_table(f"-A {rule}", table) for table, rule, _ in PLACED]
    expected = [in_table(f"-A X {rule}".rstrip()) for _, rule in PRINTED]
    expected += [in_table(f"-A {rule}", table) for table, _, rule in PLACED]
    assert load(given, SETS) == [[True, text] for text in expected]


def test_what_the_model_refuses_the_tool_or_the_kernel_refuses() -> None:
    texts = [in_table(f"-A X {rule}") for rule, *_ in REFUSED_BY_TOOL]
    texts += [in_table(rules, table) for table, rules, _ in REFUSED_BY_KERNEL]
    assert [text for text, (taken, _) in zip(texts, load(texts, SETS), strict=True) if taken] == []


def test_what_is_loaded_all_the_same() -> None:
    texts = [in_table(rules, table) for table, rules in LOADED]
    assert load(texts) == [[True, by_chain(text)] for text in texts]


def test_what_is_not_modelled_exists() -> None:
    answers = load([in_table(f"-A X {rule}") for rule, _ in UNSUPPORTED], SETS)
    assert [rule for (rule, _), (taken, _) in zip(UNSUPPORTED, answers, strict=True) if not taken] == []


@pytest.mark.parametrize(
    "path",
    sorted([*DATA.glob("calico/*.txt"), *DATA.glob("kube-proxy/*.txt")]),
    ids=lambda path: f"{path.parent.name}-{path.stem}",
)
def test_rulesets_of_real_nodes_come_back_to_the_letter(path: Path) -> None:
    text = path.read_text()
    if "nfacct" in text:
        pytest.skip("this kernel may lack nfacct objects")
    names = {match.name for table in parse_tables(text) for match in sets_of(table)}
    sets = "".join(f"create {name} hash:net family inet hashsize 1024 maxelem 65536\n" for name in sorted(names))
    ((taken, saved),) = load([text], sets)
    assert taken, saved
    assert sorted(saved.split("*")) == sorted(text.split("*"))


def sets_of(table: Table):
    from mcnilib.linux.netfilter.iptables.match.set import InSet

    return (m for chain in table.chains for rule in chain.rules for m in rule.matches if isinstance(m, InSet))


def test_random_tables_come_back_to_the_letter() -> None:
    texts = [print_tables((table,)) for table in drawn(tables(size=4), 100)]
    for text, (taken, saved) in zip(texts, load(texts), strict=True):
        assert taken, f"{saved}\n{text}"
        assert saved == text


SENDER = """
import json, re, socket, subprocess, sys

def call(*words, text=""):
    return subprocess.run(words, input=text, capture_output=True, text=True, check=True).stdout

def send(source, target, port, mark, sport):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, 36, mark)  # SO_MARK
        s.bind((source, sport))
        try:
            s.sendto(b"x", (target, port))
        except PermissionError:  # dropped by a rule
            pass

given = json.load(sys.stdin)
call("ip", "link", "set", "lo", "up")
call("ipset", "restore", text=given["sets"])
open_ports = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in given["ports"]]
for s, port in zip(open_ports, given["ports"]):
    s.bind(("0.0.0.0", port))
answers, sport = [], 20000
for text, packets in given["cases"]:
    call("iptables-nft-restore", text=text)
    for packet in packets:
        send(*packet, sport := sport + 1)
    saved = call("iptables-nft-save", "-c")
    answers.append([int(n) for n in re.findall(r"^\\[([0-9]+):[0-9]+\\] -A", saved, re.M)])
json.dump(answers, sys.stdout)
"""


def count(table: Table, packets: list[tuple[IPv4Address, IPv4Address, int, int]], held: str = SETS) -> list[int]:
    """Walk the packets through OUTPUT and count how often each rule matched, in printed order."""
    matched: list[int] = []
    sets = {ip_set.name: ip_set for ip_set in parse_sets(held)}
    memory: dict = {}
    for sport, (src, dst, port, mark) in enumerate(packets, 20001):
        flow = ConnTuple("udp", src, dst, sport, port)
        at = Context("OUTPUT", oif="lo", entry=Entry(flow, flow.inverse()), sets=sets, address_type=lambda *_: "LOCAL")
        at.memory = memory
        packet = Packet(src, dst, "udp", sport, port, length=1, mark=mark)
        traverse(table, "OUTPUT", packet, at, lambda rule, before, after: matched.append(id(rule)))
    return [matched.count(id(rule)) for chain in table.chains for rule in chain.rules]


def check(cases: list[tuple[str, list[tuple[str, str, int, int]]]], sets: str = SETS) -> None:
    """Send packets through each table, here and there, and compare how often each rule matched."""
    answers = in_namespace(SENDER, {"cases": cases, "sets": sets, "ports": FEW_PORTS})
    for (text, packets), counted in zip(cases, answers, strict=True):  # type: ignore[call-overload]
        flows = [(IPv4Address(src), IPv4Address(dst), port, mark) for src, dst, port, mark in packets]
        assert count(parse_tables(text)[0], flows, sets) == counted, text


def test_packets_meet_the_same_rules_as_in_the_kernel() -> None:
    made = drawn(st.tuples(small_tables(size=16), st.lists(small_packets, min_size=5, max_size=5)), 150)
    check([(print_tables((table,)), packets) for table, packets in made])


def test_marks_are_changed_bit_by_bit_as_in_the_kernel() -> None:
    masks = (0, 1, 3, 6, 7)
    targets = [f"MARK --set-xmark {value}/{mask}" for value, mask in product(masks, masks)]
    targets += [f"CONNMARK --set-xmark {value}/{mask}" for value, mask in product(masks, masks)]
    targets += [
        f"CONNMARK --{action}-mark --nfmask {nfmask} --ctmask {ctmask}"
        for action, nfmask, ctmask in product(("save", "restore"), masks, masks)
    ]
    bits = "".join(f"-A OUTPUT -m {name} --mark {bit}/{bit}\n" for name in ("mark", "connmark") for bit in (1, 2, 4))
    before = "-A OUTPUT -j CONNMARK --set-xmark 0x6/0xffffffff\n"
    packet = ("127.0.0.1", "127.0.0.2", FEW_PORTS[0], 5)
    check([(in_table(f"{before}-A OUTPUT -j {target}\n{bits}"), [packet]) for target in targets])


def test_every_match_and_target_is_printed_as_the_tool_prints_it() -> None:
    answers = load([in_table(f"-A {given}", table) for _, table, given, _ in EXTENSIONS], extension_facts.SETS)
    assert answers == [[True, in_table(f"-A {printed}", table)] for _, table, _, printed in EXTENSIONS]


def test_the_tool_or_the_kernel_refuses_what_the_model_refuses_of_them() -> None:
    answers = load([in_table(f"-A {rule}", table) for table, rule in extension_facts.REFUSED], extension_facts.SETS)
    assert [rule for rule, (taken, _) in zip(extension_facts.REFUSED, answers, strict=True) if taken] == []


MANY = [
    *((src, dst, FEW_PORTS[0], 0) for src in FEW_ADDRESSES for dst in FEW_ADDRESSES[:2]),
    *((FEW_ADDRESSES[0], FEW_ADDRESSES[1], port, 1) for port in FEW_PORTS),
]


def test_matches_decide_as_in_the_kernel() -> None:
    check([(in_table("".join(f"-A OUTPUT {rule}\n" for rule in rules)), MANY) for rules in MATCHES])


def test_targets_change_packets_as_in_the_kernel() -> None:
    texts = [in_table("".join(f"-A OUTPUT {rule}\n" for rule in rules), "mangle") for rules in CHANGED]
    check([(text, MANY[:1]) for text in texts])
    for text in texts:
        assert all(count(parse_tables(text)[0], [(LOOPBACK, LOOPBACK, FEW_PORTS[0], 0)])), text


TRANSLATOR = """
import json, re, socket, subprocess, sys

def call(*words, text=""):
    return subprocess.run(words, input=text, capture_output=True, text=True, check=True).stdout

call("ip", "link", "set", "lo", "up")
answers = []
for text, flows in json.load(sys.stdin):
    call("iptables-nft-restore", text=text)
    for source, sport, target, dport in flows:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind((source, sport))
            try:
                s.sendto(b"x", (target, dport))
            except OSError:  # no way to where the rule sends it
                pass
    found = []
    for source, sport, target, dport in flows:
        line = call("conntrack", "-L", "-p", "udp", "-s", source, "--sport", str(sport)).splitlines()
        found.append([word.partition("=")[2] for word in line[0].split() if re.match("(src|dst|sport|dport)=", word)][4:])
    answers.append(found)
    call("conntrack", "-F")
json.dump(answers, sys.stdout)
"""

FLOWS = [(f"127.0.0.{i}", 2000 + i, f"127.0.1.{i % 4}", 5000 + i % 3) for i in range(1, 13)]


def translated(chain: str, rule: str) -> list[list[str]]:
    """Translate the flows one after the other: the reply that is expected of each."""
    target = parse_rule(f"-A {chain} -p udp {rule}").target
    table, replies = Conntrack(Limits(), lambda name: 30.0), []
    for src, sport, dst, dport in FLOWS:
        flow = ConnTuple("udp", IPv4Address(src), IPv4Address(dst), sport, dport)
        at = NatPoint(chain, "lo", Entry(flow, flow.inverse(), expires=99), lambda src=flow.src: src)
        entry = decide(table, at, target, chance=Chance(), now=0)
        table.load(entry)
        reply = entry.reply
        replies.append([str(reply.src), str(reply.dst), str(reply.sport), str(reply.dport)])
    return replies


def test_addresses_are_translated_as_in_the_kernel() -> None:
    texts = [in_table(f"-A {chain} -p udp {rule}", "nat") for chain, rule in TRANSLATED]
    answers = in_namespace(TRANSLATOR, [[text, FLOWS] for text in texts])
    for (chain, rule), replies in zip(TRANSLATED, answers, strict=True):  # type: ignore[call-overload]
        assert translated(chain, rule) == replies, rule


def test_what_chance_translates_stays_within_the_rule() -> None:
    texts = [in_table(f"-A {chain} -p udp {rule}", "nat") for chain, rule in BY_CHANCE]
    for (chain, rule), replies in zip(
        BY_CHANCE, in_namespace(TRANSLATOR, [[text, FLOWS] for text in texts]), strict=True
    ):  # type: ignore[call-overload]
        at = NatPoint(chain, "lo", Entry(*[ConnTuple("udp", LOOPBACK, LOOPBACK)] * 2), lambda: LOOPBACK)
        span = parse_rule(f"-A {chain} -p udp {rule}").target.nat_range(at)
        for src, dst, sport, dport in [*replies, *translated(chain, rule)]:
            ip, port = (dst, dport) if chain == "POSTROUTING" else (src, sport)
            assert span.has(IPv4Address(ip), int(port)), rule


SAVER = """
import json, subprocess, sys

def call(*words, text=""):
    return subprocess.run(words, input=text, capture_output=True, text=True)

answers = []
for text in json.load(sys.stdin):
    done = call("ipset", "restore", text=text)
    answers.append(call("ipset", "save").stdout if done.returncode == 0 else done.stderr)
    call("ipset", "destroy")
json.dump(answers, sys.stdout)
"""


def test_sets_are_printed_as_the_tool_prints_them() -> None:
    assert in_namespace(SAVER, LOADED_SETS) == LOADED_SETS


def test_packets_are_in_the_same_sets_as_in_the_kernel() -> None:
    texts = [in_table("".join(f"-A OUTPUT -m set {asked}\n" for asked in ASKED[i::4])) for i in range(4)]
    check([(text, MANY) for text in texts], ASKED_SETS)
