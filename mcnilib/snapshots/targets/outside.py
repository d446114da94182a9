"""What nobody collected beyond the segments: their gateways, and one machine that a question names.

Both are ordinary namespaces, made of a few lines, so that packets cross them as they cross others. A gateway forwards
every packet, filters and translates none, and sends no ICMP redirects; of what is beyond its subnet it knows what it
was told. A machine outside has one address: on the segment itself, or behind its gateway. `Beyond.told` says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from mcnilib.cluster.spec import mac_of
from mcnilib.language import listed, mark, tr
from mcnilib.linux.device.link import Address, Link
from mcnilib.linux.device.nic import Physical
from mcnilib.linux.netns import Netns, add_link, add_routes, new_netns, set_sysctl
from mcnilib.linux.routing.neigh import PROXY
from mcnilib.linux.routing.route import ANY, parse_route
from mcnilib.linux.sysctl import FORWARD, conf_key
from mcnilib.linux.text import names_of, not_there
from mcnilib.snapshots.files import Names
from mcnilib.snapshots.targets.flow_target import QuestionError, read_flow_target, typed_address
from mcnilib.trace.flow import Listener
from mcnilib.world.world import Gateway, Port, Segment, World

NIC, FAR_NIC = "eth0", "eth1"
"""A machine's NIC in the segment, and that of a gateway behind which the rest of the world is."""

OUTSIDE = "outside"

CLIENT_FORM = "outside:ADDRESS@SEGMENT"

TARGET_SUFFIX = "@outside"

_CLIENT = re.compile(r"outside:([^@]*)@(.+)")


@dataclass(frozen=True)
class Beyond:
    """A world with machines that nobody collected, and what is taken for granted of each; servers that were named."""

    world: World
    told: tuple[tuple[str, str], ...] = ()
    behind: str = ""  # the segment behind all gateways
    listeners: tuple[Listener, ...] = ()

    @property
    def added(self) -> frozenset[str]:
        """The names of the machines nobody collected."""
        return frozenset(name for name, _ in self.told)


def with_gateways(world: World) -> Beyond:
    """Add the gateways that segments were told. Raises: QuestionError for one whose subnet nobody has."""
    beyond = Beyond(world)
    for segment in world.segments:
        if segment.gateway and not _owners(world, segment, segment.gateway.address.ip):
            beyond = _with_gateway(beyond, segment, segment.gateway)
    return beyond


def placed(beyond: Beyond, netns: str, to: str) -> tuple[Beyond, str, str]:
    """Add the machine outside that a question names as its client or its target; return both as others write them.

    Raises: QuestionError where nobody can say how packets get there; NotThere for a segment that is not there.
    """
    client, outward = _CLIENT.fullmatch(netns.strip()), to.strip().endswith(TARGET_SUFFIX)
    if client and outward:
        raise QuestionError(tr("client and target are outside: no packet gets to a collected machine"))
    if client:
        beyond, name = _with_client(beyond, typed_address(client[1]), _segment(beyond.world, client[2]))
        return beyond, name, to
    if netns.strip().startswith(f"{OUTSIDE}:"):
        raise QuestionError(tr("{netns!r} is not {form}", netns=netns, form=CLIENT_FORM))
    if outward:
        to = to.strip().removesuffix(TARGET_SUFFIX)
        return _with_server(beyond, to), netns, to
    return beyond, netns, to


def _segment(world: World, name: str) -> Segment:
    if segment := next((segment for segment in world.segments if segment.name == name), None):
        return segment
    raise not_there(mark("segment"), name, (segment.name for segment in world.segments))


def _with_client(beyond: Beyond, address: IPv4Address, segment: Segment) -> tuple[Beyond, str]:
    """Add a client: a neighbour of the segment, or a machine behind its gateway."""
    taken = [netns.name for netns in beyond.world if address in netns.own_addresses]
    if taken:
        raise QuestionError(tr("{address} is an address of {owners}", address=address, owners=names_of(taken)))
    network = subnet(beyond.world, segment, address)
    if network is None:
        beyond, gateway = _gateway_of(beyond, segment)
        return _with_machine(beyond, address, [gateway])
    machine = _machine(beyond.world, OUTSIDE, IPv4Interface((address, network.prefixlen)), _mtu(beyond.world, segment))
    router = segment.gateway.address.ip if segment.gateway else next(iter(_next_hops(beyond.world, segment)), None)
    if router in network:
        machine = add_routes(machine, parse_route(f"default via {router} dev {NIC}"))
    told = tr(
        "assumed: {name} ({address}) is a neighbour on {segment}",
        name=machine.name,
        address=address,
        segment=segment.name,
    )
    return _plugged(beyond, machine, {segment.name: NIC}, told), machine.name


