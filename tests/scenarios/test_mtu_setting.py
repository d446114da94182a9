"""What a wrong MTU of Calico or Spiderpool does in lessons 7 and 9, and which combinations of it are swept."""

from __future__ import annotations

from itertools import groupby

import pytest

from mcnilib.cluster.settings import PodMtu, option
from mcnilib.kernel.compare.record import position
from mcnilib.scenarios import scenario
from mcnilib.trace.explain import verdict
from mcnilib.world.commands import do

CURED = {"kube_proxy": "1.30", "be_liberal": True, "restarted": True}
BASES = {"7": CURED, "9": {}}
THROUGH_TUNNEL = "large packets arrive too, through MTU 1450 at node1.vxlan.calico"
IN_FRAGMENTS = "large packets arrive too, through MTU 1500 at node1.en0 (1450 inside the tunnel)"
REQUESTS = "connects; small requests arrive, large ones hang: "
ANSWERS = "connects; small answers arrive, large ones hang: "
WORKS = "connected; "


@pytest.mark.parametrize("number", BASES)
@pytest.mark.parametrize(
    ("mtu", "encapsulation", "said"),
    [
        pytest.param("auto", "VXLAN", (), id="detected: nothing is too long"),
        pytest.param("1500 in pods", "none", (), id="no tunnel, nothing is too long"),
        pytest.param("1500 in pods", "VXLAN", (THROUGH_TUNNEL,), id="the node says what the tunnel takes"),
        pytest.param("1500 in tunnels too", "VXLAN", (IN_FRAGMENTS,), id="outer packets are cut"),
        pytest.param("vethMTU 1450", "VXLAN", (), id="the pod's MSS fits"),
    ],
)
def test_a_wrong_mtu_is_healed_by_icmp(number: str, mtu: str, encapsulation: str, said: tuple[str, ...]) -> None:
    story = scenario(number)
    trace = story.run(story.start().but(mtu=mtu, encapsulation=encapsulation, **BASES[number]))
    assert (verdict(trace)[: len(WORKS)], trace.notes) == (WORKS, said)


@pytest.mark.parametrize(
    ("number", "mtu", "silent", "ends"),
    [
        pytest.param("7", "1500 in pods", "node1", REQUESTS, id="7: the request goes through the tunnel"),
        pytest.param("7", "1500 in pods", "node2", WORKS, id="7: the answer does not"),
        pytest.param("9", "1500 in pods", "node1", REQUESTS, id="9: the request"),
        pytest.param("9", "1500 in pods", "node2", ANSWERS, id="9: the answer goes through the tunnel too"),
        pytest.param("9", "1500 in tunnels too", "node1", WORKS, id="9: no ICMP is needed for fragments"),
        pytest.param("9", "vethMTU 1450", "node1", WORKS, id="9: nor where the MSS fits"),
        pytest.param("9", "auto", "node1", WORKS, id="9: nor with the MTU that Calico detects"),
    ],
)
def test_a_node_that_drops_its_icmp_makes_a_black_hole(number: str, mtu: str, silent: str, ends: str) -> None:
    story = scenario(number)
    settings = story.start().but(mtu=mtu, encapsulation="VXLAN", **BASES[number])
    world = do(story.world(settings), silent, "iptables -I OUTPUT -p icmp -j DROP")
    assert verdict(story.run_in(world, settings)).startswith(ends)


@pytest.mark.parametrize(("number", "usual", "more"), [("7", 41472, 432), ("9", 1536, 144)])
def test_a_setting_that_is_swept_apart_adds_few_combinations(number: str, usual: int, more: int) -> None:
    story = scenario(number)
    combinations = [s for s in story.combinations() if s.kube_proxy_mode == "iptables"]
    assert [(wrong, len([*some])) for wrong, some in groupby(s.mtu is not PodMtu.AUTO for s in combinations)] == [
        (False, usual),
        (True, more),
    ]
    assert {s.mtu for s in combinations} == {*option("mtu").values}
    assert [position(story, s) for s in combinations[usual:]] == [*range(usual, usual + more)]
    assert position(story, combinations[usual].but(restarted=number == "9")) is None
