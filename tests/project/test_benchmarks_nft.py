"""Speed of native nftables: `pytest tests/project/test_benchmarks_nft.py --benchmark-enable --benchmark-only`.

The ruleset has the shape of kube-proxy's, with a chain for each service and each endpoint. Without --benchmark-enable
each runs once, with few services, as a test that it still works. No time is asserted here.
"""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from nft_worlds import NftCase

from mcnilib.linux.netfilter.nftables.rule import print_ruleset
from mcnilib.linux.netfilter.nftables.text.ruleset import read_ruleset
from mcnilib.trace.flow import Flow, Listener
from mcnilib.trace.run import run

FIRST = IPv4Address("172.30.0.1")


def services(number: int) -> str:
    """The rules for so many services, all with the endpoint 10.0.2.2:80."""
    ips = [FIRST + n for n in range(number)]
    chains = "".join(
        f"\tchain service-{ip} {{\n\t\tip daddr {ip} tcp dport 80 ip saddr != 10.244.0.0/16 jump mark\n"
        f"\t\tnumgen random mod 1 vmap {{ 0 : goto endpoint-{ip} }}\n\t}}\n"
        f"\tchain endpoint-{ip} {{\n\t\tip saddr 10.0.2.2 jump mark\n\t\tmeta l4proto tcp dnat to 10.0.2.2:80\n\t}}\n"
        for ip in ips
    )
    return (
        f"table ip kube-proxy {{\n\tset cluster-ips {{\n\t\ttype ipv4_addr\n\t\telements = {{ {', '.join(map(str, ips))} }}\n"
        "\t}\n\tmap service-ips {\n\t\ttype ipv4_addr . inet_proto . inet_service : verdict\n\t\telements = { "
        f"{', '.join(f'{ip} . tcp . 80 : goto service-{ip}' for ip in ips)} }}\n\t}}\n"
        "\tchain mark {\n\t\tmeta mark set meta mark | 0x00004000\n\t}\n"
        "\tchain pre {\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n"
        "\t\tip daddr . meta l4proto . th dport vmap @service-ips\n\t}\n"
        "\tchain post {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n"
        "\t\tmeta mark & 0x00004000 == 0x00000000 return\n\t\tmasquerade fully-random\n\t}\n"
        f"{chains}}}\n"
    )


@pytest.fixture
def many(request) -> int:
    """So many services, as many as a large cluster has where time is measured."""
    return 10_000 if request.config.getoption("benchmark_enable") else 100


def test_reading_native_services(benchmark, many: int) -> None:
    text = services(many)
    tables = benchmark.pedantic(read_ruleset, (text,), rounds=3)
    assert len(tables[0].chains) == 2 * many + 3
    assert read_ruleset(print_ruleset(tables)) == tables


@pytest.mark.parametrize("few", [10, 0], ids=["of ten", "of many"])
def test_a_conversation_through_the_last_native_service(benchmark, many: int, few: int) -> None:
    number = few or many
    world = NftCase(services(number), "").world
    flow, listeners = Flow("a", FIRST + number - 1, "tcp", 80, sport=40000), (Listener("b", 80),)
    assert benchmark.pedantic(run, (world, flow, listeners), rounds=50, warmup_rounds=1).outcome.works
