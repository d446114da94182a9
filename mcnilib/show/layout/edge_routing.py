"""Edge routing: which way each packet took through the picture. Journeys that took the same way share an edge.

A line goes level through a waypoint and straight up or down along a cable. Whoever travels keeps to the left, so the
two directions of one cable lie side by side and lines do not cross where they turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import networkx as nx

from mcnilib.linux.packet import Packet
from mcnilib.show.layout.geometry import Point, Polyline, shift, tidy
from mcnilib.show.layout.scene import Layout, Waypoint
from mcnilib.trace.trace import Fate, Journey, Stage, Step, Told

EDGE_GAP, TURN_GAP = 9.0, 6.0
"""Distance of two lines that run side by side, in pixels, and how much further those that run upright are from the
middle where ways turn back, so that there and back are told apart.
"""

ENTRY, MIDDLE, EXIT, INSIDE = "entry", "middle", "exit", "inside"
"""Where in a namespace something happens: at the device it came by, between, at the one it leaves by, at the socket."""

POSITION_OF_HOOK = {"PREROUTING": ENTRY, "FORWARD": MIDDLE, "POSTROUTING": EXIT, "INPUT": INSIDE, "OUTPUT": MIDDLE}

POSITION_OF_STAGE = {Stage.ARP: EXIT, Stage.DEVICE: EXIT, Stage.RP_FILTER: ENTRY, Stage.SOCKET: INSIDE}


@dataclass(frozen=True, slots=True)
class Edge:
    """The way of some packets: the waypoints in order, and where in the last namespace it ends.

    Journeys that take the same way share one edge.
    """

    waypoints: tuple[Waypoint, ...]
    reply: bool
    delivered: bool
    ends_in: str = ""  # the namespace
    position: str = INSIDE  # where in it
    evidence: str = ""  # the line that lost the packets
    error: bool = False  # ICMP errors, resets

    @property
    def role(self) -> str:
        """How it is drawn: as a request, a reply or an error."""
        return "error" if self.error else "reply" if self.reply else "request"

    @property
    def came(self) -> bool:
        """Whether it ends in the namespace it came to, not in the one it had not left yet."""
        return self.position in (ENTRY, INSIDE)


Bundles = dict[Edge, list[Journey]]
"""The journeys that are drawn as one edge, in order of their first packet."""

EdgeLines = dict[Edge, Polyline]
"""The line of every edge."""


def position_of(step: Step) -> str:
    """Tell at which part of its namespace a step stands."""
    return POSITION_OF_HOOK.get(step.hook) or POSITION_OF_STAGE.get(step.stage, MIDDLE)


def edge_of(layout: Layout, journey: Journey) -> Edge:
    """Return the edge of a journey, as far as the picture shows its waypoints."""
    last, arrived = journey.last, journey.fate is Fate.DELIVERED
    drawn = _drawn(layout, waypoints_of(journey.steps), last, arrived)
    decision = last.what.decision if isinstance(last.what, Told) and last.what.limit else last.action
    evidence = "" if arrived else last.evidence or decision  # told or not, it is one end
    return Edge(drawn, journey.reply, arrived, last.netns, position_of(last), evidence, is_error(journey.packet))


def is_error(packet: Packet) -> bool:
    """Tell whether a packet says that something went wrong: an ICMP error, a reset."""
    return bool(packet.icmp and packet.icmp.is_error) or bool(packet.tcp and "RST" in packet.tcp.flags)


def _drawn(layout: Layout, waypoints: list[Waypoint], last: Step, arrived: bool) -> tuple[Waypoint, ...]:
    """Return the waypoints the picture shows, none twice in a row; with the way out that a packet did not get to."""
    way_out = (last.netns, last.oif)
    if not arrived and position_of(last) in (MIDDLE, EXIT) and layout.draws(way_out):
        waypoints = [*waypoints, way_out]
    return tuple(w for i, w in enumerate(waypoints) if layout.draws(w) and w not in waypoints[i + 1 : i + 2])


def waypoints_of(steps: Iterable[Step]) -> list[Waypoint]:
    """Return the waypoints a packet passes: IP layers, tunnels, devices and segments."""
    waypoints: list[Waypoint] = []
    for step in steps:
        if not waypoints:
            waypoints.append((step.netns, ""))
        if step.stage is Stage.TUNNEL:
            _pass_tunnel(waypoints, step)
        elif step.stage is Stage.DEVICE:
            waypoints += step.path
            if step.to:
                waypoints += [step.to, (step.to[0], "")]
    return waypoints


def _pass_tunnel(waypoints: list[Waypoint], step: Step) -> None:
    """Go through a tunnel device: packed packets go on to the NIC, unpacked ones up to the IP layer."""
    device = (step.netns, step.oif)
    if step.after.inner:
        waypoints.append(device)
    else:
        waypoints[-1:] = [device, (step.netns, "")]


def edge_line(layout: Layout, edge: Edge) -> Polyline:
    """Return the middle line of an edge, from its sender to where it ends."""
    waypoints = _joined(layout.graph, edge.waypoints)
    if len(waypoints) < 2:
        return ()
    points = _between(layout.graph, waypoints)
    start, end = _end(layout, waypoints[0], points[0][0]), _end(layout, waypoints[-1], points[-1][0])
    if edge.delivered or (edge.position == INSIDE and not layout.is_pod(edge.ends_in)):
        return tidy((start, *points, end))
    return _cut(layout, tidy((start, *points)), edge)


def _between(graph: nx.Graph, waypoints: list[Waypoint]) -> list[Point]:
    """Return the corners of the way along the cables: level inside a waypoint, upright along a cable."""
    ends = ((graph.nodes[a]["y"], graph.nodes[b]["y"], graph.edges[a, b]["x"]) for a, b in pairwise(waypoints))
    return [point for ya, yb, x in ends for point in ((x, ya), (x, yb))]


def tunnel_lines(layout: Layout, edge: Edge) -> list[Polyline]:
    """Return the parts of an edge inside a tunnel: from the device that packs the packets to the one that unpacks."""
    waypoints = _joined(layout.graph, edge.waypoints)
    tunnels = [i for i, waypoint in enumerate(waypoints) if waypoint in layout.tunnels]
    parts = []
    for a, b in zip(tunnels[::2], tunnels[1::2], strict=False):
        boxes = [layout.devices[waypoints[i]].rect for i in (a, b)]
        points = _between(layout.graph, waypoints[a : b + 1])
        parts.append(tidy(((boxes[0].x, points[0][1]), *points, (boxes[1].x, points[-1][1]))))
    return parts


def trail_to(layout: Layout, journey: Journey, index: int) -> Polyline:
    """Return the middle line of a journey up to one of its steps."""
    step = journey.steps[index]
    waypoints = waypoints_of(journey.steps[: index + 1])
    arrives = step.stage in (Stage.DEVICE, Stage.TUNNEL)
    if arrives and step.to:
        waypoints.pop()
    position, drawn = position_of(step), _drawn(layout, waypoints, step, arrives)
    return edge_line(layout, Edge(drawn, journey.reply, arrives or position == INSIDE, step.netns, position))


def _joined(graph: nx.Graph, waypoints: tuple[Waypoint, ...]) -> list[Waypoint]:
    """Fill the gaps between waypoints that are no neighbours in the picture; leave out what cannot be reached."""
    joined = list(waypoints[:1])
    for waypoint in waypoints[1:]:
        if graph.has_edge(joined[-1], waypoint):
            joined.append(waypoint)
        elif nx.has_path(graph, joined[-1], waypoint):
            joined += nx.shortest_path(graph, joined[-1], waypoint)[1:]
    return joined


def _end(layout: Layout, waypoint: Waypoint, x: float) -> Point:
    """Return where a packet begins or ends inside a namespace: at a pod's NIC, in the middle of a host."""
    y = layout.graph.nodes[waypoint]["y"]
    box = next((b for b in layout.boxes if b.name == waypoint[0] and b.kind == "host"), None)
    if box is None:
        return (x, y)
    middle = box.rect.cx
    return (middle if abs(middle - x) > 40 else middle + 60, y)


