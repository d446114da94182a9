"""The devices of a World as the commands that make them: pure text, nothing is run here.

The kernel chooses the indexes: a wanted one may be taken by a device that every namespace gets (tunl0, gre0, sit0), and
Linux 6.1 looks it up in the namespace a command runs in, not where the device goes. But devices are created in the
order of the World's indexes, because Linux chooses some source addresses by the order of registration.
Source: ip-link(8); inet_select_addr() in net/ipv4/devinet.c, __rtnl_newlink() in net/core/rtnetlink.c (Linux 6.1,
6.18), ip_tunnel_init_net() in net/ipv4/ip_tunnel.c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from mcnilib.errors import Unsupported
from mcnilib.linux.device.base import NO_END, NO_MAC, DeviceRole, LinkEnd
from mcnilib.linux.device.bridge import Bridge
from mcnilib.linux.device.link import Link
from mcnilib.linux.netns import Netns
from mcnilib.world.world import World

SWITCH = "(switch)"
"""The namespace that holds one bridge per segment. No world can have a namespace of that name."""

_Place = Callable[[str], str]
"""Namespace name -> what `ip ... netns` accepts for it."""

Standing = Mapping[str, Iterable[str]]
"""Namespace name -> devices that are there before anybody makes one, beside lo."""


@dataclass(frozen=True, slots=True)
class Making:
    """One device, or one veth pair, to create: the namespaces it can be created from, the ends it has, the command."""

    homes: tuple[str, ...]
    ends: tuple[tuple[str, int], ...]
    command: str
    after: tuple[tuple[str, int], ...] = field(default=())  # ends that must exist before


def makings(world: World, netns_at: _Place, standing: Standing | None = None) -> tuple[Making, ...]:
    """Describe every device of the world, and the switch, as things to create.

    Devices that are standing already are renamed where the world wants their names; the IPIP device without ends is
    the fallback itself, of which Linux has but one in a namespace.
    """
    switches = [_bridge_of_segment(number) for number in range(len(world.segments))]
    cables = [_cable(number, netns, link, netns_at) for number, (netns, link) in enumerate(_nics(world))]
    given = standing or {}
    others = (_making(world, netns, x, netns_at, given.get(netns.name, ())) for netns in world for x in netns.links)
    return (*switches, *cables, *_plugs(world), *filter(None, others))


def loading(world: World) -> list[tuple[str, str]]:
    """Name a namespace, and `ip -batch` text that does nothing there but load the modules whose fallbacks would come.

    A module is loaded when a device of its kind is first made, and gives every namespace its fallback at that moment.
    """
    kinds = {link.kind.word: netns.name for netns in reversed(world.namespaces) for link in _with_fallback(netns)}
    return [(name, f"link add name mcni type {kind} local 127.0.0.1\nlink del mcni") for kind, name in kinds.items()]


def out_of_the_way(netns: Netns, standing: Iterable[str]) -> list[str]:
    """Return the `ip -batch` lines that rename standing devices whose names a namespace's own devices are to have."""
    wanted = {link.name for link in netns.links}
    wanted -= {link.kind.fallback for link in _with_fallback(netns) if link.kind.is_fallback}
    return [f"link set dev {name} name mcni{number}" for number, name in enumerate(standing) if name in wanted]


def _with_fallback(netns: Netns) -> list[Link]:
    return [link for link in netns.links if link.kind.fallback]


TUNNEL_ROOM = 100
"""Bytes that are enough for the outer headers of every tunnel."""


def in_order(made: Iterable[Making]) -> list[tuple[str, list[str]]]:
    """Order the creations and group them by the namespace to run them from.

    Raises: Unsupported when the indexes of different namespaces contradict each other.
    """
    makings_ = list(made)
    sorter = TopologicalSorter(_dependencies(makings_))
    try:
        sorter.prepare()
    except CycleError as problem:
        devices = ", ".join(str(makings_[i].ends) for i in problem.args[1])
        raise Unsupported(f"no order of creation gives these devices their indexes: {devices}") from None
    return _greedy(makings_, sorter)


def _greedy(made: list[Making], sorter: TopologicalSorter[int]) -> list[tuple[str, list[str]]]:
    """Stay in one namespace as long as something can be created from there."""
    batches: list[tuple[str, list[str]]] = []
    ready: list[int] = []
    while sorter.is_active():
        ready += sorter.get_ready()
        home = _next_home(made, ready, batches[-1][0] if batches else "")
        if not batches or batches[-1][0] != home:
            batches.append((home, []))
        for number in [n for n in ready if home in made[n].homes]:
            batches[-1][1].append(made[number].command)
            ready.remove(number)
            sorter.done(number)
    return batches


def _next_home(made: list[Making], ready: list[int], current: str) -> str:
    homes = [home for number in ready for home in made[number].homes]
    return current if current in homes else max(homes, key=homes.count)


def _dependencies(made: list[Making]) -> dict[int, set[int]]:
    maker = {end: number for number, making in enumerate(made) for end in making.ends}
    needs: dict[int, set[int]] = {number: set() for number in range(len(made))}
    for number, making in enumerate(made):
        needs[number] |= {maker[end] for end in making.after if end in maker}
    last: dict[str, int] = {}
    for netns, index in sorted(end for end in maker if end[0] != SWITCH):
        number = maker[(netns, index)]
        if netns in last and last[netns] != number:
            needs[number].add(last[netns])
        last[netns] = number
    return needs


