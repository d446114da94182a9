"""Which way each packet took through the picture: journeys become lines, and journeys that took the same way share one.

A line goes level through a station and straight up or down along a cable. Whoever travels keeps to the left, so the
two directions of one cable lie side by side and lines do not cross where they turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import networkx as nx

from mcnilib.show.layout.geometry import Line, Point, shift, tidy
from mcnilib.show.layout.scene import Places, Station
from mcnilib.trace.trace import Fate, Journey, Stage, Step, Told

GAP, TURN = 9.0, 6.0
"""Distance of two lines that run side by side, in pixels, and how much further those that run upright are from the
middle where ways turn back, so that there and back are told apart.
"""

ENTRY, MIDDLE, EXIT, INSIDE = "entry", "middle", "exit", "inside"
"""Where in a namespace something happens:

at the device it came by, between, at the device it leaves by, at the socket.
"""

PLACES_OF_HOOKS = {"PREROUTING": ENTRY, "FORWARD": MIDDLE, "POSTROUTING": EXIT, "INPUT": INSIDE, "OUTPUT": MIDDLE}

PLACES_OF_STAGES = {Stage.ARP: EXIT, Stage.DEVICE: EXIT, Stage.RP_FILTER: ENTRY, Stage.SOCKET: INSIDE}


@dataclass(frozen=True, slots=True)
class Way:
    """The way of some packets:

    the stations in order, and where in the last namespace it ends. Equal ways are drawn as one.
    """

    stations: tuple[Station, ...]
    reply: bool
    delivered: bool
    ends_in: str = ""  # the namespace
    place: str = INSIDE  # where in it
    evidence: str = ""  # the line that lost the packets


def where_in(step: Step) -> str:
    """Tell at which part of its namespace a step stands."""
    return PLACES_OF_HOOKS.get(step.hook) or PLACES_OF_STAGES.get(step.stage, MIDDLE)


def way_of(places: Places, journey: Journey) -> Way:
    """Return the way of a journey, as far as the picture shows its stations."""
    last = journey.last
    stations = list(visited(journey.steps))
    place = where_in(last)
    if journey.fate is not Fate.DELIVERED and place in (MIDDLE, EXIT) and places.draws((last.netns, last.oif)):
        stations.append((last.netns, last.oif))
    drawn = tuple(s for i, s in enumerate(stations) if places.draws(s) and s not in stations[i + 1 : i + 2])
    arrived = journey.fate is Fate.DELIVERED
    decision = last.what.decision if isinstance(last.what, Told) and last.what.limit else last.action
    evidence = "" if arrived else last.evidence or decision  # told or not, it is one end
    return Way(drawn, journey.reply, arrived, last.netns, place, evidence)


def visited(steps: Iterable[Step]) -> list[Station]:
    """Return the stations a packet passes: IP layers, tunnels, devices and segments."""
    stations: list[Station] = []
    for step in steps:
        if not stations:
            stations.append((step.netns, ""))
        if step.stage is Stage.TUNNEL:
            _pass_tunnel(stations, step)
        elif step.stage is Stage.DEVICE:
            stations += step.path
            if step.to:
                stations += [step.to, (step.to[0], "")]
    return stations


def _pass_tunnel(stations: list[Station], step: Step) -> None:
    """Go through a tunnel device: packed packets go on to the NIC, unpacked ones up to the IP layer."""
    device = (step.netns, step.oif)
    if step.after.inner:
        stations.append(device)
    else:
        stations[-1:] = [device, (step.netns, "")]


def line_of(places: Places, way: Way) -> Line:
    """Return the middle line of a way, from its sender to where it ends."""
    stations = _joined(places.graph, way.stations)
    if len(stations) < 2:
        return ()
    points = _between(places.graph, stations)
    start, end = _end(places, stations[0], points[0][0]), _end(places, stations[-1], points[-1][0])
    pod = any(box.name == way.ends_in and box.kind == "pod" for box in places.boxes)
    if way.delivered or (way.place == INSIDE and not pod):
        return tidy((start, *points, end))
    return _cut(places, tidy((start, *points)), way)


def _between(graph: nx.Graph, stations: list[Station]) -> list[Point]:
    """Return the corners of the way along the cables: level inside a station, upright along a cable."""
    ends = ((graph.nodes[a]["y"], graph.nodes[b]["y"], graph.edges[a, b]["x"]) for a, b in pairwise(stations))
    return [point for ya, yb, x in ends for point in ((x, ya), (x, yb))]


def packed(places: Places, way: Way) -> list[Line]:
    """Return the parts of a way on which its packets are inside a tunnel:

    from the device that packs to the one that unpacks.
    """
    stations = _joined(places.graph, way.stations)
    tunnels = [i for i, station in enumerate(stations) if station in places.inner]
    parts = []
    for a, b in zip(tunnels[::2], tunnels[1::2], strict=False):
        chips = [places.nics[stations[i]].rect for i in (a, b)]
        points = _between(places.graph, stations[a : b + 1])
        parts.append(tidy(((chips[0].x, points[0][1]), *points, (chips[1].x, points[-1][1]))))
    return parts


def trail_of(places: Places, journey: Journey, index: int) -> Line:
    """Return the middle line of a journey up to one of its steps."""
    step = journey.steps[index]
    stations = visited(journey.steps[: index + 1])
    arrives = step.stage in (Stage.DEVICE, Stage.TUNNEL)
    if arrives and step.to:
        stations.pop()
    place = where_in(step)
    if not arrives and place in (MIDDLE, EXIT) and places.draws((step.netns, step.oif)):
        stations.append((step.netns, step.oif))
    drawn = tuple(s for i, s in enumerate(stations) if places.draws(s) and s not in stations[i + 1 : i + 2])
    return line_of(places, Way(drawn, journey.reply, arrives or place == INSIDE, step.netns, place))


def _joined(graph: nx.Graph, stations: tuple[Station, ...]) -> list[Station]:
    """Fill the gaps between stations that are no neighbours in the picture; leave out what cannot be reached."""
    joined = list(stations[:1])
    for station in stations[1:]:
        if graph.has_edge(joined[-1], station):
            joined.append(station)
        elif nx.has_path(graph, joined[-1], station):
            joined += nx.shortest_path(graph, joined[-1], station)[1:]
    return joined


def _end(places: Places, station: Station, x: float) -> Point:
    """Return where a packet begins or ends inside a namespace: at a pod's NIC, in the middle of a host."""
    y = places.graph.nodes[station]["y"]
    box = next((b for b in places.boxes if b.name == station[0] and b.kind == "host"), None)
    if box is None:
        return (x, y)
    middle = box.rect.cx
    return (middle if abs(middle - x) > 40 else middle + 60, y)


