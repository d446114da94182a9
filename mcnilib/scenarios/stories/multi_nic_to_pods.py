"""Multi-NIC pod to a Calico or a Macvlan pod: the most specific route decides, wherever the default route points.

The route for the pod network sends what goes to Calico pods by eth0; a Macvlan pod is in the subnet of net1, so the
packet goes straight over the underlay.
"""

from __future__ import annotations

from mcnilib.cluster.settings import DefaultNic, PodPolicy
from mcnilib.language import mark
from mcnilib.scenarios.scenario import Apart, Claim, DialTarget, Scenario, by_placement

_BY_ETH0 = Claim(
    mark("Calico + Macvlan Multi-NIC Pod Accessing Calico Pod (Figure 4, red)"),
    mark(
        "the route for the pod CIDR sends it through eth0 with the Calico address, and the answer comes back "
        "the same way"
    ),
    works=True,
)


_POLICED = Claim(
    mark("Calico + Macvlan Multi-NIC Pod Accessing Calico Pod (Figure 4, red)"),
    mark("the guide does not speak of NetworkPolicies"),
    works=None,
)


_BY_NET1 = Claim(
    mark("Calico + Macvlan Multi-NIC Pod Accessing Macvlan Pod (Figure 4, black)"),
    mark("the route of the Macvlan subnet sends it through net1, over the underlay to the pod and back"),
    works=True,
)

SCENARIOS = (
    Scenario(
        number=11,
        name="multi-nic-to-calico",
        title=mark("Multi-NIC pod to Calico pod"),
        question=mark(
            "At first mul1's default route is on net1. Through which NIC does its packet leave, with which source?"
        ),
        settings=("default_nic", "tuning", "placement", "network_policy", "protocol"),
        way=lambda settings: DialTarget("mul1", by_placement(settings, "cal1", "cal2")),
        claim=lambda settings: _BY_ETH0 if settings.network_policy is PodPolicy.NONE else _POLICED,
        notebook="11-multi-nic-to-calico.ipynb",
        folded=("network_policy",),
        apart=(Apart("network_policy"),),
        defaults=(("default_nic", DefaultNic.NET1),),
    ),
    Scenario(
        number=12,
        name="multi-nic-to-macvlan",
        title=mark("Multi-NIC pod to Macvlan pod"),
        question=mark("At first mul1's default route is on eth0. Does a packet for mac2 go through Calico?"),
        settings=("default_nic", "tuning", "placement", "protocol"),
        way=lambda settings: DialTarget("mul1", by_placement(settings, "mac1", "mac2")),
        claim=lambda settings: _BY_NET1,
        notebook="12-multi-nic-to-macvlan.ipynb",
    ),
)
