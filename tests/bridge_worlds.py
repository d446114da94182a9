"""Worlds in which bridges show their packets to iptables, or keep ports apart: for the model and the kernel."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from typing import NamedTuple

from kernel_worlds import FORWARDS, PATIENCE, chains, made
from small_worlds import device, namespace, plug

from mcnilib.linux.device.base import LinkEnd
from mcnilib.linux.device.bridge import Bridge
from mcnilib.linux.device.bridge_vlan import with_vlans
from mcnilib.linux.device.port import NO_PORT, BridgePort
from mcnilib.linux.device.veth import Veth
from mcnilib.linux.netfilter.iptables.save import parse_tables
from mcnilib.trace.flow import Flow, Listener
from mcnilib.world.world import World

SHOWN, HIDDEN = (f"sysctl net.bridge.bridge-nf-call-iptables {value}\n" for value in (1, 0))
HAIRPIN, ISOLATED = BridgePort(hairpin=True), BridgePort(isolated=True)
SERVICE = "10.96.0.1"


def cni(state: str, *tables: str, port: BridgePort = NO_PORT, bridge: Bridge = Bridge()) -> World:
    """A node n with a bridge of pods a and b, as flannel makes it, and c on the node's LAN."""
    ports = [device("n", index, f"v{pod}", "", Veth(LinkEnd(pod, 2))) for index, pod in ((4, "a"), (5, "b"))]
    links = (device("n", 2, "en0", "10.0.1.1/24"), device("n", 3, "br0", "10.0.7.1/24", bridge))
    n = made("n", *links, *(replace(end, master="br0", port=port) for end in ports), state=FORWARDS + state)
    n = n.with_ip4(tables=parse_tables("".join(tables)))
    way = "route default via 10.0.7.1 dev eth0"
    pods = (namespace(pod, f"eth0 10.0.7.{i}/24 veth n {i + 2}", way) for i, pod in ((2, "a"), (3, "b")))
    c = namespace("c", "eth0 10.0.1.3/24", "route default via 10.0.1.1 dev eth0")
    return plug(n, *pods, c, lan="n.en0 c.eth0")


def dnat(to: str, *more: str) -> str:
    """The service's address is translated to another one."""
    return chains("nat", f"PREROUTING -d {SERVICE} -j DNAT --to-destination {to}", *more)


def forwarded(match: str, how: str = "DROP") -> str:
    """A rule of FORWARD."""
    return chains("filter", f"FORWARD {match} -j {how}")


def physdev(options: str, hook: str = "FORWARD") -> str:
    """A rule that drops by ports of a bridge."""
    return chains("mangle", f"{hook} -m physdev {options} -j DROP")


OWN = "POSTROUTING -s 10.0.7.2 -d 10.0.7.2 -j MASQUERADE"
BEHIND_B = dnat("10.0.7.3")
RESET = "REJECT --reject-with tcp-reset"


class BridgeCase(NamedTuple):
    """A conversation, from `client` to `to`, and how it ends for the client."""

    world: World
    to: str
    verdict: str
    client: str = "a"
    server: str = "b"
    size: int = 0

    @property
    def flow(self) -> Flow:
        """The conversation; its port is of no account."""
        proto, address, *port = self.to.split(":")
        return Flow(
            self.client,
            IPv4Address(address),
            proto,
            int(port[0]) if port else 0,
            patience=PATIENCE,
            request=self.size,
            answer=self.size,
        )

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """The server's sockets."""
        return Listener(self.server, 80), Listener(self.server, 80, "udp", pinned=True)


