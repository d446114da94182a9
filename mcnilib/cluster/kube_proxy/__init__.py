"""kube-proxy, every minor release from 1.22 on: what it writes into a node, and when it looks at it.

    config     a version, and what depends on it     services       chains that every node has, the jumps to them,
    view       a service as one node sees it, and                   and chains of a service from 1.24 on
               how one of its endpoints is chosen    legacy         the same for 1.22 and 1.23
    start      what kube-proxy and the kubelet write when they start, and the sysctl read then
    nftables   the table of the nftables mode, from 1.29 on
    ipvs       virtual servers, sets and rules of the ipvs mode

    usable     which endpoints a node may use: ready, ending, hinted; and how traffic of pods is told

Not modelled: IPv6, and pods told by a device in nftables mode.
"""

from mcnilib.cluster.kube_proxy.config import KubeProxy
from mcnilib.cluster.kube_proxy.start import BE_LIBERAL, rules, start_kube_proxy, start_kubelet

__all__ = ["BE_LIBERAL", "KubeProxy", "rules", "start_kube_proxy", "start_kubelet"]
