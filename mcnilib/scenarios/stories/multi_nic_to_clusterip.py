"""Multi-NIC pod to a ClusterIP: out by eth0 in any case, and it is not always kube-proxy that rewrites the source."""

from __future__ import annotations

from mcnilib.cluster.settings import Protocol, Settings
from mcnilib.cluster.spec import CLUSTER, PodKind
from mcnilib.language import mark
from mcnilib.scenarios.scenario import IN_MODES, Claim, Scenario, in_modes, of_iptables_mode, to_service

_CALICO = Claim(
    mark("Calico-Macvlan Multi-NIC Pod Accessing ClusterIP (endpoint using Calico network; Figure 5, blue)"),
    mark("eth0 carries it to the node, kube-proxy resolves the ClusterIP, and the answer comes back through that node"),
    works=True,
)

_MACVLAN = Claim(
    mark("Calico-Macvlan Multi-NIC Pod Accessing ClusterIP (endpoint using Macvlan network; Figure 5, red)"),
    mark("the node rewrites the source to its own address, and the answer comes back through that node"),
    works=True,
)


def _claim(settings: Settings) -> Claim:
    return _MACVLAN if CLUSTER.pod(settings.endpoint).kind is PodKind.MACVLAN else _CALICO


SCENARIO = Scenario(
    number=13,
    name="multi-nic-to-clusterip",
    title=mark("Multi-NIC pod to a ClusterIP"),
    question=mark(
        "mul2 dials demo/web, whose endpoint is mac1 on node1. Spiderpool's guide says the source is rewritten to the "
        "node's address. Does kube-proxy do it, or Calico? Which setting shows it?"
    ),
    settings=("endpoint", "nat_outgoing", "default_nic", "kube_proxy", "kube_proxy_mode", "protocol"),
    folded=("kube_proxy", "kube_proxy_mode"),
    apart=in_modes(of_version=True),
    way=lambda settings: to_service("mul2", settings.endpoint),
    claim=of_iptables_mode(_claim),
    notebook="13-multi-nic-to-clusterip.ipynb",
    defaults=(("endpoint", "mac1"), ("nat_outgoing", False)),
    values=(
        ("endpoint", ("cal1", "cal2", "mac1", "mac2")),
        ("kube_proxy", IN_MODES),
        ("protocol", (Protocol.TCP, Protocol.UDP)),
    ),
)
