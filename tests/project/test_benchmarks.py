"""Speed, measured by pytest-benchmark: `pytest tests/project/test_benchmarks.py --benchmark-enable --benchmark-only`.

Without --benchmark-enable each runs once, as a test that it still works. No time is asserted here.
"""

from __future__ import annotations

import subprocess
import sys
from itertools import islice

import pytest

from mcnilib.cluster.settings import sweep
from mcnilib.linux.netfilter.iptables.save import parse_tables, print_tables
from mcnilib.scenarios import scenario
from mcnilib.trace.run import run

pytestmark = pytest.mark.slow

WORKING = {"kube_proxy": "1.30", "be_liberal": True, "restarted": True}


@pytest.mark.parametrize("encapsulation", ["none", "VXLAN"])
def test_one_tcp_conversation_across_the_cluster(benchmark, encapsulation: str) -> None:
    story = scenario("7")
    settings = story.start().but(encapsulation=encapsulation, **WORKING)
    world, flow, listeners = story.world(settings), story.flow(settings), story.listeners(settings)
    assert benchmark(run, world, flow, listeners).outcome.works


def test_every_kube_proxy_version_by_sysctl_and_restart_by_protocol(benchmark) -> None:
    story = scenario("7")

    def matrix() -> int:
        chosen = sweep(story.start(), "kube_proxy", "be_liberal", "restarted", "protocol")
        return sum(run(story.world(s), story.flow(s), story.listeners(s)).outcome.works for s in chosen)

    assert benchmark.pedantic(matrix, rounds=3) > 0


def test_a_hundred_worlds_of_the_flagship(benchmark) -> None:
    story = scenario("7")
    chosen = list(islice(story.combinations(), 0, 36_000, 360))
    assert len(benchmark(lambda: [story.world(settings) for settings in chosen])) == 100


def test_reading_a_node_s_ruleset(benchmark) -> None:
    story = scenario("7")
    text = print_tables(story.world(story.start())["node1"].ip4.tables)
    assert print_tables(benchmark(parse_tables, text)) == text


@pytest.mark.parametrize("what", ["pass", "import mcnilib"])
def test_import(benchmark, what: str) -> None:
    """Compare the two rows: the difference is what `import mcnilib` costs beyond bare Python."""
    benchmark.pedantic(subprocess.run, args=([sys.executable, "-c", what],), kwargs={"check": True}, rounds=5)
