"""Who does not hear whom of the devices that share one: a child its lower device, and children that are kept apart.

A frame that the lower device sends is not handed to its children, and one that a child sends is not handed to the lower
device's own IP layer, unless the switch sends it back (hairpin). That explains an answer that never comes.
Source: macvlan_queue_xmit() in drivers/net/macvlan.c, ipvlan_multicast_enqueue() in drivers/net/ipvlan/ipvlan_core.c
(Linux 6.18).
"""

from __future__ import annotations

from ipaddress import IPv4Address

from mcnilib.language import tr
from mcnilib.linux.device.base import Child, DeviceRole
from mcnilib.linux.device.link import Link
from mcnilib.trace.stack.host import Host, Network
from mcnilib.trace.stack.recorder import Recorder
from mcnilib.trace.trace import Stage


def deaf_owner(net: Network, host: Host, link: Link, ip: IPv4Address) -> str:
    """Say that who has an address does not hear what the namespace sends on the device; empty where nobody is known."""
    child = link.kind.child
    if child and not child.tag:
        return _parent(net, link, child, ip) or _sibling(net, link, child, ip)
    for netns, sibling, _ in net.wire.cables.children.get((host.name, link.index), ()):
        if sibling.up and ip in sibling.ips:
            return tr(
                "{ip} is the address of {sibling} of {netns}, a {kind} device on {link}: it does not hear what {link} "
                "sends itself",
                ip=ip,
                sibling=sibling.name,
                netns=netns,
                kind=sibling.kind.word,
                link=link.name,
            )
    return ""


def _parent(net: Network, link: Link, child: Child, ip: IPv4Address) -> str:
    lower, home = net.wire.cables.at(child.lower), child.lower.netns
    if not lower or ip not in net.hosts[home].netns.own_addresses:
        return ""
    return tr(
        "{ip} is an address of {netns}, which does not hear {link}, a {kind} device on its {lower}",
        ip=ip,
        netns=home,
        link=link.name,
        kind=link.kind.word,
        lower=lower.name,
    )


def _sibling(net: Network, link: Link, child: Child, ip: IPv4Address) -> str:
    for netns, sibling, kind in net.wire.cables.children.get((child.lower.netns, child.lower.index), ()):
        if sibling is not link and sibling.up and ip in sibling.ips:
            return tr(
                "{ip} is the address of {sibling} of {netns}, and `{mode}` and `{other}` on one device do not hear "
                "each other",
                ip=ip,
                sibling=sibling.name,
                netns=netns,
                mode=str(link.kind),
                other=str(kind),
            )
    return ""


def passed_by(at: Recorder, link: Link) -> str:
    """Say that a packet by a child is for the node below, which does not hear it, and which device leads there."""
    child = link.kind.child
    reason = _parent(at.net, link, child, at.skb.packet.dst) if child and not child.tag else ""
    if not reason or not child:
        return ""
    route = next((step.evidence.strip() for step in reversed(at.steps) if step.stage is Stage.ROUTE), "")
    home = child.lower.netns
    pairs = (x for x in at.host.links.values() if x.kind.role is DeviceRole.PAIR and x.kind.endpoint and x.up)
    direct = next((x.name for x in pairs if x.kind.endpoint and x.kind.endpoint.netns == home), "")
    if direct:
        return tr("{reason}; {device} leads there, but `{route}` decides", reason=reason, device=direct, route=route)
    return tr("{reason}; `{route}` decides", reason=reason, route=route)
