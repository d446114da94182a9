"""Long chains are looked up and not scanned: the rules that come back decide, count and remember as all of them would."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcnilib.errors import Unsupported
from mcnilib.linux.chance import Chance
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.ipset import parse_sets
from mcnilib.linux.netfilter.iptables.extension import Purity
from mcnilib.linux.netfilter.iptables.rule import INDEX_FROM, Chain, ChainRule, Table
from mcnilib.linux.netfilter.iptables.save import parse_rule
from mcnilib.linux.netfilter.iptables.traverse import traverse
from mcnilib.linux.packet import Packet

ADDRESSES = ("10.0.0.1", "10.0.0.2", "10.0.0.9")
NETWORKS = [f"{address}/32" for address in ADDRESSES] + ["10.0.0.0/30", "10.0.0.0/8"]
SETS = {one.name: one for one in parse_sets("create some hash:net family inet\nadd some 10.0.0.0/30\n")}


def perhaps(*words: str) -> st.SearchStrategy[str]:
    return st.sampled_from(["", "", *words])


def sides(option: str) -> st.SearchStrategy[str]:
    return perhaps(*(f"{bang}{option} {network}" for network in NETWORKS for bang in ("", "", "! ")))


def devices(option: str) -> st.SearchStrategy[str]:
    return perhaps(*(f"{bang}{option} {name}" for name in ("eth0", "eth1", "eth+") for bang in ("", "! ")))


ports = st.one_of(
    st.just("-p tcp"),
    st.just("! -p tcp"),
    st.sampled_from(["tcp", "udp"]).flatmap(
        lambda proto: st.sampled_from(
            [
                f"-p {proto} -m {proto} --dport 80",
                f"-p {proto} -m {proto} --dport 81",
                f"-p {proto} -m {proto} ! --dport 80",
                f"-p {proto} -m {proto} --dport 80:81",
                f"-p {proto} -m {proto} --sport 5 --dport 80",
                f"-p {proto} -m multiport --dports 80,82",
            ]
        )
    ),
    st.just(""),
)
others = perhaps(
    "-m comment --comment why",
    "-m mark --mark 0x1",
    "-m mark ! --mark 0x1",
    "-m conntrack --ctstate NEW",
    "-m set --match-set some dst",
    "-m set ! --match-set some src",
    "-m limit --limit 1/sec --limit-burst 2",
    "-m statistic --mode nth --every 2 --packet 0",
    "-m statistic --mode random --probability 0.5",
    "-m time --timestart 10:00",  # not modelled: a packet that comes as far is refused
)
ends = ("-j ACCEPT", "-j DROP", "-j RETURN", "-j MARK --set-xmark 0x1/0x1", "")


def chain_of(name: str, *jumps: str, policy: str = "") -> st.SearchStrategy[Chain]:
    """Make a chain long enough to be looked up."""
    options = st.tuples(
        st.just(f"-A {name}"), sides("-s"), sides("-d"), devices("-i"), devices("-o"), others, ports, others,
        st.sampled_from([*ends, *jumps]),
    )  # fmt: skip
    rules = options.map(lambda parts: parse_rule(" ".join(filter(None, parts)), source="test"))
    return st.lists(rules, min_size=INDEX_FROM, max_size=30).map(lambda own: Chain(name, tuple(own), policy))


tables = st.builds(
    lambda *chains: Table("filter", chains),
    chain_of("FORWARD", "-j one", "-g one", "-j two", policy="DROP"),
    chain_of("one", "-j two", "-g two"),
    chain_of("two"),
)
packets = st.builds(
    lambda src, dst, proto, port, mark: Packet(IPv4Address(src), IPv4Address(dst), proto, 5, port, mark=mark),
    st.sampled_from(ADDRESSES), st.sampled_from(ADDRESSES), st.sampled_from(["tcp", "udp"]),
    st.sampled_from([80, 81, 82, 83]), st.sampled_from([0, 1]),
)  # fmt: skip
ANSWERS = Random(0).choices((0, 1), k=500)
places = st.tuples(st.sampled_from(["eth0", "eth1", "lo"]), st.sampled_from(["eth0", "eth1", "lo"]))


class Scanned(Chain):
    """A chain of which every rule is tried."""

    def candidates(self, packet: Packet, at: Context) -> Sequence[ChainRule]:
        return self.rules


def at_hook(place: tuple[str, str], memory: dict[object, tuple[object, object]], chance: Chance) -> Context:
    return Context("FORWARD", *place, sets=SETS, memory=memory, chance=chance)


def walked(table: Table, packet: Packet, at: Context) -> tuple[object, ...]:
    """Walk a packet through a table: the verdict, the packet after it, what decided, and every rule that matched."""
    met: list[tuple[str, Packet]] = []
    try:
        verdict, after, line = traverse(table, at.hook, packet, at, lambda rule, _, now: met.append((str(rule), now)))
    except Unsupported as refusal:
        return str(refusal), met
    return verdict, after, str(line), met


def told(table: Table, passing: list[tuple[Packet, tuple[str, str]]]) -> list[object]:
    """Walk packets through a table one after the other; at the end, what it remembers and how often chance was asked."""
    memory: dict[object, tuple[object, object]] = {}
    chance = Chance(ANSWERS)
    said: list[object] = [walked(table, packet, at_hook(place, memory, chance)) for packet, place in passing]
    return [*said, {key: kept for key, (_, kept) in memory.items()}, chance.turns]


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables, st.lists(st.tuples(packets, places), min_size=1, max_size=12))
def test_looking_rules_up_decides_counts_and_remembers_as_trying_all(table: Table, passing) -> None:
    scanned = Table(table.name, tuple(Scanned(full.name, full.rules, full.policy) for full in table.chains))
    assert told(table, passing) == told(scanned, passing)


def unseen(rule: ChainRule, packet: Packet, at: Context) -> bool:
    """Tell whether nobody can notice that a rule was passed over: a match fails before any that draws or counts."""
    for match in rule.matches:
        if match.purity in (Purity.UNDECIDED, Purity.REMEMBERS):
            return False
        test = match.test()
        if test and not test(packet, at):
            return True
    return False


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(chain_of("FORWARD"), st.lists(st.tuples(packets, places), min_size=8, max_size=40))
def test_what_is_passed_over_nobody_notices(chain: Chain, passing) -> None:
    order = {id(rule): number for number, rule in enumerate(chain.rules)}
    for packet, place in passing:
        at = at_hook(place, {}, Chance())
        tried = [order[id(rule)] for rule in chain.candidates(packet, at)]
        assert tried == sorted(set(tried)), "in their order, each once"
        assert all(unseen(rule, packet, at) for rule in chain.rules if order[id(rule)] not in tried)
