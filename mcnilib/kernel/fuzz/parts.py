"""What worlds are made of: devices, namespaces, segments, and the lines that are typed into them."""

from __future__ import annotations

import re
from dataclasses import replace
from ipaddress import IPv4Interface

from mcnilib.errors import McniError
from mcnilib.linux.device.base import Kind, LinkEnd
from mcnilib.linux.device.bridge import Bridge
from mcnilib.linux.device.link import Address, Link
from mcnilib.linux.device.nic import Physical
from mcnilib.linux.device.port import FdbEntry
from mcnilib.linux.netfilter.hooks import BUILT_IN
from mcnilib.linux.netfilter.ipset import parse_sets
from mcnilib.linux.netns import Netns, add_link, new_netns
from mcnilib.world.commands import do
from mcnilib.world.world import Port, Segment, World

FORWARDS = "sysctl -w net.ipv4.ip_forward=1"
_NIC = Physical()
_LAB = "02:00:00:00"
"""The beginning of every device's MAC: locally administered."""


SETS = """\
create hosts hash:ip family inet hashsize 1024 maxelem 65536
add hosts 10.0.1.2
add hosts 10.0.2.2
add hosts 10.9.2.5
create nets hash:net family inet hashsize 1024 maxelem 65536
add nets 10.0.1.0/24
add nets 10.9.1.0/26
create services hash:ip,port family inet hashsize 1024 maxelem 65536
add services 10.0.2.2,tcp:80
add services 10.9.2.5,udp:80
add services 10.0.7.3,tcp:80
"""
"""IP sets of every namespace, for rules to ask."""

SET_SIDES = ("hosts src|dst", "nets src|dst", "services dst,dst|src,src")
"""What rules ask them for."""

CHAINS_OF = {table: BUILT_IN[table] for table in ("raw", "mangle", "nat", "filter")}


def nic(number: int, index: int, name: str, addresses: str = "", kind: Kind = _NIC) -> Link:
    """Return a device of namespace `number`; `addresses` are separated by spaces."""
    own = tuple(Address(IPv4Interface(address)) for address in addresses.split())
    return Link(index, name, kind, f"{_LAB}:{number:02x}:{index:02x}", own)


def netns(name: str, *links: Link) -> Netns:
    """Return a namespace with these devices, up."""
    made = new_netns(name).but(sets=parse_sets(SETS))
    for link in links:
        made = add_link(made, link)
    return made


def segment(name: str, *ports: str, reflects: bool = False) -> Segment:
    """Return a switch with ports `NETNS/DEVICE`."""
    return Segment(name, tuple(Port(*port.split("/")) for port in ports), reflects)


def own_chains(netns: Netns) -> dict[str, list[str]]:
    """List the chains somebody made, by table."""
    by_table = {table.name: [chain.name for chain in table.chains if not chain.policy] for table in netns.ip4.tables}
    return {table: chains for table, chains in by_table.items() if chains}


def devices(netns: Netns) -> list[str]:
    """Name the devices of a namespace but for its loopback."""
    return [link.name for link in netns.links if not link.is_loopback]


def addresses_of(netns: Netns) -> list[str]:
    """List the addresses of a namespace but for its loopback's."""
    return [str(a.ip) for link in netns.links if not link.is_loopback for a in link.addresses]


def every_address(world: World) -> list[str]:
    """List all addresses of a world."""
    return [address for netns in world for address in addresses_of(netns)]


def networks(world: World) -> list[str]:
    """List the networks the addresses of a world lie in."""
    return sorted({str(IPv4Interface(f"{address}/24").network) for address in every_address(world)})


FDB = re.compile(r"bridge fdb add (\S+) dev (\S+) master( sticky)? (static|permanent)")
LINK = re.compile(r"ip link set (\S+) (address|protodown|mtu) (\S+)")


def typed(world: World, *lines: str) -> World:
    """Carry out lines `NETNS: COMMAND`; besides what the model's readers may type, what concerns frames.

    Raises: McniError for a line that is not taken.
    """
    for line in lines:
        name, _, command = line.partition(": ")
        if match := FDB.fullmatch(command):
            world = world.put(_learned(world[name], FdbEntry(match[1], match[2], match[4], sticky=bool(match[3]))))
        elif match := LINK.fullmatch(command):
            changes = {"address": {"mac": match[3]}, "protodown": {"carrier": match[3] == "off"}}
            change = changes.get(match[2]) or {"mtu": int(match[3])}
            world = world.put(_changed(world[name], match[1], **change))
            if match[2] == "address" and (lower := _tied(world[name].link(match[1]))):
                world = world.put(_changed(world[lower.netns], _name(world[lower.netns], lower.index), **change))
        else:
            world = do(world, name, command)
    return world


def _tied(link: Link) -> LinkEnd | None:
    """Return the lower device of a child in mode passthru, which has its MAC always.

    Source: macvlan_set_mac_address() in drivers/net/macvlan.c.
    """
    child = link.kind.child
    return child.lower if child and child.takes_all else None


def _name(where: Netns, index: int) -> str:
    return next(link.name for link in where.links if link.index == index)


def _learned(where: Netns, station: FdbEntry) -> Netns:
    """Give the bridge of a port an entry. Raises: McniError when there is no such port, or the MAC is known."""
    bridge = where.link(where.link(station.port).master) if where.link(station.port).master else None
    own = {link.mac for link in where.links}
    if bridge is None or not bridge.is_bridge or station.mac in own | {x.mac for x in bridge.kind.stations}:
        raise McniError(f"{where.name}: {station.port} is no port, or {station.mac} is known")
    return _changed(where, bridge.name, kind=Bridge((*bridge.kind.stations, station)))


def _changed(where: Netns, dev: str, **fields: object) -> Netns:
    if where.link(dev).is_loopback:
        raise McniError(f"{where.name}: not {dev}")
    links = tuple(replace(x, **fields) if x.name == dev else x for x in where.links)  # type: ignore[arg-type]
    return where.but(links=links)