def _with_server(beyond: Beyond, to: str) -> Beyond:
    """Add the machine a conversation goes to, behind every gateway there is."""
    target = read_flow_target(to)
    gateways = []
    for segment in beyond.world.segments:
        if _uncollected(beyond, segment):
            beyond, gateway = _gateway_of(beyond, segment)
            gateways.append(gateway)
    if not gateways:
        raise QuestionError(tr("no segment leads outside: name its gateway, as in --gateway lan=192.168.0.1"))
    beyond, name = _with_machine(beyond, target.address, gateways)
    server = Listener(name, target.port, target.proto, pinned=True) if target.port else None
    return replace(beyond, listeners=(server,) if server else ())


def _gateway_of(beyond: Beyond, segment: Segment) -> tuple[Beyond, Netns]:
    """Return the gateway of a segment: the one it was told, or the next hop of all default routes in it."""
    hops, name = _hops(beyond.world, segment), segment.name
    if len(hops) != 1:
        which = tr("; its machines have {hops}", hops=names_of([str(hop.ip) for hop in hops])) if hops else ""
        unknown = tr("which gateway {segment} has is not known{which}", segment=name, which=which)
        raise QuestionError(
            tr("{unknown}: name it, as in {option}", unknown=unknown, option=f"--gateway {name}=ADDRESS")
        )
    if owners := _owners(beyond.world, segment, hops[0].ip):
        if owners[0] not in beyond.added:
            gateway = tr(
                "the gateway of {segment}, {address}, is {owner}", segment=name, address=hops[0].ip, owner=owners[0]
            )
            raise QuestionError(tr("{gateway}, which was collected: name a segment behind it", gateway=gateway))
        return beyond, beyond.world[owners[0]]
    beyond = _with_gateway(beyond, segment, segment.gateway or Gateway(hops[0]))
    return beyond, beyond.world.namespaces[-1]


def _hops(world: World, segment: Segment) -> list[IPv4Interface]:
    """Return the address a segment's gateway was told to have, else those that may be it."""
    return [segment.gateway.address] if segment.gateway else [*map(IPv4Interface, _next_hops(world, segment))]


def _uncollected(beyond: Beyond, segment: Segment) -> bool:
    """Tell whether a segment has a gateway that was not collected."""
    owners = (_owners(beyond.world, segment, hop.ip) for hop in _hops(beyond.world, segment))
    return any(beyond.added.issuperset(names) for names in owners)


def _next_hops(world: World, segment: Segment) -> list[IPv4Address]:
    """Return the gateways of the default routes over the devices of a segment, each once."""
    devices = {(netns, link.name) for netns, link in _attached(world, segment)}
    defaults = (
        route.via
        for netns in world
        for route in netns.ip4.routes
        if route.dst == ANY and route.table == "main" and (netns.name, route.dev) in devices and route.via
    )
    return list(dict.fromkeys(defaults))


def _with_gateway(beyond: Beyond, segment: Segment, gateway: Gateway) -> Beyond:
    """Add a gateway: it is in the segment, and everything else is behind its other NIC."""
    address = _with_length(beyond.world, segment, gateway.address)
    machine = _machine(beyond.world, f"{segment.name}-gateway", address, _mtu(beyond.world, segment))
    machine = set_sysctl(machine, FORWARD, "1")
    machine = add_link(machine, Link(3, FAR_NIC, Physical(), mac_of(machine.name, FAR_NIC), mtu=machine.link(NIC).mtu))
    lines = (f"default dev {FAR_NIC} scope link", *(f"{line} dev {NIC}" for line in gateway.routes))
    machine = add_routes(machine, *map(parse_route, lines))
    told = tr(
        "assumed: {name} ({address}) forwards every packet, filters and translates none; its routes: {routes}",
        name=machine.name,
        address=address.ip,
        routes=listed(
            [
                f"{address.network} dev {NIC}",
                *(str(route).strip() for route in machine.ip4.routes if route.proto != "kernel"),
            ]
        ),
    )
    beyond = beyond if beyond.behind else _with_rest(beyond)
    return _plugged(beyond, machine, {segment.name: NIC, beyond.behind: FAR_NIC}, told)


def _with_rest(beyond: Beyond) -> Beyond:
    """Add the rest of the world, as one segment, into which every gateway is plugged, and who knows who else."""
    name = _free(OUTSIDE, (segment.name for segment in beyond.world.segments))
    world = replace(beyond.world, segments=(*beyond.world.segments, Segment(name, (), uplink=True)))
    return replace(beyond, world=world, behind=name)


