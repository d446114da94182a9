"""What a reader may change: every toggle is declared once; widgets, command line, sweeps and tables come from that.

`Settings()` is the usual, broken state the flagship scenario starts from. `build` reads the settings that change the
cluster; protocol, placement and receiving node choose the conversation and are read by the scenarios. Text forms:
`parse` reads `{"kube-proxy": "1.28"}`, `texts` prints it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from enum import Enum
from functools import cache
from itertools import product

from mcnilib.cluster.network_policy import PodPolicy
from mcnilib.cluster.option import Option, SettingError, choice_field, switch
from mcnilib.cluster.spec import CLUSTER, TrafficPolicy
from mcnilib.language import listed, mark, tr


class Encapsulation(Enum):
    """How Calico carries pod traffic between nodes."""

    NONE = "none"
    VXLAN = "VXLAN"
    IPIP = "IPIP"


class Protocol(Enum):
    """What the client speaks."""

    TCP = "TCP"
    UDP = "UDP"
    ICMP = "ICMP"


class Placement(Enum):
    """Where the two ends of a conversation run."""

    SAME_NODE = "same node"
    ACROSS_NODES = "across nodes"


class Workaround(Enum):
    """Something an administrator adds by hand to get asymmetric traffic through."""

    NONE = "none"
    SNAT = mark("SNAT on the pod's node")
    ROUTE_BACK = mark("host route back")
    NOTRACK = mark("NOTRACK for the pod's veth")


class MacvlanMode(Enum):
    """Mode of the Macvlan children: who may talk to whom on one lower device."""

    BRIDGE = "bridge"
    PRIVATE = "private"
    VEPA = "vepa"


class Hijack(Enum):
    """Which prefixes the coordinator routes through the node, in the Macvlan pods and multi-NIC pods it sets up."""

    ALL = "all"
    NO_POOL = mark("not the pool")
    NO_LINK_LOCAL = "not link-local"


class DefaultNic(Enum):
    """The NIC of a multi-NIC pod that holds the default route."""

    ETH0 = "eth0"
    NET1 = "net1"


class Tuning(Enum):
    """Which `from` rules the coordinator writes into a multi-NIC pod."""

    TUNED = "tuned"
    V0_8_6 = "v0.8.6"
    NOT = "not tuned"


VERSIONS = tuple(f"1.{minor}" for minor in range(22, 38))
"""Minor releases of Kubernetes whose kube-proxy is modelled."""


CALICO_VERSIONS = ("3.26", "3.27", "3.28.1", "3.28", "3.29", "3.30", "3.31.5", "3.31", "3.32.0", "3.32", "3.33")
"""Releases of Calico that are modelled: two numbers mean the last patch release, three that one and those before."""


class PodMtu(Enum):
    """What somebody wrote into the MTU settings of Calico and Spiderpool."""

    AUTO = "auto"
    PODS = mark("1500 in pods")
    TUNNELS = mark("1500 in tunnels too")
    VETH = mark("vethMTU 1450")


OFF_ON, NO_YES, DIGITS = ("off", "on"), ("no", "yes"), ("0", "1")

__all__ = [
    "CALICO_VERSIONS",
    "VERSIONS",
    "DefaultNic",
    "Encapsulation",
    "Hijack",
    "MacvlanMode",
    "Option",
    "Placement",
    "PodMtu",
    "PodPolicy",
    "Protocol",
    "SettingError",
    "Settings",
    "TrafficPolicy",
    "Tuning",
    "Workaround",
    "option",
    "options",
    "sweep",
]


@dataclass(frozen=True)
class Settings:
    """What a reader may change. Each field is one toggle in every notebook that names it."""

    kube_proxy: str = choice_field(
        mark("kube-proxy version"),
        *VERSIONS,
        default="1.28",
        help=mark("kube-proxy 1.29 and later writes no INVALID drop "
                  "if nf_conntrack_tcp_be_liberal is 1 when it starts"),
        changes=mark("the rules kube-proxy writes; KUBE-FORWARD in table filter"),
    )  # fmt: skip
    kube_proxy_mode: str = choice_field(
        mark("kube-proxy mode"),
        "iptables",
        "nftables",
        "ipvs",
        default="iptables",
        help=mark("nftables: kube-proxy 1.29 and later writes the table `ip kube-proxy` of nftables; from 1.30 on "
                  "without a drop of INVALID packets; before 1.29 it does not know the mode and writes nothing. "
                  "ipvs: virtual servers of IPVS, with no such drop in any version"),
        changes=mark("mode of the KubeProxyConfiguration (--proxy-mode): the rules kube-proxy writes"),
    )  # fmt: skip
    be_liberal: bool = switch(
        "nf_conntrack_tcp_be_liberal",
        DIGITS,
        default=False,
        help=mark("with 1, conntrack accepts TCP segments outside the window; with 0 it calls them INVALID"),
        changes="sysctl net.netfilter.nf_conntrack_tcp_be_liberal on every node",
    )
    restarted: bool = switch(
        mark("kube-proxy restarted since"),
        NO_YES,
        default=False,
        help=mark("whether kube-proxy was restarted after the sysctl was set; it reads the sysctl only when it starts"),
        changes=mark("the order of events"),
    )
    encapsulation: Encapsulation = choice_field(
        "encapsulation",
        *Encapsulation,
        default=Encapsulation.NONE,
        help=mark("how Calico carries pod traffic between nodes"),
        changes=mark("ipipMode and vxlanMode of the IPPool: tunnel devices and block routes"),
    )
    mtu: PodMtu = choice_field(
        "MTU",
        *PodMtu,
        default=PodMtu.AUTO,
        help=mark("auto: the pods get what the tunnel leaves; 1500 in pods: no room for its headers; in tunnels too: "
                  "the tunnel device as well; vethMTU 1450: the pair of Macvlan pods has less, those of Calico 1500"),
        changes=mark("veth_mtu of calico-config, vxlanMTU and ipipMTU of the FelixConfiguration, vethMTU of the "
                     "SpiderCoordinator"),
    )  # fmt: skip
    felix_invalid: bool = switch(
        mark("Felix drops INVALID"),
        OFF_ON,
        default=True,
        help=mark("Felix's own INVALID drop for packets from and to Calico pods"),
        changes=mark("disableConntrackInvalidCheck of the FelixConfiguration"),
    )
    network_policy: PodPolicy = choice_field(
        "NetworkPolicy",
        *PodPolicy,
        default=PodPolicy.NONE,
        help=mark("for all pods: deny ingress, or egress; from pods: only the pods of the namespace may send to them; "
                  "from addresses: the Macvlan subnets too; port 8080: everybody may send, to that port alone"),
        changes=mark("the NetworkPolicies of the namespace: chains of Felix, for pods with a NIC of Calico"),
    )  # fmt: skip
    workaround: Workaround = choice_field(
        "workaround",
        *Workaround,
        default=Workaround.NONE,
        help=mark("a rule or route added by hand so that asymmetric traffic passes"),
        changes=mark("one rule or one route on the nodes"),
    )
    node_rp_filter: int = choice_field(
        "node rp_filter",
        *(0, 1, 2),
        default=0,
        help=mark("reverse path filter of the nodes: 0 off, 1 strict, 2 loose"),
        changes="sysctl net.ipv4.conf.all.rp_filter on every node",
    )
    pod_rp_filter: int = choice_field(
        "pod rp_filter",
        *(0, 1, 2),
        default=0,
        help=mark("reverse path filter inside Macvlan pods: 0 off, 1 strict, 2 loose"),
        changes=mark("podRPFilter of the SpiderCoordinator: sysctl net.ipv4.conf.all.rp_filter in the pods"),
    )
    protocol: Protocol = choice_field(
        "protocol", *Protocol, default=Protocol.TCP,
        help=mark("the client's protocol"), changes=mark("the client program"),
    )  # fmt: skip
    placement: Placement = choice_field(
        "placement",
        *Placement,
        default=Placement.ACROSS_NODES,
        help=mark("whether the two ends run on one node"),
        changes=mark("which pods talk"),
    )
    macvlan_mode: MacvlanMode = choice_field(
        "Macvlan mode",
        *MacvlanMode,
        default=MacvlanMode.BRIDGE,
        help=mark("whether Macvlan pods of one node may talk directly"),
        changes=mark("`mode` of the Macvlan CNI: the kind of the pods' NICs"),
    )
    gateway: bool = switch(
        "gateway",
        ("absent", "present"),
        default=True,
        help=mark("whether a router connects the two subnets and the outside"),
        changes=mark("the cables of the gateway"),
    )
    stateful_gateway: bool = switch(
        "gateway firewall",
        ("none", "stateful"),
        default=False,
        help=mark("a firewall in the gateway that drops packets of connections whose first packet it has not seen"),
        changes="table filter of the gateway",
    )
    hairpin: bool = switch(
        mark("switch reflects frames"),
        NO_YES,
        default=False,
        help=mark("whether a switch sends a frame back out of the port through which it came in"),
        changes=mark("the switches (hairpin mode, reflective relay)"),
    )
    coordinator: bool = switch(
        "Spiderpool coordinator",
        OFF_ON,
        default=True,
        help=mark("veth0, routes and table 500 for Macvlan pods"),
        changes=mark("the plugin chain of the pods' network attachment"),
    )
    hijack: Hijack = choice_field(
        mark("routes through the node"),
        *Hijack,
        default=Hijack.ALL,
        help=mark(
            "all: services, the Calico pool and 169.254.0.0/16; not the pool: a disabled pool is "
            "left out; not link-local: hijackCIDR is empty"
        ),
        changes=mark("overlayPodCIDR and hijackCIDR of the SpiderCoordinator: routes in pods with a Macvlan NIC"),
    )
    veth_address: bool = switch(
        "address on veth0",
        NO_YES,
        default=False,
        help=mark("whether veth0 of single-NIC Macvlan pods has the address 169.254.200.1"),
        changes=mark("vethLinkAddress of the SpiderCoordinator"),
    )
    sidecar: bool = switch(
        mark("sidecar in Macvlan pods"),
        OFF_ON,
        default=False,
        help=mark("a service mesh redirects each TCP connection that comes into a single-NIC Macvlan pod "
                  "to port 15006"),
        changes=mark("table nat of single-NIC Macvlan pods: the inbound chains of Istio"),
    )  # fmt: skip
    node_local_dns: bool = switch(
        "NodeLocal DNSCache",
        OFF_ON,
        default=False,
        help=mark("each node has a DNS cache at 169.254.25.10"),
        changes=mark("an address, tables raw and filter of every node"),
    )
    mark_rules: bool = switch(
        mark("mark rules in the pod"),
        OFF_ON,
        default=True,
        help=mark("MARK, CONNMARK, rule 1000 and table 100, which send replies back through veth0"),
        changes="table mangle, ip rule and table 100 of single-NIC Macvlan pods",
    )
    cluster_cidr: bool = switch(
        mark("kube-proxy knows the cluster CIDR"),
        NO_YES,
        default=True,
        help=mark("kube-proxy knows the pod network, so it masquerades clients from outside it that dial a cluster IP"),
        changes=mark("clusterCIDR of kube-proxy: the `! -s` rules in KUBE-SVC"),
    )
    masquerade_all: bool = switch(
        "masqueradeAll",
        OFF_ON,
        default=False,
        help=mark("kube-proxy masquerades every client of a cluster IP"),
        changes="iptables.masqueradeAll of kube-proxy",
    )
    endpoint: str = choice_field(
        mark("endpoint of demo/web"),
        *(pod.name for pod in CLUSTER.pods),
        "none",
        default="mac4",
        help=mark("the pod behind the service; its NodePort is 32567 for a multi-NIC pod, else 32456"),
        changes=mark("the EndpointSlice of service demo/web"),
    )
    external_policy: TrafficPolicy = choice_field(
        "externalTrafficPolicy",
        *TrafficPolicy,
        default=TrafficPolicy.LOCAL,
        help=mark("with Local, only endpoints on the dialled node get traffic, and they see the client's address"),
        changes=mark("externalTrafficPolicy of service demo/web"),
    )
    receiving_node: str = choice_field(
        "receiving node",
        *(node.name for node in CLUSTER.nodes),
        default="node2",
        help=mark("the node whose address and NodePort an outside client dials"),
        changes=mark("the address the client dials"),
    )
    nat_outgoing: bool = switch(
        "natOutgoing",
        OFF_ON,
        default=True,
        help=mark("Calico masquerades packets from pods to addresses outside the pod network"),
        changes=mark("natOutgoing of the IPPool: cali-nat-outgoing in table nat"),
    )
    default_nic: DefaultNic = choice_field(
        "default-route NIC",
        *DefaultNic,
        default=DefaultNic.ETH0,
        help=mark("which NIC of a multi-NIC pod holds the default route"),
        changes=mark("annotation ipam.spidernet.io/default-route-nic of multi-NIC pods"),
    )
    tuning: Tuning = choice_field(
        "policy routing",
        *Tuning,
        default=Tuning.TUNED,
        help=mark(
            "tuned: a `from` rule for each NIC that needs one; v0.8.6 (and older): a rule only for "
            "the NIC without the default route; not tuned: no rule, and a default route on each NIC"
        ),
        changes=mark("tunePodRoutes of the SpiderCoordinator: ip rule and tables 100 and 101 of multi-NIC pods"),
    )
    calico: str = choice_field(
        mark("Calico version"), *CALICO_VERSIONS, default="3.32",
        help=mark("which release of Calico wrote the rules, sets and routes of the nodes"),
        changes=mark("what Felix and BIRD write; no lesson ends otherwise for it"),
    )  # fmt: skip
    calico_dataplane: str = choice_field(
        mark("Calico dataplane"), "iptables", "nftables", default="iptables",
        help=mark("nftables: Felix writes the table `ip calico` of nftables; modelled from Calico 3.30 on"),
        changes=mark("nftablesMode of the FelixConfiguration: how Felix writes its rules"),
    )  # fmt: skip

    @classmethod
    def of(cls, **values: object) -> Settings:
        """Return the settings with some values changed; a value may be given as itself or as its text."""
        return cls().but(**values)

    @classmethod
    def parse(cls, texts: Mapping[str, str]) -> Settings:
        """Read settings from command line words: `{"kube-proxy": "1.28"}`; names may carry `--` or underscores.

        Raises: SettingError for an unknown name or value, naming the nearest one that exists.
        """
        read = ((option(name), text) for name, text in texts.items())
        return replace(cls(), **{o.attribute: o.read(text) for o, text in read})  # type: ignore[arg-type]

    def but(self, **values: object) -> Settings:
        """Return the same settings with some values changed; SettingError for a name or value that does not exist."""
        return replace(self, **{option(n).attribute: _value(option(n), v) for n, v in values.items()})  # type: ignore[arg-type]

    def texts(self, *, changed: bool = False) -> dict[str, str]:
        """Return every setting's text by option name; with `changed` only those that differ from the default."""
        pairs = ((o, getattr(self, o.attribute)) for o in options())
        return {o.name: o.text(value) for o, value in pairs if not (changed and value == o.default)}

    def __str__(self) -> str:
        return " ".join(f"--{name} {_quoted(text)}" for name, text in self.texts(changed=True).items()) or "defaults"


