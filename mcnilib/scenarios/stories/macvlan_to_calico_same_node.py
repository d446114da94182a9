"""Macvlan pod to Calico pod on the same node: both directions cross the node, so nothing is ever INVALID."""

from __future__ import annotations

from mcnilib.scenarios.scenario import Claim, DialTarget, Scenario

_CLAIM = Claim(
    "Macvlan Access to Calico Pod: on the same node (Figure 3: 1)",
    "the request leaves by veth0 to the node and on to the Calico pod; "
    "the reply comes back by table 500 and the pod's veth",
    works=True,
)

SCENARIO = Scenario(
    number=6,
    name="macvlan-to-calico-same-node",
    title="Macvlan pod to Calico pod, same node",
    question="mac1 and cal1 run on node1. Which devices does the request cross? Does the reply come back the same way?",
    settings=("kube_proxy", "be_liberal", "restarted", "protocol"),
    way=lambda settings: DialTarget("mac1", "cal1"),
    claim=lambda settings: _CLAIM,
    notebook="06-macvlan-to-calico-same-node.ipynb",
)
