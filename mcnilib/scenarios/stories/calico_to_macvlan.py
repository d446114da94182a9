"""Calico pod to a Macvlan pod: natOutgoing makes the node speak for its pod; without it the answer goes astray."""

from __future__ import annotations

from mcnilib.language import mark
from mcnilib.scenarios.scenario import Claim, DialTarget, Scenario, by_placement, in_modes, of_iptables_mode

_CLAIM = Claim(mark("Conclusion: Calico Pod to Macvlan Pod"), mark("a tick, without condition"), works=True)

SCENARIO = Scenario(
    number=10,
    name="calico-to-macvlan",
    title=mark("Calico pod to Macvlan pod"),
    question=mark(
        "cal2 dials mac1, at first from node2 and with its own address, because natOutgoing is off. The SYN arrives. "
        "Which path does mac1's answer take, and which machine on it has not seen the SYN?"
    ),
    settings=("nat_outgoing", "placement", "kube_proxy", "kube_proxy_mode", "be_liberal", "restarted", "protocol"),
    folded=("kube_proxy_mode",),
    apart=in_modes(),
    way=lambda settings: DialTarget(by_placement(settings, "cal1", "cal2"), "mac1"),
    claim=of_iptables_mode(lambda settings: _CLAIM),
    notebook="10-calico-to-macvlan.ipynb",
    defaults=(("nat_outgoing", False),),
)
