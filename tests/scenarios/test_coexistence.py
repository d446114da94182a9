"""The table of docs/coexistence.md: each condition, as a predicate of the settings, held against every combination."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product, zip_longest
from pathlib import Path

import pytest

from mcnilib.cluster.build import build
from mcnilib.cluster.settings import Placement, Protocol, Settings, TrafficPolicy, Tuning
from mcnilib.cluster.spec import CLUSTER
from mcnilib.kernel.compare.record import AGREES, DIFFERS, recorded_runs
from mcnilib.scenarios import scenario
from mcnilib.trace.flow import Flow, Listener
from mcnilib.trace.run import run

PAGE = (Path(__file__).parents[2] / "docs" / "coexistence.md").read_text(encoding="utf-8")
TABLE = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")]


def minor(s: Settings) -> int:
    return int(s.kube_proxy.split(".")[1])


def writes(s: Settings) -> bool:
    """Tell whether kube-proxy knows its mode: if not, it exits, and there are no services."""
    return s.kube_proxy_mode != "nftables" or minor(s) >= 29


def no_drop(s: Settings) -> bool:
    """Tell whether there is no INVALID drop: kube-proxy must be new enough, and read the sysctl when it starts.

    Its IPVS mode never has one, its nftables mode in 1.29 only.
    """
    if s.kube_proxy_mode == "ipvs" or (s.kube_proxy_mode == "nftables" and minor(s) != 29):
        return True
    return minor(s) >= 29 and s.be_liberal and s.restarted


def beside(s: Settings, client: str) -> bool:
    """Tell whether the service's endpoint is on the client's node."""
    return CLUSTER.pod(s.endpoint).node == CLUSTER.pod(client).node


def to_macvlan(s: Settings) -> bool:
    return s.placement is Placement.SAME_NODE or s.nat_outgoing or s.protocol is Protocol.UDP or no_drop(s)


def to_service(client: str) -> Callable[[Settings], bool]:
    def works(s: Settings) -> bool:
        overlay = CLUSTER.pod(s.endpoint).overlay is not None
        whole = overlay or beside(s, client) or s.nat_outgoing
        return writes(s) and (whole or s.protocol is Protocol.UDP or no_drop(s))

    return works


def to_calico_address(s: Settings) -> bool:
    if s.protocol is not Protocol.TCP:
        return True
    if s.tuning is Tuning.TUNED:
        return s.placement is Placement.SAME_NODE or no_drop(s)
    return no_drop(s) and not s.felix_invalid


def node_port(s: Settings) -> bool:
    local = CLUSTER.pod(s.endpoint).node == "node1"  # the node that lan-client dials
    whole = s.external_policy is TrafficPolicy.CLUSTER or (local and s.mark_rules and s.pod_rp_filter == 0)
    return writes(s) and whole


CONDITIONS: dict[str, Callable[[Settings], bool]] = {
    "calico-to-macvlan": to_macvlan,
    "multi-nic-to-macvlan": lambda s: True,
    "calico-to-clusterip": to_service("cal1"),
    "multi-nic-to-clusterip": to_service("mul2"),
    "macvlan-to-multi-nic": to_calico_address,
    "nodeport-to-macvlan-from-lan": node_port,
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_the_condition_is_exact(name: str) -> None:
    story = scenario(name)
    wrong = [str(s) for s in story.combinations() if story.outcome(s).works is not CONDITIONS[name](s)]
    assert wrong == []


@pytest.mark.parametrize("name", CONDITIONS)
def test_the_page_says_how_much_was_checked(name: str) -> None:
    runs = [run.results for run in recorded_runs(name)]
    assert runs and DIFFERS not in "".join(runs)
    (row,) = (cells for cells in TABLE if f"`{name}`" in cells[-1])
    works = sum(scenario(name).outcome(s).works for s in scenario(name).combinations())
    model, kernel = len(runs[0]), sum(AGREES in letters for letters in zip_longest(*runs))
    assert f"{works} of {model} work; {kernel} on the kernel" in row[-1]


@pytest.mark.parametrize(("client", "nat", "gateway"), list(product(("cal1", "cal2"), (True, False), (True, False))))
def test_where_the_node_has_no_address_in_the_pods_subnet_a_router_is_needed(
    client: str, nat: bool, gateway: bool
) -> None:
    mac17 = CLUSTER.pod("mac17")  # on a NIC of node1 without address; cal1 is on node1, too
    world = build(Settings.of(nat_outgoing=nat, gateway=gateway))
    trace = run(world, Flow(client, mac17.address), (Listener(mac17.name, 80),))
    assert trace.outcome.works is (client == "cal1" or (nat and gateway))
