"""One service as the kube-proxy of one node sees it: its endpoints, the words of its rules, and how one is chosen."""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from ipaddress import IPv4Address

from mcnilib.cluster.kube_proxy.config import KubeProxy, RuleLine
from mcnilib.cluster.kube_proxy.usable import LocalDetector, either_of, usable_anywhere, usable_here
from mcnilib.cluster.spec import Endpoint, HostSpec, Service, TrafficPolicy
from mcnilib.language import mark


@lru_cache(maxsize=1 << 17)
def chain_hash(text: str) -> str:
    """Return the first 16 characters of the base32 form of a SHA-256."""
    return b32encode(sha256(text.encode()).digest()).decode()[:16]


def chain_of(prefix: str, service: Service) -> str:
    """Return a chain of a service port; the prefixes are SVC, SVL, EXT, FW and, before 1.24, XLB."""
    return f"KUBE-{prefix}-{chain_hash(service.full_name + service.protocol)}"


def endpoint_chain(service: Service, endpoint: Endpoint) -> str:
    """Return the chain that rewrites the destination to one endpoint."""
    return f"KUBE-SEP-{chain_hash(service.full_name + service.protocol + str(endpoint))}"


SERVICE_CHAINS = tuple(f"KUBE-{prefix}-" for prefix in ("SVC", "SVL", "EXT", "FW", "XLB", "SEP"))
"""Prefixes by which kube-proxy recognises its own chains when it cleans up the ones no longer used."""


LARGE_CLUSTER = 1000
"""Endpoints of all services, used or not, above which the rules of endpoints have no comments."""


@dataclass(frozen=True)
class ServiceView:
    """One service as the kube-proxy of one node sees it."""

    proxy: KubeProxy
    node: HostSpec
    service: Service
    large: bool = False  # more than 1000 endpoints in the cluster: their rules have no comments

    @cached_property
    def everywhere(self) -> tuple[Endpoint, ...]:
        """The endpoints of the whole cluster that this node may use; empty: there is none anywhere."""
        return usable_anywhere(self.proxy, self.node, self.service.endpoints)

    @cached_property
    def here(self) -> tuple[Endpoint, ...]:
        """The endpoints on this node that it may use."""
        return usable_here(self.proxy, self.node, self.service.endpoints)

    @cached_property
    def pods(self) -> LocalDetector:
        """How traffic from pods is told."""
        return LocalDetector.of(self.proxy, self.node)

    @property
    def external_local(self) -> bool:
        """Whether externalTrafficPolicy is Local."""
        return self.service.external_policy is TrafficPolicy.LOCAL

    @property
    def internal_local(self) -> bool:
        """Whether internalTrafficPolicy is Local."""
        return self.service.internal_policy is TrafficPolicy.LOCAL

    @property
    def external(self) -> bool:
        """Whether the service can be reached from outside at all."""
        s = self.service
        return bool(s.node_port or s.external_ips or s.load_balancer_ips)

    @property
    def uses_cluster(self) -> bool:
        """Whether KUBE-SVC is needed; external access needs it even with policy Local, for pods and the node itself."""
        return not self.internal_local or self.external

    @property
    def uses_local(self) -> bool:
        """Whether KUBE-SVL is needed."""
        return self.internal_local or (self.external_local and self.external)

    @property
    def reachable(self) -> tuple[Endpoint, ...]:
        """The endpoints that some policy lets this node use."""
        if not self.uses_cluster:
            return self.here
        return either_of(self.everywhere, self.here) if self.uses_local else self.everywhere

    def chain(self, prefix: str) -> str:
        """Return one of the service's chains."""
        return chain_of(prefix, self.service)

    def port(self, port: int) -> str:
        """Return the match of a destination port."""
        return f"-m {self.service.protocol} --dport {port}"

    def to(self, address: IPv4Address) -> str:
        """Return the match of a destination address and the protocol."""
        return f"-d {address}/32 -p {self.service.protocol}"

    def endpoint_comment(self, text: str) -> str:
        """Return a comment at an endpoint's rule, a blank before it; nothing in a large cluster."""
        return "" if self.large else f" {self.comment(text)}"

    def comment(self, text: str) -> str:
        """Return a comment; `{}` stands for the service's name."""
        return f'-m comment --comment "{text.format(self.service.full_name)}"'


def balance(
    view: ServiceView, chain: str, endpoints: tuple[Endpoint, ...], comment: Callable[[Endpoint, int | None], str]
) -> Iterator[RuleLine]:
    """Yield the choice between endpoints: the one used before (ClientIP affinity), else one by probability.

    `comment` says what stands at an endpoint's rule, given its place where it is chosen by probability.
    Source: writeServiceToEndpointRules() in kubernetes pkg/proxy/iptables/proxier.go.
    """
    for endpoint in endpoints if view.service.affinity else ():
        sep, seconds = endpoint_chain(view.service, endpoint), view.service.affinity
        recent = f"-m recent --rcheck --seconds {seconds} --reap --name {sep} --mask 255.255.255.255 --rsource"
        text = f"-A {chain}{view.endpoint_comment(comment(endpoint, None))} {recent} -j {sep}"
        yield RuleLine(
            "nat",
            text,
            mark(
                "sends a client back to {endpoint} if it was there in the last {seconds} s",
                endpoint=endpoint,
                seconds=seconds,
            ),
        )
    for i, endpoint in enumerate(endpoints):
        text = f"-A {chain}{view.endpoint_comment(comment(endpoint, i))}{probability(len(endpoints) - i)}"
        cases = len(endpoints) - i
        reason = mark("chooses {endpoint}", endpoint=endpoint)
        if cases > 1:
            reason = mark("chooses {endpoint} in one of {cases} cases", endpoint=endpoint, cases=cases)
        yield RuleLine("nat", f"{text} -j {endpoint_chain(view.service, endpoint)}", reason)


def probability(n: int) -> str:
    """Return the match that holds in one of n cases, as iptables-save prints it; nothing for the last endpoint.

    Source: libxt_statistic.c keeps the probability as a multiple of 2**-31; kube-proxy writes it with ten decimals.
    """
    if n == 1:
        return ""
    kept = round(float(f"{1 / n:.10f}") * 2**31) / 2**31
    return f" -m statistic --mode random --probability {kept:.11f}"


def no_local(view: ServiceView, chain: str) -> Iterator[RuleLine]:
    """Yield 1.24's answer where only local endpoints may be used and there are none."""
    comment = view.comment("{} has no local endpoints")
    yield RuleLine(
        "nat",
        f"-A {chain} {comment} -j KUBE-MARK-DROP",
        mark("marks the packet for the kubelet's drop: no local endpoint"),
    )


def endpoint_rules(view: ServiceView) -> Iterator[RuleLine]:
    """Yield KUBE-SEP of every endpoint: hairpin masquerading and the rewriting of the destination."""
    s = view.service
    for endpoint in view.reachable:
        sep, comment = endpoint_chain(s, endpoint), view.endpoint_comment("{}")
        text = f"-A {sep} -s {endpoint.address}/32{comment} -j KUBE-MARK-MASQ"
        yield RuleLine("nat", text, mark("a pod that reaches itself through the service must not see its own address"))
        recent = f" -m recent --set --name {sep} --mask 255.255.255.255 --rsource" if s.affinity else ""
        text = f"-A {sep} -p {s.protocol}{comment}{recent} -m {s.protocol} -j DNAT --to-destination {endpoint}"
        yield RuleLine("nat", text, mark("sends the connection to the endpoint {endpoint}", endpoint=endpoint))
