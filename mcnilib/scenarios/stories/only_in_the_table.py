"""Pairs the guide's conclusion ticks without describing them: most work, and the exceptions teach something."""

from __future__ import annotations

from functools import partial

from mcnilib.cluster.settings import Encapsulation, Protocol, Tuning
from mcnilib.language import mark
from mcnilib.scenarios.scenario import (
    IN_MODES,
    Claim,
    DialTarget,
    Scenario,
    by_placement,
    in_modes,
    of_iptables_mode,
    to_service,
    to_underlay,
)

ROUTING = ("default_nic", "tuning", "placement", "protocol")

_OF_SERVICE = (("kube_proxy", IN_MODES), ("protocol", (Protocol.TCP, Protocol.UDP)))

_MODES = ("kube_proxy", "kube_proxy_mode")

_WITHOUT_IPIP = ("encapsulation", (Encapsulation.NONE, Encapsulation.VXLAN))


def _tick(pair: str) -> Claim:
    return Claim(mark("Conclusion: {pair}", pair=pair), mark("a tick, without condition"), works=True)


_TO_CALICO = _tick(mark("Calico Pod to Calico Pod"))

_TO_MULTI = _tick(mark("Calico Pod to Calico + Macvlan Multi-NIC Pod"))

TO_SERVICE = _tick(mark("Calico Pod to Service"))

MACVLAN_TO_SERVICE = _tick(mark("Macvlan Pod to Service for Calico + Macvlan Multi-NIC Pod"))

MULTI_TO_MULTI = _tick(mark("Calico + Macvlan Multi-NIC Pod to itself"))

MULTI_TO_SERVICE = _tick(mark("Calico + Macvlan Multi-NIC Pod to Service for Calico + Macvlan Multi-NIC Pod"))

_story = partial(Scenario, number=16, notebook="16-conclusion.ipynb")

SCENARIOS = (
    _story(
        name="calico-to-calico",
        title=mark("Calico pod to Calico pod, across nodes"),
        question=mark(
            "cal1 talks to cal2, as in any cluster with Calico alone. What carries the packet between the nodes?"
        ),
        settings=("encapsulation", "protocol"),
        way=lambda settings: DialTarget("cal1", "cal2"),
        claim=lambda settings: _TO_CALICO,
    ),
    _story(
        name="calico-to-multi-nic",
        title=mark("Calico pod to the Calico address of a multi-NIC pod"),
        question=mark("Through which NIC does mul1 answer a Calico pod, when its default route is on the other NIC?"),
        settings=ROUTING,
        way=lambda settings: DialTarget(by_placement(settings, "cal1", "cal2"), "mul1"),
        claim=lambda settings: _TO_MULTI,
    ),
    _story(
        name="calico-to-multi-nic-underlay",
        title=mark("Calico pod to the Macvlan address of a multi-NIC pod"),
        question=mark(
            "cal2 dials mul1's Macvlan address, at first with its own address: natOutgoing is off. Two NICs and two "
            "routing tables: where does mul1's answer go, and which machine cannot route it?"
        ),
        settings=("nat_outgoing", "encapsulation", "felix_invalid", *ROUTING),
        folded=("encapsulation", "felix_invalid"),
        way=lambda settings: to_underlay(by_placement(settings, "cal1", "cal2"), "mul1"),
        claim=lambda settings: _TO_MULTI,
        defaults=(("nat_outgoing", False), ("encapsulation", Encapsulation.VXLAN)),
    ),
    _story(
        name="calico-to-clusterip",
        title=mark("Calico pod to a ClusterIP"),
        question=mark("cal1 dials demo/web. Does it matter what kind of pod answers, and whether it is cal1 itself?"),
        settings=("endpoint", "nat_outgoing", "encapsulation", *_MODES, "protocol"),
        folded=_MODES,
        apart=in_modes(_WITHOUT_IPIP, of_version=True),
        way=lambda settings: to_service("cal1", settings.endpoint),
        claim=of_iptables_mode(lambda settings: TO_SERVICE),
        defaults=(("endpoint", "mac2"), ("nat_outgoing", False)),
        values=(("endpoint", ("cal1", "cal2", "mac1", "mac2", "mul1", "mul2")), *_OF_SERVICE),
    ),
    _story(
        name="macvlan-to-clusterip-multi-nic",
        title=mark("Macvlan pod to a ClusterIP with a multi-NIC endpoint"),
        question=mark(
            "mac1 dials demo/web; its endpoint mul2 has a NIC in mac1's subnet. Does mul2 answer through it?"
        ),
        settings=("endpoint", "cluster_cidr", "encapsulation", "tuning", *_MODES, "protocol"),
        folded=_MODES,
        apart=in_modes(_WITHOUT_IPIP, ("tuning", (Tuning.TUNED, Tuning.NOT)), of_version=True),
        way=lambda settings: to_service("mac1", settings.endpoint),
        claim=of_iptables_mode(lambda settings: MACVLAN_TO_SERVICE),
        defaults=(("endpoint", "mul2"), ("cluster_cidr", False)),
        values=(("endpoint", ("mul1", "mul2")), *_OF_SERVICE),
    ),
    _story(
        name="multi-nic-to-multi-nic",
        title=mark("Multi-NIC pod to multi-NIC pod, across nodes"),
        question=mark(
            "Both pods have a NIC in the same subnet. Which NICs carry a conversation of their Calico addresses?"
        ),
        settings=("default_nic", "tuning", "protocol"),
        way=lambda settings: DialTarget("mul1", "mul2"),
        claim=lambda settings: MULTI_TO_MULTI,
    ),
    _story(
        name="multi-nic-to-clusterip-multi-nic",
        title=mark("Multi-NIC pod to a ClusterIP with a multi-NIC endpoint"),
        question=mark("mul2 dials demo/web and is its only endpoint: it talks to itself. Which source does mul2 see?"),
        settings=("endpoint", "default_nic", "tuning", *_MODES, "protocol"),
        folded=_MODES,
        apart=in_modes(of_version=True),
        way=lambda settings: to_service("mul2", settings.endpoint),
        claim=of_iptables_mode(lambda settings: MULTI_TO_SERVICE),
        defaults=(("endpoint", "mul2"),),
        values=(("endpoint", ("mul1", "mul2")), *_OF_SERVICE),
    ),
)