def _cut(places: Places, points: Line, way: Way) -> Line:
    """End a line where its packets were lost: outside a pod's NIC, or inside the box of a host."""
    if any(box.name == way.ends_in and box.kind == "pod" for box in places.boxes):
        came = way.place in (ENTRY, INSIDE)
        x, y = points[-1] if came else points[0]
        return (*points[:-1], (x, y + 16)) if came else ((x, y), (x, y + 16))
    if len(points) < 2:
        return points
    (ax, ay), (bx, by) = points[-2:]
    if way.place == ENTRY:
        return (*points[:-1], (bx, ay + (by - ay) * 0.6))
    if way.place == EXIT:
        return (*points[:-1], (ax, ay + (by - ay) * 0.45))
    if len(points) > 2 and way.stations[-1][1]:  # the way out is known: stop half way to it
        return (*points[:-2], ((points[-3][0] + ax) / 2, points[-3][1]))
    return points


class Lane(NamedTuple):
    """How far a line is from the middle, in pixels: where it runs level, and where it runs upright."""

    level: float
    upright: float


def lanes(ways: Iterable[Way]) -> dict[Way, Lane]:
    """Give every way its distance from the middle line; each direction counts from the inside.

    Where a way uses one cable twice, there and back, it needs both sides, and all ways count together.
    """
    found = list(ways)
    there_and_back = any(_returns(way) for way in found)
    sides: dict[bool, int] = {}
    lanes: dict[Way, Lane] = {}
    for way in found:
        side = way.reply and not there_and_back
        by = (sides.get(side, 0) + 0.5) * GAP
        lanes[way] = Lane(by, by + TURN if there_and_back else by)
        sides[side] = sides.get(side, 0) + 1
    return lanes


def _returns(way: Way) -> bool:
    """Tell whether a way goes back through the cable it came by."""
    cables = [frozenset(pair) for pair in pairwise(way.stations)]
    return len(cables) != len(set(cables))


def placed(places: Places, ways: Iterable[Way]) -> dict[Way, Line]:
    """Return the line of every way, side by side where they share a cable, without ways the picture cannot show."""
    lines = {way: line_of(places, way) for way in ways}
    shown = {way: line for way, line in lines.items() if len(line) > 1}
    return {way: shift(shown[way], *by) for way, by in lanes(shown).items()}
