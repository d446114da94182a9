"""One service as the kube-proxy of one node sees it: which endpoints it may use, and the words its rules share."""

from __future__ import annotations

from base64 import b32encode
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from ipaddress import IPv4Address

from mcnilib.cluster.kube_proxy.config import KubeProxy
from mcnilib.cluster.spec import Endpoint, Host, Service, TrafficPolicy


@lru_cache(maxsize=1 << 17)
def digest(text: str) -> str:
    """Return the first 16 characters of the base32 form of a SHA-256."""
    return b32encode(sha256(text.encode()).digest()).decode()[:16]


def chain_of(prefix: str, service: Service) -> str:
    """Return a chain of a service port; the prefixes are SVC, SVL, EXT, FW and, before 1.24, XLB."""
    return f"KUBE-{prefix}-{digest(service.full_name + service.protocol)}"


def endpoint_chain(service: Service, endpoint: Endpoint) -> str:
    """Return the chain that rewrites the destination to one endpoint."""
    return f"KUBE-SEP-{digest(service.full_name + service.protocol + str(endpoint))}"


SERVICE_CHAINS = tuple(f"KUBE-{prefix}-" for prefix in ("SVC", "SVL", "EXT", "FW", "XLB", "SEP"))
"""Prefixes by which kube-proxy recognises its own chains when it cleans up the ones no longer used."""


@dataclass(frozen=True)
class View:
    """One service as the kube-proxy of one node sees it."""

    proxy: KubeProxy
    node: Host
    service: Service

    @cached_property
    def everywhere(self) -> tuple[Endpoint, ...]:
        """All endpoints, in kube-proxy's order."""
        return tuple(sorted(self.service.endpoints, key=str))

    @cached_property
    def here(self) -> tuple[Endpoint, ...]:
        """The endpoints on this node."""
        return tuple(e for e in self.everywhere if e.node == self.node.name)

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
        return self.everywhere if self.uses_cluster else self.here

    def chain(self, prefix: str) -> str:
        """Return one of the service's chains."""
        return chain_of(prefix, self.service)

    def port(self, port: int) -> str:
        """Return the match of a destination port."""
        return f"-m {self.service.protocol} --dport {port}"

    def to(self, address: IPv4Address) -> str:
        """Return the match of a destination address and the protocol."""
        return f"-d {address}/32 -p {self.service.protocol}"

    def comment(self, text: str) -> str:
        """Return a comment; `{}` stands for the service's name."""
        return f'-m comment --comment "{text.format(self.service.full_name)}"'
