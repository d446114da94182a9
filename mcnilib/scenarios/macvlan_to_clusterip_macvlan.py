"""Macvlan pod to a ClusterIP with a Macvlan pod behind it: who translates, and does the answer come back that way?"""

from __future__ import annotations

from mcnilib.cluster.settings import Protocol, Settings
from mcnilib.cluster.spec import CLUSTER
from mcnilib.scenarios.scenario import Claim, Scenario, Way
from mcnilib.scenarios.ways import to_service

SECTION = "Macvlan Pod Access to Service: ClusterIP (Figure 2, black)"
CLAIM = Claim(
    SECTION,
    "veth0 carries the request to the node, kube-proxy rewrites the destination to the endpoint and the source to the "
    "node's address, and the answer comes back through the node",
    works=True,
)
NO_VETH = Claim(SECTION, "the route in the pod that sends services through veth0 is taken for granted", works=None)
CLIENTS = {"node1": "mac1", "node3": "mac3", "node4": "mac3"}
"""Who asks for an endpoint on this node."""


def _way(settings: Settings) -> Way:
    return to_service(CLIENTS[CLUSTER.pod(settings.endpoint).node], settings.endpoint)


SCENARIO = Scenario(
    number=4,
    name="macvlan-to-clusterip-macvlan",
    title="Macvlan pod to a ClusterIP with a Macvlan endpoint",
    question=(
        "mac3 asks demo/web, and mac4, in its own subnet, has to answer. The request reaches mac4 - whom does mac4 "
        "answer, and what does mac3 make of it?"
    ),
    settings=("endpoint", "cluster_cidr", "masquerade_all", "coordinator", "protocol"),
    way=_way,
    claim=lambda settings: CLAIM if settings.coordinator else NO_VETH,
    notebook="04-macvlan-to-clusterip-macvlan.ipynb",
    defaults=(("endpoint", "mac4"), ("cluster_cidr", False)),
    values=(("endpoint", ("mac4", "mac1b", "mac3")), ("protocol", (Protocol.TCP, Protocol.UDP))),
)
