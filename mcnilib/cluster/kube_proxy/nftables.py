"""kube-proxy in nftables mode, 1.29 to 1.37: the table `ip kube-proxy`, in the words of `nft list ruleset`.

The text is what the tool prints of it, so it is read like the ruleset of any machine. Elements are sorted as nft prints
them; chains stand in the order in which a first full sync makes them, services by name (the real one walks them in
random order).
Source: pkg/proxy/nftables/proxier.go of kubernetes, read in the lines of 1.29 (4f2dbb4e8fe3), 1.30 (84a2e12f4ce8), 1.33
(b0f823e6ccd8), 1.34 (d328a85c9fbd) and 1.36 (129058fc6d84); TestOverallNFTablesRules of 1.34. That 1.29 and 1.30 answer
NodePorts on all addresses by default, and 1.31 and later on the node's own one, is derived. The one rule that 1.37
writes in another way, for a service with one endpoint, is taken from pull request 140723. Not written: IPv6.
"""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from ipaddress import IPv4Address

from mcnilib.cluster.kube_proxy.config import KubeProxy
from mcnilib.cluster.kube_proxy.services import answering
from mcnilib.cluster.kube_proxy.usable import LocalDetector, as_seen
from mcnilib.cluster.kube_proxy.view import ServiceView
from mcnilib.cluster.spec import Endpoint, HostSpec, Service
from mcnilib.linux.netfilter.nftables.rule import NftTable
from mcnilib.linux.netfilter.nftables.text.ruleset import read_ruleset

_PORT = "meta l4proto . th dport"

_FIRST = 29
"""The first minor version that has the mode (alpha)."""

_NAME_LENGTH = 240
"""Longest part of a chain's name that tells service and endpoint; a longer one is cut."""


def kube_proxy_table(
    proxy: KubeProxy, node: HostSpec, services: tuple[Service, ...], *, liberal: bool, own: tuple[IPv4Address, ...] = ()
) -> NftTable:
    """Return the table that a kube-proxy of this version writes; `liberal` as it was when it started.

    `own` are the node's addresses, of which nodePortAddresses chooses.
    """
    proxy = replace(proxy, mode="nftables")
    served = [NftService(ServiceView(proxy, node, service)) for service in as_seen(proxy, services)]
    text = "\n".join(_Writer(proxy, node, served, liberal, own).lines())
    return read_ruleset(text, "kube-proxy")[0]


def hashed(name: str) -> str:
    """Return a service's or an endpoint's name as chains carry it: eight characters of a hash, then the name."""
    text = f"{b32encode(sha256(name.encode()).digest()).decode()[:8]}-{name}"
    return text if len(text) <= _NAME_LENGTH else f"{text[: _NAME_LENGTH - 3]}..."


@dataclass(frozen=True)
class NftService:
    """One service port as its chains, elements and rules name it."""

    view: ServiceView

    @property
    def service(self) -> Service:
        """The service."""
        return self.view.service

    @cached_property
    def name(self) -> str:
        """`namespace/service/protocol/port`, with the hash before it."""
        s = self.service
        return hashed(f"{s.namespace}/{s.name}/{s.protocol}/{s.port_name}")

    def endpoint(self, endpoint: Endpoint) -> str:
        """The part of the name of an endpoint's chain behind `endpoint-`."""
        s = self.service
        return hashed(f"{s.namespace}/{s.name}/{s.protocol}/{s.port_name}__{endpoint.address}/{endpoint.port}")

    @property
    def internal(self) -> str:
        """The chain that the service's own address leads to; empty where no endpoint may be used."""
        usable = self.view.here if self.view.internal_local else self.view.everywhere
        return f"{'local' if self.view.internal_local else 'service'}-{self.name}" if usable else ""

    @property
    def outside(self) -> tuple[IPv4Address, ...]:
        """The addresses by which others reach it."""
        return (*self.service.external_ips, *self.service.load_balancer_ips)

    @property
    def deaf(self) -> str:
        """What becomes of packets from outside where no endpoint may take them; empty where one may."""
        if not self.view.everywhere:
            return "goto reject-chain"
        return "drop" if self.view.external_local and not self.view.here else ""

    def key(self, address: IPv4Address) -> str:
        """The key of an address and the service's port."""
        return f"{address} . {self.service.protocol} . {self.service.port}"