B, VIP, C = "tcp:10.0.7.3:80", f"tcp:{SERVICE}:80", "tcp:10.0.1.3:80"
WORKS, LATE, REFUSED, SILENT = "connected", "connect times out", "connection refused", "lost"
CASES = {
    # what FORWARD sees
    "bridged, hidden: FORWARD drops nothing": BridgeCase(cni(HIDDEN, forwarded("-p tcp")), B, WORKS),
    "bridged, shown: FORWARD drops": BridgeCase(cni(SHOWN, forwarded("-p tcp")), B, LATE),
    "bridged, shown by the bridge alone": BridgeCase(cni(HIDDEN, forwarded("-p tcp"), bridge=Bridge(nf_call_iptables="1")), B, LATE),
    "the bridge is both devices": BridgeCase(cni(SHOWN, forwarded("-i br0 -o br0")), B, LATE),
    "the ports are not": BridgeCase(cni(SHOWN, forwarded("-i va")), B, WORKS),
    "a REJECT is heard": BridgeCase(cni(SHOWN, forwarded("-p tcp", "REJECT")), B, REFUSED),
    "a reset is heard": BridgeCase(cni(SHOWN, forwarded("-p tcp", RESET)), B, REFUSED),
    "no TTL is spent": BridgeCase(cni(SHOWN, chains("mangle", "POSTROUTING -p tcp -m ttl --ttl-eq 64 -j DROP")), B, LATE),
    "source NAT of what is bridged": BridgeCase(cni(SHOWN, chains("nat", "POSTROUTING -p tcp -j MASQUERADE")), B, WORKS),
    # DNAT back into the bridge
    "a service, hidden: the answer is not translated": BridgeCase(cni(HIDDEN, BEHIND_B), VIP, LATE),
    "a service, shown": BridgeCase(cni(SHOWN, BEHIND_B), VIP, WORKS),
    "a service, shown, UDP": BridgeCase(cni(SHOWN, BEHIND_B), f"udp:{SERVICE}:80", WORKS),
    "a service, shown, ping": BridgeCase(cni(SHOWN, BEHIND_B), f"icmp:{SERVICE}", WORKS),
    "a service, shown: no TTL is spent": BridgeCase(cni(SHOWN, BEHIND_B, chains("mangle", "POSTROUTING -d 10.0.7.3 -m ttl --ttl-eq 64 -j DROP")), VIP, LATE),
    "a service, without forwarding": BridgeCase(cni(SHOWN + "sysctl net.ipv4.conf.br0.forwarding 0", BEHIND_B), VIP, LATE),
    "a service with SNAT": BridgeCase(cni(SHOWN, dnat("10.0.7.3", "POSTROUTING -d 10.0.7.3 -j MASQUERADE")), VIP, WORKS),
    "a service of one's own, hidden": BridgeCase(cni(HIDDEN, dnat("10.0.7.2", OWN)), VIP, WORKS, server="a"),
    "a service of one's own, shown, hairpin off": BridgeCase(cni(SHOWN, dnat("10.0.7.2", OWN)), VIP, LATE, server="a"),
    "a service of one's own, shown, hairpin on": BridgeCase(cni(SHOWN, dnat("10.0.7.2", OWN), port=HAIRPIN), VIP, WORKS, server="a"),
    "a service elsewhere": BridgeCase(cni(SHOWN, dnat("10.0.1.3")), VIP, WORKS, server="c"),
    "a service of the node": BridgeCase(cni(SHOWN, dnat("10.0.1.1")), VIP, WORKS, server="n"),
    "a service from outside": BridgeCase(cni(SHOWN, BEHIND_B), VIP, WORKS, client="c"),
    # what REJECT sends is not translated back: it goes straight out by the port
    "a service, hidden, a reset": BridgeCase(cni(HIDDEN, BEHIND_B, forwarded("-p tcp", RESET)), VIP, REFUSED),
    "a service, shown, a reset": BridgeCase(cni(SHOWN, BEHIND_B, forwarded("-p tcp", RESET)), VIP, LATE),
    "a service elsewhere, shown, a reset": BridgeCase(cni(SHOWN, dnat("10.0.1.3"), forwarded("-p tcp", RESET)), VIP, LATE, server="c"),
    "a service of the node, shown, a reset": BridgeCase(cni(SHOWN, dnat("10.0.1.1"), chains("filter", f"INPUT -p tcp -j {RESET}")), VIP, LATE, server="n"),
    "a service, shown, an ICMP error": BridgeCase(cni(SHOWN, BEHIND_B, forwarded("-p tcp", "REJECT")), VIP, REFUSED),
    "a reset passes no OUTPUT": BridgeCase(cni(SHOWN, chains("filter", f"FORWARD -p tcp -j {RESET}", "OUTPUT -p tcp -j DROP")), C, REFUSED, server="c"),
    "hidden, it does": BridgeCase(cni(HIDDEN, chains("filter", f"FORWARD -p tcp -j {RESET}", "OUTPUT -p tcp -j DROP")), C, LATE, server="c"),
    # what -m physdev says
    "bridged: is-bridged": BridgeCase(cni(SHOWN, physdev("--physdev-is-bridged")), B, LATE),
    "routed out: not is-bridged": BridgeCase(cni(SHOWN, physdev("--physdev-is-bridged")), C, WORKS, server="c"),
    "routed out: not is-out": BridgeCase(cni(SHOWN, physdev("! --physdev-is-out")), C, LATE, server="c"),
    "routed out: it came in by a port": BridgeCase(cni(SHOWN, physdev("--physdev-in va")), C, LATE, server="c"),
    "routed out, POSTROUTING: still known": BridgeCase(cni(SHOWN, physdev("--physdev-in v+", "POSTROUTING")), C, LATE, server="c"),
    "routed out: it came by no other port": BridgeCase(cni(SHOWN, physdev("--physdev-in vb")), C, WORKS, server="c"),
    "routed out, hidden: nothing is known": BridgeCase(cni(HIDDEN, physdev("--physdev-is-in")), C, WORKS, server="c"),
    "routed out, hidden: negated, all holds": BridgeCase(cni(HIDDEN, physdev("! --physdev-in va ! --physdev-is-bridged")), C, LATE, server="c"),
    "routed out: no port out, not even another": BridgeCase(cni(SHOWN, physdev("--physdev-in va ! --physdev-out vb")), C, WORKS, server="c"),
    "routed in: nothing is known": BridgeCase(cni(SHOWN, physdev("! --physdev-is-in ! --physdev-out vb")), B, LATE, client="c"),
    "bridged: the port out": BridgeCase(cni(SHOWN, physdev("--physdev-is-bridged --physdev-out vb", "POSTROUTING")), B, LATE),
    "bridged: not the port out": BridgeCase(cni(SHOWN, physdev("--physdev-is-bridged --physdev-out va", "POSTROUTING")), B, LATE),
    "in PREROUTING nothing is bridged yet": BridgeCase(cni(SHOWN, physdev("! --physdev-is-bridged", "PREROUTING")), B, LATE),
    "to the node": BridgeCase(cni(SHOWN, physdev("--physdev-in va", "INPUT")), "tcp:10.0.7.1:80", LATE, server="n"),
    "a service, shown: is-bridged": BridgeCase(cni(SHOWN, BEHIND_B, physdev("--physdev-is-bridged --physdev-in va")), VIP, LATE),
    # ports kept apart
    "isolated ports": BridgeCase(cni(HIDDEN, port=ISOLATED), B, LATE),
    "isolated ports and the node": BridgeCase(cni(HIDDEN, port=ISOLATED), "tcp:10.0.7.1:80", WORKS, server="n"),
    "isolated ports and what is routed": BridgeCase(cni(HIDDEN, port=ISOLATED), B, WORKS, client="c"),
    "isolated ports, a service, shown": BridgeCase(cni(SHOWN, BEHIND_B, port=ISOLATED), VIP, LATE),
    "a service, shown, many bytes": BridgeCase(cni(SHOWN, BEHIND_B), VIP, WORKS, size=20000),
    "a service, shown, long datagrams": BridgeCase(cni(SHOWN, BEHIND_B), f"udp:{SERVICE}:80", WORKS, size=4000),
    "long datagrams are put together, seen, and cut again": BridgeCase(cni(SHOWN, chains("filter", "FORWARD -p udp -m udp ! --dport 80 -m conntrack --ctstate NEW -j DROP")), "udp:10.0.7.3:80", WORKS, size=4000),
    "hairpin harms nobody": BridgeCase(cni(SHOWN, port=HAIRPIN), B, WORKS),
}  # fmt: skip
"""What came out on Linux 6.18."""


