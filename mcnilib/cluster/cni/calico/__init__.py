"""Calico in iptables and nftables mode, 3.26 to 3.33: what its CNI plugin, Felix and BIRD write into pods and nodes.

    config   one Calico: version, pools, encapsulation      hashes   the `cali:...` comments, and Felix's spelling
    pod      the pair of devices between pod and node       static   chains that do not depend on pods
    routes   blocks of other nodes, tunnel devices          filter   forwarding, and the chains of each pod
    felix    ipsets and chains put into a namespace, in Felix's places

    flow_logs NFLOG rules for Goldmane                      policy   NetworkPolicies
    nftables the same rules in nftables mode, from 3.30 on

Not modelled: host endpoints, IPv6, the eBPF dataplane, ipvs, WireGuard.
"""

from __future__ import annotations

from mcnilib.cluster.cni.calico.felix import start_felix
from mcnilib.cluster.cni.calico.pod import CalicoPlugin
from mcnilib.cluster.cni.calico.routes import join

__all__ = ["CalicoPlugin", "join", "start_felix"]
