"""Starting the kubelet and kube-proxy on a node: look at the sysctl, make the jumps, rewrite the chains.

nf_conntrack_tcp_be_liberal is read here and only here, as by the real one: setting it later changes nothing until the
next start. The services are those the node ends up with; later changes of endpoints would only rewrite the same
chains. The kubelet starts first, so kube-proxy finds the jumps to KUBE-FIREWALL and KUBE-POSTROUTING in place and
leaves them where they are. Up to 1.26 KUBE-MARK-DROP and the drop of marked packets are the kubelet's; from 1.27 on
nothing it writes is needed by a packet.
Source: NewProxier() and syncProxyRules() in kubernetes pkg/proxy/iptables/proxier.go, pkg/proxy/conntrack/sysctls.go;
pkg/kubelet/kubelet_network_linux.go (of 1.24, of 1.25 and 1.26, and without the feature gate); KEP-3178
(IPTablesOwnershipCleanup: default from 1.27).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from ipaddress import IPv4Address

from mcnilib.cluster.intern import replace_chains
from mcnilib.cluster.kube_proxy.config import KubeProxy, RuleLine, Rules
from mcnilib.cluster.kube_proxy.ipvs import IPVS_SYSCTLS, WHY_IPVS, ipvs_jumps, ipvs_written
from mcnilib.cluster.kube_proxy.legacy import legacy_rules
from mcnilib.cluster.kube_proxy.modes import IPVS_DEVICE
from mcnilib.cluster.kube_proxy.nftables import kube_proxy_table
from mcnilib.cluster.kube_proxy.restore import ensure_chains, ensure_rules, restore
from mcnilib.cluster.kube_proxy.services import (
    MARTIANS,
    WHY_MARTIANS,
    jumps,
    last_rules,
    masquerading,
    service_rules,
    static_chains,
)
from mcnilib.cluster.kube_proxy.usable import as_seen
from mcnilib.cluster.kube_proxy.view import LARGE_CLUSTER, SERVICE_CHAINS, ServiceView
from mcnilib.cluster.spec import HostSpec, Service, mac_of
from mcnilib.errors import Unsupported
from mcnilib.gc_pause import gc_paused
from mcnilib.language import mark, tr
from mcnilib.linux.device.link import Link
from mcnilib.linux.device.nic import Dummy
from mcnilib.linux.netfilter.iptables.edit import find_table
from mcnilib.linux.netfilter.nftables.rule import NftTable
from mcnilib.linux.netns import Netns, add_address, add_link, set_sysctl
from mcnilib.linux.origin import Origin
from mcnilib.linux.sysctl import get_flag

DROP_MARK = "0x8000"
"""The mark for packets to be dropped: 1 << iptablesDropBit, 15 by default."""

DROP_MARKED = (
    '-A KUBE-FIREWALL -m comment --comment "kubernetes firewall for dropping marked packets" '
    f"-m mark --mark {DROP_MARK}/{DROP_MARK} -j DROP"
)

POSTROUTING = '-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING'


def start_kubelet(node: Netns, version: str) -> Netns:
    """Write the chains a kubelet of this minor version (`1.28`) keeps in a node."""

    def author(reason: str) -> Origin:
        return Origin(f"kubelet {version}", reason)

    rules = kubelet_rules(version)
    tables = ensure_rules(ensure_chains(node.ip4.tables, rules.chains), rules.lines, author)
    return node.with_ip4(tables=ensure_rules(tables, kubelet_jumps(version), author, on_top=True))


def kubelet_rules(version: str) -> Rules:
    """Return the chains and rules of the kubelet."""
    proxy = KubeProxy(version)
    martians = RuleLine("filter", MARTIANS, WHY_MARTIANS)
    hint = (("mangle", "KUBE-IPTABLES-HINT"),) if proxy.kubelet_writes_hint else ()
    canaries = tuple((table, "KUBE-KUBELET-CANARY") for table in ("mangle", "nat", "filter"))
    if proxy.kubelet_leaves_nat:
        return Rules((*hint, ("filter", "KUBE-FIREWALL")), (martians,))
    nat = (("nat", "KUBE-MARK-DROP"), ("nat", "KUBE-MARK-MASQ"), ("nat", "KUBE-POSTROUTING"))
    marked = RuleLine(
        "nat",
        f"-A KUBE-MARK-DROP -j MARK --set-xmark {DROP_MARK}/{DROP_MARK}",
        mark("marks packets for KUBE-FIREWALL to drop"),
    )
    drop = RuleLine("filter", DROP_MARKED, mark("drops packets kube-proxy marked: no endpoint may take them"))
    drops = (martians, drop) if proxy.kubelet_drops_marked_last else (drop, martians)
    return Rules((*hint, *canaries, *nat, ("filter", "KUBE-FIREWALL")), (marked, *drops, *masquerading(proxy)))


def kubelet_jumps(version: str) -> tuple[RuleLine, ...]:
    """Return the jumps from built-in chains, each put on top."""
    firewall = tuple(RuleLine("filter", f"-A {chain} -j KUBE-FIREWALL", WHY_MARTIANS) for chain in ("OUTPUT", "INPUT"))
    masquerade = RuleLine("nat", POSTROUTING, mark("to masquerade the connections marked on their way in"))
    return firewall if KubeProxy(version).kubelet_leaves_nat else (*firewall, masquerade)


BE_LIBERAL = "net.netfilter.nf_conntrack_tcp_be_liberal"

CANARIES = tuple((table, "KUBE-PROXY-CANARY") for table in ("mangle", "nat", "filter"))
"""Empty chains whose disappearance tells kube-proxy that somebody flushed iptables."""


@gc_paused()
def start_kube_proxy(netns: Netns, proxy: KubeProxy, node: HostSpec, services: tuple[Service, ...] = ()) -> Netns:
    """Write what kube-proxy writes when it starts on `node`; starting again is a restart."""
    if not proxy.starts:
        return netns
    netns = _sysctls(netns, proxy)
    if proxy.mode == "nftables":
        return _start_nftables(netns, proxy, node, services)
    if proxy.mode == "ipvs":
        return _start_ipvs(netns, proxy, node, services)
    own = () if proxy.answers_everywhere else _addresses(netns)
    written = rules(proxy, node, services, liberal=get_flag(netns.sysctls, BE_LIBERAL), own=own)
    wanted = tuple(jumps(proxy))
    targets = tuple((line.table, line.text.rsplit(" ", 1)[1]) for line in wanted)
    tables = ensure_rules(ensure_chains(netns.ip4.tables, (*CANARIES, *targets)), wanted, proxy.origin, on_top=True)
    tables = restore(tables, written, proxy.origin)
    kept = {name for _, name in written.chains}
    stale = [c for c in find_table(tables, "nat").by_name if c.startswith(SERVICE_CHAINS) and c not in kept]
    return netns.with_ip4(tables=replace_chains(tables, "nat", (), without=stale))


def _start_nftables(netns: Netns, proxy: KubeProxy, node: HostSpec, services: tuple[Service, ...]) -> Netns:
    """Write the table of the nftables mode; one that was there is replaced."""
    own = () if proxy.answers_everywhere else _addresses(netns)
    table = native_table(proxy, node, services, liberal=get_flag(netns.sysctls, BE_LIBERAL), own=own)
    others = tuple(there for there in netns.ip4.nft if there.title != table.title)
    return netns.with_ip4(nft=(*others, table))


def _start_ipvs(netns: Netns, proxy: KubeProxy, node: HostSpec, services: tuple[Service, ...]) -> Netns:
    """Write what the IPVS mode keeps: a device with the services' addresses, virtual servers, sets, rules."""
    other = (link for link in netns.links if link.name != IPVS_DEVICE)
    own = tuple(address.ip for link in other for address in link.addresses)
    written, sets, servers, bound = ipvs_written(proxy, node, services, own)
    by = proxy.origin(WHY_IPVS)
    netns = _bound(netns, bound, mac_of(node.name, IPVS_DEVICE), by)
    names = {ip_set.name for ip_set in sets}
    others = tuple(ip_set for ip_set in netns.sets if ip_set.name not in names)
    netns = netns.but(sets=(*others, *(replace(ip_set, origin=by) for ip_set in sets)))
    netns = netns.with_ip4(ipvs=tuple(server.by(by) for server in servers))
    wanted = tuple(ipvs_jumps(proxy))
    targets = [(line.table, line.text.rsplit(" ", 1)[1]) for line in wanted]
    targets += [] if proxy.drops_in_filter else [("nat", "KUBE-MARK-DROP")]
    tables = ensure_rules(ensure_chains(netns.ip4.tables, targets), wanted, proxy.origin, on_top=True)
    return netns.with_ip4(tables=restore(tables, written, proxy.origin))


