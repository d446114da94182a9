"""A Macvlan pod and the nodes: its own node is the one neighbour it cannot reach over the underlay."""

from __future__ import annotations

from functools import partial

from mcnilib.cluster.settings import Settings
from mcnilib.language import mark
from mcnilib.scenarios.scenario import Claim, DialTarget, Scenario, to_node

_SECTION = mark("Macvlan Pod Access to Local Node (Figure 1: 3)")

REPAIRED = Claim(
    _SECTION,
    mark("a veth pair, a route to the node in the pod, and a route to the pod in table 500 of the node solve it"),
    works=True,
)

_APART = Claim(_SECTION, mark("a Macvlan child cannot talk to its own master interface"), works=False)

_SILENT = Claim(_SECTION, mark("other nodes are not mentioned"), works=None)


def _claim(settings: Settings) -> Claim:
    return REPAIRED if settings.coordinator else _APART


_story = partial(
    Scenario,
    number=3,
    settings=("coordinator", "hairpin", "protocol"),
    notebook="03-macvlan-and-its-node.ipynb",
    defaults=(("coordinator", False),),
)

SCENARIOS = (
    _story(
        name="node-to-own-macvlan",
        title=mark("A node to its own Macvlan pod"),
        question=mark(
            "node1 opens a connection to mac1, a child of its own en0. Does anything answer its ARP request?"
        ),
        way=lambda settings: DialTarget("node1", "mac1"),
        claim=_claim,
    ),
    _story(
        name="macvlan-to-own-node",
        title=mark("Macvlan pod to its own node"),
        question=mark(
            "mac1 opens a connection to node1, whose en0 is the parent of its own eth0. Where does the frame go?"
        ),
        way=lambda settings: to_node("mac1", "node1"),
        claim=_claim,
    ),
    _story(
        name="macvlan-to-other-node",
        title=mark("Macvlan pod to another node"),
        question=mark(
            "Without the coordinator mac1 reaches node2, but not its own node. What is different about node2?"
        ),
        way=lambda settings: to_node("mac1", "node2"),
        claim=lambda settings: _SILENT,
    ),
)
