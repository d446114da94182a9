"""What a drawing consists of when it is painted: areas, strokes, discs, polygons and lines of text, in painting order.

Both painters paint these, `svg` for the screen and `paint` (matplotlib) for files and paper; neither decides anything.
Colours are names, looked up in the `palette`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mcnilib.language import tr
from mcnilib.show.labels.label_text import numbers_in_short
from mcnilib.show.labels.text_metrics import FONT_SIZE, LABEL_PAD, LINE_HEIGHT
from mcnilib.show.layout.geometry import Point, Polyline, Rect, nearest_point
from mcnilib.show.layout.markers import number_rect
from mcnilib.show.layout.scene import Arrow, Cable, Callout, DeviceBox, Label, Scene
from mcnilib.show.picture.drawing import Drawing
from mcnilib.show.picture.palette import ARROWS, ROLES, surface

CAPITAL = 0.73
"""Height of a capital letter of DejaVu Sans, in font sizes."""

MARK_RADIUS, FADED = 8.5, 0.35
"""Radius of a marker's disc in pixels; opacity of all arrows while one packet is followed."""


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle with round corners: radius and width of the edge in pixels."""

    rect: Rect
    corner: float
    fill: str
    edge: str
    width: float


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line through points. `dash` alternates lengths of line and gap, in pixels."""

    points: Polyline
    colour: str
    width: float
    dash: tuple[float, ...] = ()
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Disc:
    """A filled circle."""

    at: Point
    radius: float
    fill: str
    edge: str
    width: float
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Polygon:
    """A filled area between corners."""

    corners: Polyline
    fill: str
    edge: str
    width: float
    opacity: float = 1.0


Primitive = Area | Stroke | Disc | Polygon | Label


@dataclass(frozen=True, slots=True)
class Sign:
    """What stands for something that happened: its parts in painting order, what it means, and the step it marks, a
    packet's number and the index, where it marks one."""

    says: str
    parts: tuple[Primitive, ...]
    at: tuple[int, int] | None = None


GraphicsElement = Primitive | Sign


def scene_shapes(scene: Scene) -> Iterator[Primitive]:
    """Yield what stands still."""
    for box in scene.boxes:
        yield _area(box.rect, box.kind, box.involved, 8 if box.kind == "machine" else 4)
    for cable in scene.cables:
        if cable.kind != "inside":
            yield cable_shape(cable)
    for device in scene.devices:
        if device.wide:
            yield _area(device.rect, "nic", device.involved, 3)
    yield from scene.labels


def device_shapes(scene: Scene) -> Iterator[Primitive]:
    """Yield the small devices, under which the arrows pass."""
    for device in scene.devices:
        if not device.wide:
            yield _area(device.rect, "nic", device.involved, 3)
            yield _device_name(device)


def _device_name(device: DeviceBox) -> Label:
    colour = "ink" if device.involved else "quiet"
    return Label(device.text, device.rect.cx, device.rect.cy, align="center", colour=colour)


def _area(rect: Rect, kind: str, involved: bool, corner: float) -> Area:
    name = kind if involved else f"{kind}-faint"
    return Area(rect, corner, f"{name}-fill", f"{name}-edge", surface(kind, involved).width)


def cable_shape(cable: Cable) -> Stroke:
    """Return a cable."""
    colour = "cable" if cable.involved else "cable-faint"
    return Stroke(cable.points, colour, 1.0, (1.0, 1.65) if cable.kind == "child" else ())


def story_shapes(drawing: Drawing) -> Iterator[GraphicsElement]:
    """Yield what happened: arrows, markers, labels and callouts."""
    for part in (part for arrow in drawing.arrows for part in arrow.tunnelled):
        yield from pipe_shapes(part)
    for arrow in drawing.arrows:
        yield from arrow_shapes(arrow, FADED if drawing.trail else 1.0)
    yield Sign(tr("the path of the packet you look at, and where it is"), tuple(path_shapes(drawing.trail)))
    for arrow in drawing.arrows:
        if arrow.numbers_at:
            yield Sign(tr("packets {numbers}", numbers=", ".join(map(str, arrow.numbers))), tuple(number_shapes(arrow)))
    for paint in (_leader, _callout):
        for callout in drawing.callouts:
            says = tr(ROLES[callout.role].word)
            yield Sign(says, tuple(paint(callout)), callout.since if callout.role not in ARROWS else None)
    yield from drawing.labels


