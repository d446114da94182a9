"""Who wrote a line, inferred: held against the model clusters, where the writer of every line is known."""

from __future__ import annotations

from collections import Counter

import pytest

from mcnilib.cluster.build import build
from mcnilib.cluster.settings import Settings
from mcnilib.linux.netfilter.iptables.save import parse_rule
from mcnilib.linux.routing.neigh import parse_neigh
from mcnilib.linux.routing.route import parse_route
from mcnilib.linux.routing.rule import parse_ip_rule
from mcnilib.scenarios import scenario
from mcnilib.snapshots.provenance import writer_of
from mcnilib.snapshots.snapshot import Snapshot, snapshot_of
from mcnilib.trace.explain import verdict

SAME = {
    "kube-proxy": ("kube-proxy", "kube-proxy or the kubelet"),
    "kubelet": ("the kubelet", "kube-proxy or the kubelet", "kube-proxy"),
    "Felix": ("Felix", "Calico"),
    "BIRD": ("BIRD",),
    "Calico CNI": ("Calico", "Calico's CNI plugin"),
    "the coordinator": ("Spiderpool's coordinator", "Calico"),
    "the kernel": ("the kernel",),
}
"""Writers of the model, and what may be inferred for their lines. The coordinator routes to Calico's device too."""


@pytest.mark.parametrize("settings", [Settings(), Settings.of(kube_proxy="1.24", encapsulation="VXLAN")], ids=str)
def test_an_inference_is_never_wrong_and_seldom_missing(settings: Settings) -> None:
    judged: Counter[str] = Counter()
    for netns in build(settings):
        rules = (rule for table in netns.ip4.tables for chain in table.chains for rule in chain.rules)
        for line in (*rules, *netns.ip4.routes, *netns.ip4.rules, *netns.ip4.neighbours):
            meant = next(
                (names for who, names in SAME.items() if line.origin and line.origin.writer.startswith(who)), None
            )
            found = writer_of(line)
            judged["known"] += found is not None
            judged["all"] += 1
            if found and meant:
                assert found.writer.removesuffix(" (inferred)") in meant, (netns.name, str(line), found)
    assert judged["known"] > 0.9 * judged["all"], judged


@pytest.mark.parametrize(
    ("line", "writer", "why"),
    [
        (parse_rule("-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP"), "kube-proxy (inferred)", "inferred from the name of the chain KUBE-FORWARD"),
        (parse_rule('-A FORWARD -m comment --comment "cali:abc" -j ACCEPT'), "Felix (inferred)", "inferred from its comment 'cali:abc'"),
        (parse_rule("-A PREROUTING -j CNI-HOSTPORT-DNAT"), "a CNI plugin (portmap or bridge) (inferred)", "inferred from the name of the chain CNI-HOSTPORT-DNAT it jumps to"),
        (parse_route("10.1.0.0/24 via 10.0.0.2 dev eth0 proto bird"), "BIRD (inferred)", "inferred from the route's protocol bird"),
        (parse_route("10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink"), "flannel (inferred)", "inferred from the device flannel.1"),
        (parse_ip_rule("32766:\tfrom all lookup main"), "the kernel", "exists in every network namespace"),
        (parse_neigh("10.0.0.1 dev veth0d9c208d4c7 lladdr 02:00:00:00:00:01 PERMANENT"), "Spiderpool's coordinator (inferred)", "inferred from the device veth0d9c208d4c7"),
        (parse_rule("-A FORWARD -j ACCEPT"), None, None),
        (parse_rule('-A FORWARD -m comment --comment "" -j ACCEPT'), None, None),
        (parse_rule("-A KUBED -j ACCEPT"), None, None),
        (parse_route("default via 10.0.0.1 dev eth0"), None, None),
        ("tcp LISTEN 0.0.0.0:80", None, None),
    ],
)  # fmt: skip
def test_signs(line: object, writer: str | None, why: str | None) -> None:
    found = writer_of(line)
    assert (found.writer, found.why) == (writer, why) if found else writer is None


def test_the_verdict_of_a_snapshot_says_that_the_writer_is_inferred() -> None:
    story = scenario("7")
    settings = story.start()
    snapshot = snapshot_of(Snapshot(story.world(settings)).files())
    trace = snapshot.trace(story.flow(settings), story.listeners(settings))
    assert verdict(trace).endswith("`-m conntrack --ctstate INVALID -j DROP`, written by kube-proxy (inferred)")
