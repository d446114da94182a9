"""Questions users of such clusters asked in public, as scenarios of the one cluster: what is missing is one setting."""

from __future__ import annotations

from mcnilib.cluster.addons import DNS_ADDRESS, DNS_PORT, SIDECAR_PORT
from mcnilib.cluster.settings import Encapsulation, Hijack, Placement, Protocol, Settings
from mcnilib.language import mark
from mcnilib.scenarios.scenario import Claim, DialTarget, Scenario, by_placement, to_service

_SECTION = mark("A case from practice")

_POOL = Claim(_SECTION, mark("the guide has one pool, which is enabled"), works=None)

_SIDECAR = Claim(_SECTION, mark("the guide does not mention a service mesh"), works=None)

_CACHE = Claim(_SECTION, mark("the guide does not mention a DNS cache on the node"), works=None)

_TCP_UDP = ("protocol", (Protocol.TCP, Protocol.UDP))


def _behind_a_sidecar(settings: Settings) -> DialTarget:
    """Dial the service; the sidecar takes TCP alone."""
    way = to_service("cal3", settings.endpoint)
    intercepted = settings.sidecar and settings.protocol is Protocol.TCP
    return DialTarget(way.client, way.server, way.to, way.port, listens=SIDECAR_PORT if intercepted else way.listens)


SCENARIOS = (
    Scenario(
        number=18,
        name="macvlan-to-disabled-pool",
        title=mark("Macvlan pod to a Calico pod of a disabled pool"),
        question=mark(
            "The Calico pool is disabled: its pods go on, new ones come from elsewhere. mac1 was created afterwards "
            "and dials such a pod. Which of mac1's routes does the packet take?"
        ),
        settings=("hijack", "encapsulation", "placement", "protocol"),
        way=lambda settings: DialTarget("mac1", by_placement(settings, "cal1", "cal2")),
        claim=lambda settings: _POOL,
        notebook="18-macvlan-to-disabled-pool.ipynb",
        defaults=(
            ("hijack", Hijack.NO_POOL),
            ("encapsulation", Encapsulation.VXLAN),
            ("placement", Placement.SAME_NODE),
        ),
        values=(("hijack", (Hijack.ALL, Hijack.NO_POOL)),),
    ),
    Scenario(
        number=20,
        name="clusterip-to-macvlan-with-sidecar",
        title=mark("ClusterIP of a Macvlan pod with a sidecar"),
        question=mark(
            "cal3 asks demo/web. The endpoint is a Macvlan pod whose sidecar takes each connection first. Which "
            "address does REDIRECT write into the packet?"
        ),
        settings=("endpoint", "sidecar", "veth_address", "pod_rp_filter", "protocol"),
        way=_behind_a_sidecar,
        claim=lambda settings: _SIDECAR,
        notebook="20-sidecar-on-a-nic-without-address.ipynb",
        defaults=(("endpoint", "mac3"), ("sidecar", True)),
        values=(("endpoint", ("mac3", "mac4")), _TCP_UDP),
    ),
    Scenario(
        number=21,
        name="macvlan-to-node-local-dns",
        title=mark("Macvlan pod to the DNS cache of its node"),
        question=mark(
            "mac1 asks 169.254.25.10, an address that every node has. Through which NIC does it leave the pod?"
        ),
        settings=("hijack", "coordinator", "node_local_dns", "protocol"),
        way=lambda settings: DialTarget("mac1", "node1", DNS_ADDRESS, DNS_PORT, listens=DNS_PORT),
        claim=lambda settings: _CACHE,
        notebook="21-macvlan-to-node-local-dns.ipynb",
        defaults=(("hijack", Hijack.NO_LINK_LOCAL), ("node_local_dns", True), ("protocol", Protocol.UDP)),
        values=(("hijack", (Hijack.ALL, Hijack.NO_LINK_LOCAL)),),
    ),
)