def filtered(*ports: str, state: str = "", tagged: str = "", itself: str = "1 PVID Egress Untagged") -> World:
    """The node, whose bridge filters VLANs: those of va, of vb, and of the bridge itself, as `bridge vlan` prints them.

    `tagged`: the id of a VLAN whose device a has in place of an address on eth0.
    """
    world = cni(state, bridge=Bridge(vlan_filtering="1"))
    lists = {"va": ports[0], "vb": ports[1], "br0": itself}
    text = "port  vlan-id\n" + "".join(
        f"{name}  {vlan}\n" for name, all_ in lists.items() for vlan in all_.split("; ") if all_
    )
    world = world.put(world["n"].but(links=with_vlans(world["n"].links, text)))
    if tagged:
        device_of_vlan = f"eth0 veth n 4\neth0.{tagged} 10.0.7.2/24 vlan a 2 {tagged}"
        world = world.put(namespace("a", device_of_vlan, f"route default via 10.0.7.1 dev eth0.{tagged}"))
    return world


NODE = "tcp:10.0.7.1:80"
IN_1, IN_2 = "1 PVID Egress Untagged", "2 PVID Egress Untagged"
VLAN_CASES = {
    "one VLAN": BridgeCase(filtered(IN_1, IN_1), B, WORKS),
    "two VLANs": BridgeCase(filtered(IN_1, IN_2), B, LATE),
    "no VLAN without a tag": BridgeCase(filtered("1 Egress Untagged", IN_1), B, LATE),
    "no VLAN at all": BridgeCase(filtered("", IN_1), B, LATE),
    "ways of two VLANs, there and back": BridgeCase(filtered(f"{IN_1}; 2 Egress Untagged", f"{IN_2}; 1 Egress Untagged"), B, WORKS),
    "there, and not back": BridgeCase(filtered(IN_1, "1 Egress Untagged; 2 PVID Egress Untagged"), B, LATE),
    "what leaves with a tag": BridgeCase(filtered(IN_1, "1 PVID"), B, LATE),
    "the node, in the same VLAN": BridgeCase(filtered(IN_1, IN_1), NODE, WORKS, server="n"),
    "the node, in another": BridgeCase(filtered(IN_2, IN_1), NODE, LATE, server="n"),
    "the node without one": BridgeCase(filtered(IN_1, IN_1, itself=""), NODE, LATE, server="n"),
    "what is routed": BridgeCase(filtered(IN_1, IN_1), C, WORKS, server="c"),
    "from outside": BridgeCase(filtered(IN_1, IN_1), B, WORKS, client="c"),
    "from outside, another VLAN": BridgeCase(filtered(IN_1, IN_2), B, LATE, client="c"),
    "a trunk": BridgeCase(filtered("2", IN_2, tagged="2"), B, WORKS),
    "a trunk, another VLAN": BridgeCase(filtered("2", IN_1, tagged="2"), B, LATE),
    "a trunk without the VLAN": BridgeCase(filtered("3", IN_2, tagged="2"), B, LATE),
}  # fmt: skip
"""What came out on Linux 6.1 (user-mode Linux): this machine's kernel may have no `vlan_filtering`."""
