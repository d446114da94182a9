"""Starting kube-proxy on a node: look at the sysctl, make the jumps, rewrite the chains.

nf_conntrack_tcp_be_liberal is read here and only here, as by the real one: setting it later changes nothing until the
next start. The services are those the node ends up with; later changes of endpoints would only rewrite the same
chains.
Source: NewProxier() and syncProxyRules() in kubernetes pkg/proxy/iptables/proxier.go, pkg/proxy/conntrack/sysctls.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from mcnilib.cluster.intern import put_chains
from mcnilib.cluster.kube_proxy.config import KubeProxy, Rules
from mcnilib.cluster.kube_proxy.legacy import legacy_rules
from mcnilib.cluster.kube_proxy.restore import ensure_chains, ensure_rules, restore
from mcnilib.cluster.kube_proxy.services import service_rules
from mcnilib.cluster.kube_proxy.static_chains import fixed, jumps, tail
from mcnilib.cluster.kube_proxy.view import SERVICE_CHAINS, View
from mcnilib.cluster.spec import Host, Service
from mcnilib.gc_pause import gc_paused
from mcnilib.linux.netfilter.iptables.edit import find_table
from mcnilib.linux.netns import Netns, set_sysctl
from mcnilib.linux.sysctl import flag

BE_LIBERAL = "net.netfilter.nf_conntrack_tcp_be_liberal"
CANARIES = tuple((table, "KUBE-PROXY-CANARY") for table in ("mangle", "nat", "filter"))
"""Empty chains whose disappearance tells kube-proxy that somebody flushed iptables."""


@gc_paused()
def start_kube_proxy(netns: Netns, proxy: KubeProxy, node: Host, services: tuple[Service, ...] = ()) -> Netns:
    """Write what kube-proxy writes when it starts on `node`; starting again is a restart."""
    netns = _sysctls(netns, proxy)
    written = rules(proxy, node, services, liberal=flag(netns.sysctls, BE_LIBERAL))
    wanted = tuple(jumps(proxy))
    targets = tuple((line.table, line.text.rsplit(" ", 1)[1]) for line in wanted)
    tables = ensure_rules(ensure_chains(netns.tables, (*CANARIES, *targets)), wanted, proxy.origin, on_top=True)
    tables = restore(tables, written, proxy.origin)
    kept = {name for _, name in written.chains}
    stale = [c for c in find_table(tables, "nat").by_name if c.startswith(SERVICE_CHAINS) and c not in kept]
    return netns.but(tables=put_chains(tables, "nat", (), without=stale))


@lru_cache(maxsize=1024)
def rules(proxy: KubeProxy, node: Host, services: tuple[Service, ...], *, liberal: bool = False) -> Rules:
    """Return the chains kube-proxy owns and their rules, services by name; `liberal` as it was when kube-proxy started.

    The real one walks its services in random order, so their order in KUBE-SERVICES means nothing.
    """
    write = legacy_rules if proxy.has_xlb_chains else service_rules
    views = (View(proxy, node, s) for s in sorted(services, key=lambda s: s.full_name))
    parts = (fixed(proxy, liberal=liberal), *(write(view) for view in views))
    return Rules.joined((*parts, Rules((), (tail(proxy),))))


def _sysctls(netns: Netns, proxy: KubeProxy) -> Netns:
    for key, value, why in _wanted_sysctls(proxy):
        netns = set_sysctl(netns, key, value, proxy.origin(why))
    return netns


def _wanted_sysctls(proxy: KubeProxy) -> Iterator[tuple[str, str, str]]:
    timeout = "connection timeouts of kube-proxy's own choice (conntrack section of its configuration)"
    yield "net.netfilter.nf_conntrack_tcp_timeout_established", "86400", timeout
    yield "net.netfilter.nf_conntrack_tcp_timeout_close_wait", "3600", timeout
    if proxy.localhost_node_ports:
        yield "net.ipv4.conf.all.route_localnet", "1", "so that NodePorts answer on localhost"
    if proxy.tcp_be_liberal:
        yield BE_LIBERAL, "1", "conntrack.tcpBeLiberal is true; written before it is read"
