"""Multi-NIC pod to a Macvlan pod: net1 is in that subnet, so the packet goes straight over the underlay."""

from __future__ import annotations

from mcnilib.cluster.settings import Placement, Settings
from mcnilib.scenarios.scenario import Claim, DialTarget, Scenario

_CLAIM = Claim(
    "Calico + Macvlan Multi-NIC Pod Accessing Macvlan Pod (Figure 4, black)",
    "the route of the Macvlan subnet sends it through net1, over the underlay to the pod and back",
    works=True,
)


def _way(settings: Settings) -> DialTarget:
    return DialTarget("mul1", "mac1" if settings.placement is Placement.SAME_NODE else "mac2")


SCENARIO = Scenario(
    number=12,
    name="multi-nic-to-macvlan",
    title="Multi-NIC pod to Macvlan pod",
    question="mul1 has its default route on eth0. Does a packet for mac2 go through Calico?",
    settings=("default_nic", "tuning", "placement", "protocol"),
    way=_way,
    claim=lambda settings: _CLAIM,
    notebook="12-multi-nic-to-macvlan.ipynb",
)