def _bound(netns: Netns, addresses: tuple[IPv4Address, ...], mac: str, by: Origin) -> Netns:
    """Bind addresses to kube-ipvs0, which is made and stays down."""
    if not any(link.name == IPVS_DEVICE for link in netns.links):
        netns = add_link(netns, Link(IPVS_INDEX, IPVS_DEVICE, Dummy(), mac, up=False, origin=by))
    there = {address.ip for address in netns.link(IPVS_DEVICE).addresses}
    for ip in addresses:
        if ip not in there:
            netns = add_address(netns, IPVS_DEVICE, str(ip), origin=by)
    return netns


IPVS_INDEX = 8
"""Index of the device kube-ipvs0: below those of Calico's tunnels and of pods."""


@lru_cache(maxsize=1024)
def native_table(
    proxy: KubeProxy, node: HostSpec, services: tuple[Service, ...], *, liberal: bool, own: tuple[IPv4Address, ...] = ()
) -> NftTable:
    """Return the table of the nftables mode with its writer."""
    return kube_proxy_table(proxy, node, services, liberal=liberal, own=own).by(proxy.origin(WHY_NATIVE))


WHY_NATIVE = mark("kube-proxy's nftables mode: services, their endpoints, and what is masqueraded")


@lru_cache(maxsize=1024)
def rules(
    proxy: KubeProxy,
    node: HostSpec,
    services: tuple[Service, ...],
    *,
    liberal: bool = False,
    own: tuple[IPv4Address, ...] = (),
) -> Rules:
    """Return the chains kube-proxy owns and their rules, services by name; `liberal` as it was when kube-proxy started.

    `own` are the node's addresses, of which nodePortAddresses chooses. The real one walks its services in random
    order, so their order in KUBE-SERVICES means nothing. Raises: Unsupported for more than 1000 endpoints before 1.24.
    """
    write = legacy_rules if proxy.has_xlb_chains else service_rules
    large = sum(len(service.endpoints) for service in services) > LARGE_CLUSTER
    if large and proxy.has_xlb_chains:
        raise Unsupported(tr("more than {count} endpoints before kube-proxy 1.24", count=LARGE_CLUSTER))
    views = (ServiceView(proxy, node, s, large) for s in as_seen(proxy, services))
    parts = (static_chains(proxy, liberal=liberal), *(write(view) for view in views))
    return Rules.joined((*parts, Rules((), tuple(last_rules(proxy, own)))))


