"""Tunnels: VXLAN and IPIP headers put on and taken off.

Source: drivers/net/vxlan/vxlan_core.c, net/ipv4/{ipip,ip_tunnel}.c (Linux 6.18), RFC 7348, RFC 2003.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address

from mcnilib.errors import NoRoute, Unsupported
from mcnilib.linux.chance import EPHEMERAL, Chance
from mcnilib.linux.device.base import NO_MAC
from mcnilib.linux.device.ipip import Ipip
from mcnilib.linux.device.link import Link
from mcnilib.linux.device.vxlan import Vxlan
from mcnilib.linux.packet import Inner, Packet
from mcnilib.linux.routing.route import Query
from mcnilib.linux.routing.source import preferred_source
from mcnilib.trace.stack.host import Host, Skb
from mcnilib.trace.transport.socket_lookup import nobody, route_out

IPIP = "ipencap"
"""The protocol of an IPIP packet; its device looks the way up without the packet's mark. Source: ip_tunnel_xmit()."""

MAX_NESTING = 8
"""Headers around one packet before it counts as a dead loop.

Source: XMIT_RECURSION_LIMIT in include/linux/netdevice.h.
"""


def encapsulate(host: Host, link: Link, skb: Skb, next_hop: IPv4Address, mac: str) -> Packet | str:
    """Return the outer packet, or in words why the device drops it. The skb mark stays on the outer packet."""
    packet = skb.packet
    if _nesting(packet) >= MAX_NESTING:
        return f"dead loop on virtual device {link.name}"
    match link.kind:
        case Vxlan(vni, local, _, port, fdb, udpcsum):
            remote = _remote(host, link, fdb, mac)
            if remote is None:
                return f"{link.name} has no forwarding entry for {mac}"
            inner = Inner(packet, vni, mac, udpcsum)
            sport = source_port(host.chance, packet, skb.txhash)
            outer = Packet(local, remote, "udp", sport, port, mark=packet.mark, length=packet.length, inner=inner)
            return _with_source(host, link, outer)
        case Ipip(local, remote):
            outer = Packet(local or IPv4Address(0), remote or next_hop, IPIP, mark=packet.mark, inner=Inner(packet))
            return _with_source(host, link, outer)
    return f"{link.name} is no tunnel"


def _remote(host: Host, link: Link, fdb: Sequence[tuple[str, IPv4Address]], mac: str) -> IPv4Address | None:
    """Find the far end for a MAC, or for all others (00:00:00:00:00:00). Source: vxlan_xmit(), vxlan_find_mac()."""
    far = [ip for known, ip in fdb if known == mac] or [ip for known, ip in fdb if known == NO_MAC]
    if len(far) > 1:
        raise Unsupported(f"{link.name} of {host.name} sends copies for {mac} to {len(far)} far ends")
    return far[0] if far else None


def _nesting(packet: Packet) -> int:
    return 1 + _nesting(packet.inner.packet) if packet.inner else 0


def _with_source(host: Host, link: Link, outer: Packet) -> Packet | str:
    """Let the route to the tunnel's far end choose the outer source, where it has none.

    Source: ip_tunnel_xmit() in net/ipv4/ip_tunnel.c, udp_tunnel_dst_lookup() in net/ipv4/udp_tunnel_core.c.
    """
    mark = 0 if outer.proto == IPIP else outer.mark
    try:
        route = route_out(host, Query(outer.dst, outer.src, mark=mark)).route
    except NoRoute as error:
        return f"no route to the tunnel's far end: {error}"
    if route.dev == link.name:
        return f"circular route to {outer.dst}"
    if outer.proto != IPIP and route.type == "local":  # encap_bypass_if_local() in drivers/net/vxlan/vxlan_core.c
        why = f"{link.name} of {host.name} packs for {outer.dst}, which {host.name} takes for its own address"
        raise Unsupported(f"{why}: Linux hands the packet over unpacked, with the route it had")
    if int(outer.src):
        return outer
    src = preferred_source(host.netns, route, outer.dst)
    return outer.but(src=src or nobody(host, outer.dst))


def source_port(chance: Chance, packet: Packet, txhash: int = 0) -> int:
    """Derive the outer UDP source port from the inner flow: one flow, one port, as udp_flow_src_port() does.

    A socket whose segment was not acknowledged in time takes another hash (`txhash`), so another port. The kernel's
    hash has a secret, so which port of 32768 to 60999 it is is chance.
    """
    low, high = EPHEMERAL
    key = int(packet.src), int(packet.dst), packet.sport, packet.dport, txhash
    return chance.port(low, high, "udp", usual=low + hash(key) % (high - low + 1), key=key)


def listens(host: Host, packet: Packet) -> bool:
    """Tell whether tunnels of the namespace take the packet from UDP; IPIP has no socket, it always does."""
    ports = [link.kind.port for link in host.links.values() if isinstance(link.kind, Vxlan) and link.up]
    return packet.proto != "udp" or packet.dport in ports


def _generality(link: Link) -> tuple[bool, bool]:
    """Order IPIP devices as they are asked: both ends fixed, the remote, the local one, none (ip_tunnel_lookup())."""
    return (link.kind.remote is None, link.kind.local is None) if isinstance(link.kind, Ipip) else (False, False)


def decapsulate(host: Host, packet: Packet) -> tuple[Link, Packet] | str:
    """Return the tunnel device that unpacks the packet and what was inside, or in words why nothing does."""
    inner = packet.inner
    if inner is None:
        return "nothing inside"
    for link in sorted(host.links.values(), key=_generality):
        match link.kind:
            case Vxlan(vni, local, _, port) if (vni, port) == (inner.vni, packet.dport) and link.up:
                if inner.mac != link.mac:
                    return f"the inner frame is for {inner.mac}, not for {link.name}"
                return link, inner.packet.but(mark=packet.mark)
            case Ipip(local, remote) if inner.vni is None and link.up:
                if local in (None, packet.dst) and remote in (None, packet.src):
                    return link, inner.packet.but(mark=packet.mark)
    return f"no tunnel device takes {packet.proto} from {packet.src}"
