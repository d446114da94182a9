"""Macvlan pod to a Calico pod on a node of another subnet: the answer crosses a router that never saw the request."""

from __future__ import annotations

from mcnilib.cluster.settings import Encapsulation
from mcnilib.scenarios.scenario import Claim, DialTarget, Scenario

_SECTION = "Macvlan Access to Calico Pod: Figure 3, 2->2.2 (the text does not describe it)"

REJECTED = Claim(_SECTION, "the figure says of the answer: !!! reject by (stateful firewall)", works=False)

_SILENT = Claim(_SECTION, "only the stateful firewall is drawn", works=None)

SCENARIO = Scenario(
    number=8,
    name="macvlan-to-calico-across-subnets",
    title="Macvlan pod to Calico pod, across node subnets",
    question=(
        "mac3 on node3 connects to cal2 on node2, in another subnet, and a firewall guards the way between. Which half "
        "of the conversation does the firewall see? Can anything you change on the nodes help?"
    ),
    settings=("stateful_gateway", "encapsulation", "kube_proxy", "be_liberal", "restarted", "protocol"),
    way=lambda settings: DialTarget("mac3", "cal2"),
    claim=lambda settings: REJECTED if settings.stateful_gateway else _SILENT,
    notebook="08-macvlan-to-calico-across-subnets.ipynb",
    defaults=(("stateful_gateway", True), ("encapsulation", Encapsulation.VXLAN)),
)
