"""Calico pod to a Macvlan pod: natOutgoing makes the node speak for its pod; without it the answer goes astray."""

from __future__ import annotations

from mcnilib.cluster.settings import Placement, Settings
from mcnilib.scenarios.scenario import Claim, DialTarget, Scenario

_CLAIM = Claim("Conclusion: Calico Pod to Macvlan Pod", "a tick, without condition", works=True)


def _way(settings: Settings) -> DialTarget:
    return DialTarget("cal1" if settings.placement is Placement.SAME_NODE else "cal2", "mac1")


SCENARIO = Scenario(
    number=10,
    name="calico-to-macvlan",
    title="Calico pod to Macvlan pod",
    question=(
        "cal2 on node2 dials mac1 on node1 with its own address, because natOutgoing is off. The SYN arrives at once. "
        "By which way does mac1 answer, and who has never heard of the connection?"
    ),
    settings=("nat_outgoing", "placement", "kube_proxy", "be_liberal", "restarted", "protocol"),
    way=_way,
    claim=lambda settings: _CLAIM,
    notebook="10-calico-to-macvlan.ipynb",
    defaults=(("nat_outgoing", False),),
)
