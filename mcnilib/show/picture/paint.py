"""Paint a drawing with matplotlib, for files and paper: a figure of its own, no axes, no global state.

A unit is a pixel at natural size.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from io import BytesIO
from textwrap import wrap

import matplotlib
from matplotlib.artist import Artist
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyBboxPatch, Patch
from matplotlib.patches import Polygon as Corners
from matplotlib.text import Text
from matplotlib.transforms import Affine2D, Transform

from mcnilib.show.html.markup import void_element
from mcnilib.show.labels.text_metrics import text_width
from mcnilib.show.layout.scene import Label
from mcnilib.show.picture.drawing import Drawing
from mcnilib.show.picture.palette import COLOURS, FONTS, PAPER
from mcnilib.show.picture.shapes import (
    CAPITAL,
    Area,
    Disc,
    Polygon,
    Primitive,
    Sign,
    Stroke,
    device_shapes,
    scene_shapes,
    story_shapes,
)

DPI = 72

BESIDE_GAP, NAME_LINE, NAME_LETTER = 16.0, 18.0, 8.2
"""Pixels: between pictures beside each other, a line of their names, a letter of it."""


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
    _paint(figure, _shapes(drawing), pixels(figure, drawing.height))


def _paint(figure: Figure, shapes: Iterable[Primitive], to_pixels: Transform) -> None:
    for order, artist in enumerate(map(_artist, shapes), start=len(figure.get_children())):
        artist.set_transform(to_pixels)
        artist.set_zorder(order)
        figure.add_artist(artist)
        artist.set_clip_on(False)


def _shapes(drawing: Drawing) -> Iterator[Primitive]:
    yield from scene_shapes(drawing.scene)
    for shape in story_shapes(drawing):
        yield from shape.parts if isinstance(shape, Sign) else (shape,)
    yield from device_shapes(drawing.scene)


def _artist(shape: Primitive) -> Artist:
    match shape:
        case Label():
            return TextLine(shape)
        case Stroke():
            return _line(shape)
        case Area(rect, corner):
            return _patch(
                FancyBboxPatch((rect.x, rect.y), rect.w, rect.h, f"round,pad=0,rounding_size={corner}"), shape
            )
        case Disc(at, radius):
            return _patch(Circle(at, radius), shape)
        case Polygon(corners):
            return _patch(Corners(corners, closed=True), shape)


def _patch(patch: Patch, shape: Area | Disc | Polygon) -> Patch:
    patch.set(facecolor=COLOURS[shape.fill], edgecolor=COLOURS[shape.edge], linewidth=shape.width)
    patch.set_alpha(1.0 if isinstance(shape, Area) else shape.opacity)
    return patch


def _line(stroke: Stroke) -> Line2D:
    xs, ys = zip(*stroke.points, strict=True)
    line = Line2D(xs, ys, color=COLOURS[stroke.colour], linewidth=stroke.width, alpha=stroke.opacity)
    line.set(solid_capstyle="butt", solid_joinstyle="round", dash_joinstyle="round")
    if stroke.dash:
        line.set_linestyle((0, tuple(length / stroke.width for length in stroke.dash)))
    return line


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


def to_png(drawing: Drawing, scale: float = 2.0) -> bytes:
    """Return the picture as PNG on opaque white, `scale` pixels per unit: what a viewer without a kernel shows."""
    figure = new_figure(drawing.width, drawing.height)
    FigureCanvasAgg(figure)
    paint(figure, drawing)
    return figure_png(figure, scale)


def pair_png(pictures: Sequence[tuple[str, Drawing]], scale: float = 2.0) -> bytes:
    """Return pictures beside each other as one PNG, each below its name."""
    heads = [wrap(name, int(drawing.width / NAME_LETTER)) for name, drawing in pictures]
    top = NAME_LINE * max(map(len, heads)) + BESIDE_GAP
    height = top + max(drawing.height for _, drawing in pictures)
    figure = new_figure(sum(drawing.width + BESIDE_GAP for _, drawing in pictures) - BESIDE_GAP, height)
    FigureCanvasAgg(figure)
    left = 0.0
    for lines, (_, drawing) in zip(heads, pictures, strict=True):
        names = (Label(line, 12.0, NAME_LINE * (row + 0.7), size=12.0, bold=True) for row, line in enumerate(lines))
        _paint(figure, names, Affine2D().translate(left, 0) + pixels(figure, height))
        _paint(figure, _shapes(drawing), Affine2D().translate(left, top) + pixels(figure, height))
        left += drawing.width + BESIDE_GAP
    return figure_png(figure, scale)


@lru_cache(maxsize=64)
def to_image(drawing: Drawing, scale: float = 1.0) -> str:
    """Return the picture as an HTML image, twice as fine as its size, with the whole conversation as its words."""
    data = b64encode(to_png(drawing, 2 * scale)).decode("ascii")
    size = {"width": f"{drawing.width * scale:g}", "height": f"{drawing.height * scale:g}", "style": "max-width:none"}
    words = f"{drawing.title}\n{drawing.description}"
    return void_element("img", **size, alt=words, src=f"data:image/png;base64,{data}")


def to_pdf(drawing: Drawing) -> bytes:
    """Return the picture as a PDF of one page."""
    figure, out = new_figure(drawing.width, drawing.height), BytesIO()
    paint(figure, drawing)
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        figure.savefig(out, format="pdf", metadata={"CreationDate": None, "Title": drawing.title})
    return out.getvalue()
