"""Macvlan pod to Calico pod: symmetric on one node, by two ways between nodes, past a router between node subnets.

On the same node both directions cross the node, so nothing is ever INVALID. Across nodes the reply takes another way
than the request, and conntrack notices. Across subnets the answer crosses a router that never saw the request.
"""

from __future__ import annotations

from mcnilib.cluster.settings import Encapsulation, PodPolicy, Settings, Workaround
from mcnilib.language import mark
from mcnilib.scenarios.scenario import Apart, Claim, DialTarget, Scenario, in_modes, of_iptables_mode

_SYMMETRIC = Claim(
    mark("Macvlan Access to Calico Pod: on the same node (Figure 3: 1)"),
    mark(
        "the request leaves through veth0 to the node and on to the Calico pod; "
        "the reply comes back by table 500 and the pod's veth"
    ),
    works=True,
)

_POLICED = Claim(
    mark("Macvlan Access to Calico Pod: on the same node (Figure 3: 1)"),
    mark("the guide does not speak of NetworkPolicies"),
    works=None,
)

_ACROSS_NODES = mark("Macvlan Access to Calico Pod: across nodes (nodes in same subnet, Figure 3: 2->2.1)")

_BROKEN = Claim(
    _ACROSS_NODES,
    mark(
        "the paths of request and reply differ, conntrack may call the packets invalid, and kube-proxy's rule "
        "drops them; below v1.29 this cannot be avoided"
    ),
    works=False,
)

CURED = Claim(
    _ACROSS_NODES,
    mark(
        "with Kubernetes 1.29, net.netfilter.nf_conntrack_tcp_be_liberal=1 on each node and kube-proxy restarted, "
        "the rule is not there and the pods communicate"
    ),
    works=True,
)


def _claim(settings: Settings) -> Claim:
    """Return the guide's promise: it knows of one cure only."""
    minor = int(settings.kube_proxy.split(".")[1])
    return CURED if minor >= 29 and settings.be_liberal and settings.restarted else _BROKEN


_ACROSS_SUBNETS = mark("Macvlan Access to Calico Pod: Figure 3, 2->2.2 (the text does not describe it)")

REJECTED = Claim(_ACROSS_SUBNETS, mark("the figure says of the answer: !!! reject by (stateful firewall)"), works=False)

_SILENT = Claim(_ACROSS_SUBNETS, mark("only the stateful firewall is drawn"), works=None)


_FEW = (
    ("kube_proxy", ("1.28", "1.30")),
    ("restarted", (True,)),
    ("felix_invalid", (True,)),
    ("node_rp_filter", (0,)),
    ("pod_rp_filter", (0,)),
)

_FEW_IN_A_MODE = (
    ("kube_proxy", ("1.28", "1.29", "1.30", "1.33", "1.35")),
    ("encapsulation", (Encapsulation.NONE, Encapsulation.VXLAN)),
    ("workaround", (Workaround.NONE, Workaround.NOTRACK)),
    ("node_rp_filter", (0,)),
    ("pod_rp_filter", (0,)),
)
"""With what the modes of kube-proxy are combined that have another table."""

SCENARIOS = (
    Scenario(
        number=6,
        name="macvlan-to-calico-same-node",
        title=mark("Macvlan pod to Calico pod, same node"),
        question=mark(
            "mac1 and cal1 run on node1. Which devices does the request cross? Does the reply take the same path?"
        ),
        settings=("kube_proxy", "be_liberal", "restarted", "network_policy", "protocol"),
        way=lambda settings: DialTarget("mac1", "cal1"),
        claim=lambda settings: _SYMMETRIC if settings.network_policy is PodPolicy.NONE else _POLICED,
        notebook="06-macvlan-to-calico-same-node.ipynb",
        folded=("network_policy",),
        apart=(Apart("network_policy", beside=_FEW),),
    ),
    Scenario(
        number=7,
        name="macvlan-to-calico-across-nodes",
        title=mark("Macvlan pod to Calico pod, across nodes"),
        question=mark(
            "mac1 on node1 dials cal2 on node2. At first the connection opens, and then nothing comes back. "
            "Which machine drops which packet?"
        ),
        settings=(
            "kube_proxy",
            "kube_proxy_mode",
            "be_liberal",
            "restarted",
            "encapsulation",
            "mtu",
            "felix_invalid",
            "workaround",
            "node_rp_filter",
            "pod_rp_filter",
            "protocol",
        ),
        way=lambda settings: DialTarget("mac1", "cal2"),
        claim=of_iptables_mode(_claim),
        notebook="07-macvlan-to-calico-across-nodes.ipynb",
        folded=("kube_proxy_mode", "encapsulation", "mtu", "felix_invalid", "node_rp_filter", "pod_rp_filter"),
        apart=(
            Apart("mtu", beside=_FEW),
            Apart("kube_proxy_mode", beside=_FEW_IN_A_MODE, values=("nftables",)),
            Apart("kube_proxy_mode", beside=_FEW_IN_A_MODE, values=("ipvs",)),
        ),
    ),
    Scenario(
        number=8,
        name="macvlan-to-calico-across-subnets",
        title=mark("Macvlan pod to Calico pod, across node subnets"),
        question=mark(
            "mac3 on node3 connects to cal2 on node2, in another subnet, at first with a firewall on the path. Which "
            "half of the conversation does the firewall see? Can anything you change on the nodes help?"
        ),
        settings=(
            *("stateful_gateway", "encapsulation"),
            *("kube_proxy", "kube_proxy_mode", "be_liberal", "restarted", "protocol"),
        ),
        folded=("kube_proxy_mode",),
        apart=in_modes(("encapsulation", (Encapsulation.NONE, Encapsulation.VXLAN))),
        way=lambda settings: DialTarget("mac3", "cal2"),
        claim=of_iptables_mode(lambda settings: REJECTED if settings.stateful_gateway else _SILENT),
        notebook="08-macvlan-to-calico-across-subnets.ipynb",
        defaults=(("stateful_gateway", True), ("encapsulation", Encapsulation.VXLAN)),
    ),
)
