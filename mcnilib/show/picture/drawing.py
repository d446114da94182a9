"""A world and a trace as a drawing: plain values that say what stands where, before anything is painted.

`lay_out` puts the world on the stage, folds journeys that took the same way into arrows, and pins notes where
something happened to a packet. Two drawings of one plan differ only in what happened. Read `scene` and `ways` first,
then `notes`, then `paint`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache

from mcnilib.show.labels.captions import captions, samples
from mcnilib.show.labels.labels import notes_of
from mcnilib.show.layout.edge_routing import Lane, Way, lanes, packed, placed, trail_of, visited, way_of
from mcnilib.show.layout.geometry import Line, Point, shift
from mcnilib.show.layout.layout import set_stage
from mcnilib.show.layout.markers import number_rect, numbers_of, pins_of, standing
from mcnilib.show.layout.plan import Plan, focus_of, plan_of
from mcnilib.show.layout.scene import Arrow, Cable, Label, Note, Places, Scene, Station
from mcnilib.trace.explain import tell
from mcnilib.trace.trace import Journey, Trace
from mcnilib.world.world import World

Bundles = dict[Way, list[Journey]]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture before it is painted. `title` is one sentence with the outcome, `description` tells every hop."""

    scene: Scene
    arrows: tuple[Arrow, ...]
    notes: tuple[Note, ...]
    labels: tuple[Label, ...]
    works: bool
    title: str
    description: str
    trail: Line = ()  # the way of one packet up to one step, to be emphasised

    @property
    def width(self) -> float:
        """The width at natural size, in pixels."""
        return self.scene.width

    @property
    def height(self) -> float:
        """The height at natural size, in pixels."""
        return self.scene.height


def lay_out(world: World, trace: Trace, plan: Plan | None = None, highlight: tuple[int, int] | None = None) -> Drawing:
    """Place the world, the ways of the packets, and the notes about what happened to them.

    Without a plan the world gets its own, looking at what the conversation touches. `highlight` is a packet's number
    and the index of one of its steps: the way up to there is emphasised.
    """
    plan = plan or plan_of(world).look_at(focus_of(world, trace))
    places = _places(_Stage(_outline(world), plan, world))
    bundles = _bundles(places, trace)
    lines = placed(places, bundles)
    scene = _scene(places, trace)
    labels = captions(places, world, trace, plan)
    written = replace(scene, labels=scene.labels + labels)
    pins = pins_of(places, written, bundles, lines)
    marks = numbers_of(written, lines, pins, bundles)
    by = lanes(lines)
    arrows = tuple(_arrow(places, way, (line, by[way]), bundles[way], marks.get(way)) for way, line in lines.items())
    numbers = [number_rect(arrow) for arrow in arrows if arrow.mark]
    notes = tuple(notes_of(places, written, bundles, lines, pins, numbers))
    story = tell(trace)
    trail = _trail(places, trace, bundles, lines, *highlight) if highlight else ()
    return Drawing(
        scene, (*samples(plan), *arrows), notes, labels, trace.outcome.works, story[0], "\n".join(story[1:]), trail
    )


def _trail(places: Places, trace: Trace, bundles: Bundles, lines: dict[Way, Line], number: int, index: int) -> Line:
    """Return the way of packet `number` up to its step `index`, on the line of the arrow it belongs to.

    A packet that has not moved yet is a single point: where its arrow begins, or at the edge of its sender.
    """
    journey = next(j for j in trace.journeys if j.number == number)
    way, by = next((way, by) for way, by in lanes(bundles).items() if journey in bundles[way])
    moved = shift(trail_of(places, journey, index), *by)
    if len(moved) > 1:
        return moved
    return lines[way][:1] if way in lines else (standing(places, journey.steps[index]),)


@dataclass(frozen=True)
class _Stage:
    """What the places depend on; the world itself is not compared, its outline is."""

    outline: tuple[object, ...]
    plan: Plan
    world: World = field(compare=False)


def _outline(world: World) -> tuple[object, ...]:
    devices = tuple((n.name, tuple((x.index, x.name, x.kind, x.addresses) for x in n.links)) for n in world)
    return (devices, world.segments)


@lru_cache(maxsize=256)
def _places(stage: _Stage) -> Places:
    return set_stage(stage.world, stage.plan)


def _bundles(places: Places, trace: Trace) -> Bundles:
    """Group the journeys by the way they took, in order of their first packet."""
    bundles: Bundles = {}
    for journey in trace.journeys:
        bundles.setdefault(way_of(places, journey), []).append(journey)
    return bundles


def _arrow(
    places: Places, way: Way, laid: tuple[Line, Lane], journeys: list[Journey], mark: tuple[Point, int] | None
) -> Arrow:
    """Make the arrow of a way from its line and how far that is from the middle."""
    line, by = laid
    parts = tuple(shift(part, *by) for part in packed(places, way))
    return Arrow(line, tuple(j.number for j in journeys), way.reply, not way.delivered, mark, parts)


def _scene(places: Places, trace: Trace) -> Scene:
    """Freeze the stage; what no packet passed is marked as not involved."""
    passed = {station for journey in trace.journeys for station in visited(journey.steps)}
    hosts = {netns for netns, _ in passed}
    boxes = (
        replace(b, involved=b.name in hosts if b.kind == "machine" else (b.name, "") in passed) for b in places.boxes
    )
    nics = (replace(nic, involved=s in passed) for s, nic in places.nics.items())
    labels = (
        x if s in passed or (s[0] in hosts and not s[1]) else replace(x, colour="quiet") for x, s in places.labels
    )
    return Scene(places.width, places.height, tuple(boxes), tuple(_cables(places, passed)), tuple(nics), tuple(labels))


def _cables(places: Places, passed: set[Station]) -> Iterator[Cable]:
    for a, b, data in places.graph.edges(data=True):
        ends = ((data["x"], places.graph.nodes[a]["y"]), (data["x"], places.graph.nodes[b]["y"]))
        yield Cable(data["kind"], ends, a in passed and b in passed)
