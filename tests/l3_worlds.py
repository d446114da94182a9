"""Worlds of tun and WireGuard devices, and how conversations end there: for the model and the kernel."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from device_worlds import ALIVE, LOST, Case
from kernel_worlds import FORWARDS, chains
from small_worlds import namespace, plug

from mcnilib.linux.device.base import Kind
from mcnilib.linux.device.l3.kinds import Peer, Tun, WireGuard
from mcnilib.linux.device.link import Address, Link
from mcnilib.linux.netfilter.iptables.save import parse_tables
from mcnilib.linux.netns import Netns, add_link, add_routes, set_link
from mcnilib.linux.routing.route import parse_route
from mcnilib.world.world import World

UNREACHABLE = "unreachable"
MTU = 1420


def with_device(netns: Netns, name: str, kind: Kind, address: str, *routes: str) -> Netns:
    """The namespace with one more device, and routes over it."""
    index = max(link.index for link in netns.links) + 1
    netns = add_link(netns, Link(index, name, kind, addresses=(Address(IPv4Interface(address)),), mtu=MTU))
    return add_routes(netns, *(parse_route(f"{route} dev {name} scope link") for route in routes))


def peer(key: str, allowed: str, endpoint: str = "") -> Peer:
    return Peer(key, tuple(map(IPv4Network, allowed.split())), (IPv4Address(endpoint), 51820) if endpoint else None)


def wireguard(
    near: Peer | None = None, far: Peer | None = None, *, mark: int = 0, rules: str = "", state: str = ""
) -> World:
    """Nodes n and m on a switch with a tunnel between them, and a pod of each behind it."""
    to_m = near or peer("m/wg0", "10.9.0.2 10.9.2.0/24", "10.0.1.2")
    to_n = far or peer("n/wg0", "10.9.0.1 10.9.1.0/24", "10.0.1.1")
    n = namespace("n", "en0 10.0.1.1/24\nva veth a 2", FORWARDS + "route 10.9.1.5 dev va scope link\n" + state)
    m = namespace("m", "en0 10.0.1.2/24\nvb veth b 2", FORWARDS + "route 10.9.2.5 dev vb scope link\n")
    n = with_device(n, "wg0", WireGuard((to_m,), 51820, mark), "10.9.0.1/32", "10.9.0.2", "10.9.2.0/24", "10.9.9.0/24")
    m = with_device(m, "wg0", WireGuard((to_n,), 51820), "10.9.0.2/32", "10.9.0.1", "10.9.1.0/24")
    n = n.with_ip4(tables=parse_tables(rules)) if rules else n
    return plug(n, m, *_pods(), lan="n.en0 m.en0")


def _pods() -> tuple[Netns, Netns]:
    lines = "route 169.254.1.1 dev eth0 scope link\nroute default via 169.254.1.1 dev eth0\nneigh 169.254.1.1 dev eth0 lladdr {} PERMANENT"
    macs = "02:6e:2d:2d:2d:03", "02:6d:2d:2d:2d:03"
    a = namespace("a", "eth0 10.9.1.5/32 veth n 3", lines.format(macs[0]))
    return a, namespace("b", "eth0 10.9.2.5/32 veth m 3", lines.format(macs[1]))


def tun(rules: str = "", *, down: bool = False) -> World:
    """n and m, whose tun devices a program connects; a pod behind each."""
    n = namespace("n", "en0 10.0.1.1/24\nva veth a 2", FORWARDS + "route 10.9.1.5 dev va scope link\n")
    m = namespace("m", "en0 10.0.1.2/24\nvb veth b 2", FORWARDS + "route 10.9.2.5 dev vb scope link\n")
    n = with_device(n, "tun0", Tun(), "10.9.0.1/32", "10.9.0.2", "10.9.2.0/24")
    m = with_device(m, "tun0", Tun(), "10.9.0.2/32", "10.9.0.1", "10.9.1.0/24")
    m = set_link(m, "tun0", up=False) if down else m
    m = m.with_ip4(tables=parse_tables(rules)) if rules else m
    return plug(n, m, *_pods(), lan="n.en0 m.en0", vpn="n.tun0 m.tun0")


MARK_PINGS = chains("mangle", "OUTPUT -p icmp -j MARK --set-mark 0x7") + chains(
    "filter", "OUTPUT -p udp -m mark --mark 0x7 -j DROP"
)
BY_MARK = chains("filter", "OUTPUT -p udp -m mark --mark 0x51 -j DROP")
BY_PROTO = chains("filter", "OUTPUT -p udp --dport 51820 -j DROP")
ONLY_MARKED = "rule 100: from all fwmark 0x51 lookup 51\nroute 10.0.1.2 via 10.0.1.99 dev en0 table 51\n"
MARKED = chains("filter", "INPUT -i tun0 -m mark ! --mark 0x0 -j DROP")

WIREGUARD = {
    "a tunnel": Case(wireguard(), "n icmp 10.9.0.2 m", ALIVE),
    "pods behind a tunnel": Case(wireguard(), "a tcp 10.9.2.5 b", ALIVE),
    "pods behind a tunnel, UDP": Case(wireguard(), "a udp 10.9.2.5 b", ALIVE),
    "no peer for the destination": Case(wireguard(), "n icmp 10.9.9.9 m", UNREACHABLE, "ENOKEY"),
    "no peer for what is forwarded": Case(wireguard(), "a tcp 10.9.9.9 m", UNREACHABLE, "EHOSTUNREACH"),
    "a source that is not allowed": Case(wireguard(far=peer("n/wg0", "10.9.0.1", "10.0.1.1")), "a icmp 10.9.2.5 b", LOST),
    "the far end learns where the peer is": Case(wireguard(far=peer("n/wg0", "10.9.0.1")), "n tcp 10.9.0.2 m", ALIVE),
    "no peer for a SYN": Case(wireguard(), "n tcp 10.9.9.9 m", UNREACHABLE, "EHOSTUNREACH"),
    "no peer for a datagram": Case(wireguard(), "n udp 10.9.9.9 m", UNREACHABLE, "ENOKEY"),
    "no endpoint": Case(wireguard(peer("m/wg0", "10.9.0.2")), "n icmp 10.9.0.2 m", UNREACHABLE, "EDESTADDRREQ"),
    "the outer packet has the device's mark": Case(wireguard(mark=0x51, rules=BY_MARK), "n icmp 10.9.0.2 m", LOST),
    "the outer packet has no other mark": Case(wireguard(rules=BY_MARK), "n icmp 10.9.0.2 m", ALIVE),
    "the mark of what is inside stays there": Case(wireguard(rules=MARK_PINGS), "n icmp 10.9.0.2 m", ALIVE),
    "the outer packet meets OUTPUT": Case(wireguard(rules=BY_PROTO), "n icmp 10.9.0.2 m", LOST),
    "the device's mark chooses the route": Case(wireguard(mark=0x51, state=ONLY_MARKED), "n icmp 10.9.0.2 m", LOST),
}  # fmt: skip

TUN = {
    "a program carries packets": Case(tun(), "n icmp 10.9.0.2 m", ALIVE),
    "a program carries packets of pods": Case(tun(), "a tcp 10.9.2.5 b", ALIVE),
    "a mark stays behind": Case(tun(MARKED), "n icmp 10.9.0.2 m", ALIVE),
    "the far device is down": Case(tun(down=True), "n icmp 10.9.0.2 m", LOST),
}

CASES = WIREGUARD | TUN
