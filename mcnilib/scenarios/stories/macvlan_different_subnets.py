"""Two Macvlan pods of different subnets: the gateway is crossed both ways, even when they share a node."""

from __future__ import annotations

from mcnilib.cluster.settings import Placement, Settings
from mcnilib.scenarios.scenario import Claim, DialTarget, Scenario

_SECTION = "Macvlan Access to Pods in Different Subnets (Figure 1: 1)"

ROUTED = Claim(
    _SECTION, "across nodes or on the same node: the subnets differ, so the gateway has to forward", works=True
)

NO_GATEWAY = Claim(_SECTION, "the gateway has to forward, so without it there is no way", works=False)


def _way(settings: Settings) -> DialTarget:
    return DialTarget("mac1", "mac17" if settings.placement is Placement.SAME_NODE else "mac3")


SCENARIO = Scenario(
    number=2,
    name="macvlan-different-subnets",
    title="Macvlan pods in different subnets",
    question=(
        "mac1 and mac17 run on node1, in different subnets. Does node1 forward their packets, or do they leave the "
        "node and come back? What does a firewall in the gateway see of them?"
    ),
    settings=("placement", "gateway", "stateful_gateway", "protocol"),
    way=_way,
    claim=lambda settings: ROUTED if settings.gateway else NO_GATEWAY,
    notebook="02-macvlan-different-subnets.ipynb",
    defaults=(("placement", Placement.SAME_NODE),),
)