SHORT = {"mode": "kube-proxy-mode"}
"""Shorter names for settings, as they may be typed."""


@cache
def options() -> tuple[Option, ...]:
    """Return all settings in the order of declaration."""
    return tuple(Option(f.name.replace("_", "-"), f.name, default=f.default, **f.metadata) for f in fields(Settings))


@cache
def option(name: str) -> Option:
    """Return a setting by its name, as an option (`--kube-proxy`, `kube-proxy`) or attribute (`kube_proxy`)."""
    plain = name.removeprefix("--").replace("_", "-")
    plain = SHORT.get(plain, plain)
    by_name = {o.name: o for o in options()}
    if plain in by_name:
        return by_name[plain]
    near = get_close_matches(plain, by_name, n=1, cutoff=0.4)
    said = {"name": name, "names": listed(by_name)}
    said["question"] = tr("did you mean {near!r}? ", near=near[0]) if near else ""
    raise SettingError(tr("there is no setting {name!r}: {question}settings are {names}", **said))


def sweep(base: Settings, *names: str | Option) -> Iterator[Settings]:
    """Yield every combination of the named settings, the others as in `base`; the last name changes fastest.

    An Option stands for the values it has, for example those left by `Option.only`.
    """
    chosen = [name if isinstance(name, Option) else option(name) for name in names]
    for values in product(*(o.values for o in chosen)):
        yield base.but(**{o.attribute: value for o, value in zip(chosen, values, strict=True)})


def _value(which: Option, value: object) -> object:
    if isinstance(value, str) and value not in which.values:
        return which.read(value)
    which.text(value)
    return value


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text else text
