"""The cluster under some settings: every component started in the order of real events, on the machines of `spec`.

kube-proxy reads nf_conntrack_tcp_be_liberal only when it starts; `restarted` therefore is nothing but one more event
behind the `sysctl -w`. kubelet and kube-proxy start before Calico, so Felix puts its jumps above theirs; pods follow.
kube-proxy is given the endpoints the service ends up with, and writes the plain rules of 1.31 and later (no nfacct
counters), as it does where the counters cannot be created.
Start here to see who writes what: `events` lists the history, `build` returns where it leads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from mcnilib.cluster import addons, underlay, workarounds
from mcnilib.cluster.cni import calico, macvlan, spiderpool
from mcnilib.cluster.cni.calico.config import NODE_MTU, Calico, Workload
from mcnilib.cluster.cni.spiderpool import Coordinator
from mcnilib.cluster.event import Change, Event, Plugin, apply, change
from mcnilib.cluster.kube_proxy import BE_LIBERAL, KubeProxy, start_kube_proxy, start_kubelet
from mcnilib.cluster.network_policy import APPLIED, PodPolicy
from mcnilib.cluster.settings import DefaultNic, Encapsulation, PodMtu, Settings, Tuning, Workaround
from mcnilib.cluster.spec import CLUSTER, Cluster, Pod, PodKind, TrafficPolicy
from mcnilib.language import mark
from mcnilib.linux.netns import Netns, new_netns, set_sysctl
from mcnilib.linux.origin import Origin
from mcnilib.world.world import Segment, World

__all__ = ["Change", "Event", "build", "events"]

LESS_VETH_MTU = 1450
"""What leaves room for the headers of VXLAN, and more than enough for those of IPIP."""

State = Mapping[str, Netns]


def build(settings: Settings, cluster: Cluster = CLUSTER) -> World:
    """Return the world the settings lead to; the same settings give the same object."""
    return _play(settings, cluster).world


def events(settings: Settings, cluster: Cluster = CLUSTER) -> tuple[Event, ...]:
    """Return the history that leads to the world of the settings, in order."""
    return _play(settings, cluster).events


@dataclass(frozen=True, eq=False)
class _Played:
    events: tuple[Event, ...]
    world: World


@lru_cache(maxsize=512)
def _play(settings: Settings, cluster: Cluster) -> _Played:
    state = dict(_machines(cluster))
    history: list[Event] = []
    for stage in STAGES:
        for event in stage(settings, cluster, state):
            apply(event, state)
            history.append(event)
    return _Played(tuple(history), World(tuple(state.values()), _segments(cluster, settings.hairpin, settings.gateway)))


@lru_cache(maxsize=8)
def _machines(cluster: Cluster) -> tuple[tuple[str, Netns], ...]:
    hosts = (*cluster.nodes, cluster.gateway, *cluster.clients)
    names = [*(host.name for host in hosts), *(pod.name for pod in cluster.pods)]
    return tuple((name, new_netns(name)) for name in names)


@lru_cache(maxsize=32)
def _segments(cluster: Cluster, reflects: bool, gateway: bool) -> tuple[Segment, ...]:
    return underlay.segments(cluster, reflects=reflects, gateway=gateway)


def _fabric(settings: Settings, cluster: Cluster, state: State) -> Iterator[Event]:
    yield _boot(cluster)
    if settings.stateful_gateway:
        yield _firewall(cluster)
    if settings.encapsulation is Encapsulation.NONE:
        yield _learn_blocks(cluster)


@lru_cache(maxsize=8)
def _boot(cluster: Cluster) -> Event:
    hosts = (*cluster.nodes, cluster.gateway, *cluster.clients)
    changes = [change(host.name, underlay.boot, host) for host in hosts]
    changes += [change(host.name, underlay.forward) for host in (*cluster.nodes, cluster.gateway)]
    return Event(
        mark("boot the machines"), mark("NICs with their addresses, default routes, forwarding"), tuple(changes)
    )


@lru_cache(maxsize=8)
def _firewall(cluster: Cluster) -> Event:
    changes = (change(cluster.gateway.name, underlay.add_firewall),)
    return Event(
        mark("start the gateway's firewall"),
        mark("it lets through what it saw begin, and drops INVALID packets"),
        changes,
    )


@lru_cache(maxsize=8)
def _learn_blocks(cluster: Cluster) -> Event:
    changes = (change(cluster.gateway.name, underlay.learn_blocks, cluster),)
    return Event(mark("announce the pod addresses"), mark("the gateway learns each node's block by BGP"), changes)


def _kubernetes(settings: Settings, cluster: Cluster, state: State) -> Iterator[Event]:
    yield _kubelet(cluster, settings.kube_proxy)
    yield _kube_proxy(_proxy_key(settings), cluster, mark("start kube-proxy"))
    if settings.node_local_dns:
        yield addons.start_node_local_dns(cluster)


@lru_cache(maxsize=64)
def _kubelet(cluster: Cluster, version: str) -> Event:
    changes = tuple(change(node.name, start_kubelet, version) for node in cluster.nodes)
    return Event(
        mark("start the kubelet"), mark("version {version} writes its chains on every node", version=version), changes
    )


ProxyKey = tuple[str, str, bool, bool, str, TrafficPolicy]


def _proxy_key(settings: Settings) -> ProxyKey:
    s = settings
    return s.kube_proxy, s.kube_proxy_mode, s.cluster_cidr, s.masquerade_all, s.endpoint, s.external_policy


@lru_cache(maxsize=1024)
def _kube_proxy(key: ProxyKey, cluster: Cluster, name: str) -> Event:
    version, mode, knows_cidr, masquerade_all, endpoint, policy = key
    proxy = KubeProxy(version, cluster.pod_cidr if knows_cidr else None, masquerade_all, mode=mode)
    if not proxy.starts:
        reason = mark(
            "version {version} does not know the mode {mode}: it exits, and writes no rule", version=version, mode=mode
        )
        return Event(name, reason)
    web = cluster.web_ports(*(() if endpoint == "none" else (endpoint,)), policy=policy)
    changes = tuple(change(node.name, start_kube_proxy, proxy, node, web) for node in cluster.nodes)
    return Event(name, _starting(proxy), changes)


def _starting(proxy: KubeProxy) -> str:
    """Say what it does when it starts."""
    if proxy.reads_be_liberal:
        return mark(
            "version {version} looks at {sysctl} and writes its rules on every node",
            version=proxy.version,
            sysctl=BE_LIBERAL,
        )
    return mark("version {version} and writes its rules on every node", version=proxy.version)


def _overlay(settings: Settings, cluster: Cluster, state: State) -> Iterator[Event]:
    yield _calico_start(_calico(*_told(settings, cluster)), cluster)
    yield _agent(cluster)


@lru_cache(maxsize=64)
def _calico(
    cluster: Cluster,
    encapsulation: Encapsulation,
    mtu: PodMtu,
    version: str,
    dataplane: str,
    nat_outgoing: bool = True,
    check: bool = True,
) -> Calico:  # Felix's switches stay at their defaults for those who do not read them
    return Calico(
        cluster.nodes,
        (cluster.pod_cidr,),
        version,
        encapsulation=encapsulation,
        nat_outgoing=nat_outgoing,
        disable_conntrack_invalid_check=not check,
        dataplane=dataplane,
        veth_mtu=0 if mtu is PodMtu.AUTO else NODE_MTU,
        tunnel_mtu=NODE_MTU if mtu is PodMtu.TUNNELS else 0,
    )


def _told(settings: Settings, cluster: Cluster) -> tuple[Cluster, Encapsulation, PodMtu, str, str]:
    return cluster, settings.encapsulation, settings.mtu, settings.calico, settings.calico_dataplane


@lru_cache(maxsize=64)
def _calico_start(config: Calico, cluster: Cluster) -> Event:
    changes = tuple(change(node.name, calico.join, config) for node in cluster.nodes)
    did = mark("version {version}: a block of addresses per node and the routes between", version=config.version)
    return Event(mark("start Calico"), did, changes)


@lru_cache(maxsize=8)
def _agent(cluster: Cluster) -> Event:
    changes = tuple(change(node.name, spiderpool.tune_node) for node in cluster.nodes)
    return Event(mark("start the spiderpool-agent"), mark("it tunes the sysctls of every node"), changes)


def _pods(settings: Settings, cluster: Cluster, state: State) -> Iterator[Event]:
    for pod in cluster.pods:
        yield _pod(pod, _plugins(pod, settings, cluster, state))
    if settings.sidecar:
        yield addons.add_sidecars(cluster)
    if settings.network_policy is not PodPolicy.NONE:
        yield _apply_policies(settings.network_policy)
    config = _calico(*_told(settings, cluster), settings.nat_outgoing, settings.felix_invalid)
    yield _felix(config, cluster, settings.network_policy)


def _plugins(pod: Pod, settings: Settings, cluster: Cluster, state: State) -> tuple[Plugin, ...]:
    """Return the CNI plugins of a pod in the order Multus calls them."""
    return tuple(
        plugin
        for name in pod.kind.wiring.plugins
        if (plugin := PLUGINS[name](pod, settings, cluster, state[pod.node])) is not None
    )


def _macvlan(pod: Pod, settings: Settings, cluster: Cluster, node: Netns) -> Plugin:
    return macvlan.MacvlanPlugin(cluster, settings.macvlan_mode.value)


def _calico_plugin(pod: Pod, settings: Settings, cluster: Cluster, node: Netns) -> Plugin:
    return calico.CalicoPlugin(_calico(*_told(settings, cluster)))


def _coordinator(pod: Pod, settings: Settings, cluster: Cluster, node: Netns) -> Plugin | None:
    ips = spiderpool.node_addresses(node) if settings.coordinator else ()
    if not ips:
        return None
    # only what a pod depends on, so that pods are made once for all settings that do not matter
    config = Coordinator(ips, cluster.pod_cidr, cluster.service_cidr, settings.pod_rp_filter, hijack=settings.hijack)
    if pod.overlay:
        return _coordinator_for(config, settings.default_nic, settings.tuning)
    mtu = LESS_VETH_MTU if settings.mtu is PodMtu.VETH else spiderpool.VETH_MTU
    config = replace(config, mark_rules=settings.mark_rules, veth_address=settings.veth_address, veth_mtu=mtu)
    return _coordinator_for(config, DefaultNic.ETH0, Tuning.TUNED)


@lru_cache(maxsize=1024)
def _coordinator_for(config: Coordinator, default: DefaultNic, tuning: Tuning) -> Plugin:
    return spiderpool.CoordinatorPlugin(config, default, tuning)


PLUGINS: Mapping[str, Callable[[Pod, Settings, Cluster, Netns], Plugin | None]] = {
    "calico": _calico_plugin,
    "macvlan": _macvlan,
    "coordinator": _coordinator,
}
"""Each plugin with the options that the settings give it; None where they leave it out."""

MADE = {
    PodKind.MACVLAN: (mark("a Macvlan NIC"), mark("a Macvlan NIC, and the coordinator adds a pair to the node")),
    PodKind.CALICO: (mark("Calico's pair to the node"), mark("Calico's pair to the node")),
    PodKind.MULTI: (
        mark("Calico's pair and a Macvlan NIC"),
        mark("Calico's pair and a Macvlan NIC, and the coordinator arranges their routes"),
    ),
}
"""What is made for a kind of pod without the coordinator, and with it, in words."""


@lru_cache(maxsize=8192)
def _pod(pod: Pod, plugins: tuple[Plugin, ...]) -> Event:
    changes = tuple(addition for plugin in plugins for addition in plugin.add(pod))
    coordinated = any(isinstance(plugin, spiderpool.CoordinatorPlugin) for plugin in plugins)
    return Event(mark("create pod {pod}", pod=pod.name), MADE[pod.kind][coordinated], changes)


@lru_cache(maxsize=8)
def _apply_policies(chosen: PodPolicy) -> Event:
    names = ", ".join(policy.name for policy in APPLIED[chosen])
    did = mark("{policies}: Kubernetes keeps them, and Felix makes chains of them", policies=names)
    return Event(mark("apply NetworkPolicies"), did)


@lru_cache(maxsize=64)
def _felix(config: Calico, cluster: Cluster, policy: PodPolicy) -> Event:
    endpoints = tuple(Workload.of(pod) for pod in cluster.pods if pod.overlay)
    config = replace(config, policies=APPLIED[policy], endpoints=endpoints)
    pods = {n.name: tuple(Workload.of(p) for p in cluster.pods_of(n.name) if p.overlay) for n in cluster.nodes}
    changes = tuple(change(node.name, calico.start_felix, config, pods[node.name]) for node in cluster.nodes)
    did = mark("its chains stand above kube-proxy's, its last words at the end")
    return Event(mark("Felix programs the nodes"), did, changes)


def _by_hand(settings: Settings, cluster: Cluster, state: State) -> Iterator[Event]:
    if settings.kube_proxy_mode == "ipvs":
        yield _kube_proxy(_proxy_key(settings), cluster, "synchronise")  # each half minute: devices have come
    if settings.be_liberal:
        yield _sysctl(cluster, BE_LIBERAL, 1)
    if settings.node_rp_filter:
        yield _sysctl(cluster, "net.ipv4.conf.all.rp_filter", settings.node_rp_filter)
    if settings.restarted:
        yield _kube_proxy(_proxy_key(settings), cluster, mark("restart kube-proxy"))
    if settings.workaround is not Workaround.NONE:
        yield workarounds.add_workaround(cluster, settings.workaround, settings.encapsulation)


@lru_cache(maxsize=32)
def _sysctl(cluster: Cluster, key: str, value: int) -> Event:
    origin = Origin(workarounds.WORKAROUND, f"sysctl -w {key}={value}")
    changes = tuple(change(node.name, set_sysctl, key, str(value), origin) for node in cluster.nodes)
    return Event(f"sysctl -w {key}={value}", mark("on every node"), changes)


STAGES = (_fabric, _kubernetes, _overlay, _pods, _by_hand)
"""What happens, in order; each stage yields the events the settings call for."""
