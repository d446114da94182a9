"""What is drawn inside what, and in which order: the plan of a picture.

Machines stand in a row with their pods inside, the wires run below them, whatever else is plugged into the wires
stands in the bottom row. The plan of the one cluster is written down here; any other world gets a plan computed from
its own links. `focus` says which namespaces have a place; it belongs to a story, not to a run, so nothing moves when a
setting changes. `drawn` says which of them are drawn; the others, which play no part, are named and left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

import networkx as nx

from mcnilib.linux.device.base import DeviceRole
from mcnilib.trace.trace import Journey, Trace
from mcnilib.world.world import World


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine: the namespace its NICs are in, and the namespaces drawn inside it, left to right."""

    host: str
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Machines and other hosts left to right, segments top to bottom. What is empty of `focus` and `drawn` means
    everything."""

    machines: tuple[Machine, ...]
    outside: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    focus: frozenset[str] = frozenset()
    drawn: frozenset[str] = frozenset()
    width: float = 864.0  # pixels
    stacked: bool = False  # machines stand one above the other, for a phone held upright

    def look_at(self, names: Iterable[str]) -> Plan:
        """Return the same plan with these namespaces and segments in its focus."""
        return replace(self, focus=frozenset(names))

    def fold(self, names: Iterable[str]) -> Plan:
        """Return the plan that draws only these, on a narrower sheet where one machine is left, or little else."""
        plan = replace(self, drawn=frozenset(names))
        narrower = len(plan.shown_machines()) == 1 and sum(map(plan.draws, self.outside)) < 2
        return replace(plan, width=min(self.width, NARROWER)) if narrower else plan

    def folded(self) -> frozenset[str]:
        """Return what has a place and is not drawn."""
        return self.focus - self.drawn if self.drawn else frozenset()

    def sees(self, name: str) -> bool:
        """Tell whether a namespace or segment is in the focus."""
        return not self.focus or name in self.focus

    def stack(self) -> Plan:
        """Return the plan that stacks its machines on a narrow sheet; of more than two machines the plan itself."""
        return self if len(self.shown_machines()) > 2 else replace(self, stacked=True, width=STACKED)

    def draws(self, name: str) -> bool:
        """Tell whether a namespace or segment is drawn."""
        return self.sees(name) and (not self.drawn or name in self.drawn)

    def shown_machines(self) -> tuple[Machine, ...]:
        """Return the machines that are drawn, or have members that are, with those members that have a place."""
        shown = [m for m in self.machines if any(map(self.draws, (m.host, *m.members)))]
        return tuple(Machine(m.host, tuple(filter(self.sees, m.members))) for m in shown)

    def hidden(self, shown: Iterable[str]) -> tuple[str, ...]:
        """Name the namespaces of the plan that are not among the shown ones."""
        there = set(shown)
        everyone = [name for m in self.machines for name in (m.host, *m.members)]
        return tuple(name for name in (*everyone, *self.outside) if name not in there)


NARROWER = 640.0
"""Width of a sheet with one machine, in pixels."""

STACKED = 366.0
"""Width of a sheet on which machines are stacked: that of a phone without the margins of a page, in pixels."""

CLUSTER_PLAN = Plan(
    machines=(
        Machine("node1", ("mac1", "mac1b", "cal1", "mul1", "mac17")),
        Machine("node2", ("mac2", "cal2", "mul2")),
        Machine("node3", ("mac3", "cal3")),
        Machine("node4", ("mac4",)),
    ),
    outside=("lan-client", "gateway", "client"),
    segments=("lan-172.16", "lan-172.17", "outside"),
)
"""The one cluster of the notebooks."""


def plan_of(world: World) -> Plan:
    """Return the plan for a world: the cluster's when it knows every namespace, a computed one otherwise."""
    hidden = set(CLUSTER_PLAN.hidden(()))
    return CLUSTER_PLAN if all(netns.name in hidden for netns in world) else computed_plan(world)


def computed_plan(world: World) -> Plan:
    """Derive a plan from the links: whoever has a NIC is a host, everybody else belongs to the host he is linked to."""
    graph = link_graph(world)
    hosts = [n.name for n in world if any(link.kind.role is DeviceRole.NIC for link in n.links)]
    hosts = hosts or [max(graph, key=graph.degree)]
    cells = nx.voronoi_cells(graph, hosts)
    order = [netns.name for netns in world]
    members = {host: tuple(sorted(cells.get(host, set()) - {host}, key=order.index)) for host in hosts}
    stranded = tuple(Machine(name) for name in order if name not in hosts and name in cells.get("unreachable", ()))
    machines = tuple(Machine(host, members[host]) for host in hosts if members[host]) + stranded
    outside = tuple(host for host in hosts if not members[host])
    return Plan(machines, outside, tuple(segment.name for segment in world.segments))


def link_graph(world: World) -> nx.Graph:
    """Return which namespaces are linked by a veth pair or a macvlan child."""
    graph = nx.Graph()
    graph.add_nodes_from(netns.name for netns in world)
    for netns in world:
        for link in netns.links:
            end = link.kind.endpoint
            if end and not link.kind.unmodelled and end.netns in graph:
                graph.add_edge(netns.name, end.netns)
    return graph


def plan_around(world: World, trace: Trace) -> Plan:
    """Return the plan of a world for a conversation: what takes part in it, and nothing else."""
    return plan_of(world).look_at(focus_of(world, trace)).fold(taking_part(world, trace))


def focus_of(world: World, *traces: Trace) -> frozenset[str]:
    """Name what takes part in conversations, with the routers between the segments."""
    members = {m.host: m.members for m in plan_of(world).machines}
    routers = (
        n.name
        for n in world
        if n.name not in members and len({world.segment_of(n.name, x.name) for x in n.links} - {None}) > 1
    )
    return taking_part(world, *traces) | set(routers)


def taking_part(world: World, *traces: Trace) -> frozenset[str]:
    """Name the namespaces and segments that packets touch or aim at."""
    held = Counter(address for netns in world for address in netns.own_addresses)
    owners = {ip: netns.name for netns in world for ip in netns.own_addresses if held[ip] == 1}  # no node-local address
    courses = [course for trace in traces for course in trace.courses]
    journeys = [journey for course in courses for journey in course.journeys]
    names = {name for journey in journeys for name in _touched(journey, owners)}
    asked = (world.segment_of(journey.last.netns, journey.last.oif) for journey in journeys)
    return frozenset(names | {segment.name for segment in asked if segment})  # where nobody answered


def _touched(journey: Journey, owners: dict[IPv4Address, str]) -> Iterator[str]:
    for step in journey.steps:
        yield step.netns
        yield from (device for device, _ in step.path)
    yield from (owners[ip] for ip in (journey.packet.src, journey.packet.dst) if ip in owners)
