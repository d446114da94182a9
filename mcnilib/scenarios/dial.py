"""What a client may dial besides a pod's own address: a service, a NodePort, a node, the Macvlan address of a pod.

All addresses come from the cluster's plan; the stories only name who talks to whom.
"""

from __future__ import annotations

from mcnilib.cluster.spec import CLUSTER
from mcnilib.scenarios.scenario import Way


def to_service(client: str, endpoint: str) -> Way:
    """Dial the ClusterIP of demo/web, which has this pod behind it."""
    web = CLUSTER.web_behind(endpoint)
    return Way(client, endpoint, web.cluster_ip, web.port)


def to_node_port(client: str, node: str, endpoint: str) -> Way:
    """Dial the NodePort of demo/web at the address of a node; the service has this pod behind it."""
    return Way(client, endpoint, CLUSTER.node(node).address.ip, CLUSTER.web_behind(endpoint).node_port)


def to_node(client: str, node: str) -> Way:
    """Dial a program that listens on a node itself."""
    return Way(client, node, CLUSTER.node(node).address.ip)


def to_underlay(client: str, server: str) -> Way:
    """Dial the Macvlan address of a pod that has a Calico address too.

    Raises: ValueError for a pod without Macvlan NIC.
    """
    pod = CLUSTER.pod(server)
    if pod.underlay is None:
        raise ValueError(f"pod {server} has no Macvlan NIC")
    return Way(client, server, pod.underlay.ip)
