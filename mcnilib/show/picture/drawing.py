"""A world and a trace as a drawing: plain values that say what stands where, before anything is painted.

`lay_out` places the world, folds journeys that took the same way into arrows, and places words where something
happened to a packet. Two drawings of one plan differ only in what happened. Read `scene` and `edge_routing` first, then
`label_placement`, then `paint`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache

from mcnilib.language import current_language
from mcnilib.show.labels.captions import captions, samples
from mcnilib.show.labels.label_placement import place_labels
from mcnilib.show.layout.edge_routing import (
    Bundles,
    Edge,
    EdgeLines,
    edge_of,
    offsets,
    route_edges,
    trail_to,
    tunnel_lines,
    waypoints_of,
)
from mcnilib.show.layout.geometry import Point, Polyline, shift
from mcnilib.show.layout.markers import number_rect, place_markers, place_numbers, spots_without_line
from mcnilib.show.layout.plan import Plan, plan_around
from mcnilib.show.layout.scene import Arrow, Cable, Callout, Label, Layout, Scene, Waypoint
from mcnilib.show.layout.world_layout import place_world
from mcnilib.trace.explain import tell
from mcnilib.trace.trace import Trace
from mcnilib.world.world import World


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture before it is painted. `title` is one sentence with the outcome, `description` tells every hop."""

    scene: Scene
    arrows: tuple[Arrow, ...]
    callouts: tuple[Callout, ...]
    labels: tuple[Label, ...]
    works: bool
    title: str
    description: str
    trail: Polyline = ()  # the way of one packet up to one step, to be emphasised

    @property
    def width(self) -> float:
        """The width at natural size, in pixels."""
        return self.scene.width

    @property
    def height(self) -> float:
        """The height at natural size, in pixels."""
        return self.scene.height


def lay_out(world: World, trace: Trace, plan: Plan | None = None, highlight: tuple[int, int] | None = None) -> Drawing:
    """Place the world, the ways of the packets, and the words about what happened to them.

    Without a plan the world gets its own: what takes part in the conversation, and nothing else. `highlight` is a
    packet's number and the index of one of its steps: the way up to there is emphasised.
    """
    plan = plan or plan_around(world, trace)
    layout = _layout(_LayoutInput(_outline(world), plan, world))
    bundles = _bundles(layout, trace)
    lines = route_edges(layout, bundles)
    scene = _scene(layout, trace)
    labels = captions(layout, world, trace, plan, lines)
    written = replace(scene, labels=scene.labels + labels)
    markers = place_markers(layout, written, bundles, lines)
    numbers_at = place_numbers(written, lines, markers, bundles)
    arrows = tuple(_arrows(layout, bundles, lines, numbers_at))
    numbers = [number_rect(arrow) for arrow in arrows if arrow.numbers_at]
    callouts = tuple(place_labels(layout, written, bundles, lines, markers, numbers))
    sentences = tell(trace)
    title, description, works = sentences[0], "\n".join(sentences[1:]), trace.outcome.works
    whole = Drawing(scene, (*samples(plan, lines), *arrows), callouts, labels, works, title, description)
    return next(lay_out_steps(whole, world, trace, plan, [highlight])) if highlight else whole


def lay_out_steps(
    whole: Drawing, world: World, trace: Trace, plan: Plan, steps: Iterable[tuple[int, int]]
) -> Iterator[Drawing]:
    """Yield the drawing of each of some steps (packet, index), as `lay_out` makes it: what of the whole is true by
    then, in its place, and a trail."""
    layout = _layout(_LayoutInput(_outline(world), plan, world))
    bundles = _bundles(layout, trace)
    lines = route_edges(layout, bundles)
    for at in steps:
        callouts = tuple(callout for callout in whole.callouts if callout.since <= at)
        labels = captions(layout, world, trace, plan, lines, at)
        yield replace(whole, callouts=callouts, labels=labels, trail=_trail(layout, trace, bundles, lines, *at))


def _trail(layout: Layout, trace: Trace, bundles: Bundles, lines: EdgeLines, number: int, index: int) -> Polyline:
    """Return the way of packet `number` up to its step `index`, on the line of the arrow it belongs to.

    A packet that has not moved yet is a single point: where its arrow begins, or at the edge of its sender.
    """
    journey = next(j for j in trace.journeys if j.number == number)
    edge, offset = next((edge, offset) for edge, offset in offsets(bundles).items() if journey in bundles[edge])
    moved = shift(trail_to(layout, journey, index), *offset)
    if len(moved) > 1:
        return moved
    return lines[edge][:1] if edge in lines else (spots_without_line(layout, journey.steps[index])[0],)


@dataclass(frozen=True)
class _LayoutInput:
    """What a layout depends on; the world itself is not compared, its outline is."""

    outline: tuple[object, ...]
    plan: Plan
    world: World = field(compare=False)
    language: str = field(default_factory=current_language)


def _outline(world: World) -> tuple[object, ...]:
    devices = tuple((n.name, tuple((x.index, x.name, x.kind, x.addresses) for x in n.links)) for n in world)
    return (devices, world.segments)


@lru_cache(maxsize=256)
def _layout(given: _LayoutInput) -> Layout:
    return place_world(given.world, given.plan)


def _bundles(layout: Layout, trace: Trace) -> Bundles:
    """Group the journeys by the way they took, in order of their first packet."""
    bundles: Bundles = {}
    for journey in trace.journeys:
        bundles.setdefault(edge_of(layout, journey), []).append(journey)
    return bundles


def _arrows(
    layout: Layout, bundles: Bundles, lines: EdgeLines, numbers_at: dict[Edge, tuple[Point, int]]
) -> Iterator[Arrow]:
    """Yield the arrow of every edge."""
    offset_of = offsets(lines)
    for edge, polyline in lines.items():
        numbers = tuple(journey.number for journey in bundles[edge])
        parts = tuple(shift(part, *offset_of[edge]) for part in tunnel_lines(layout, edge))
        yield Arrow(polyline, numbers, edge.role, not edge.delivered, numbers_at.get(edge), parts)


def _scene(layout: Layout, trace: Trace) -> Scene:
    """Freeze what stands still; what no packet passed is marked as not involved."""
    passed = {waypoint for journey in trace.journeys for waypoint in waypoints_of(journey.steps)}
    hosts = {netns for netns, _ in passed}
    boxes = (
        replace(b, involved=b.name in hosts if b.kind == "machine" else (b.name, "") in passed) for b in layout.boxes
    )
    devices = (replace(device, involved=s in passed) for s, device in layout.devices.items())
    labels = (
        x if s in passed or (s[0] in hosts and not s[1]) else replace(x, colour="quiet") for x, s in layout.labels
    )
    return Scene(
        layout.width, layout.height, tuple(boxes), tuple(_cables(layout, passed)), tuple(devices), tuple(labels)
    )


def _cables(layout: Layout, passed: set[Waypoint]) -> Iterator[Cable]:
    for a, b, data in layout.graph.edges(data=True):
        ends = ((data["x"], layout.graph.nodes[a]["y"]), (data["x"], layout.graph.nodes[b]["y"]))
        yield Cable(data["kind"], ends, a in passed and b in passed)
