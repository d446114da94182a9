"""Cases by chance: commands as an administrator might type them, in any order, whether they make sense or not.

The same seed and number give the same case, on every machine. What the kernel would not take (a gateway on no link, a
second default route) is left out; everything else stays, however foolish.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Interface
from random import Random

from mcnilib.errors import McniError
from mcnilib.kernel.fuzz.case import Case, Exchange, base
from mcnilib.kernel.fuzz.native import with_native
from mcnilib.kernel.fuzz.parts import addresses_of, devices, every_address, networks, own_chains, typed
from mcnilib.kernel.fuzz.recipes import RECIPES, SERVICE, UNUSED_ADDRESS
from mcnilib.kernel.fuzz.rules import chain_line, remembers, rule_line
from mcnilib.kernel.fuzz.sizes import sized
from mcnilib.kernel.fuzz.topologies import WORLDS
from mcnilib.kernel.lab.lab import needs_fresh_lab, same_topology
from mcnilib.linux.device.base import DeviceRole, LinkEnd
from mcnilib.linux.device.link import Link
from mcnilib.linux.netns import Netns
from mcnilib.linux.sysctl import BRIDGE_CALLS
from mcnilib.world.world import World

_Place = tuple[str, Link]
"""A namespace and one of its devices."""


def about_frames(draw: Random, world: World) -> str:
    """Make up a line with its namespace; empty where the world has no device for it."""
    devices = [(netns.name, link) for netns in world for link in netns.links if not link.is_loopback]
    make = draw.choice((*[_entry] * 4, *[_no_carrier] * 3, *[_port] * 3, _twin))
    return make(draw, devices)


def _entry(draw: Random, devices: list[_Place]) -> str:
    """Tell a bridge where a MAC is: mostly where it is not, for one of those that are there."""
    ports = [device for device in devices if device[1].master]
    if not ports:
        return ""
    netns, port = draw.choice(ports)
    state = draw.choice(("static", "static", "sticky static", "permanent"))
    return f"{netns}: bridge fdb add {draw.choice(devices)[1].mac} dev {port.name} master {state}"


def _port(draw: Random, devices: list[_Place]) -> str:
    """Set a switch of a bridge port; frames that come back to their sender are for a bridge in it no use."""
    ports = [device for device in devices if device[1].master]
    if not ports:
        return ""
    netns, port = draw.choice(ports)
    return (
        f"{netns}: ip link set dev {port.name} type bridge_slave {draw.choice(('hairpin', 'isolated', 'isolated'))} on"
    )


def _no_carrier(draw: Random, devices: list[_Place]) -> str:
    """Take the carrier from a device of a kind that lets one. Source: drivers/net/{macvlan,vxlan/vxlan_core}.c."""
    able = [device for device in devices if device[1].kind.protodown]
    if not able:
        return ""
    netns, link = draw.choice(able)
    return f"{netns}: ip link set {link.name} protodown on"


def _twin(draw: Random, devices: list[_Place]) -> str:
    """Give a device the MAC of another; a child in mode passthru has that of its lower device, and changes with it."""
    tied = [child.lower for _, lower in devices if (child := lower.kind.child) and child.takes_all]
    able = [device for device in devices if device[1].kind.role in (DeviceRole.NIC, DeviceRole.PAIR, DeviceRole.CHILD)]
    netns, link = draw.choice([device for device in able if LinkEnd(device[0], device[1].index) not in tied])
    return f"{netns}: ip link set {link.name} address {draw.choice(devices)[1].mac}"


MOST_LINES = 10

ALONE = 0.03
"""How often a host dials itself."""

GOES_ON = 0.25
"""How often more is said after the first exchange."""

SHOWN_BRIDGES = 0.25
"""How often iptables sees what crosses bridges, where there are any."""

_TABLES = ("main", "77", "88")


def chance(seed: int, number: int, worlds: Iterable[str] = WORLDS) -> Case:
    """Make up a case that begins with one of the worlds of these names."""
    draw = Random(f"{seed} {number}")
    name = draw.choice(sorted(worlds))
    world, lines = _shown(base(name)) if draw.random() < SHOWN_BRIDGES else (base(name), [])
    world, more = _typed(draw, world, draw.randint(1, MOST_LINES))
    hosts = sorted(n.name for n in world if not n.name.startswith(("r", "s")))
    client, server = draw.sample(hosts, 2) if draw.random() > ALONE else [draw.choice(hosts)] * 2
    first = Exchange(
        (*lines, *more), client, _destination(draw, world, client, server), server, _source(draw, world, client)
    )
    later = tuple(_later(draw, world, first)) if draw.random() < GOES_ON else ()
    case = sized(Random(f"{seed} {number} sizes"), Case(name, (first, *later)))
    return with_native(Random(f"{seed} {number} native"), case)


def _shown(world: World) -> tuple[World, list[str]]:
    """Let iptables see what crosses the bridges of a world; return the world and what is typed for it.

    Not where devices stand on a bridge: what it hands to them is refused as soon as there are rules.
    """
    parents = {end.netns for netns in world for link in netns.links if link.kind.child and (end := link.kind.endpoint)}
    there = [n.name for n in world if n.name not in parents and any(link.is_bridge for link in n.links)]
    lines = [f"{name}: sysctl -w {BRIDGE_CALLS}=1" for name in there]
    return typed(world, *lines), lines


def _typed(draw: Random, world: World, number: int) -> tuple[World, list[str]]:
    """Type so many lines; return the world and those it takes."""
    taken = []
    for _ in range(number):
        for line in _lines(draw, world):
            try:
                world = typed(world, line)
            except McniError:
                continue
            taken.append(line)
    return world, taken


def _later(draw: Random, world: World, first: Exchange) -> Iterator[Exchange]:
    """Make up what is said after the first exchange, mostly the same again, and what is typed before it.

    Nothing that rules remember may be typed over, and no device or ARP changed: the lab would begin anew.
    """
    for _ in range(draw.randint(1, 2)):
        changed, more = _typed(draw, world, draw.choice((0, 0, 1, 2)))
        if not same_topology(world, changed) or remembers(changed) or needs_fresh_lab(changed):
            changed, more = world, []
        world = changed
        if draw.random() < 0.2:  # the other way round
            to = _destination(draw, world, first.server, first.client)
            yield Exchange(tuple(more), first.server, to, first.client, _source(draw, world, first.server))
            continue
        to = draw.choice((first.to, first.to, _destination(draw, world, first.client, first.server)))
        yield Exchange(tuple(more), first.client, to, first.server, draw.choice((first.source, first.source, "")))


def _source(draw: Random, world: World, client: str) -> str:
    """Choose what the client binds its socket to: mostly nothing, else an address of its own, or another's."""
    own = addresses_of(world[client])
    return draw.choice([""] * 30 + own * 4 + every_address(world)[:1])


