"""kube-proxy's modes beside iptables: what to collect of each.

Source: kube-proxy --help (--proxy-mode, v1.31); tableName in pkg/proxy/nftables/proxier.go and defaultDummyDevice in
pkg/proxy/ipvs/proxier.go of Kubernetes 1.31.
"""

from __future__ import annotations

import re
from dataclasses import replace

from mcnilib.language import mark
from mcnilib.linux.netns import Netns
from mcnilib.linux.unmodelled import Gap
from mcnilib.world.world import World

IPVS_DEVICE = "kube-ipvs0"
"""It holds the addresses of services; IPVS takes their packets at INPUT, and no iptables rule shows where to."""

SIGNS = (
    (r"this is what nft prints|nftables table \S+ kube-proxy", "nftables"),
    (f"this is what ipvsadm prints|{IPVS_DEVICE}", "IPVS"),
)
"""What a complaint about state says when a mode may have written it."""


def without_ipvs(world: World) -> World:
    """Return the world with a gap in each namespace whose cluster IPs IPVS serves: nobody collected its table."""
    unread = (netns for netns in world if not netns.ip4.ipvs)
    served = {netns.name for netns in unread if any(link.name == IPVS_DEVICE for link in netns.links)}
    shown = (_without(netns) if netns.name in served else netns for netns in world)
    return replace(world, namespaces=tuple(shown)) if served else world


def _without(netns: Netns) -> Netns:
    reason = mark(
        "{netns} has the device {ipvs_device}: IPVS serves its services, and its virtual servers were not collected",
        netns=netns.name,
        ipvs_device=IPVS_DEVICE,
    )
    gap = Gap(reason, collect=mark("`ipvsadm -Sn` in {netns}", netns=netns.name), rules=True)
    return netns.but(missing=(*netns.missing, gap))


def instead(said: str) -> str:
    """Say what to collect instead where a complaint is about another mode's rules; empty where it is not."""
    mode = next((mode for sign, mode in SIGNS if re.search(sign, said)), "")
    if not mode:
        return ""
    if mode == "nftables":
        return mark(
            "If kube-proxy wrote this, it runs in nftables mode: put what `nft list ruleset` prints there into nft.txt."
        )
    return mark("If kube-proxy wrote this, it runs in IPVS mode: put what `ipvsadm -Sn` prints there into ipvsadm.txt.")
