"""ARP: who answers for a next hop on a device, and what is remembered for the rest of the run.

Source: net/ipv4/arp.c (arp_solicit, arp_process, arp_fwd_pvlan), arp(7), Documentation/networking/ip-sysctl.rst
(arp_ignore, proxy_arp).
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from mcnilib.errors import NoRoute, Unknown, Unsupported
from mcnilib.linux.device.base import BROADCAST_MAC, Frame
from mcnilib.linux.device.link import Link
from mcnilib.linux.packet import Packet
from mcnilib.linux.routing.neigh import PROXY, Neigh
from mcnilib.linux.routing.route import Query
from mcnilib.linux.routing.source import source_address, validate_source
from mcnilib.trace.stack.ethernet import Receiver
from mcnilib.trace.stack.host import Host
from mcnilib.trace.stack.recorder import Recorder
from mcnilib.trace.trace import Fate, Stage
from mcnilib.trace.transport.socket_lookup import route_out

if TYPE_CHECKING:
    from mcnilib.trace.stack.host import Network


PATIENCE = 3.0
"""Seconds until an unanswered neighbour is given up: three requests, one second apart (arp(7) mcast_solicit,
retrans_time)."""

OWNS, PROXIES = "owns", "proxies"
"""How a namespace answers ARP: a route of type local has the address, or it stands in for others."""


def resolve(net: Network, log: Recorder, host: Host, link: Link, ip: IPv4Address, packet: Packet) -> str | None:
    """Return the MAC for a next hop, asking the wire once per run; None when nobody answers.

    Raises: Unknown when somebody who was not collected might answer.
    """
    entry = known(host, link, ip)
    if isinstance(entry, Neigh):
        return _noted(log, host, link, packet, entry)
    if entry is None and link.kind.tunnel:
        raise Unsupported(f"ARP out of the {link.kind.word.upper()} device {link.name} of {host.name}, for {ip}")
    mac = entry or _ask(net, log, host, link, ip, packet)
    if mac is None:
        host.unconfirmed.add(ip)
    return mac


def known(host: Host, link: Link, ip: IPv4Address) -> Neigh | str | None:
    """Return the entry of a neighbour, or the MAC that ARP learned before; None when one has to ask."""
    entries = (x for x in host.netns.ip4.neighbours if (x.ip, x.dev) == (ip, link.name) and x.state != PROXY)
    return next(entries, None) or host.neighbours.get((link.name, ip))


def _ask(net: Network, log: Recorder, host: Host, link: Link, ip: IPv4Address, packet: Packet) -> str | None:
    """Send a request and return the first answer: whose address it is, then proxies, which wait a little.

    Source: arp_process(), pneigh_enqueue() in net/core/neighbour.c.
    """
    if host.is_local(ip):
        raise Unsupported(f"the next hop {ip} is an address of {host.name} itself, by a local route somebody added")
    sender = _sender(host, link, ip, packet)
    answering, gap = _answering(net, host, link, ip, sender)
    heard = [landing for landing in answering if _is_heard(net, host, link, landing)]
    entry = next((x for x in host.netns.ip4.learned if (x.ip, x.dev) == (ip, link.name)), None)
    if entry and (heard or not gap):
        return _believed(log, host, link, packet, entry, heard)
    for landing in answering if int(sender) else ():
        _learn(net.hosts[landing.netns], landing.link.name, sender, link.mac)
    if gap and heard and not any(net.hosts[landing.netns].is_local(ip) for landing in heard):
        raise Unknown(
            f"only proxies that were collected answer who has {ip}, and {gap.why}", collect=gap.collect
        ) from gap
    if heard:
        landing = _first(net, host, link, ip, sender, heard)
        host.neighbours[(link.name, ip)] = landing.link.mac
        text = f"who has {ip}? {landing.netns} answers on {landing.link.name}: {landing.link.mac}"
        log.add(host.name, Stage.ARP, text, packet, oif=link.name, to=(landing.netns, landing.link.name))
        return landing.link.mac
    _lose(net, link, ip, answering)
    if gap:
        raise Unknown(f"nobody who was collected answers who has {ip}, and {gap.why}", collect=gap.collect) from gap
    log.add(host.name, Stage.ARP, f"who has {ip}? nobody answers", packet, oif=link.name, fate=Fate.UNREACHABLE)
    return None


def _answering(
    net: Network, host: Host, link: Link, ip: IPv4Address, sender: IPv4Address
) -> tuple[list[Receiver], Unknown | None]:
    """Return who answers a request, and where it leaves what is known."""
    gap = net.wire.beyond(host.name, link, Frame(link.mac, BROADCAST_MAC))
    answering = []
    for landing in net.wire.send(host.name, link, Frame(link.mac, BROADCAST_MAC)):
        try:
            if answers(net.hosts[landing.netns], landing.link, ip, sender):
                answering.append(landing)
        except Unknown as unknown:
            gap = gap or unknown
    return answering, gap


def _believed(log: Recorder, host: Host, link: Link, packet: Packet, entry: Neigh, heard: list[Receiver]) -> str:
    """Use what ARP knew when this was collected, without a request. Raises: Unknown when nobody would answer that."""
    if all(landing.link.mac != entry.mac for landing in heard):
        others = [f"{landing.link.name} of {landing.netns} answers with {landing.link.mac}" for landing in heard]
        says = " and ".join(others) or "nobody who was collected answers"
        why = f"`ip neigh` of {host.name} has {entry.ip} at {entry.mac} ({entry.state}), and {says}"
        raise Unknown(why, collect="the snapshot again, all of it at one time")
    host.neighbours[link.name, entry.ip] = entry.mac
    return _noted(log, host, link, packet, entry)


def _is_heard(net: Network, host: Host, link: Link, landing: Receiver) -> bool:
    back = net.wire.send(landing.netns, landing.link, Frame(landing.link.mac, link.mac))
    return any((one.netns, one.link.name) == (host.name, link.name) for one in back)


def _lose(net: Network, link: Link, ip: IPv4Address, answering: list[Receiver]) -> None:
    """Raise: Unknown when an answer leaves what is known."""
    for landing in answering:
        if lost := net.wire.beyond(landing.netns, landing.link, Frame(landing.link.mac, link.mac)):
            raise Unknown(f"{landing.netns} answers who has {ip}, and {lost.why}", collect=lost.collect) from lost


def _learn(host: Host, dev: str, asker: IPv4Address, mac: str) -> None:
    """Let who answers learn the asker. Source: arp_process(), neigh_event_ns()."""
    if (dev, asker) not in host.neighbours:
        host.unconfirmed.add(asker)
    host.neighbours[dev, asker] = mac


def _first(
    net: Network, host: Host, link: Link, ip: IPv4Address, sender: IPv4Address, heard: list[Receiver]
) -> Receiver:
    """Choose the answer that counts, which is the first: owners before proxies, and among several it is chance.

    The second within `locktime` (1 s) changes nothing. A bridge asks the port first that was added last, which nothing
    shows. Source: arp_process(), br_flood() in net/bridge/br_forward.c.
    """
    if len(heard) == 1:
        return heard[0]
    first = [one for one in heard if answers(net.hosts[one.netns], one.link, ip, sender) == OWNS] or heard
    if len(first) == 1:
        return first[0]
    options = [f"is {landing.link.name} of {landing.netns}" for landing in first]
    return first[host.chance.pick(f"the first to answer who has {ip} on {link.name} of {host.name}", options)]


def _noted(log: Recorder, host: Host, link: Link, packet: Packet, entry: Neigh) -> str:
    if int(entry.mac[:2], 16) & 1:
        raise Unsupported(f"{entry.ip} on {link.name} of {host.name} is at {entry.mac}: the frame is for a whole group")
    log.add(host.name, Stage.ARP, f"{entry.ip} is at {entry.mac}", packet, line=entry, oif=link.name)
    return entry.mac


def _sender(host: Host, link: Link, target: IPv4Address, packet: Packet) -> IPv4Address:
    """Choose the address the request is sent from. Source: arp_solicit(), arp_announce 0 to 2."""
    announce = host.conf("arp_announce", link.name)
    if announce == 0 and host.is_local(packet.src):
        return packet.src
    if announce == 1 and any(packet.src == a.ip and target in a.interface.network for a in link.addresses):
        return packet.src
    return source_address(host.netns, link.name, target, "link") or IPv4Address(0)


def answers(host: Host, link: Link, target: IPv4Address, sender: IPv4Address) -> str:
    """Tell how the namespace answers a request for `target` that came in by `link`: OWNS, PROXIES, or empty for not."""
    if sender == IPv4Address(0):  # duplicate address detection
        return OWNS if host.is_local(target) else ""
    probe = Packet(sender, target, proto="arp")
    try:
        route = host.route(Query(target, sender, iif=link.name)).route
    except NoRoute:
        return ""
    out = "" if route.type == "local" else route.dev  # ip_route_input_slow(), __mkroute_input()
    if validate_source(host.netns, probe, link.name, out) is not None:
        return ""
    if route.type == "local":
        mine = _may_answer(host, link, target, sender) and not _filtered(host, link, target, sender)
        return OWNS if mine else ""
    proxies = route.type == "unicast" and _proxies(host, link, target, route.dev == link.name, sender)
    return PROXIES if proxies else ""


def _proxies(host: Host, link: Link, target: IPv4Address, same: bool, sender: IPv4Address) -> bool:
    """Tell whether the namespace answers for addresses behind it: for all of them, or for this one (ip neigh proxy).

    `same`: the way there is the device the request came by, where switches keep neighbours apart (private VLAN).
    """
    if not host.conf("forwarding", link.name):
        return False
    if same:
        return bool(host.conf("proxy_arp_pvlan", link.name)) and sender != target
    proxies = (x.dev for x in host.netns.ip4.neighbours if (x.ip, x.state) == (target, PROXY))
    return bool(host.conf("proxy_arp", link.name)) or any(dev in ("", link.name) for dev in proxies)


def _may_answer(host: Host, link: Link, target: IPv4Address, sender: IPv4Address) -> bool:
    """Apply arp_ignore. Source: arp_ignore() in net/ipv4/arp.c, confirm_addr_indev() in net/ipv4/devinet.c."""
    ignore = host.conf("arp_ignore", link.name)
    own = any(a.ip == target for a in link.addresses)
    if ignore == 0:
        return True
    if ignore == 1:
        return own
    if ignore == 2:  # the subnet that holds both may be that of another address
        return own and any(target in net and sender in net for net in (a.interface.network for a in link.addresses))
    if ignore == 8:
        return False
    raise Unsupported(f"arp_ignore {ignore} on {link.name} in {host.name}; 0, 1, 2 and 8 are modelled")


def _filtered(host: Host, link: Link, target: IPv4Address, sender: IPv4Address) -> bool:
    """Apply arp_filter: answer only on the device an answer to the sender would leave by."""
    if not host.conf("arp_filter", link.name):
        return False
    try:
        return route_out(host, Query(sender, target)).route.dev != link.name
    except NoRoute:
        return True