def _destination(draw: Random, world: World, client: str, server: str) -> str:
    """Choose what is dialled: mostly the server, sometimes a router, nobody, everybody, or a closed port."""
    written = any(SERVICE in str((netns.ip4.tables, netns.ip4.routes)) for netns in world)
    service = [SERVICE] * 9 if written else []
    address = draw.choice(addresses_of(world[server]) * 6 + every_address(world) + [UNUSED_ADDRESS] + service)
    if draw.random() < (0.3 if client == server else 0.01):
        address = "127.0.0.1"
    kind = draw.choice(("tcp", "tcp", "tcp", "udp", "udp", "icmp"))
    if draw.random() < 0.02:
        own = (IPv4Interface(f"{address}/24").network for address in addresses_of(world[client]))
        every = [str(network.broadcast_address) for network in own]
        address = draw.choice([*every, "255.255.255.255", *(["224.0.0.1"] if kind == "tcp" else [])])
    return f"icmp:{address}" if kind == "icmp" else f"{kind}:{address}:{draw.choice((80, 80, 80, 80, 8080))}"


FRAMES = 0.03
"""How often something about frames is typed."""

RECIPE = 0.12
"""How often several lines that belong together are typed instead of one."""


def _lines(draw: Random, world: World) -> list[str]:
    if draw.random() < FRAMES:
        return list(filter(None, [about_frames(draw, world)]))
    if draw.random() >= RECIPE:
        return [_line(draw, world)]
    netns = draw.choice(list(world))
    return [f"{netns.name}: {line}" for line in draw.choice(RECIPES)(draw, world, netns)]


def _line(draw: Random, world: World) -> str:
    netns = draw.choice(list(world))
    make: Callable[[Random, World, Netns], str] = draw.choice(
        [rule_line] * 10
        + [chain_line] * 4
        + [_sysctl] * 4
        + [_route] * 4
        + [_policy_rule] * 3
        + [_chain_policy, _address, _neigh, _link]
    )
    if make is chain_line:  # one that is there wants to be used
        netns = next((candidate for candidate in world if own_chains(candidate)), netns)
    return f"{netns.name}: {make(draw, world, netns)}"


def _chain_policy(draw: Random, world: World, netns: Netns) -> str:
    return f"iptables -P {draw.choice(('INPUT', 'FORWARD', 'OUTPUT'))} DROP"


