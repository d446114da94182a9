"""Macvlan pod to a ClusterIP: who translates, and does the answer come back that way?

With a Calico pod behind it the node answers for its pod, and the path is symmetric.
"""

from __future__ import annotations

from mcnilib.cluster.settings import Encapsulation, Protocol, SettingError, Settings
from mcnilib.language import mark, tr
from mcnilib.scenarios.scenario import (
    IN_MODES,
    Apart,
    Claim,
    DialTarget,
    Scenario,
    in_modes,
    of_iptables_mode,
    to_service,
)

_SECTION = mark("Macvlan Pod Access to Service: ClusterIP (Figure 2, black)")

_TRANSLATED = Claim(
    _SECTION,
    mark(
        "veth0 carries the request to the node, kube-proxy rewrites the destination to the endpoint and the "
        "source to the node's address, and the answer comes back through the node"
    ),
    works=True,
)

NO_VETH = Claim(
    _SECTION, mark("the route in the pod that sends services through veth0 is taken for granted"), works=None
)

CLIENTS = {"mac4": "mac3", "mac1b": "mac1", "mac3": "mac3"}
"""Who asks for this endpoint."""


def _way(settings: Settings) -> DialTarget:
    if settings.endpoint not in CLIENTS:
        raise SettingError(
            tr(
                "no client for endpoint {endpoint!r}; it is one of {endpoints}",
                endpoint=settings.endpoint, endpoints=", ".join(CLIENTS),
            )
        )  # fmt: skip
    return to_service(CLIENTS[settings.endpoint], settings.endpoint)


_SYMMETRIC = Claim(
    mark("Macvlan Pod Accessing Calico Pod's Service"),
    mark(
        "kube-proxy rewrites the destination to the Calico pod and the source to the node's address, so the "
        "answer takes the same path back"
    ),
    works=True,
)


_FEW = (
    ("encapsulation", (Encapsulation.NONE, Encapsulation.VXLAN)),
    ("be_liberal", (False,)),
    ("restarted", (False,)),
)

SCENARIOS = (
    Scenario(
        number=4,
        name="macvlan-to-clusterip-macvlan",
        title=mark("Macvlan pod to a ClusterIP with a Macvlan endpoint"),
        question=mark(
            "mac3 dials demo/web, whose endpoint is mac4 in mac3's own subnet. The request reaches mac4. Where does "
            "mac4 send its answer, and does mac3 accept it?"
        ),
        settings=(
            *("endpoint", "cluster_cidr", "masquerade_all", "coordinator"),
            *("kube_proxy", "kube_proxy_mode", "protocol"),
        ),
        folded=("kube_proxy", "kube_proxy_mode"),
        apart=in_modes(("coordinator", (True,)), of_version=True),
        way=_way,
        claim=of_iptables_mode(lambda settings: _TRANSLATED if settings.coordinator else NO_VETH),
        notebook="04-macvlan-to-clusterip-macvlan.ipynb",
        defaults=(("endpoint", "mac4"), ("cluster_cidr", False)),
        values=(("endpoint", tuple(CLIENTS)), ("kube_proxy", IN_MODES), ("protocol", (Protocol.TCP, Protocol.UDP))),
    ),
    Scenario(
        number=9,
        name="macvlan-to-clusterip-calico",
        title=mark("Macvlan pod to a ClusterIP with a Calico endpoint"),
        question=mark(
            "mac1 cannot talk to cal2 when it dials its address. It dials the service in front of cal2 instead, and "
            "the rule that drops INVALID packets is still there. What is different, and what if kube-proxy does not "
            "know the cluster CIDR?"
        ),
        settings=(
            *("endpoint", "encapsulation", "mtu", "cluster_cidr"),
            *("kube_proxy", "kube_proxy_mode", "be_liberal", "restarted", "protocol"),
        ),
        folded=("encapsulation", "mtu", "kube_proxy", "kube_proxy_mode", "be_liberal", "restarted"),
        apart=(Apart("mtu", beside=(("kube_proxy", ("1.28",)), ("restarted", (False,)))), *in_modes(*_FEW)),
        way=lambda settings: to_service("mac1", settings.endpoint),
        claim=of_iptables_mode(lambda settings: _SYMMETRIC),
        notebook="09-macvlan-to-clusterip-calico.ipynb",
        defaults=(("endpoint", "cal2"),),
        values=(("endpoint", ("cal1", "cal2")), ("protocol", (Protocol.TCP, Protocol.UDP))),
    ),
)
