"""Speed of rules, measured by pytest-benchmark: `pytest tests/project/test_benchmarks_iptables.py --benchmark-enable`.

Without --benchmark-enable each runs once, as a test that it still works. No time is asserted here.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.edit import find_table
from mcnilib.linux.netfilter.iptables.rule import Table
from mcnilib.linux.netfilter.iptables.save import parse_tables, print_tables
from mcnilib.linux.netfilter.iptables.traverse import traverse
from mcnilib.linux.packet import Packet, Tcp

pytestmark = pytest.mark.slow

PACKET = Packet(IPv4Address("172.16.100.2"), IPv4Address("10.233.101.2"), "tcp", 40000, 80, Tcp(frozenset({"SYN"})))
FELIX = Path(__file__).parents[1] / "data" / "calico" / "felix-3.32-vxlan.txt"


def services(number: int) -> str:
    """Print a nat table with a rule and a chain of two rules for each service."""
    names = [f"SVC-{i:05}" for i in range(number)]
    addresses = [f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}" for i in range(number)]
    chains = "".join(f":{name} - [0:0]\n" for name in ["SERVICES", *names])
    jumps = "".join(
        f"-A SERVICES -d {ip}/32 -p tcp -m comment --comment cluster -m tcp --dport {i % 9 + 80} -j {name}\n"
        for i, (name, ip) in enumerate(zip(names, addresses, strict=True))
    )
    bodies = "".join(
        f"-A {name} ! -s 10.233.64.0/18 -d {ip}/32 -p tcp -m tcp --dport {i % 9 + 80} -j MARK --set-xmark 0x4000/0x4000\n"
        f"-A {name} -p tcp -m tcp -j DNAT --to-destination 172.16.0.{i % 250 + 1}:8080\n"
        for i, (name, ip) in enumerate(zip(names, addresses, strict=True))
    )
    return f"*nat\n:PREROUTING ACCEPT [0:0]\n{chains}-A PREROUTING -j SERVICES\n{jumps}{bodies}COMMIT\n"


def walk(table: Table, at: Context, packet: Packet) -> str:
    return traverse(table, at.hook, packet, at, lambda rule, before, after: None)[0]


@pytest.mark.parametrize("rules", [10, 5_000])
def test_a_chain_in_which_nothing_matches(benchmark, rules: int) -> None:
    lines = "".join(
        f"-A FORWARD -d 10.0.{i >> 8}.{i & 255}/32 -p tcp -m tcp --dport 80 -j DROP\n" for i in range(rules)
    )
    (table,) = parse_tables(f"*filter\n:FORWARD ACCEPT [0:0]\n{lines}COMMIT\n")
    assert benchmark(walk, table, Context("FORWARD", "veth1", "en0"), PACKET) == "ACCEPT"


@pytest.mark.parametrize("device", ["veth1", "cali12345"])
def test_a_packet_through_a_node_s_filter_table(benchmark, device: str) -> None:
    table = find_table(parse_tables(FELIX.read_text()), "filter")
    assert benchmark(walk, table, Context("FORWARD", device, "en0", "ESTABLISHED"), PACKET) == "ACCEPT"


@pytest.mark.parametrize("number", [10, 10_000])
def test_one_service_of_many(benchmark, number: int) -> None:
    (table,) = parse_tables(services(number))
    packet = PACKET.but(dst=IPv4Address("10.0.0.5"), dport=85)
    assert benchmark(walk, table, Context("PREROUTING", "veth1"), packet) == "ACCEPT"


def test_reading_ten_thousand_services(benchmark) -> None:
    text = services(10_000)
    assert print_tables(benchmark.pedantic(parse_tables, (text,), rounds=2)) == text
