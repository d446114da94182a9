"""Small worlds in a few lines of text, for tests: namespaces with addresses, routes, rules and a switch between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface

from mcnilib.linux.device.base import Kind, LinkEnd
from mcnilib.linux.device.child.ipvlan import Ipvlan
from mcnilib.linux.device.child.vlan import Vlan
from mcnilib.linux.device.link import Address, Link
from mcnilib.linux.device.macvlan import Macvlan
from mcnilib.linux.device.master import Bond, Vrf
from mcnilib.linux.device.nic import Dummy, Physical
from mcnilib.linux.device.veth import Veth
from mcnilib.linux.netfilter.iptables.save import parse_tables
from mcnilib.linux.netns import Netns, add_link, add_neigh, add_routes, add_rule, new_netns, set_sysctl
from mcnilib.linux.routing.neigh import parse_neigh
from mcnilib.linux.routing.route import parse_route
from mcnilib.linux.routing.rule import parse_ip_rule
from mcnilib.trace.flow import Flow, Listener
from mcnilib.trace.run import run
from mcnilib.trace.trace import Trace
from mcnilib.world.world import Port, Segment, World


def mac(netns: str, index: int) -> str:
    """A MAC that tells test readers where it belongs: the letters of the namespace and the index."""
    letters = "".join(f"{ord(c):02x}:" for c in netns[:4].ljust(4, "-"))
    return f"02:{letters}{index:02x}"


def device(netns: str, index: int, name: str, address: str = "", kind: Kind = Physical()) -> Link:
    addresses = tuple(Address(IPv4Interface(one)) for one in address.split())
    return Link(index, name, kind, mac(netns, index), addresses)


def namespace(name: str, devices: str, state: str = "", tables: str = "") -> Netns:
    """Build a namespace.

    `devices`: lines `NAME [ADDRESS] [KIND]`, numbered from 2; KIND is one of `veth NETNS INDEX`, `macvlan NETNS INDEX
    MODE`, `ipvlan NETNS INDEX MODE FORWARDING`, `vlan NETNS INDEX ID`, `bond MODE ACTIVE`, `vrf TABLE`, `dummy`; then
    perhaps `master DEVICE`.
    `state`: lines `route ...`, `rule ...`, `neigh ...`, `sysctl KEY VALUE`, in the words of the tools.
    """
    netns = new_netns(name)
    for index, line in enumerate(devices.strip().splitlines(), 2):
        netns = add_link(netns, _device(name, index, line.split()))
    for line in filter(None, map(str.strip, state.splitlines())):
        word, _, rest = line.partition(" ")
        netns = _add(netns, word, rest)
    return netns.with_ip4(tables=parse_tables(tables)) if tables else netns


def _device(netns: str, index: int, words: list[str]) -> Link:
    name, *rest = words
    if "master" in rest:
        *rest, _, master = rest
        link = _device(netns, index, [name, *rest])
        return replace(link, master=master, mac=mac(netns, 99) if "bond" in master else link.mac)  # as the bond has it
    address = " ".join(word for word in rest if "/" in word)
    word, *more = [word for word in rest if "/" not in word] or [""]
    if word == "vrf":
        return replace(device(netns, index, name, "", Vrf(*more)), mtu=65575)
    if word == "bond":
        return replace(device(netns, index, name, address, Bond(*more)), mac=mac(netns, 99))
    end = LinkEnd(more[0], int(more[1])) if more else LinkEnd("", 0)
    link = device(netns, index, name, address, KINDS[word](end, *more[2:]))
    return replace(link, mac=mac(end.netns, end.index)) if word in ("ipvlan", "vlan") else link


KINDS: dict[str, Callable[..., Kind]] = {
    "": lambda end: Physical(),
    "dummy": lambda end: Dummy(),
    "veth": Veth,
    "macvlan": Macvlan,
    "ipvlan": Ipvlan,
    "vlan": lambda end, number: Vlan(end, int(number)),
}
"""The kinds of `namespace` by their words."""


def _add(netns: Netns, word: str, rest: str) -> Netns:
    if word == "route":
        table = rest.split(" table ")[1].split()[0] if " table " in rest else "main"
        return add_routes(netns, parse_route(rest.replace(f" table {table}", ""), table))
    if word == "rule":
        return add_rule(netns, parse_ip_rule(rest))
    if word == "neigh":
        return add_neigh(netns, parse_neigh(rest))
    key, value = rest.split()
    return set_sysctl(netns, key, value)


def plug(*namespaces: Netns, reflects: bool = False, **segments: str) -> World:
    """Put namespaces on segments: `lan="a.eth0 r.e1"`."""
    made = tuple(
        Segment(name, tuple(Port(*port.split(".")) for port in ports.split()), reflects)
        for name, ports in segments.items()
    )
    return World(namespaces, made)


def routed(tables: str = "", sysctls: Mapping[str, str] | None = None) -> World:
    """Client a (10.0.1.2), router r with the given rules, server b (10.0.2.2)."""
    a = namespace("a", "eth0 10.0.1.2/24", "route default via 10.0.1.1 dev eth0")
    b = namespace("b", "eth0 10.0.2.2/24", "route default via 10.0.2.1 dev eth0")
    state = "sysctl net.ipv4.ip_forward 1\n" + "\n".join(f"sysctl {k} {v}" for k, v in (sysctls or {}).items())
    r = namespace("r", "e1 10.0.1.1/24\ne2 10.0.2.1/24", state, tables)
    return plug(a, r, b, lan1="a.eth0 r.e1", lan2="b.eth0 r.e2")


def talk(world: World, to: str, *, client: str = "a", server: str = "b", listen: int = 80, **more: object) -> Trace:
    """Run one conversation: `to` is `tcp:10.0.2.2:80`, `udp:...` or `icmp:10.0.2.2`."""
    proto, ip, *port = to.split(":")
    flow = Flow(client, IPv4Address(ip), proto, int(port[0]) if port else 0, **more)  # type: ignore[arg-type]
    listeners = (Listener(server, listen), Listener(server, listen, "udp", pinned=True))
    return run(world, flow, listeners)