def path_shapes(points: Polyline) -> Iterator[Primitive]:
    """Yield the path of one packet, with a ring where it is."""
    if len(points) > 1:
        yield Stroke(points, "ink", 9.0)
        yield Stroke(points, "trail", 6.0)
    if points:
        yield Disc(points[-1], 9.0, "trail", "ink", 2.0)


def _direction(arrow: Arrow) -> tuple[str, str]:
    """Return the colours of an arrow: its line, and what surrounds it."""
    return arrow.role, f"{arrow.role}-outline" if ROLES[arrow.role].outline else arrow.role


def pipe_shapes(points: Polyline) -> Iterator[Primitive]:
    """Yield a tunnel around a part of an arrow."""
    yield Stroke(points, "tunnel", 10.0)
    yield Stroke(points, "tunnel-inside", 8.0)


def arrow_shapes(arrow: Arrow, opacity: float = 1.0) -> Iterator[Primitive]:
    """Yield an arrow without its numbers."""
    name, edge = _direction(arrow)
    if edge != name:
        yield Stroke(arrow.points, edge, 4.6, ROLES[name].dash, opacity)
    yield Stroke(arrow.points, name, 3.0, ROLES[name].dash, opacity)
    yield Disc(arrow.points[0], 3.2, name, edge, 0.8, opacity)
    if not arrow.lost:
        yield _head(arrow.points, name, edge, opacity)


def _head(points: Polyline, colour: str, edge: str, opacity: float = 1.0) -> Polygon:
    (ax, ay), (bx, by) = points[-2:]
    size = max(abs(bx - ax), abs(by - ay)) or 1
    ux, uy = (bx - ax) / size, (by - ay) / size
    back = (bx - ux * 11, by - uy * 11)
    corners = ((bx, by), (back[0] - uy * 5.5, back[1] + ux * 5.5), (back[0] + uy * 5.5, back[1] - ux * 5.5))
    return Polygon(corners, colour, edge, 0.8, opacity)


def number_shapes(arrow: Arrow) -> Iterator[Primitive]:
    """Yield the packet numbers on an arrow that has room for them, with a tip in its direction."""
    name, edge = _direction(arrow)
    (x, y), direction = arrow.numbers_at or (arrow.points[0], 1)
    rect = number_rect(arrow)
    yield _head(((x, y), (x + direction * (rect.w / 2 + 10), y)), name, edge)
    yield _pill(rect, name, edge)
    yield Label(numbers_in_short(arrow.numbers), x, y, bold=True, align="center", colour=f"{name}-text")


def _pill(rect: Rect, fill: str, edge: str) -> Area:
    return Area(rect, min(rect.w, rect.h) / 2, fill, edge, 1.0)


def _callout(callout: Callout) -> Iterator[Primitive]:
    name, r, pill = callout.role, callout.rect, callout.role in ARROWS
    if pill:
        yield _pill(r, name, f"{name}-outline" if ROLES[name].outline else name)
    else:
        yield Area(r, 3, "paper", name, 1.4)
    colours = [f"{name}-text"] if pill else [name, *["ink"] * len(callout.lines)]
    for number, (line, colour) in enumerate(zip(callout.lines, colours, strict=False)):
        middle = r.cy + FONT_SIZE * LINE_HEIGHT * (number + 0.5 - len(callout.lines) / 2)
        yield Label(line, r.x + LABEL_PAD, middle, bold=number == 0, colour=colour)


def _leader(callout: Callout) -> Iterator[Primitive]:
    """Join a note to its spot; the label of an arrow stands beside it anyway."""
    if callout.role not in ARROWS:
        yield Stroke((callout.at, nearest_point(callout.rect, callout.at)), callout.role, 1.2)
        yield from glyph(callout.role, callout.at)


def glyph(role: str, at: Point) -> Iterator[Primitive]:
    """Yield the mark of a role that is no line."""
    x, y = at
    yield Disc(at, MARK_RADIUS, role, "paper", 1.2)
    if role == "drop":
        for s in (1, -1):
            yield Stroke(((x - 4, y - 4 * s), (x + 4, y + 4 * s)), f"{role}-text", 2.2)
    else:
        yield Label(ROLES[role].glyph, x, y, bold=True, align="center", colour=f"{role}-text")