def _cut(layout: Layout, points: Polyline, edge: Edge) -> Polyline:
    """End a line where its packets were lost: at a pod's NIC, or inside the box of a host."""
    if layout.is_pod(edge.ends_in):
        (x, y), *_ = points
        return points if edge.came else ((x, y), (x, y + 16))
    if len(points) < 2:
        return points
    (ax, ay), (bx, by) = points[-2:]
    if edge.position == ENTRY:
        return (*points[:-1], (bx, ay + (by - ay) * 0.6))
    if edge.position == EXIT:
        return (*points[:-1], (ax, ay + (by - ay) * 0.45))
    if len(points) > 2 and edge.waypoints[-1][1]:  # the way out is known: stop half way to it
        return (*points[:-2], ((points[-3][0] + ax) / 2, points[-3][1]))
    return points


class Offset(NamedTuple):
    """How far a line is from the middle, in pixels: where it runs level, and where it runs upright."""

    level: float
    upright: float


def offsets(edges: Iterable[Edge]) -> dict[Edge, Offset]:
    """Give every edge its distance from the middle line; each direction counts from the inside.

    Where an edge uses one cable twice, there and back, it needs both sides, and all edges count together.
    """
    ordered = list(edges)
    there_and_back = any(map(_returns, ordered))
    sides: dict[bool, int] = {}
    offsets: dict[Edge, Offset] = {}
    for edge in ordered:
        side = edge.reply and not there_and_back
        distance = (sides.get(side, 0) + 0.5) * EDGE_GAP
        offsets[edge] = Offset(distance, distance + TURN_GAP if there_and_back else distance)
        sides[side] = sides.get(side, 0) + 1
    return offsets


