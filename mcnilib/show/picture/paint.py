"""Paint a drawing with matplotlib: a figure of its own, no axes, no global state; a unit is a pixel at natural size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO

from matplotlib.artist import Artist
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyBboxPatch, Polygon
from matplotlib.text import Text
from matplotlib.transforms import Affine2D, Transform

from mcnilib.show.labels.label_text import numbers_in_short
from mcnilib.show.labels.text_metrics import FONT_SIZE, LABEL_PAD, LINE_HEIGHT, text_width
from mcnilib.show.layout.geometry import Point, Polyline, Rect, nearest_point
from mcnilib.show.layout.markers import number_rect
from mcnilib.show.layout.scene import Arrow, Cable, Callout, DeviceBox, Label, Scene
from mcnilib.show.picture.drawing import Drawing
from mcnilib.show.picture.palette import FONTS, INK, PAPER, QUIET_INK, ROLES, surface

DPI = 72

ROUND = "round,pad=0,rounding_size=3"

CAPITAL = 0.73
"""Height of a capital letter of DejaVu Sans, in font sizes."""

COLOURS = {"ink": INK, "quiet": QUIET_INK, "paper": PAPER} | {name: role.colour for name, role in ROLES.items()}


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure of a size in pixels."""
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    figure.patch.set_facecolor(PAPER)
    return figure


def figure_png(figure: Figure, scale: float = 2.0) -> bytes:
    """Return a figure as PNG, `scale` pixels per unit."""
    out = BytesIO()
    figure.savefig(out, format="png", dpi=DPI * scale, metadata={"Software": None})
    return out.getvalue()


def pixels(figure: Figure, height: float) -> Transform:
    """Return the transform from drawing units (y downwards) to the figure."""
    return Affine2D().scale(1 / DPI, -1 / DPI).translate(0, height / DPI) + figure.dpi_scale_trans


def paint(figure: Figure, drawing: Drawing) -> None:
    """Paint everything on a figure."""
    paint_scene(figure, drawing.scene)
    paint_story(figure, drawing)
    paint_devices(figure, drawing.scene)


def _add(figure: Figure, height: float, artists: Iterable[Artist]) -> None:
    to_pixels = pixels(figure, height)
    for order, artist in enumerate(artists, start=len(figure.get_children())):
        artist.set_transform(to_pixels)
        artist.set_zorder(order)
        figure.add_artist(artist)
        artist.set_clip_on(False)


def paint_scene(figure: Figure, scene: Scene) -> None:
    """Paint what stands still."""
    _add(figure, scene.height, _scene(scene))


def _scene(scene: Scene) -> Iterator[Artist]:
    for box in scene.boxes:
        yield _area(box.rect, box.kind, box.involved, 8 if box.kind == "machine" else 4)
    for cable in scene.cables:
        if cable.kind != "inside":
            yield _cable(cable)
    for device in scene.devices:
        if device.wide:
            yield _area(device.rect, "nic", device.involved, 3)
    for label in scene.labels:
        yield TextLine(label)


def paint_devices(figure: Figure, scene: Scene) -> None:
    """Paint the small devices, under which the arrows pass."""
    boxes = (artist for device in scene.devices if not device.wide for artist in _device(device))
    _add(figure, scene.height, boxes)


def _device(device: DeviceBox) -> Iterator[Artist]:
    yield _area(device.rect, "nic", device.involved, 3)
    yield TextLine(
        Label(device.text, device.rect.cx, device.rect.cy, align="center", colour="ink" if device.involved else "quiet")
    )


def _area(rect: Rect, kind: str, involved: bool, corner: float) -> Artist:
    look = surface(kind, involved)
    style = f"round,pad=0,rounding_size={corner}"
    return FancyBboxPatch(
        (rect.x, rect.y), rect.w, rect.h, style, facecolor=look.fill, edgecolor=look.edge, linewidth=look.width
    )


def _cable(cable: Cable) -> Artist:
    colour = "#8A94A0" if cable.involved else "#CCD3DA"
    xs, ys = zip(*cable.points, strict=True)
    return Line2D(xs, ys, color=colour, linewidth=1.0, linestyle=":" if cable.kind == "child" else "-")


class TextLine(Text):
    """One line of text on a known baseline: drawn without the layout matplotlib would work out anew every time."""

    def __init__(self, label: Label) -> None:
        """Take position, size and alignment from the label; its y is the middle of a capital letter."""
        look = FontProperties(family=FONTS[0], size=label.size, weight="bold" if label.bold else "normal")
        baseline = label.y + CAPITAL / 2 * label.size
        super().__init__(
            label.x,
            baseline,
            label.text,
            color=COLOURS[label.colour],
            ha=label.align,
            va="baseline",
            fontproperties=look,
            parse_math=False,
        )
        long = text_width(label.text, label.size, label.bold)
        self._left = (label.x - {"left": 0.0, "center": long / 2, "right": long}[label.align], baseline)

    def draw(self, renderer: RendererBase) -> None:
        """Draw the line where it stands."""
        x, y = self.get_transform().transform(self._left)
        gc = renderer.new_gc()
        gc.set_foreground(self.get_color())
        high = renderer.get_canvas_width_height()[1]
        renderer.draw_text(
            gc, x, high - y if renderer.flipy() else y, self.get_text(), self.get_fontproperties(), 0, mtext=self
        )
        gc.restore()


def paint_story(figure: Figure, drawing: Drawing) -> None:
    """Paint what happened: arrows, markers, labels and callouts."""
    _add(figure, drawing.height, _story(drawing))


