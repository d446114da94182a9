"""IPVLAN in modes l3 and l3s: a child hands packets to the IP layer of its lower device, and gets them from there.

On the way out that namespace routes the packet by its lower device, through its OUTPUT and POSTROUTING. On the way in,
in mode l3s, its PREROUTING and INPUT decide, and none of the child's own hooks; in mode l3 frames are handed over
before (`trace.stack.ethernet`).
Source: ipvlan_xmit_mode_l3(), ipvlan_process_v4_outbound() in drivers/net/ipvlan/ipvlan_core.c, ipvlan_l3_rcv(),
ipvlan_nf_input() in drivers/net/ipvlan/ipvlan_l3s.c, skb_scrub_packet() in net/core/skbuff.c (Linux 6.18).
"""

from __future__ import annotations

from collections.abc import Sequence

from mcnilib.errors import NoRoute, Unsupported
from mcnilib.language import tr
from mcnilib.linux.device.base import Child, Frame, Passage
from mcnilib.linux.device.link import Link
from mcnilib.linux.packet import Packet
from mcnilib.linux.routing.route import Query, RouteType
from mcnilib.linux.routing.source import validate_source
from mcnilib.trace.devices.cables import Sibling
from mcnilib.trace.stack.host import Arrival, Delivery, Departure, Position, Skb
from mcnilib.trace.stack.recorder import Recorder
from mcnilib.trace.trace import Fate, Handed, NoWay, Stage, Step


def hand_over(at: Recorder, link: Link, child: Child) -> Position:
    """Hand a packet of a child to the sibling whose address it is for, or to the namespace of the lower device.

    It takes no mark along into another namespace. Raises: Unknown where the lower device was not collected.
    """
    device, home = at.net.wire.cables.other_end(at.host.name, link), child.lower.netns
    if not isinstance(device, Link):
        raise device
    packet = at.skb.packet
    sibling = _owner(at.net.wire.cables.children[home, device.index], packet)
    passage = child.passage(sibling[2], Frame(link.mac, link.mac, packet)) if sibling else Passage.OUT
    if sibling and passage is Passage.LOST:
        mode = str(child)
        action = tr("devices of the kind `{mode}` do not talk to each other", mode=mode)
        at.note(Stage.DEVICE, action, oif=link.name, fate=Fate.DROPPED, what=Handed(""))
        return None
    netns, far = (sibling[0], sibling[1]) if sibling and passage is Passage.DIRECT else (home, device)
    skb = Skb(packet.but(mark=0) if netns != at.host.name else packet, txhash=at.skb.txhash)
    names = {"link": link.name, "far_link": far.name, "netns": netns}
    path, to = ((at.host.name, link.name),), (netns, far.name)
    if far is device:
        action = tr("leaves through {link}, handed to {netns}, which routes it by {far_link}", **names)
        at.note(Stage.DEVICE, action, skb.packet, oif=link.name, to=to, path=path, what=Handed(netns))
        return Departure(netns, skb, device.name)
    action = tr("leaves through {link}, arrives at {far_link} of {netns}", **names)
    at.note(Stage.DEVICE, action, skb.packet, oif=link.name, to=to, path=(*path, (home, device.name), to))
    return Arrival(netns, far, skb)


def _owner(children: list[Sibling], packet: Packet) -> Sibling | None:
    return next((child for child in children if child[1].up and packet.dst in child[1].ips), None)


def child_behind(at: Recorder, link: Link) -> tuple[str, Link] | None:
    """Return the child in mode l3s that a packet, which came in by its lower device, is for, with its namespace.

    The child's namespace has to take it for its own, its reverse path filter included; otherwise it goes the usual way.
    """
    children = at.net.wire.cables.children.get((at.host.name, link.index), [])
    owner = _owner([x for x in children if x[2].fed_by_input], at.skb.packet)
    if not owner:
        return None
    netns, child, _ = owner
    host, packet = at.net.hosts[netns], at.skb.packet
    try:
        route = host.route(Query(packet.dst, packet.src, child.name, mark=packet.mark)).route
    except NoRoute:
        return None
    own = route.type is RouteType.LOCAL and validate_source(host.netns, packet, child.name, "") is None
    return (netns, child) if own else None


def give(at: Recorder, dev: str, netns: str, child: Link) -> Delivery:
    """Give a packet that passed INPUT to the sockets of the child's namespace; its mark stays. Raises: Unsupported."""
    if at.skb.packet.inner:
        raise Unsupported(tr("a tunnel's packet for {child} of {netns}, in mode l3s", child=child.name, netns=netns))
    action = tr("{dev} hands it to {child} of {netns}", dev=dev, child=child.name, netns=netns)
    at.note(Stage.DEVICE, action, iif=dev, to=(netns, child.name), path=((at.host.name, dev), (netns, child.name)))
    at.enter(netns, at.skb)
    return Delivery(netns, at.skb, child.name)


def lost_below(steps: Sequence[Step]) -> bool:
    """Tell whether a packet ended on the way out of the namespace below, so that its sender hears of it at once.

    Source: ipvlan_process_v4_outbound(), which returns NET_XMIT_DROP.
    """
    last = steps[-1]
    handed = next((step.what for step in reversed(steps) if isinstance(step.what, Handed)), None)
    if not handed or not handed.netns:
        return handed is not None
    unsent = isinstance(last.what, NoWay) or last.hook in ("OUTPUT", "POSTROUTING")
    return unsent and last.netns == handed.netns and not last.iif
