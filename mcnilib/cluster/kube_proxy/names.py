"""Chain names: a prefix and 16 characters of a hash over names, never over addresses of the node, so all nodes agree.

Source: portProtoHash() and servicePortEndpointChainName() in kubernetes pkg/proxy/iptables/proxier.go (1.22 to 1.35).
"""

from __future__ import annotations

from base64 import b32encode
from functools import lru_cache
from hashlib import sha256

from mcnilib.cluster.spec import Endpoint, Service


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
