"""The notes of a drawing:

what an arrow carries, what was lost and by which line, what was rewritten, each beside its spot.
"""

from __future__ import annotations

from collections.abc import Iterator

from mcnilib.show.geometry import Line, Point, Rect, along, clip, length, strokes
from mcnilib.show.lettering import width, wrap
from mcnilib.show.notes import Room, around, beside, size_of
from mcnilib.show.scene import Label, Note, Places, Scene
from mcnilib.show.ways import ENTRY, EXIT, Way, where_in
from mcnilib.show.words import carried, loss_lines, new_addresses, numbers_in_short, rewrite_lines, rewrites
from mcnilib.trace.trace import Journey, Step

NOTE_WIDTH, NARROW = 160.0, 116.0
"""Lines of a note are broken at one of these widths."""


def notes_of(places: Places, scene: Scene, bundles: dict[Way, list[Journey]], lines: dict[Way, Line]) -> Iterator[Note]:
    """Yield the notes: what each arrow carries, then losses, then rewrites."""
    room = Room(Rect(8, 50, scene.width - 16, scene.height - 58), _taken(scene), _edges(scene))
    room.soft += [r for line in lines.values() for r in strokes(line, 9)]
    for way, line in lines.items():
        yield _name_arrow(room, way, line, bundles[way])
    for way, journeys in bundles.items():
        if not way.delivered:
            at = lines[way][-1] if way in lines else standing(places, journeys[0].last)
            yield _pin(places, room, "drop", at, loss_lines(journeys), journeys[0].last)
    yield from _rewrites(places, room, bundles, lines)


def _name_arrow(room: Room, way: Way, line: Line, journeys: list[Journey]) -> Note:
    """Name the packets of an arrow where it begins: at length where there is room, in short where there is not."""
    texts = dict.fromkeys([carried(journeys), carried(journeys, 2), numbers_in_short([j.number for j in journeys])])
    sizes = {(text,): size_of((text,), margin=3.0) for text in texts}
    near = [(text, size, beside(line[0], size)) for text, size in sizes.items()]
    far = [(text, size, around(line[0], size)) for text, size in sizes.items()]
    text, rect = room.choose([*near, *far])
    return Note("reply" if way.reply else "request", line[0], text, rect)


def _edges(scene: Scene) -> list[Rect]:
    """Return the edges of all areas: a note that lies across one looks lost."""
    corners = [
        ((b.rect.x, b.rect.y), (b.rect.right, b.rect.y), (b.rect.right, b.rect.bottom), (b.rect.x, b.rect.bottom))
        for b in scene.boxes
    ]
    return [r for c in corners for r in strokes((*c, c[0]), 6)]


def _taken(scene: Scene) -> list[Rect]:
    texts = [text_rect(label) for label in scene.labels]
    return texts + [nic.rect for nic in scene.nics] + [box.rect for box in scene.boxes if box.kind == "segment"]


def text_rect(label: Label) -> Rect:
    """Return the area a line of text covers."""
    wide, high = width(label.text, label.size, label.bold) * 1.02, label.size * 1.3
    x = label.x - {"left": 0.0, "center": wide / 2, "right": wide}[label.align]
    return Rect(x, label.y - high / 2, wide, high)


def standing(places: Places, step: Step) -> Point:
    """Return the spot of a step for which the picture has no line."""
    rect = places.rect(step.netns)
    return (rect.cx, rect.bottom)


def _pin(places: Places, room: Room, role: str, at: Point, lines: tuple[str, ...], step: Step) -> Note:
    """Place a note near its spot, its lines broken at the usual width, or narrower where that fits better."""
    room.hard.append(_glyph(at))
    tries = []
    for limit in (NOTE_WIDTH, NARROW):
        text = tuple(part for i, line in enumerate(lines) for part in wrap(line, limit, bold=i == 0))
        size = size_of(text)
        tries.append((text, size, around(at, size, places.free.get(step.netns, ()))))
    text, rect = room.choose(tries, at)
    return Note(role, at, text, rect)


def _clear(room: Room, points: list[Point]) -> Point:
    """Return the first point where a glyph covers nothing, or simply the first."""
    return next((p for p in points if not any(_glyph(p).meets(r) for r in room.hard)), points[0])


def _glyph(at: Point) -> Rect:
    return Rect(at[0] - 9, at[1] - 9, 18, 18)


def _rewrites(places: Places, room: Room, bundles: dict[Way, list[Journey]], lines: dict[Way, Line]) -> Iterator[Note]:
    """Yield a note for every namespace that rewrites addresses, once for all packets it does the same to."""
    told: set[tuple[str, tuple[str, ...]]] = set()
    for way in lines:
        for netns in dict.fromkeys(step.netns for journey in bundles[way] for step in rewrites(journey)):
            journey = next(j for j in bundles[way] if any(s.netns == netns for s in rewrites(j)))
            steps = [step for step in rewrites(journey) if step.netns == netns]
            what = (netns, new_addresses(steps))
            if what not in told:
                told.add(what)
                at = _clear(room, _rewriting(places, lines[way], steps[0]))
                yield _pin(places, room, "rewrite", at, rewrite_lines(journey, steps), steps[0])


def _rewriting(places: Places, line: Line, step: Step) -> list[Point]:
    """Return points of a line where a step of a namespace happens, the best first."""
    part = clip(line, places.rect(step.netns))
    if len(part) < 2:
        return [standing(places, step)]
    long = length(part)
    starts = {ENTRY: (34.0, 56.0, 78.0), EXIT: (long - 34, long - 56, long - 78)}
    return [along(part, at) for at in starts.get(where_in(step), (long / 2, long / 2 - 24, long / 2 + 24))]