def _returns(edge: Edge) -> bool:
    """Tell whether an edge goes back through the cable it came by."""
    cables = [frozenset(pair) for pair in pairwise(edge.waypoints)]
    return len(cables) != len(set(cables))


def route_edges(layout: Layout, edges: Iterable[Edge]) -> EdgeLines:
    """Return the line of every edge, side by side where they share a cable, without those the picture cannot show.

    What a pod loses ends inside of it, beside the NIC.
    """
    lines = {edge: edge_line(layout, edge) for edge in edges}
    shown = {edge: polyline for edge, polyline in lines.items() if polyline}
    moved = {edge: shift(shown[edge], *offset) for edge, offset in offsets(shown).items()}
    spots: dict[str, list[Point]] = {}
    for edge, polyline in moved.items():
        if not edge.delivered and layout.is_pod(edge.ends_in):
            free = spots.setdefault(edge.ends_in, free_spots(layout, edge.ends_in))
            moved[edge] = _into_pod(polyline if edge.came else polyline[:1], free)
    return {edge: polyline for edge, polyline in moved.items() if len(polyline) > 1}


def _into_pod(polyline: Polyline, free: list[Point]) -> Polyline:
    """Lead a line that reached a pod's NIC on to the nearest free spot, which is taken then; or end it below."""
    x, y = polyline[-1]
    if not free:
        return (*polyline, (x, y + 16)) if len(polyline) < 2 else (*polyline[:-1], (x, y + 16))
    spot = min(free, key=lambda point: abs(point[0] - x))
    free.remove(spot)
    return tidy((*polyline, (x, spot[1]), spot)) if len(polyline) > 1 else ((x, spot[1]), spot)


SPOT = 22.0
"""Width of the room for a marker, in pixels."""


def free_spots(layout: Layout, pod: str) -> list[Point]:
    """Return the spots for markers inside a pod: between and beside its NICs."""
    rect = layout.rect_of(pod)
    chips = sorted(device.rect for device in layout.devices.values() if device.netns == pod)
    sides = [rect.x, *(side for chip in chips for side in (chip.x, chip.right)), rect.right]
    gaps = [gap for gap in zip(sides[::2], sides[1::2], strict=True) if gap[1] - gap[0] >= SPOT]
    y = chips[0].cy if chips else rect.bottom - SPOT / 2
    one = [((left + right) / 2, y) for left, right in gaps if right - left < 2 * SPOT]
    two = [(left + SPOT / 2, y) for left, right in gaps if right - left >= 2 * SPOT]
    return one + two + [(right - SPOT / 2, y) for left, right in gaps if right - left >= 2 * SPOT]
