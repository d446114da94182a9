"""NetworkPolicies as Kubernetes has them: the pods they select, and what these may receive and send.

Selectors here compare labels by equality alone (`matchLabels`). A policy that speaks of a direction allows what its
rules name and nothing else in that direction; several policies of one pod add up.
Source: networking.k8s.io/v1 NetworkPolicySpec (staging/src/k8s.io/api/networking/v1/types.go, v1.35).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network

from mcnilib.language import mark

Labels = tuple[tuple[str, str], ...]
"""Labels by key, sorted."""


class Direction(Enum):
    """The two lists of rules of a policy: for packets to its pods, and from them."""

    INGRESS = "ingress"
    EGRESS = "egress"


@dataclass(frozen=True, slots=True)
class PolicyPort:
    """A port, or a range of ports, of one protocol; `port` 0 stands for all ports."""

    port: int = 0
    protocol: str = "tcp"
    end_port: int = 0


@dataclass(frozen=True, slots=True)
class PolicyPeer:
    """Whom a rule allows: pods by their labels, or addresses (`ipBlock`) less some.

    `namespaces` None: the policy's own namespace; without labels: all of them.
    """

    pods: Labels = ()
    namespaces: Labels | None = None
    block: IPv4Network | None = None
    without: tuple[IPv4Network, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """What one rule allows: these peers on these ports. No peers: everybody; no ports: all of them."""

    peers: tuple[PolicyPeer, ...] = ()
    ports: tuple[PolicyPort, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """A policy for the pods of its namespace that have all labels of `pods`.

    `ingress` and `egress` are None where policyTypes leaves the direction out: then it says nothing about it.
    """

    namespace: str
    name: str
    pods: Labels = ()
    ingress: tuple[PolicyRule, ...] | None = None
    egress: tuple[PolicyRule, ...] | None = None

    def rules(self, direction: Direction) -> tuple[PolicyRule, ...] | None:
        """Return the rules of a direction; None where the policy says nothing about it."""
        return self.ingress if direction is Direction.INGRESS else self.egress

    def selects(self, namespace: str, labels: Labels) -> bool:
        """Tell whether a pod is one of those the policy is for."""
        return namespace == self.namespace and has_all(labels, self.pods)


def has_all(labels: Labels, wanted: Labels) -> bool:
    """Tell whether all wanted labels are among those of a pod."""
    return set(wanted) <= set(labels)


class PodPolicy(Enum):
    """Policies for all pods of the namespace demo, with the mistakes that are often made.

    `from pods` is the usual one in a cluster with two networks: an empty podSelector looks as if it meant every pod of
    the namespace, but stands for the addresses Calico gave them; those of Macvlan NICs are not among them.
    """

    NONE = "none"
    DENY_INGRESS = mark("deny ingress")
    FROM_PODS = mark("from pods")
    FROM_ADDRESSES = mark("from addresses")
    OTHER_PORT = mark("port 8080")
    DENY_EGRESS = mark("deny egress")


_DENY = NetworkPolicy("demo", "deny-all", ingress=())

_PODS = NetworkPolicy("demo", "allow-pods", ingress=(PolicyRule((PolicyPeer(),)),))

_SUBNETS = PolicyRule(tuple(PolicyPeer(block=IPv4Network(subnet)) for subnet in ("172.16.0.0/16", "172.17.0.0/16")))

APPLIED: Mapping[PodPolicy, tuple[NetworkPolicy, ...]] = {
    PodPolicy.NONE: (),
    PodPolicy.DENY_INGRESS: (_DENY,),
    PodPolicy.FROM_PODS: (_DENY, _PODS),
    PodPolicy.FROM_ADDRESSES: (_DENY, _PODS, NetworkPolicy("demo", "allow-subnets", ingress=(_SUBNETS,))),
    PodPolicy.OTHER_PORT: (
        _DENY,
        NetworkPolicy("demo", "allow-8080", ingress=(PolicyRule(ports=(PolicyPort(8080),)),)),
    ),
    PodPolicy.DENY_EGRESS: (NetworkPolicy("demo", "deny-egress", egress=()),),
}
"""What is applied for each value of the setting."""
