"""Multi-NIC pod to a Calico pod: the route for the pod network decides for eth0, wherever the default route points."""

from __future__ import annotations

from mcnilib.cluster.settings import DefaultNic, Placement, Settings
from mcnilib.scenarios.scenario import Claim, DialTarget, Scenario

_CLAIM = Claim(
    "Calico + Macvlan Multi-NIC Pod Accessing Calico Pod (Figure 4, red)",
    "the route for the pod CIDR sends it through eth0 with the Calico address, and the answer comes back the same way",
    works=True,
)


def _way(settings: Settings) -> DialTarget:
    return DialTarget("mul1", "cal1" if settings.placement is Placement.SAME_NODE else "cal2")


SCENARIO = Scenario(
    number=11,
    name="multi-nic-to-calico",
    title="Multi-NIC pod to Calico pod",
    question="mul1 has its default route on net1. By which NIC does a packet for cal2 leave, and with which address?",
    settings=("default_nic", "tuning", "placement", "protocol"),
    way=_way,
    claim=lambda settings: _CLAIM,
    notebook="11-multi-nic-to-calico.ipynb",
    defaults=(("default_nic", DefaultNic.NET1),),
)
