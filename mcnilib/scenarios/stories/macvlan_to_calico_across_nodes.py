"""Macvlan pod on node1 to Calico pod on node2: the reply takes another way than the request, and conntrack notices."""

from __future__ import annotations

from mcnilib.cluster.settings import Settings
from mcnilib.scenarios.scenario import Claim, DialTarget, Scenario

_SECTION = "Macvlan Access to Calico Pod: across nodes (nodes in same subnet, Figure 3: 2->2.1)"

_BROKEN = Claim(
    _SECTION,
    "the paths of request and reply differ, conntrack may call the packets invalid, and kube-proxy's rule drops them; "
    "below v1.29 this cannot be avoided",
    works=False,
)

CURED = Claim(
    _SECTION,
    "with Kubernetes 1.29, net.netfilter.nf_conntrack_tcp_be_liberal=1 on each node and kube-proxy restarted, "
    "the rule is not there and the pods communicate",
    works=True,
)


def _claim(settings: Settings) -> Claim:
    """Return the document's promise: it knows of one cure only."""
    minor = int(settings.kube_proxy.split(".")[1])
    return CURED if minor >= 29 and settings.be_liberal and settings.restarted else _BROKEN


SCENARIO = Scenario(
    number=7,
    name="macvlan-to-calico-across-nodes",
    title="Macvlan pod to Calico pod, across nodes",
    question=(
        "mac1 on node1 connects to cal2 on node2. The connection opens at once, and then nothing comes back. "
        "Who drops what?"
    ),
    settings=(
        "kube_proxy",
        "be_liberal",
        "restarted",
        "encapsulation",
        "felix_invalid",
        "workaround",
        "node_rp_filter",
        "pod_rp_filter",
        "protocol",
    ),
    way=lambda settings: DialTarget("mac1", "cal2"),
    claim=_claim,
    notebook="07-macvlan-to-calico-across-nodes.ipynb",
)
