"""Client to the NodePort of a multi-NIC pod: by which NIC the answer leaves is a matter of `ip rule`."""

from __future__ import annotations

from functools import partial

from mcnilib.cluster.settings import DefaultNic, Protocol, Settings, Tuning
from mcnilib.cluster.spec import CLUSTER
from mcnilib.language import mark
from mcnilib.scenarios.scenario import IN_MODES, Claim, Scenario, in_modes, of_iptables_mode, to_node_port

_SECTION = mark("Accessing NodePort of Calico-Macvlan Multi-NIC Pod (Figure 5, black)")

ASTRAY = Claim(
    _SECTION,
    mark("the answer leaves through net1, its addresses do not fit, and the client discards the packet"),
    works=False,
)

TUNED = Claim(_SECTION, mark("the rule for eth0's address sends the answer back through the node"), works=True)

NOTE = Claim(_SECTION, mark("note: with the default route on net1 the issue does not occur"), works=True)

_SILENT = Claim(_SECTION, mark("the client dials the pod's own node; other nodes are not mentioned"), works=None)

_SETTINGS = (
    *("default_nic", "tuning", "external_policy", "receiving_node"),
    *("kube_proxy", "kube_proxy_mode", "protocol"),
)

VALUES = (
    ("receiving_node", ("node2", "node1")),
    ("kube_proxy", IN_MODES),
    ("protocol", (Protocol.TCP, Protocol.UDP)),
)

DEFAULTS = (("endpoint", "mul2"), ("tuning", Tuning.NOT))


def _claim(settings: Settings) -> Claim:
    if settings.receiving_node != CLUSTER.pod("mul2").node:
        return _SILENT
    if settings.default_nic is DefaultNic.NET1:
        return NOTE
    return TUNED if settings.tuning is Tuning.TUNED else ASTRAY


_story = partial(
    Scenario,
    number=14,
    settings=_SETTINGS,
    claim=of_iptables_mode(_claim),
    notebook="14-nodeport-to-multi-nic.ipynb",
    values=VALUES,
    folded=("kube_proxy", "kube_proxy_mode"),
    apart=in_modes(of_version=True),
)

SCENARIOS = (
    _story(
        name="nodeport-to-multi-nic",
        title=mark("Client of the same subnet to the NodePort of a multi-NIC pod"),
        question=mark(
            "lan-client dials a NodePort on node2, whose endpoint is mul2's Calico address. The client is a "
            "neighbour of net1. Through which NIC does the answer leave?"
        ),
        way=lambda settings: to_node_port("lan-client", settings.receiving_node, "mul2"),
        defaults=DEFAULTS,
    ),
    _story(
        name="nodeport-to-multi-nic-from-outside",
        title=mark("Outside client to the NodePort of a multi-NIC pod"),
        question=mark(
            "Now the client is 1.1.1.1, behind the gateway. The guide's note says that a default route on net1 "
            "avoids the problem. Does it?"
        ),
        way=lambda settings: to_node_port("client", settings.receiving_node, "mul2"),
        defaults=(*DEFAULTS, ("default_nic", DefaultNic.NET1)),
    ),
)
