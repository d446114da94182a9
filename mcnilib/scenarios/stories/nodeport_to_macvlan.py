"""Outside client to the NodePort of a Macvlan pod: the answer would leave by eth0, a mark brings it back to veth0."""

from __future__ import annotations

from functools import partial

from mcnilib.cluster.settings import Protocol, Settings
from mcnilib.cluster.spec import CLUSTER, TrafficPolicy
from mcnilib.language import mark
from mcnilib.scenarios.scenario import IN_MODES, Claim, DialTarget, Scenario, in_modes, of_iptables_mode, to_node_port

_SECTION = mark("Macvlan Pod Access to Service: Accessing NodePort Service (Figure 2, red)")

LOST = Claim(
    _SECTION, mark("the answer takes the pod's default route by eth0, so the communication fails"), works=False
)

MARKED = Claim(
    _SECTION,
    mark(
        "a mark on what comes in by veth0 and a rule for the mark send the answer back to the node, "
        "which translates it for the client"
    ),
    works=True,
)

_SILENT = Claim(
    _SECTION,
    mark(
        "only externalTrafficPolicy Local is described, with the pod on the node the client dials and no "
        "rp_filter in it"
    ),
    works=None,
)

_SETTINGS = (
    *("external_policy", "endpoint", "mark_rules", "pod_rp_filter"),
    *("kube_proxy", "kube_proxy_mode", "protocol"),
)

_VALUES = (("kube_proxy", IN_MODES), ("protocol", (Protocol.TCP, Protocol.UDP)))


def _claim(settings: Settings, way: DialTarget) -> Claim:
    local = CLUSTER.node(CLUSTER.pod(way.server).node).address.ip == way.to
    if settings.external_policy is not TrafficPolicy.LOCAL or not local or settings.pod_rp_filter:
        return _SILENT
    return MARKED if settings.mark_rules else LOST


def _from_outside(settings: Settings) -> DialTarget:
    return to_node_port("client", "node3", settings.endpoint)


def _from_lan(settings: Settings) -> DialTarget:
    return to_node_port("lan-client", "node1", settings.endpoint)


_story = partial(
    Scenario,
    number=5,
    settings=_SETTINGS,
    notebook="05-nodeport-to-macvlan.ipynb",
    folded=("kube_proxy", "kube_proxy_mode"),
    apart=in_modes(("pod_rp_filter", (0,)), of_version=True),
)

SCENARIOS = (
    _story(
        name="nodeport-to-macvlan",
        title=mark("Outside client to the NodePort of a Macvlan pod"),
        question=mark(
            "The client 1.1.1.1 dials a NodePort on node3, whose endpoint is mac3. Through which NIC does the answer "
            "leave the pod, and what does the client see?"
        ),
        way=_from_outside,
        claim=of_iptables_mode(lambda settings: _claim(settings, _from_outside(settings))),
        defaults=(("mark_rules", False), ("endpoint", "mac3")),
        values=(("endpoint", ("mac3", "mac4")), *_VALUES),
    ),
    _story(
        name="nodeport-to-macvlan-from-lan",
        title=mark("Client of the same subnet to the NodePort of a Macvlan pod"),
        question=mark("The client is in the pod's own subnet. Does its connection work?"),
        way=_from_lan,
        claim=of_iptables_mode(lambda settings: _claim(settings, _from_lan(settings))),
        defaults=(("mark_rules", False), ("endpoint", "mac1")),
        values=(("endpoint", ("mac1", "mac2")), *_VALUES),
    ),
)
