"""The NetworkPolicies of the namespace demo, as the setting `network_policy` chooses them; each selects all its pods.

`from pods` is the usual mistake in a cluster with two networks: an empty podSelector looks as if it meant every pod of
the namespace, but stands for the addresses Calico gave them; those of Macvlan NICs are not among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network

from mcnilib.cluster.network_policy import NetworkPolicy, Peer, PolicyPort, PolicyRule
from mcnilib.cluster.settings import PodPolicy

_DENY = NetworkPolicy("demo", "deny-all", ingress=())

_PODS = NetworkPolicy("demo", "allow-pods", ingress=(PolicyRule((Peer(),)),))

_SUBNETS = PolicyRule(tuple(Peer(block=IPv4Network(subnet)) for subnet in ("172.16.0.0/16", "172.17.0.0/16")))

POLICIES: Mapping[PodPolicy, tuple[NetworkPolicy, ...]] = {
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
