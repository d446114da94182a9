"""Macvlan pod to a ClusterIP with a Calico pod behind it: the node answers for its pod, and the path is symmetric."""

from __future__ import annotations

from mcnilib.cluster.settings import Protocol
from mcnilib.scenarios.scenario import Claim, Scenario, to_service

_CLAIM = Claim(
    "Macvlan Pod Accessing Calico Pod's Service",
    "kube-proxy rewrites the destination to the Calico pod and the source to the node's address, so the answer takes "
    "the same path back",
    works=True,
)

SCENARIO = Scenario(
    number=9,
    name="macvlan-to-clusterip-calico",
    title="Macvlan pod to a ClusterIP with a Calico endpoint",
    question=(
        "mac1 cannot talk to cal2 when it dials its address. It dials the service in front of cal2 instead, and the "
        "rule that drops INVALID packets is still there. What is different, and what if kube-proxy does not know the "
        "cluster CIDR?"
    ),
    settings=("endpoint", "encapsulation", "cluster_cidr", "kube_proxy", "be_liberal", "restarted", "protocol"),
    way=lambda settings: to_service("mac1", settings.endpoint),
    claim=lambda settings: _CLAIM,
    notebook="09-macvlan-to-clusterip-calico.ipynb",
    defaults=(("endpoint", "cal2"),),
    values=(("endpoint", ("cal1", "cal2")), ("protocol", (Protocol.TCP, Protocol.UDP))),
)