def _story(drawing: Drawing) -> Iterator[Artist]:
    for part in (part for arrow in drawing.arrows for part in arrow.tunnelled):
        yield _stroke(part, "#4B5563", 10.0)
        yield _stroke(part, "#F1E9D8", 8.0)
    for arrow in drawing.arrows:
        for artist in _arrow(arrow):
            artist.set_alpha(0.35 if drawing.trail else 1.0)
            yield artist
    yield from _trail(drawing.trail)
    for arrow in drawing.arrows:
        yield from _mark(arrow)
    for callout in drawing.callouts:
        yield from _leader(callout)
    for callout in drawing.callouts:
        yield from _callout(callout)
    for label in drawing.labels:
        yield TextLine(label)


def _trail(points: Polyline) -> Iterator[Artist]:
    """Emphasise the way of one packet, with a ring where it stands."""
    if len(points) > 1:
        yield _stroke(points, INK, 9.0)
        yield _stroke(points, "#F0E442", 6.0)
    if points:
        yield Circle(points[-1], 9.0, facecolor="#F0E442", edgecolor=INK, linewidth=2.0)


def _stroke(points: Sequence[Point], colour: str, width: float, dash: tuple[float, ...] = ()) -> Line2D:
    xs, ys = zip(*points, strict=True)
    line = Line2D(
        xs, ys, color=colour, linewidth=width, solid_capstyle="butt", solid_joinstyle="round", dash_joinstyle="round"
    )
    if dash:
        line.set_linestyle((0, tuple(d / width for d in dash)))
    return line


def _arrow(arrow: Arrow) -> Iterator[Artist]:
    role = ROLES["reply" if arrow.reply else "request"]
    if role.outline:
        yield _stroke(arrow.points, role.outline, 4.6, role.dash)
    yield _stroke(arrow.points, role.colour, 3.0, role.dash)
    yield Circle(arrow.points[0], 3.2, facecolor=role.colour, edgecolor=role.outline or role.colour, linewidth=0.8)
    if not arrow.lost:
        yield _head(arrow.points, role.colour, role.outline or role.colour)


def _head(points: Polyline, colour: str, edge: str) -> Artist:
    (ax, ay), (bx, by) = points[-2:]
    size = max(abs(bx - ax), abs(by - ay)) or 1
    ux, uy = (bx - ax) / size, (by - ay) / size
    back = (bx - ux * 11, by - uy * 11)
    corners = [(bx, by), (back[0] - uy * 5.5, back[1] + ux * 5.5), (back[0] + uy * 5.5, back[1] - ux * 5.5)]
    return Polygon(corners, closed=True, facecolor=colour, edgecolor=edge, linewidth=0.8)


def _mark(arrow: Arrow) -> Iterator[Artist]:
    """Paint the packet numbers on an arrow, with a tip in its direction."""
    if arrow.numbers_at is None:
        return
    role, text = ROLES["reply" if arrow.reply else "request"], numbers_in_short(arrow.numbers)
    (x, y), direction = arrow.numbers_at
    rect, edge = number_rect(arrow), role.outline or role.colour
    yield _head(((x, y), (x + direction * (rect.w / 2 + 10), y)), role.colour, edge)
    yield _pill(rect, role.colour, edge)
    yield TextLine(Label(text, x, y, bold=True, align="center", colour="ink" if arrow.reply else "paper"))


def _pill(rect: Rect, fill: str, edge: str) -> Artist:
    style = f"round,pad=0,rounding_size={min(rect.w, rect.h) / 2}"
    return FancyBboxPatch((rect.x, rect.y), rect.w, rect.h, style, facecolor=fill, edgecolor=edge, linewidth=1)


def _callout(callout: Callout) -> Iterator[Artist]:
    role, r, pill = ROLES[callout.role], callout.rect, callout.role in ("request", "reply")
    if pill:
        yield _pill(r, role.colour, role.outline or role.colour)
    else:
        yield FancyBboxPatch((r.x, r.y), r.w, r.h, ROUND, facecolor=PAPER, edgecolor=role.colour, linewidth=1.4)
    colours = ["ink" if callout.role == "reply" else "paper"] if pill else [callout.role, *["ink"] * len(callout.lines)]
    for number, (line, colour) in enumerate(zip(callout.lines, colours, strict=False)):
        middle = r.cy + FONT_SIZE * LINE_HEIGHT * (number + 0.5 - len(callout.lines) / 2)
        yield TextLine(Label(line, r.x + LABEL_PAD, middle, bold=number == 0, colour=colour))


def _leader(callout: Callout) -> Iterator[Artist]:
    """Join a note to its spot; the label of an arrow stands beside it anyway."""
    if callout.role not in ("request", "reply"):
        yield _stroke((callout.at, nearest_point(callout.rect, callout.at)), ROLES[callout.role].colour, 1.2)
        yield from _glyph(callout)


def _glyph(callout: Callout) -> Iterator[Artist]:
    role, (x, y) = ROLES[callout.role], callout.at
    yield Circle((x, y), 8.5, facecolor=role.colour, edgecolor=PAPER, linewidth=1.2)
    if callout.role == "drop":
        for s in (1, -1):
            yield _stroke(((x - 4, y - 4 * s), (x + 4, y + 4 * s)), PAPER, 2.2)
    else:
        yield TextLine(Label(role.glyph, x, y, bold=True, align="center", colour="paper"))
