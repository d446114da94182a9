"""Macvlan pod to a multi-NIC pod: its Calico address has the trouble of any Calico pod, and a second one of its own."""

from __future__ import annotations

from mcnilib.cluster.settings import Placement, Tuning
from mcnilib.language import mark
from mcnilib.scenarios.scenario import (
    Claim,
    DialTarget,
    Scenario,
    by_placement,
    in_modes,
    of_iptables_mode,
    to_underlay,
)

_CLAIM = Claim(
    mark("Conclusion: Macvlan Pod to Calico + Macvlan Multi-NIC Pod"), mark("a tick, without condition"), works=True
)

_NOTEBOOK = "15-macvlan-to-multi-nic.ipynb"

SCENARIOS = (
    Scenario(
        number=15,
        name="macvlan-to-multi-nic",
        title=mark("Macvlan pod to the Calico address of a multi-NIC pod"),
        question=mark(
            "mac1 dials the Calico address of a multi-NIC pod, at first on its own node and without policy routing. "
            "Through which NIC does the pod answer? Which two rules can drop the ACK, and which acts first?"
        ),
        settings=(
            *("kube_proxy", "kube_proxy_mode", "be_liberal", "restarted"),
            *("felix_invalid", "tuning", "placement", "protocol"),
        ),
        folded=("kube_proxy_mode", "tuning"),
        apart=in_modes(("restarted", (True,)), ("tuning", (Tuning.TUNED, Tuning.NOT))),
        way=lambda settings: DialTarget("mac1", by_placement(settings, "mul1", "mul2")),
        claim=of_iptables_mode(lambda settings: _CLAIM),
        notebook=_NOTEBOOK,
        defaults=(("tuning", Tuning.NOT), ("placement", Placement.SAME_NODE)),
    ),
    Scenario(
        number=15,
        name="macvlan-to-multi-nic-underlay",
        title=mark("Macvlan pod to the Macvlan address of a multi-NIC pod"),
        question=mark("mac1 dials the Macvlan address of mul2 instead. Which parts of node2 see the packet now?"),
        settings=("tuning", "placement", "protocol"),
        way=lambda settings: to_underlay("mac1", by_placement(settings, "mul1", "mul2")),
        claim=lambda settings: _CLAIM,
        notebook=_NOTEBOOK,
    ),
)