class _Writer:
    """Writes the table of one node."""

    def __init__(
        self,
        proxy: KubeProxy,
        node: HostSpec,
        services: list[NftService],
        liberal: bool,
        own: tuple[IPv4Address, ...] = (),
    ) -> None:
        self.proxy, self.node, self.services, self.liberal = proxy, node, services, liberal
        self.minor = proxy.minor
        self.own, self.marked = own, f"meta mark set meta mark | {proxy.nft_mark}"
        cidr = LocalDetector.of(proxy, node).cidr
        pods = f"ip saddr {{}}{cidr}" if cidr else ""
        self.local, self.foreign = pods.format(""), pods.format("!= ")

    @property
    def masquerades_at_once(self) -> bool:
        """Whether one rule marks all that is for cluster IPs, and a set finds what a pod sends to itself; since 1.36.

        Endpoints have chains of their own only for session affinity then.
        Source: kubernetes pull requests 135800, 136499.
        """
        return self.minor >= 36

    def lines(self) -> Iterator[str]:
        yield "table ip kube-proxy {"
        yield '\tcomment "rules for kube-proxy"'
        yield from self._sets()
        yield from self._base_chains()
        yield from self._constant_chains()
        for service in self.services:
            yield from self._service(service)
        yield "}"

    def _sets(self) -> Iterator[str]:
        """Yield sets and maps in the order in which they are made, those of session affinity last."""
        if self.masquerades_at_once:
            key = "ipv4_addr . ipv4_addr . inet_proto . inet_service"
            yield from _map("set", "hairpin-connections", key, "service hairpin connections", self._hairpins())
        if self.minor >= 30:
            addresses = (str(x.service.cluster_ip) for x in self.services)
            yield from _map("set", "cluster-ips", "ipv4_addr", "Active ClusterIPs", addresses)
        if not self.proxy.answers_everywhere:
            yield from _map("set", "nodeport-ips", "ipv4_addr", "IPs that accept NodePort traffic", self._node_ips())
        for name, key, comment, elements in self._maps():
            yield from _map("map", name, f"{key} : verdict", comment, elements)
        for x in self.services:
            for endpoint in x.view.reachable if x.service.affinity else ():
                yield from _affinity(x.endpoint(endpoint), x.service.affinity)

    def _hairpins(self) -> Iterator[str]:
        """Yield what the connection of each endpoint of this node to itself looks like; two services may share one."""
        here = ((x.service.protocol, e) for x in self.services for e in x.view.reachable if e in x.view.here)
        yield from dict.fromkeys(f"{e.address} . {e.address} . {protocol} . {e.port}" for protocol, e in here)

    def _maps(self) -> Iterator[tuple[str, str, str, Iterator[str]]]:
        """Yield the maps: name, type of the key, comment, elements."""
        address, port = "ipv4_addr . inet_proto . inet_service", "inet_proto . inet_service"
        without = "vmap to drop or reject packets to {} with no endpoints"
        yield "no-endpoint-services", address, without.format("services"), self._without_endpoints()
        yield "no-endpoint-nodeports", port, without.format("service nodeports"), self._without_on_nodes()
        if self.minor >= 30:
            comment = "destinations that are subject to LoadBalancerSourceRanges"
            ranged = ((x, ip) for x in self.services for ip in x.service.load_balancer_ips if x.service.source_ranges)
            yield "firewall-ips", address, comment, (f"{x.key(ip)} : goto firewall-{x.name}" for x, ip in ranged)
        yield "service-ips", address, "ClusterIP, ExternalIP and LoadBalancer IP traffic", self._served()
        served = (f"{_node_port(x)} : goto external-{x.name}" for x in self._on_nodes() if x.view.everywhere)
        yield "service-nodeports", port, "NodePort traffic", served

    def _on_nodes(self) -> Iterator[NftService]:
        return (x for x in self.services if x.service.node_port)

    def _without_on_nodes(self) -> Iterator[str]:
        return (_noted(_node_port(x), x, x.deaf) for x in self._on_nodes() if x.deaf)

    def _node_ips(self) -> list[str]:
        """Return the addresses that answer NodePorts: never those of loopback."""
        if not self.proxy.node_port_addresses:
            return [str(self.node.address.ip)]
        return [str(ip) for ip in answering(self.proxy, self.own) if not ip.is_loopback]

    def _without_endpoints(self) -> Iterator[str]:
        for x in self.services:
            if not x.internal:
                verdict = "drop" if x.view.everywhere else "goto reject-chain"
                yield _noted(x.key(x.service.cluster_ip), x, verdict)
            yield from (_noted(x.key(ip), x, x.deaf) for ip in x.outside if x.deaf)

    def _served(self) -> Iterator[str]:
        for x in self.services:
            if x.internal:
                yield f"{x.key(x.service.cluster_ip)} : goto {x.internal}"
            yield from (f"{x.key(ip)} : goto external-{x.name}" for ip in x.outside if x.view.everywhere)

    def _base_chains(self) -> Iterator[str]:
        new = "ct state new jump {}"
        checks = ("endpoints-check",) if self.minor < 31 else ("service-endpoints-check",)
        inputs = checks if self.minor < 31 else ("nodeport-endpoints-check", *checks)
        firewall, last = ("firewall-check",), ("cluster-ips-check",) if self.minor >= 30 else ()
        jumps = {name: [*map(new.format, to)] for name, to in self._jumps(inputs, checks, firewall, last).items()}
        if self.minor == _FIRST:
            jumps["filter-forward"].insert(1, "jump forward")
        for name, rules in jumps.items():
            yield from _chain(
                name, rules, f"type filter hook {name.split('-')[1]} priority {self._priority(name)}; policy accept;"
            )
        for name, priority, to in (
            ("nat-prerouting", "dstnat", "services"),
            ("nat-output", "-100", "services"),
            ("nat-postrouting", "srcnat", "masquerading"),
        ):
            hook = name.split("-")[1]
            yield from _chain(name, [f"jump {to}"], f"type nat hook {hook} priority {priority}; policy accept;")

    def _jumps(
        self, inputs: tuple[str, ...], checks: tuple[str, ...], firewall: tuple[str, ...], last: tuple[str, ...]
    ) -> dict[str, tuple[str, ...]]:
        if self.minor >= 34:
            return {
                "filter-prerouting-pre-dnat": firewall, "filter-output-pre-dnat": firewall, "filter-input": inputs,
                "filter-forward": (*checks, *last), "filter-output": (*checks, *last),
            }  # fmt: skip
        if self.minor == _FIRST:
            return {f"filter-{hook}": (*checks, *firewall) for hook in ("input", "forward", "output")}
        return {
            "filter-prerouting": firewall, "filter-input": inputs, "filter-forward": (*checks, *last),
            "filter-output": (*checks, *firewall), "filter-output-post-dnat": last,
        }  # fmt: skip

    def _priority(self, chain: str) -> str:
        if self.minor == _FIRST:
            return "-101"
        if chain.endswith("post-dnat"):
            return "-90"
        early = self.minor < 34 or chain.endswith("pre-dnat")
        return "filter" if not early else "dstnat - 10" if "prerouting" in chain else "-110"

    def _constant_chains(self) -> Iterator[str]:
        """Yield the chains that every table of this version has."""
        everywhere, local = self.proxy.answers_everywhere, "fib daddr type local "
        nodes = f"{local}ip daddr != 127.0.0.0/8" if everywhere else "ip daddr @nodeport-ips"
        checked = nodes if self.minor < 31 else nodes.removeprefix(local)
        yield from self._checks(f"{checked} {_PORT} vmap @no-endpoint-nodeports")
        served = [f"ip daddr . {_PORT} vmap @service-ips", f"{nodes} {_PORT} vmap @service-nodeports"]
        yield from _chain("services", [*self._marks_cluster_ips(), *served])
        yield from _chain("masquerading", self._masquerading())
        if self.minor >= 30:
            rules = ['ip daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"']
            if self.proxy.service_cidr:
                rules += [f'ip daddr {self.proxy.service_cidr} drop comment "Drop traffic to unallocated ClusterIPs"']
            yield from _chain("cluster-ips-check", rules)
        if not self.masquerades_at_once:
            yield from _chain("mark-for-masquerade", [self.marked])
        helper = 'comment "helper for @no-endpoint-services / @no-endpoint-nodeports"'
        yield from _chain("reject-chain", ["reject"], helper)

    def _marks_cluster_ips(self) -> list[str]:
        """Return the rule that marks what is for cluster IPs and comes from outside; none where that cannot be told."""
        if not self.masquerades_at_once or not (self.foreign or self.proxy.masquerade_all):
            return []
        source, what = (
            (" ", "masquerade all clusterIP traffic")
            if self.proxy.masquerade_all
            else (f" {self.foreign} ", "masquerade clusterIP traffic from outside cluster")
        )
        return [f'ip daddr @cluster-ips{source}{self.marked} comment "{what}"']

    def _masquerading(self) -> list[str]:
        clear = f"meta mark set meta mark ^ {self.proxy.nft_mark}"
        if not self.masquerades_at_once:
            return [f"meta mark & {self.proxy.nft_mark} == 0x00000000 return", clear, "masquerade fully-random"]
        return [
            f"meta mark & {self.proxy.nft_mark} != 0x00000000 {clear} masquerade fully-random",
            f"ct status dnat ip saddr . ip daddr . {_PORT} @hairpin-connections masquerade fully-random",
        ]

    def _checks(self, node_ports: str) -> Iterator[str]:
        """Yield the chains of table filter's hooks: services without endpoints, and who may ask a load balancer."""
        services = f"ip daddr . {_PORT} vmap @no-endpoint-services"
        if self.minor < 31:
            yield from _chain("endpoints-check", [services, node_ports])
        else:
            yield from _chain("nodeport-endpoints-check", [node_ports])
            yield from _chain("service-endpoints-check", [services])
        if self.minor == _FIRST:
            yield from _chain("forward", [] if self.liberal else ["ct state invalid drop"])
        ranges = [f"ip daddr . {_PORT} vmap @firewall-ips"] if self.minor > _FIRST else []
        yield from _chain("firewall-check", ranges)

    def _service(self, x: NftService) -> Iterator[str]:
        """Yield the chains of one service, in the order in which they are made."""
        view, s = x.view, x.service
        for endpoint in view.reachable if s.affinity or not self.masquerades_at_once else ():
            yield from _chain(f"endpoint-{x.endpoint(endpoint)}", self._endpoint(x, endpoint))
        for prefix, endpoints, used in (
            ("service", view.everywhere, view.uses_cluster),
            ("local", view.here, view.uses_local),
        ):
            chain = f"{prefix}-{x.name}"
            if used and endpoints:
                yield from _chain(chain, self._balance(x, endpoints, own=chain == x.internal))
        if view.external and view.everywhere:
            yield from _chain(f"external-{x.name}", self._external(x))
        if s.load_balancer_ips and s.source_ranges:
            ranges = ", ".join(map(str, s.source_ranges))
            allowed = f"{{ {ranges} }}" if len(s.source_ranges) > 1 else ranges
            yield from _chain(f"firewall-{x.name}", [f"ip saddr != {allowed} drop"])

    def _endpoint(self, x: NftService, endpoint: Endpoint) -> list[str]:
        seen = [f"update @affinity-{x.endpoint(endpoint)} {{ ip saddr }}"] if x.service.affinity else []
        itself = [] if self.masquerades_at_once else [f"ip saddr {endpoint.address} jump mark-for-masquerade"]
        return [
            *itself,
            *seen,
            f"meta l4proto {x.service.protocol} dnat to {endpoint.address}:{endpoint.port}",
        ]

    def _balance(self, x: NftService, endpoints: tuple[Endpoint, ...], *, own: bool) -> list[str]:
        s, chosen = x.service, ", ".join(f"{i} : goto endpoint-{x.endpoint(e)}" for i, e in enumerate(endpoints))
        if self.masquerades_at_once and not s.affinity:
            return [self._directly(s.protocol, endpoints)]
        port = f" {s.protocol} dport {s.port}" if self.minor < 34 else ""
        source = "" if self.proxy.masquerade_all else f" {self.foreign}"
        masquerade = own and not self.masquerades_at_once and (self.proxy.masquerade_all or bool(self.foreign))
        head = [f"ip daddr {s.cluster_ip}{port}{source} jump mark-for-masquerade"] if masquerade else []
        if s.affinity:
            names = map(x.endpoint, endpoints)
            head += [f"ip saddr @affinity-{name} goto endpoint-{name}" for name in names]
        return [*head, f"numgen random mod {len(endpoints)} vmap {{ {chosen} }}"]

    def _directly(self, protocol: str, endpoints: tuple[Endpoint, ...]) -> str:
        """Return the rule that sends to one of the endpoints without a chain of its own."""
        if self.minor >= 37 and len(endpoints) == 1:
            return f"meta l4proto {protocol} dnat to {endpoints[0].address}:{endpoints[0].port}"
        chosen = ", ".join(f"{i} : {e.address} . {e.port}" for i, e in enumerate(endpoints))
        return f"meta l4proto {protocol} dnat ip to numgen random mod {len(endpoints)} map {{ {chosen} }}"

    def _external(self, x: NftService) -> list[str]:
        cluster, marks = (
            f"goto service-{x.name}",
            self.marked if self.masquerades_at_once else "jump mark-for-masquerade",
        )
        if not x.view.external_local:
            return [f'{marks} comment "masquerade"' if self.masquerades_at_once else marks, cluster]
        rules = [f'{self.local} {cluster} comment "short-circuit pod traffic"'] if self.local else []
        rules += [f'fib saddr type local {marks} comment "masquerade local traffic"']
        rules += [f'fib saddr type local {cluster} comment "short-circuit local traffic"']
        return [*rules, *([f"goto local-{x.name}"] if x.view.here else [])]


