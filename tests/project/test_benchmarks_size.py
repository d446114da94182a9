"""A node of a large cluster: `pytest tests/project/test_benchmarks_size.py --benchmark-enable --benchmark-only`.

5,000 services with 10 endpoints each are 160,009 rules of kube-proxy; with 7 endpoints each they are 115,009. Without
--benchmark-enable a small cluster is taken, as a test that it all still works. No time is asserted here.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from mcnilib.cluster.build import build
from mcnilib.cluster.kube_proxy.config import KubeProxy
from mcnilib.cluster.kube_proxy.start import rules, start_kube_proxy
from mcnilib.cluster.spec import CLUSTER, Endpoint, Pod, PodKind, Service
from mcnilib.linux.netfilter.iptables.save import parse_tables, print_tables
from mcnilib.scenarios import scenario
from mcnilib.snapshots.files import save
from mcnilib.snapshots.folder import write_folder
from mcnilib.snapshots.snapshot import open_snapshot
from mcnilib.trace.run import run
from mcnilib.world.world import World

pytestmark = pytest.mark.slow

PROXY = KubeProxy("1.28", cluster_cidr=IPv4Network("10.233.64.0/18"))
NODE = next(node for node in CLUSTER.nodes if node.name == "node1")
STORY = scenario("macvlan-to-clusterip-calico")
START = STORY.start()
PODS, SERVICES = IPv4Address("10.128.0.0"), IPv4Address("10.96.0.0")


@pytest.fixture
def many(request) -> int:
    return 5_000 if request.config.getoption("benchmark_enable") else 100


def services(number: int, endpoints: int) -> tuple[Service, ...]:
    """Return services beside the one the story talks to."""

    def backs(i: int) -> tuple[Endpoint, ...]:
        return tuple(Endpoint(PODS + i * endpoints + j, 8080, f"node{j % 4 + 1}") for j in range(endpoints))

    web = Service(
        "default", "web", IPv4Address("10.233.0.100"), 80, (Endpoint(IPv4Address("10.233.101.2"), 80, "node2"),)
    )
    return (*(Service(f"ns{i % 50}", f"svc{i}", SERVICES + i, 80, backs(i)) for i in range(number)), web)


@lru_cache(maxsize=4)
def world(number: int, endpoints: int = 10) -> World:
    """Return the story's cluster with so many services on node1."""
    before = STORY.world(START)
    return before.put(start_kube_proxy(before["node1"], PROXY, NODE, services(number, endpoints)))


@lru_cache(maxsize=4)
def saved(number: int, endpoints: int) -> str:
    return print_tables(world(number, endpoints)["node1"].ip4.tables)


@pytest.mark.parametrize("endpoints", [7, 10])
def test_generating_the_rules(benchmark, many: int, endpoints: int) -> None:
    node, wanted = STORY.world(START)["node1"], services(many, endpoints)

    def generate() -> int:
        rules.cache_clear()
        return len(start_kube_proxy(node, PROXY, NODE, wanted).ip4.tables)

    assert benchmark.pedantic(generate, rounds=3) > 0


@pytest.mark.parametrize("endpoints", [7, 10])
def test_reading_the_rules(benchmark, many: int, endpoints: int) -> None:
    text = saved(many, endpoints)
    assert text.count("\n-A ") > many * (3 * endpoints + 2)
    tables = benchmark.pedantic(parse_tables, (text,), rounds=3)
    assert many > 100 or print_tables(tables) == text


PEAK = "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
"""Prints the memory in KB a process had at most; what getrusage(2) says would include that of the parent it was."""


def alone(code: str, *words: str) -> tuple[str, int]:
    """Run code in a process of its own; return what it printed, and the MB it had at most."""
    command = [sys.executable, "-c", f"{code}\n{PEAK}", *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert not done.stderr, "nothing is wrong, and progress is not shown where nobody looks"
    printed, _, peak = done.stdout.rstrip().rpartition("\n")
    return printed, int(peak) // 1024


def test_the_memory_reading_needs(benchmark, many: int, tmp_path) -> None:
    """The figure is in the column of extra info: MB at most, of a process that reads the rules and has nothing else."""
    path = tmp_path / "iptables.txt"
    path.write_text(saved(many, 10))
    code = f"from mcnilib.linux.netfilter.iptables.save import parse_tables; parse_tables(open({str(path)!r}).read())"
    _, benchmark.extra_info["MB"] = benchmark.pedantic(alone, (code,), rounds=1)
    assert benchmark.extra_info["MB"] > 0


POD = IPv4Address("10.233.104.2")


def crowded(number: int) -> World:
    """Return the story's cluster with 200 more pods on node1, and so many services on it."""
    seats = len(CLUSTER.pods_of("node1"))
    pods = (Pod(f"pod{i:03}", PodKind.CALICO, "node1", seats + i, POD + i) for i in range(200))
    there = build(START, replace(CLUSTER, pods=(*CLUSTER.pods, *pods)))
    return there.put(start_kube_proxy(there["node1"], PROXY, NODE, services(number, 10)))


@pytest.fixture(scope="module")
def snapshot(request, tmp_path_factory) -> Path:
    """A snapshot of that node, its pods and the other machines: 218 namespaces."""
    folder = tmp_path_factory.mktemp("snapshots") / "crowded"
    write_folder(folder, save(crowded(5_000 if request.config.getoption("benchmark_enable") else 100)))
    return folder


def test_reading_a_snapshot_with_200_pods(benchmark, snapshot: Path) -> None:
    read = benchmark.pedantic(open_snapshot, (snapshot,), rounds=3)
    assert len(list(read.world)) == 218


def test_following_one_conversation_from_the_command_line(benchmark, snapshot: Path) -> None:
    """All of it: start Python, read the snapshot, run the conversation; the peak in MB is in the extra info."""
    words = ("trace", str(snapshot), "--from", "cal1", "--to", "tcp:10.233.0.100:80", "--listen", "cal2:80")
    code = "from mcnilib.cli import main; main()"
    said, benchmark.extra_info["MB"] = benchmark.pedantic(alone, (code, *words), rounds=2)
    assert said.startswith("connected")


@pytest.mark.parametrize("number", [10, 5_000])
def test_one_conversation_through_a_service(benchmark, many: int, number: int) -> None:
    there, flow, listeners = world(min(number, many)), STORY.flow(START), STORY.listeners(START)
    assert benchmark.pedantic(run, (there, flow, listeners), rounds=100, warmup_rounds=1).outcome.works
