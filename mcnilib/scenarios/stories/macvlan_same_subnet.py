"""Two Macvlan pods of one subnet: the frame goes from child to child, and no IP stack of a node sees it."""

from __future__ import annotations

from mcnilib.cluster.settings import MacvlanMode, Placement, Settings
from mcnilib.scenarios.scenario import Claim, DialTarget, Scenario

_SECTION = "Macvlan Access to Pods in the Same Subnet (Figure 1: 2)"

DIRECT = Claim(
    _SECTION,
    "Macvlan bridge mode carries the packets directly; "
    "on the same node or on different nodes, no gateway forwards anything",
    works=True,
)

_SILENT = Claim(_SECTION, "only bridge mode is described", works=None)


def _way(settings: Settings) -> DialTarget:
    return DialTarget("mac1", "mac1b" if settings.placement is Placement.SAME_NODE else "mac2")


SCENARIO = Scenario(
    number=1,
    name="macvlan-same-subnet",
    title="Macvlan pods in the same subnet",
    question=(
        "mac1 talks to mac1b on its own node, or to mac2 on the next one. Which of the node's routes and rules do the "
        "packets meet?"
    ),
    settings=("placement", "macvlan_mode", "protocol"),
    way=_way,
    claim=lambda settings: DIRECT if settings.macvlan_mode is MacvlanMode.BRIDGE else _SILENT,
    notebook="01-macvlan-same-subnet.ipynb",
    defaults=(("placement", Placement.SAME_NODE),),
)
