"""kube-proxy's modes beside iptables: they are not modelled; what to run instead.

Source: kube-proxy --help (--proxy-mode, v1.31); tableName in pkg/proxy/nftables/proxier.go of Kubernetes 1.31.
"""

from __future__ import annotations

import re

SIGNS = (
    (r"this is what nft prints|nftables table \S+ kube-proxy", "nftables"),
    (r"this is what ipvsadm prints", "IPVS"),
)
"""What a complaint about state says when a mode may have written it."""


def instead(said: str) -> str:
    """Say what to run instead where a complaint is about another mode's rules; empty where it is not."""
    mode = next((mode for sign, mode in SIGNS if re.search(sign, said)), "")
    if not mode:
        return ""
    return (
        f"If kube-proxy wrote this, it runs in {mode} mode, which is not modelled. Let it run in iptables mode "
        "(mode: iptables in its ConfigMap, or --proxy-mode=iptables), and collect again."
    )
