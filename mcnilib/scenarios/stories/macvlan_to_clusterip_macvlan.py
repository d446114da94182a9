"""Macvlan pod to a ClusterIP with a Macvlan pod behind it: who translates, and does the answer come back that way?"""

from __future__ import annotations

from mcnilib.cluster.settings import Protocol, SettingError, Settings
from mcnilib.scenarios.scenario import Claim, DialTarget, Scenario, to_service

_SECTION = "Macvlan Pod Access to Service: ClusterIP (Figure 2, black)"

_CLAIM = Claim(
    _SECTION,
    "veth0 carries the request to the node, kube-proxy rewrites the destination to the endpoint and the source to the "
    "node's address, and the answer comes back through the node",
    works=True,
)

NO_VETH = Claim(_SECTION, "the route in the pod that sends services through veth0 is taken for granted", works=None)

CLIENTS = {"mac4": "mac3", "mac1b": "mac1", "mac3": "mac3"}
"""Who asks for this endpoint."""


def _way(settings: Settings) -> DialTarget:
    if settings.endpoint not in CLIENTS:
        raise SettingError(f"nobody asks for endpoint {settings.endpoint!r}; it is one of {', '.join(CLIENTS)}")
    return to_service(CLIENTS[settings.endpoint], settings.endpoint)


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
    claim=lambda settings: _CLAIM if settings.coordinator else NO_VETH,
    notebook="04-macvlan-to-clusterip-macvlan.ipynb",
    defaults=(("endpoint", "mac4"), ("cluster_cidr", False)),
    values=(("endpoint", tuple(CLIENTS)), ("protocol", (Protocol.TCP, Protocol.UDP))),
)
