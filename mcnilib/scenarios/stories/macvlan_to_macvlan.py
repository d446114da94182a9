"""Two Macvlan pods. In one subnet the frame goes from child to child, and no IP stack of a node sees it; in different
subnets the gateway is crossed both ways, even when the pods share a node.
"""

from __future__ import annotations

from mcnilib.cluster.settings import MacvlanMode, Placement
from mcnilib.language import mark
from mcnilib.scenarios.scenario import Claim, DialTarget, Scenario, by_placement

_SAME = mark("Macvlan Access to Pods in the Same Subnet (Figure 1: 2)")

DIRECT = Claim(
    _SAME,
    mark(
        "Macvlan bridge mode carries the packets directly; "
        "on the same node or on different nodes, no gateway forwards anything"
    ),
    works=True,
)

_SILENT = Claim(_SAME, mark("only bridge mode is described"), works=None)


_DIFFERENT = mark("Macvlan Access to Pods in Different Subnets (Figure 1: 1)")

ROUTED = Claim(
    _DIFFERENT, mark("across nodes or on the same node: the subnets differ, so the gateway has to forward"), works=True
)

NO_GATEWAY = Claim(_DIFFERENT, mark("the gateway has to forward, so without it there is no way"), works=False)

SCENARIOS = (
    Scenario(
        number=1,
        name="macvlan-same-subnet",
        title=mark("Macvlan pods in the same subnet"),
        question=mark(
            "mac1 talks to mac1b on its own node, or to mac2 on the next one. Which of the node's routes and rules "
            "see the packets?"
        ),
        settings=("placement", "macvlan_mode", "protocol"),
        way=lambda settings: DialTarget("mac1", by_placement(settings, "mac1b", "mac2")),
        claim=lambda settings: DIRECT if settings.macvlan_mode is MacvlanMode.BRIDGE else _SILENT,
        notebook="01-macvlan-same-subnet.ipynb",
        defaults=(("placement", Placement.SAME_NODE),),
    ),
    Scenario(
        number=2,
        name="macvlan-different-subnets",
        title=mark("Macvlan pods in different subnets"),
        question=mark(
            "mac1 and mac17, at first both on node1, are in different subnets. Does node1 forward their packets, or do "
            "they leave the node and come back? What does a firewall in the gateway see of them?"
        ),
        settings=("placement", "gateway", "stateful_gateway", "protocol"),
        way=lambda settings: DialTarget("mac1", by_placement(settings, "mac17", "mac3")),
        claim=lambda settings: ROUTED if settings.gateway else NO_GATEWAY,
        notebook="02-macvlan-different-subnets.ipynb",
        defaults=(("placement", Placement.SAME_NODE),),
    ),
)
