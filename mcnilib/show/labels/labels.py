"""The notes of a drawing: what an arrow carries, what was lost and by which line, what was rewritten.

The label of an arrow stands beside its line, a note in or beside the machine it speaks of. All of them are placed
together, so that none covers another and no leader crosses another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from mcnilib.show.labels.label_text import carried, numbers_in_short
from mcnilib.show.labels.placement import Array, Room, Spot, Spots, cheapest, together
from mcnilib.show.labels.text_metrics import size_of, wrap
from mcnilib.show.layout.edge_routing import Way
from mcnilib.show.layout.geometry import Line, Point, Rect, along, length, strokes
from mcnilib.show.layout.markers import Bundles, Lines, Pin, text_rect
from mcnilib.show.layout.scene import Note, Places, Scene
from mcnilib.trace.trace import Journey

WIDTHS = {160.0: 0.0, 116.0: 500.0, 230.0: 300.0}
"""Lines of a note are broken at one of these widths, in pixels; the price of each."""

TEXT, MARK, FOREIGN, LINE, BAND, NIC, EDGE = 40.0, 60.0, 40.0, 12.0, 6.0, 8.0, 3.0
"""What a covered square pixel costs: of words, a mark, a machine the note does not speak of, a line, a segment, a wide
NIC, the edge of an area.
"""

MOST, FEW = 130, 24
"""Spots of a note, and of a label, that are compared with those of others."""

NEAR = 26.0
"""No label stands further from its line, in pixels."""


def notes_of(
    places: Places, scene: Scene, bundles: Bundles, lines: Lines, pins: Sequence[Pin], numbers: Iterable[Rect]
) -> list[Note]:
    """Return the notes: what each arrow carries, then losses, then rewrites."""
    room = _furnished(scene, lines, [*(pin.rect for pin in pins)], numbers)
    offers = [_label_spots(room, way, lines, bundles[way]) for way in lines]
    offers += [_note_spots(room, places, pin) for pin in pins]
    spots = together(offers, [*(None for _ in lines), *(pin.at for pin in pins)])
    spoken = [("reply" if way.reply else "request", line[0]) for way, line in lines.items()]
    spoken += [(pin.role, pin.at) for pin in pins]
    return [Note(role, at, spot.lines, spot.rect) for (role, at), spot in zip(spoken, spots, strict=True)]


def _furnished(scene: Scene, lines: Lines, marks: Iterable[Rect], numbers: Iterable[Rect]) -> Room:
    """Return the sheet with everything on it that notes had better not cover."""
    room = Room(Rect(8, 50, scene.width - 16, scene.height - 58))
    room.cover((text_rect(label) for label in scene.labels), TEXT)
    room.cover((nic.rect for nic in scene.nics if not nic.wide), TEXT)
    room.cover((nic.rect for nic in scene.nics if nic.wide), NIC)
    room.cover((box.rect for box in scene.boxes if box.kind == "segment"), BAND)
    room.cover((r for box in scene.boxes for r in _edges(box.rect)), EDGE)
    room.cover((r for line in lines.values() for r in strokes(line, 7)), LINE)
    room.cover(marks, MARK)
    room.cover(numbers, TEXT)
    return room


def _edges(r: Rect) -> tuple[Rect, ...]:
    """Return the edges of an area: a note that lies across one looks lost."""
    return strokes(((r.x, r.y), (r.right, r.y), (r.right, r.bottom), (r.x, r.bottom), (r.x, r.y)), 6)


def _label_spots(room: Room, way: Way, lines: Lines, journeys: list[Journey]) -> list[Spot]:
    """Return the spots for the label of an arrow: at length where there is room, in short where there is not."""
    texts = dict.fromkeys([carried(journeys), carried(journeys, 2), numbers_in_short([j.number for j in journeys])])
    found: list[Spot] = []
    for extra, text in enumerate(texts):
        size = size_of((text,), margin=3.0)
        spots = room.spots(_along_line(lines[way], size), size)
        price = spots.price + _beside(spots, size, lines[way]) + 60.0 * extra
        found += cheapest(Spots(spots.x, spots.y, price), (text,), size)
    return sorted(found)[:FEW] or [_no_room((text,), lines[way][0])]


def _along_line(line: Line, size: tuple[float, float]) -> Rect:
    """Return the area about the beginning of a line, where its label may stand."""
    points = [along(line, min(length(line), at)) for at in range(0, 241, 20)]
    x, y = min(p[0] for p in points) - size[0] - NEAR, min(p[1] for p in points) - size[1] - NEAR
    right, bottom = max(p[0] for p in points) + size[0] + NEAR, max(p[1] for p in points) + size[1] + NEAR
    return Rect(x, y, right - x, bottom - y)


def _beside(spots: Spots, size: tuple[float, float], line: Line) -> Array:
    """Return the price of being away from a line, and from where it begins."""
    gaps = [_gap(spots, size, stroke) for stroke in strokes(line, 3)]
    gap = np.minimum.reduce(gaps)
    start = _gap(spots, size, Rect(*line[0], 0, 0))
    return np.where(gap > NEAR, 1e5, 6.0 * gap) + 4.0 * start


def _gap(spots: Spots, size: tuple[float, float], rect: Rect) -> Array:
    """Return how far each spot is from a rectangle."""
    across = np.maximum(np.maximum(spots.x - rect.right, rect.x - spots.x - size[0]), 0.0)
    down = np.maximum(np.maximum(spots.y - rect.bottom, rect.y - spots.y - size[1]), 0.0)
    return np.hypot(across, down)


def _note_spots(room: Room, places: Places, pin: Pin) -> list[Spot]:
    """Return the spots for a note, its lines broken at the usual width, or another where that fits better."""
    home, foreign = _home(places, pin)
    found: list[Spot] = []
    for limit, extra in WIDTHS.items():
        text = tuple(part for i, line in enumerate(pin.words) for part in wrap(line, limit, bold=i == 0))
        size = size_of(text)
        if all(spot.lines != text for spot in found):
            spots = room.spots(_about(home, size), size)
            price = spots.price + room.leaders(spots, size, pin.at) + extra
            price += sum(FOREIGN * _shared(spots, size, rect) for rect in foreign)
            found += cheapest(Spots(spots.x, spots.y, price), text, size)
    return sorted(found)[:MOST] or [_no_room(text, pin.at)]


def _no_room(text: tuple[str, ...], at: Point) -> Spot:
    """Return the only spot of a note that fits nowhere: where it belongs, on the sheet or not."""
    return Spot(0.0, text, Rect(at[0], at[1], *size_of(text)))


def _home(places: Places, pin: Pin) -> tuple[Rect, list[Rect]]:
    """Return the machine a mark is in, and all others."""
    own = places.rect(pin.netns)
    machines = [box.rect for box in places.boxes if box.kind == "machine"]
    hosts = [box.rect for box in places.boxes if box.kind == "host"]
    machines += [host for host in hosts if not any(host.inside(machine) for machine in machines)]
    home = next((machine for machine in machines if own.inside(machine)), own)
    return home, [machine for machine in machines if machine is not home]


def _about(home: Rect, size: tuple[float, float]) -> Rect:
    """Return the area in which notes about a machine stand: in it or beside it."""
    beside = Rect(home.x - 30 - size[0], home.y - 30 - size[1], home.w + 60 + 2 * size[0], home.h + 60 + 2 * size[1])
    return beside if home.h < 300 else home.grow(30)


def _shared(spots: Spots, size: tuple[float, float], rect: Rect) -> Array:
    """Return the area each spot shares with a rectangle."""
    across = np.minimum(spots.x + size[0], rect.right) - np.maximum(spots.x, rect.x)
    down = np.minimum(spots.y + size[1], rect.bottom) - np.maximum(spots.y, rect.y)
    shared: Array = np.maximum(across, 0.0) * np.maximum(down, 0.0)
    return shared