def _map(kind: str, name: str, type: str, comment: str, elements: Iterable[str]) -> Iterator[str]:
    yield f"\t{kind} {name} {{"
    yield f"\t\ttype {type}"
    yield f'\t\tcomment "{comment}"'
    if members := ", ".join(elements):
        yield f"\t\telements = {{ {members} }}"
    yield "\t}"


def _affinity(name: str, seconds: int) -> Iterator[str]:
    """Yield the set that remembers an endpoint's clients; that a rule adds to it gives it a size."""
    yield f"\tset affinity-{name} {{"
    units = ((seconds // 3600, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s"))
    shown = "".join(f"{number}{unit}" for number, unit in units if number)
    yield from ("\t\ttype ipv4_addr", "\t\tsize 65535", "\t\tflags dynamic,timeout", f"\t\ttimeout {shown}", "\t}")


def _chain(name: str, rules: list[str], head: str = "") -> Iterator[str]:
    yield f"\tchain {name} {{"
    yield from (f"\t\t{line}" for line in (*([head] if head else []), *rules))
    yield "\t}"


def _node_port(x: NftService) -> str:
    return f"{x.service.protocol} . {x.service.node_port}"


def _noted(key: str, x: NftService, verdict: str) -> str:
    return f'{key} comment "{x.service.full_name}" : {verdict}'
