"""Where notes, marks and labels of a picture stand: beside what they speak of, on nothing else, told apart."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from mcnilib.show.layout.geometry import Point, Rect, nearest_point, strokes
from mcnilib.show.layout.markers import number_rect, text_rect
from mcnilib.show.layout.scene import Arrow, Box, Callout
from mcnilib.show.picture.drawing import Drawing
from mcnilib.show.picture.palette import ARROWS

NEAR = 30.0
"""No label is further from its arrow, in pixels."""

BESIDE = 40.0
"""No note is further from the machine it speaks of."""


def misplaced(drawing: Drawing) -> list[str]:
    """Name every note, mark and label that does not stand where a reader looks for it."""
    checks = (in_strange_boxes, tangled_leaders, covered_marks, lost_labels)
    return [flaw for check in checks for flaw in check(drawing)]


def pinned(drawing: Drawing) -> list[Callout]:
    """Return the notes that are joined to a mark."""
    return [note for note in drawing.callouts if note.role not in ARROWS]


def labels(drawing: Drawing) -> list[Callout]:
    """Return the labels of arrows."""
    return [note for note in drawing.callouts if note.role in ARROWS]


def apart(one: Rect, other: Rect) -> float:
    """Return the distance of two rectangles, zero when they touch."""
    across = max(one.x - other.right, other.x - one.right, 0.0)
    down = max(one.y - other.bottom, other.y - one.bottom, 0.0)
    return (across**2 + down**2) ** 0.5


def in_strange_boxes(drawing: Drawing) -> Iterator[str]:
    """A note lies in or beside the machine it speaks of, and not in the box of another one."""
    machines = _machines(drawing)
    for note in pinned(drawing):
        home = next((box for box in machines if box.rect.grow(2).meets(Rect(*note.at, 0, 0).grow(0.1))), None)
        if home and apart(note.rect, home.rect) > BESIDE:
            yield f"{note.lines[0]!r} is far from {home.name}"
        others = (b for b in machines if b is not home and b.rect.grow(-1).meets(note.rect))
        yield from (f"{note.lines[0]!r} of {home.name if home else '?'} lies in {box.name}" for box in others)


def _machines(drawing: Drawing) -> list[Box]:
    """Return the boxes of the machines with pods, and of the hosts outside of them."""
    big = [box for box in drawing.scene.boxes if box.kind == "machine"]
    hosts = (box for box in drawing.scene.boxes if box.kind == "host")
    return big + [host for host in hosts if not any(host.rect.inside(box.rect) for box in big)]


def tangled_leaders(drawing: Drawing) -> Iterator[str]:
    """The leader of a note crosses no other leader, and runs over no other note, label or mark."""
    callouts = pinned(drawing)
    for a, b in combinations(callouts, 2):
        if _cross(a.at, nearest_point(a.rect, a.at), b.at, nearest_point(b.rect, b.at)):
            yield f"the leaders of {a.lines[0]!r} and {b.lines[0]!r} cross"
    for note in callouts:
        dots = list(_dots(note.at, nearest_point(note.rect, note.at)))
        for other in drawing.callouts:
            if other is not note and any(dot.meets(other.rect.grow(1)) for dot in dots):
                yield f"the leader of {note.lines[0]!r} runs over {other.lines[0]!r}"
        for other in callouts:
            if other is not note and any(dot.meets(mark_rect(other)) for dot in dots):
                yield f"the leader of {note.lines[0]!r} runs over the mark of {other.lines[0]!r}"


def _dots(a: Point, b: Point, many: int = 200) -> Iterator[Rect]:
    for i in range(many + 1):
        yield Rect(a[0] + (b[0] - a[0]) * i / many - 0.5, a[1] + (b[1] - a[1]) * i / many - 0.5, 1, 1)


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Tell whether the lines from a to b and from c to d have a point in common."""

    def side(p: Point, q: Point, r: Point) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0


def mark_rect(note: Callout) -> Rect:
    """Return the square in the circle of a mark: what must be seen to read its glyph."""
    return Rect(note.at[0] - 7, note.at[1] - 7, 14, 14)


def covered_marks(drawing: Drawing) -> Iterator[str]:
    """Nothing covers a mark, and no mark hides words; what is rewritten is not marked on a tunnel."""
    callouts = pinned(drawing)
    chips = [(nic.name, nic.rect) for nic in drawing.scene.devices if not nic.wide]
    texts = [(x.text, text_rect(x)) for x in (*drawing.scene.labels, *drawing.labels)]
    boxes = [(f"note {note.lines[0]}", note.rect) for note in drawing.callouts]
    marks = [(f"numbers {a.numbers}", number_rect(a)) for a in drawing.arrows if a.numbers_at]
    pipes = [("tunnel", stroke) for a in drawing.arrows for part in a.tunnelled for stroke in strokes(part, 10)]
    for note in callouts:
        others = [(f"mark of {other.lines[0]}", mark_rect(other)) for other in callouts if other is not note]
        hidden = chips + texts + boxes + marks + others + (pipes if note.role == "rewrite" else [])
        rect = mark_rect(note)
        yield from (f"the mark of {note.lines[0]!r} meets {name}" for name, over in hidden if rect.meets(over))


def lost_labels(drawing: Drawing) -> Iterator[str]:
    """The label of an arrow stands near its own arrow, and neither it nor the numbers cover the line of another."""
    for note in labels(drawing):
        own = next(a for a in drawing.arrows if a.points[0] == note.at)
        if (far := min(apart(note.rect, stroke) for stroke in strokes(own.points, 3))) > NEAR:
            yield f"{note.lines[0]!r} is {far:.0f} px from its arrow"
        yield from (f"{note.lines[0]!r} covers the line of {numbers}" for numbers in _under(drawing, own, note.rect))
    for arrow in drawing.arrows:
        if arrow.numbers_at:
            under = _under(drawing, arrow, number_rect(arrow))
            yield from (f"the numbers {arrow.numbers} cover the line of {numbers}" for numbers in under)


def _under(drawing: Drawing, own: Arrow, rect: Rect) -> list[tuple[int, ...]]:
    others = (a for a in drawing.arrows if a is not own)
    return [a.numbers for a in others if any(rect.grow(-1).meets(stroke) for stroke in strokes(a.points, 3))]
