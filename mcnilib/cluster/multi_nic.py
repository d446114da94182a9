"""Spiderpool's coordinator in mode overlay: a pod whose eth0 is Calico's and whose net1 is a Macvlan child.

eth0's pair takes the place of veth0: routes to node, pods and services use it, and on the node table 500 leads to the
Macvlan address through `cali...`. Then the coordinator decides which NIC holds the default route, and writes `from`
rules for the other one.

    tuned      default route on eth0: 32764 from eth0's address lookup 100, 32765 from net1's address lookup 101
               default route on net1: 32765 from eth0's address lookup 101
    only net1  as v0.8.2 to v0.8.6 did: one rule, for the NIC without default route, and table 100 for it
    not tuned  no rules; both default routes stay in main, net1's before eth0's

Source: spidernet-io/spiderpool cmd/coordinator/cmd/command_add.go and utils.go (v0.8.2, v1.0.0 and later),
pkg/networking/networking/route.go.
"""

from __future__ import annotations

from mcnilib.cluster.calico import GATEWAY, HOST_MAC
from mcnilib.cluster.settings import DefaultNic, Tuning
from mcnilib.cluster.spec import Pod
from mcnilib.cluster.spiderpool import MARK_TABLE, NIC_TABLE, WRITER, Coordinator, hijacked, rp_filter, to_node
from mcnilib.cluster.written import ip_route, ip_rule
from mcnilib.linux.netns import Netns, add_routes, add_rule, del_route
from mcnilib.linux.origin import Origin


def attach_multi(netns: Netns, pod: Pod, coordinator: Coordinator, default: DefaultNic, tuning: Tuning) -> Netns:
    """Do the coordinator's work in a multi-NIC pod that has both NICs, in the order Calico, Macvlan."""
    netns = rp_filter(netns, coordinator)
    table = MARK_TABLE if tuning is Tuning.ONLY_NET1 else NIC_TABLE
    netns = to_node(netns, pod, coordinator, "eth0", HOST_MAC, table)
    netns = add_routes(netns, *hijacked(pod, coordinator, "eth0"))
    if tuning is Tuning.ONLY_NET1:
        netns = add_routes(netns, *hijacked(pod, coordinator, "eth0", table))
    if tuning is Tuning.NOT:
        return netns
    if default is DefaultNic.NET1:
        return _move_eth0(netns, pod, coordinator, table)
    netns = _move_net1(netns, pod, table)
    return netns if tuning is Tuning.ONLY_NET1 else _copy_eth0(netns, pod)


def _move_net1(netns: Netns, pod: Pod, table: str) -> Netns:
    """Move net1's default route to a table of its own and copy its subnet there."""
    if pod.underlay is None:
        raise ValueError(f"pod {pod.name} has no Macvlan NIC")
    netns = del_route(netns, "default", dev="net1")
    by = Origin(WRITER, "moved out of main: the pod's default route is on eth0")
    default = ip_route(f"default via {pod.gateway} dev net1", by, table)
    by = Origin(WRITER, "copied from main, so that net1's own subnet stays on net1")
    subnet = ip_route(f"{pod.underlay.network} dev net1 scope link src {pod.underlay.ip}", by, table)
    netns = add_routes(netns, default, subnet)
    by = Origin(WRITER, "what has net1's address leaves by net1")
    return add_rule(netns, ip_rule(f"from {pod.underlay.ip} lookup {table}", by))


def _copy_eth0(netns: Netns, pod: Pod) -> Netns:
    """Copy eth0's default route to table 100 and look there for what has eth0's address."""
    by = Origin(WRITER, "copied from main: the way out for replies of connections that came in by eth0")
    netns = add_routes(netns, ip_route(f"default via {GATEWAY} dev eth0", by, MARK_TABLE))
    by = Origin(WRITER, "what has eth0's address leaves by eth0, so replies go back the way the request came")
    return add_rule(netns, ip_rule(f"from {pod.overlay} lookup {MARK_TABLE}", by))


def _move_eth0(netns: Netns, pod: Pod, coordinator: Coordinator, table: str) -> Netns:
    """Move eth0's default route to a table of its own and copy its other routes there."""
    netns = del_route(netns, "default", dev="eth0")
    by = Origin(WRITER, "moved out of main: the pod's default route is on net1")
    default = ip_route(f"default via {GATEWAY} dev eth0", by, table)
    by = Origin(WRITER, "copied from main")
    link = ip_route(f"{GATEWAY} dev eth0 scope link", by, table)
    present = {route.dst for route in netns.routes if route.table == table}
    copies = [route for route in hijacked(pod, coordinator, "eth0", table) if route.dst not in present]
    netns = add_routes(netns, default, link, *copies)
    by = Origin(WRITER, "what has eth0's address leaves by eth0, so replies go back the way the request came")
    return add_rule(netns, ip_rule(f"from {pod.overlay} lookup {table}", by))
