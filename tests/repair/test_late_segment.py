"""What becomes of the segments that kube-proxy's INVALID drop was written for, in each mode."""

from __future__ import annotations

import pytest

from mcnilib.repair.late_segment import late_segment_ends, late_segment_of
from mcnilib.scenarios import scenario

BY_PROXY = "dropped on node2 by `-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP`"
BY_TABLE = "dropped on node2 by `ct state invalid drop`"


@pytest.mark.parametrize(
    ("number", "version", "mode", "ends"),
    [
        pytest.param("calico-to-clusterip", "1.28", "iptables", BY_PROXY, id="iptables drops it"),
        pytest.param("calico-to-clusterip", "1.29", "nftables", BY_TABLE, id="so does nftables in 1.29"),
        pytest.param("calico-to-clusterip", "1.33", "nftables", "it reaches cal1 untranslated, whose RST ends the connection", id="later it does not"),
        pytest.param("calico-to-clusterip", "1.33", "ipvs", "translated all the same and delivered to cal1", id="IPVS knows the connection itself"),
        pytest.param("9", "1.33", "nftables", "it reaches node1 untranslated, whose RST ends the connection", id="masqueraded: the node answers"),
        pytest.param("9", "1.33", "ipvs", "it reaches node1 untranslated, whose RST ends the connection", id="IPVS does not undo a masquerade"),
    ],
)  # fmt: skip
def test_where_a_late_segment_ends(number: str, version: str, mode: str, ends: str) -> None:
    story = scenario(number)
    settings = story.start().but(endpoint="cal2", felix_invalid=False, kube_proxy=version, kube_proxy_mode=mode)
    assert late_segment_ends(late_segment_of(story, settings)) == ends


def test_felix_drops_it_first_in_each_mode() -> None:
    story = scenario("calico-to-clusterip")
    for mode in ("iptables", "ipvs"):
        found = late_segment_ends(late_segment_of(story, story.start().but(endpoint="cal2", kube_proxy_mode=mode)))
        assert "cali-fw-" in found, mode


def test_where_nothing_was_answered_there_is_no_late_segment() -> None:
    story = scenario("nodeport-to-macvlan")
    assert late_segment_of(story, story.start().but(external_policy="Local", endpoint="mac4")) == ()