def _with_length(world: World, segment: Segment, address: IPv4Interface) -> IPv4Interface:
    """Return an address with the length it was given, else that of the collected addresses of its subnet."""
    if address.network.prefixlen < 32:
        return address
    if network := subnet(world, segment, address.ip):
        return IPv4Interface((address.ip, network.prefixlen))
    raise QuestionError(
        tr(
            "no collected address of {segment} is in one subnet with the gateway {address}: write it with its "
            "length, as in {address}/24",
            segment=segment.name,
            address=address.ip,
        )
    )


def _with_machine(beyond: Beyond, address: IPv4Address, gateways: Sequence[Netns]) -> tuple[Beyond, str]:
    """Add a machine behind gateways: it reaches the subnet of each through it, and by an only one everything."""
    machine = _machine(beyond.world, OUTSIDE, IPv4Interface(address), gateways[0].link(NIC).mtu)
    for gateway in gateways:
        router = gateway.link(NIC).addresses[0]
        network = router.interface.network if len(gateways) > 1 else "default"
        machine = add_routes(machine, parse_route(f"{network} via {router.ip} dev {NIC} onlink"))
    behind = listed([gateway.name for gateway in gateways])
    told = tr("assumed: {name} ({address}) is behind {gateways}", name=machine.name, address=address, gateways=behind)
    return _plugged(beyond, machine, {beyond.behind: NIC}, told), machine.name


def _machine(world: World, name: str, address: IPv4Interface, mtu: int) -> Netns:
    """Return a machine with one NIC, which sends no redirects."""
    netns = new_netns(_free(name, (other.name for other in world)))
    for scope in ("all", "default"):
        netns = set_sysctl(netns, conf_key("send_redirects", scope), "0")
    mac = _learned_mac(world, address.ip) or mac_of(netns.name, NIC)
    return add_link(netns, Link(2, NIC, Physical(), mac, (Address(address),), mtu=mtu))


def _mtu(world: World, segment: Segment) -> int:
    """Return the smallest MTU of the devices on a segment, in bytes."""
    return min((link.mtu for _, link in _attached(world, segment)), default=1500)


def _free(name: str, taken: Iterable[str]) -> str:
    """Return a name that is not taken: with a number behind it, if need be."""
    names = Names()
    for other in taken:
        names.choose(other)
    return names.choose(name)


def _plugged(beyond: Beyond, machine: Netns, nics: dict[str, str], told: str) -> Beyond:
    """Add a machine, with its NICs in segments."""
    segments = tuple(
        replace(segment, ports=(*segment.ports, Port(machine.name, nics[segment.name])))
        if segment.name in nics
        else segment
        for segment in beyond.world.segments
    )
    world = replace(beyond.world, segments=segments).put(machine)
    return replace(beyond, world=world, told=(*beyond.told, (machine.name, told)))


def _attached(world: World, segment: Segment) -> list[tuple[str, Link]]:
    """Return the devices that frames of a segment get to: its ports, their bridges, and what stands on these."""
    ports = {(port.netns, port.link) for port in segment.ports}
    there = [(netns.name, link) for netns in world for link in netns.links if (netns.name, link.name) in ports]
    for home, device in there:  # grows
        there += [pair for pair in _beside(world, home, device) if pair not in there]
    return there


def _beside(world: World, home: str, device: Link) -> Iterator[tuple[str, Link]]:
    for netns in world:
        for link in netns.links:
            lower = link.kind.endpoint if link.kind.child else None
            if lower and (lower.netns, lower.index) == (home, device.index):
                yield netns.name, link
            if netns.name == home and device.master == link.name:
                yield netns.name, link


def subnet(world: World, segment: Segment, address: IPv4Address) -> IPv4Network | None:
    """Return the subnet of an address on a segment, of several the widest; None where no device there is in it."""
    interfaces = (own.interface for _, link in _attached(world, segment) for own in link.addresses)
    networks = [interface.network for interface in interfaces if interface.network.prefixlen < 31]
    return min((n for n in networks if address in n), key=lambda network: network.prefixlen, default=None)


def _owners(world: World, segment: Segment, address: IPv4Address) -> list[str]:
    return [name for name, link in _attached(world, segment) if any(own.ip == address for own in link.addresses)]


def _learned_mac(world: World, address: IPv4Address) -> str:
    """Return the MAC that a collected neighbour entry has for an address, unless a collected device has it."""
    entries = (entry for netns in world for entry in (*netns.ip4.neighbours, *netns.ip4.learned))
    macs = {entry.mac for entry in entries if entry.ip == address and entry.state != PROXY}
    return next(iter(sorted(macs - {link.mac for netns in world for link in netns.links})), "")