def _addresses(netns: Netns) -> tuple[IPv4Address, ...]:
    return tuple(address.ip for link in netns.links for address in link.addresses)


def _sysctls(netns: Netns, proxy: KubeProxy) -> Netns:
    for key, value, reason in _wanted_sysctls(proxy):
        if key in IPVS_SYSCTLS and get_flag(netns.sysctls, key):
            continue
        netns = set_sysctl(netns, key, value, proxy.origin(reason))
    return netns


def _wanted_sysctls(proxy: KubeProxy) -> Iterator[tuple[str, str, str]]:
    timeout = mark("connection timeouts of kube-proxy's own choice (conntrack section of its configuration)")
    yield "net.netfilter.nf_conntrack_tcp_timeout_established", "86400", timeout
    yield "net.netfilter.nf_conntrack_tcp_timeout_close_wait", "3600", timeout
    for key, reason in IPVS_SYSCTLS.items() if proxy.mode == "ipvs" else ():
        yield key, "1", reason
    if proxy.answers_localhost and proxy.mode == "iptables":
        yield "net.ipv4.conf.all.route_localnet", "1", mark("so that NodePorts answer on localhost")
    if proxy.tcp_be_liberal:
        yield BE_LIBERAL, "1", mark("conntrack.tcpBeLiberal is true; written before it is read")