def _sysctl(draw: Random, world: World, netns: Netns) -> str:
    dev = draw.choice(["all", *devices(netns)])
    keys = {
        f"net.ipv4.conf.{dev}.rp_filter": "012",
        f"net.ipv4.conf.{dev}.accept_local": "01",
        f"net.ipv4.conf.{dev}.src_valid_mark": "01",
        f"net.ipv4.conf.{dev}.arp_ignore": "012",
        f"net.ipv4.conf.{dev}.arp_filter": "01",
        f"net.ipv4.conf.{dev}.arp_announce": "012",
        f"net.ipv4.conf.{dev}.proxy_arp": "01",
        f"net.ipv4.conf.{dev}.proxy_arp_pvlan": "1",
        f"net.ipv4.conf.{dev}.route_localnet": "1",
        f"net.ipv4.conf.{dev}.forwarding": "01",
        "net.ipv4.ip_forward": "01",
        "net.ipv4.icmp_echo_ignore_all": "1",
        "net.ipv4.ip_default_ttl": "123",
        "net.ipv4.fwmark_reflect": "1",
        "net.netfilter.nf_conntrack_tcp_be_liberal": "1",
        "net.netfilter.nf_conntrack_tcp_loose": "0",
    }
    key = draw.choice(list(keys))
    return f"sysctl -w {key}={draw.choice(keys[key])}"


def _route(draw: Random, world: World, netns: Netns) -> str:
    target = draw.choice(["default", *networks(world), *every_address(world), UNUSED_ADDRESS])
    table = draw.choice(_TABLES)
    where = "" if table == "main" else f" table {table}"
    how = "add"  # the lab does not replace what the kernel derives
    if target == "default":
        how = draw.choice(("replace", "replace", "append", "prepend"))
    kind = draw.choice(("via", "via", "via", "dev", "refuse"))
    if kind == "refuse":
        return f"ip route add {draw.choice(('blackhole', 'unreachable', 'prohibit', 'throw'))} {target}{where}"
    dev, metric = draw.choice(devices(netns)), draw.choice(("", "", " metric 100"))
    own = addresses_of(netns)
    src = f" src {draw.choice(own)}" if own and draw.random() < 0.2 else ""
    if kind == "dev":
        return f"ip route {how} {target} dev {dev}{src}{where}{metric}"
    onlink = f" dev {dev} onlink" if draw.random() < 0.2 else ""
    return f"ip route {how} {target} via {draw.choice(every_address(world))}{onlink}{src}{where}{metric}"


def _address(draw: Random, world: World, netns: Netns) -> str:
    new = f"{draw.choice(every_address(world)).rpartition('.')[0]}.{draw.choice((77, 78))}"
    return f"ip address add {new}/32 dev {draw.choice(devices(netns))}"  # of two equal networks the lab orders none


def _neigh(draw: Random, world: World, netns: Netns) -> str:
    ip, dev = draw.choice(every_address(world)), draw.choice(devices(netns))
    if draw.random() < 0.3:
        return f"ip neigh add proxy {ip} dev {dev}"
    macs = [link.mac for neighbour in world for link in neighbour.links if not link.is_loopback]
    return f"ip neigh add {ip} lladdr {draw.choice(macs)} dev {dev}{draw.choice(('', '', ' nud noarp'))}"


def _link(draw: Random, world: World, netns: Netns) -> str:
    return f"ip link set {draw.choice([*devices(netns), 'lo'])} {draw.choice(('down', 'down', 'up'))}"


def _policy_rule(draw: Random, world: World, netns: Netns) -> str:
    selectors = draw.sample(
        [
            f"from {draw.choice(every_address(world))}",
            f"to {draw.choice(networks(world))}",
            f"fwmark {draw.choice(('0x1', '0x2', '0x1/0x3'))}",
            f"iif {draw.choice([*devices(netns), 'lo'])}",
        ],
        draw.randint(1, 2),
    )
    action = draw.choice((*(f"lookup {t}" for t in _TABLES * 2), "blackhole", "unreachable", "prohibit"))
    if action.startswith("lookup") and draw.random() < 0.3:
        action += f" suppress_prefixlength {draw.choice((0, 8, 16, 24, 31, 32))}"
    inverted = draw.choice(("", "", "", "not "))
    if not any(word.startswith("from") for word in selectors):
        selectors.insert(0, "from all")
    selectors.sort(key=lambda word: not word.startswith("from"))
    return f"ip rule add {inverted}{' '.join(selectors)} priority {draw.randint(50, 200)} {action}"
