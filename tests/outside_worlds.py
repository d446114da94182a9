"""Worlds with machines that nobody collected and programs that answer ARP: for the model and the kernel."""

from __future__ import annotations

from device_worlds import ALIVE, Case
from kernel_worlds import chains
from small_worlds import namespace

from mcnilib.snapshots.files import save
from mcnilib.snapshots.merge import merged, read_cable
from mcnilib.snapshots.snapshot import Snapshot, snapshot_of
from mcnilib.world.world import Port, Segment, World

NODE = """route default via 192.168.0.1 dev eth0
route 10.244.0.5 dev cali1 scope link
sysctl net.ipv4.icmp_echo_ignore_all 0
sysctl net.ipv4.ip_forward 1
sysctl net.ipv4.conf.cali1.proxy_arp 1
"""
TO_POD = chains("nat", "PREROUTING -d 192.168.0.240 -p tcp --dport 8080 -j DNAT --to-destination 10.244.0.5:8080")


def collected(rules: str = "", *cables: str) -> Snapshot:
    """A node on a segment, with a pod; `cables` are lines about segments."""
    node = namespace("node1", "eth0 192.168.0.11/24\ncali1 veth pod 2", NODE, rules)
    pod = namespace("pod", "eth0 10.244.0.5/32 veth node1 3", "route default dev eth0 scope link")
    lan = Segment("lan", (Port("node1", "eth0"),), uplink=True)
    return snapshot_of(merged([save(World((node, pod), (lan,), complete=False))], map(read_cable, cables)))


def asked(ends: str, rules: str = "", *cables: str) -> Case:
    """CLIENT PROTOCOL ADDRESS SERVER, as they are typed."""
    client, proto, address, server = ends.split()
    to = f"{proto}:{address}" + ("" if proto == "icmp" else ":8080")
    found, netns, _ = collected(rules, *cables).placed(client, f"{to}@outside" if server == "outside" else to)
    return Case(found.world, f"{netns} {proto} {address} {server}", ALIVE)


SPEAKER = "lan=192.168.0.240@node1/eth0"
MASQUERADE = chains("nat", "POSTROUTING -o eth0 -j MASQUERADE")
CASES = {
    "a client behind the gateway": asked("outside:203.0.113.7@lan tcp 192.168.0.11 node1"),
    "a neighbour": asked("outside:192.168.0.77@lan tcp 192.168.0.11 node1"),
    "a machine behind the gateway": asked("node1 tcp 203.0.113.7 outside"),
    "a machine behind the gateway, for a pod": asked("pod tcp 203.0.113.7 outside", MASQUERADE),
    "a service address, for a client behind the gateway": asked("outside:203.0.113.7@lan tcp 192.168.0.240 pod", TO_POD, SPEAKER),
    "a service address, for a neighbour": asked("outside:192.168.0.77@lan tcp 192.168.0.240 pod", TO_POD, SPEAKER),
}  # fmt: skip
"""Who asks whom, and that it works."""