def _nics(world: World) -> list[tuple[Netns, Link]]:
    return [(netns, link) for netns in world for link in netns.links if link.kind.role is DeviceRole.NIC]


def _bridge_of_segment(number: int) -> Making:
    command = f"link add name {bridge_name(number)} type {Bridge().making}"
    return Making((SWITCH,), ((SWITCH, 10000 + number),), command)


def bridge_name(number: int) -> str:
    """Name the switch's bridge of the segment with that number."""
    return f"segment{number}"


def port_name(number: int) -> str:
    """Name the switch's end of the cable to the NIC with that number."""
    return f"port{number}"


def _cable(number: int, netns: Netns, link: Link, netns_at: _Place) -> Making:
    near = f"{_new(link)} netns {netns_at(netns.name)}"
    far = f"name {port_name(number)} mtu {link.mtu} netns {netns_at(SWITCH)}"
    ends = ((netns.name, link.index), (SWITCH, 1000 + number))
    return Making((SWITCH, netns.name), ends, f"link add {near} type veth peer {far}")


def _plugs(world: World) -> Iterator[Making]:
    """Yield what puts the switch's ends of the cables into the bridges of their segments, and brings all up."""
    for number, (netns, link) in enumerate(_nics(world)):
        port, after = port_name(number), [(SWITCH, 1000 + number)]
        commands = f"link set dev {port} up"
        if segment := world.segment_of(netns.name, link.name):
            bridge = world.segments.index(segment)
            hairpin = "on" if segment.reflects else "off"
            commands += f" master {bridge_name(bridge)}\nlink set dev {port} type bridge_slave hairpin {hairpin}"
            after.append((SWITCH, 10000 + bridge))
        yield Making((SWITCH,), (), commands, tuple(after))
    for number in range(len(world.segments)):
        yield Making((SWITCH,), (), f"link set dev {bridge_name(number)} up", ((SWITCH, 10000 + number),))


def _making(world: World, netns: Netns, link: Link, netns_at: _Place, standing: Iterable[str]) -> Making | None:
    """Describe a device beside `lo` and the NICs. Raises: Unsupported for one that is not modelled."""
    kind, end = link.kind, (netns.name, link.index)
    if kind.unmodelled:
        raise Unsupported(kind.unmodelled.why)
    if kind.role is DeviceRole.PAIR:
        return _pair(world, netns, link, netns_at)
    if not kind.word:
        return None
    if kind.is_fallback and kind.fallback in standing:  # it is there, with these ends
        commands = [f"link set dev {kind.fallback} name {link.name}", f"link set dev {link.name} mtu {link.mtu}"]
        return Making((netns.name,), (end,), "\n".join(commands))
    if kind.child and (lower := kind.endpoint):
        command = f"link add link {_at(world, lower).name} {_new(link)} netns {netns_at(netns.name)} type {kind.making}"
        return Making((lower.netns,), (end,), command, ((lower.netns, lower.index),))
    if kind.role is DeviceRole.PROGRAM:
        tuntap = f"tuntap add dev {link.name} mode tun\nlink set dev {link.name} mtu {link.mtu}"
        return Making((netns.name,), (end,), tuntap)
    command = f"link add {_new(link)} type {kind.making}"
    if not kind.underlay:
        return Making((netns.name,), (end,), command)
    under = netns.link(kind.underlay)
    return Making((netns.name,), (end,), _with_room(command, link, under), ((netns.name, under.index),))


def _with_room(command: str, link: Link, under: Link) -> str:
    """Return the lines that make a tunnel whose MTU the device below has no room for; it has room while they run.

    A new tunnel gets no larger MTU than the device below leaves; one that exists keeps its own when that one's shrinks.
    Source: vxlan_config_apply() in drivers/net/vxlan/vxlan_core.c (Linux 6.18).
    """
    if under.mtu >= link.mtu + TUNNEL_ROOM:
        return command
    widened = f"link set dev {under.name} mtu {link.mtu + TUNNEL_ROOM}"
    return f"{widened}\n{command}\nlink set dev {under.name} mtu {under.mtu}"


def _pair(world: World, netns: Netns, link: Link, netns_at: _Place) -> Making | None:
    """Describe a veth pair once, at its first end."""
    peer = link.kind.endpoint or NO_END
    ends = ((netns.name, link.index), (peer.netns, peer.index))
    if ends[1] < ends[0]:
        return None
    far_link = _at(world, peer)
    near, far = f"{_new(link)} netns {netns_at(netns.name)}", f"{_new(far_link)} netns {netns_at(peer.netns)}"
    return Making((SWITCH, netns.name, peer.netns), ends, f"link add {near} type veth peer {far}")


def _at(world: World, far: LinkEnd) -> Link:
    return next(link for link in world[far.netns].links if link.index == far.index)


def _new(link: Link) -> str:
    mac = f" address {link.mac}" if link.mac != NO_MAC and link.has_arp else ""
    return f"name {link.name}{mac} mtu {link.mtu}"
