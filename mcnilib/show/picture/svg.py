"""A drawing as SVG with real text, and as PNG.

The stage is painted once per plan and kept; only what happened is painted for every run. Texts of the same drawing
are the same, byte by byte, but for the prefix of the ids, which keeps several pictures on one page apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from html import escape
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from mcnilib.errors import McniError
from mcnilib.show.layout.plan import Plan
from mcnilib.show.layout.scene import Scene
from mcnilib.show.picture.drawing import Drawing, lay_out
from mcnilib.show.picture.paint import figure_png, new_figure, paint, paint_devices, paint_scene, paint_story
from mcnilib.show.picture.palette import FONTS, PAPER
from mcnilib.trace.trace import Trace
from mcnilib.world.world import World
from mcnilib.writing import write_file

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"

RC: Any = {"svg.fonttype": "none", "svg.hashsalt": "mcnilib"}

NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}

FALLBACKS = ", ".join(f"'{name}'" if " " in name else name for name in FONTS)

IDLE = re.compile(
    rf' id="(?:figure|patch|line2d|text|textline)_\d+"| transform="rotate\(0 [^"]*"|; font-family: \'{FONTS[0]}\'|<g/>'
)
"""What matplotlib writes and nobody needs: ids of groups, turns by nothing, a font in every text."""

SPACE = re.compile(r"\s*\n\s*")


def to_svg(drawing: Drawing, uid: str = "mcni", scale: float = 1.0) -> str:
    """Return the picture as one SVG element with title and description.

    `uid` begins its two ids and must differ between pictures of one page.
    `scale` enlarges it for a projector; it is never wider than its container.
    """
    head = _head(drawing, uid, scale)
    layers = (_background(drawing.scene), _story(drawing), _devices(drawing.scene))
    body = "\n".join(layers)
    return f'{head}\n<g stroke-linejoin="round" stroke-linecap="butt" font-family="{FALLBACKS}">\n{body}\n</g>\n</svg>'


def _head(drawing: Drawing, uid: str, scale: float) -> str:
    width, height = drawing.width, drawing.height
    size = f'width="{width * scale:g}" height="{height * scale:g}"'
    return f"""\
<svg xmlns="{SVG}" xmlns:xlink="{XLINK}" {size} style="max-width:100%;height:auto" viewBox="0 0 {width:g} {height:g}"
 role="img" aria-labelledby="{uid}-title {uid}-desc">
<title id="{uid}-title">{escape(drawing.title)}</title>
<desc id="{uid}-desc">{escape(drawing.description)}</desc>
<rect width="{width:g}" height="{height:g}" rx="8" fill="{PAPER}"/>"""


@lru_cache(maxsize=128)
def _background(scene: Scene) -> str:
    return _layer(scene.width, scene.height, lambda figure: paint_scene(figure, scene))


@lru_cache(maxsize=128)
def _devices(scene: Scene) -> str:
    return _layer(scene.width, scene.height, lambda figure: paint_devices(figure, scene))


@lru_cache(maxsize=1024)
def _story(drawing: Drawing) -> str:
    return _layer(drawing.width, drawing.height, lambda figure: paint_story(figure, drawing))


def _layer(width: float, height: float, painter: Callable[[Figure], None]) -> str:
    """Paint on a transparent figure and return what matplotlib writes inside its SVG element."""
    figure = new_figure(width, height)
    figure.patch.set_visible(False)
    painter(figure)
    out = StringIO()
    with matplotlib.rc_context(RC):
        FigureCanvasSVG(figure).print_svg(out, metadata=NO_METADATA)  # type: ignore[no-untyped-call]
    text = out.getvalue()
    inner = text[text.index('<g id="figure_1"') : text.rindex("</svg>")].strip()
    return SPACE.sub(" ", IDLE.sub("", inner))


def to_png(drawing: Drawing, scale: float = 2.0) -> bytes:
    """Return the picture as PNG on opaque white, `scale` pixels per unit: what a viewer without a kernel shows."""
    figure = new_figure(drawing.width, drawing.height)
    FigureCanvasAgg(figure)
    paint(figure, drawing)
    return figure_png(figure, scale)


class PictureError(McniError, ValueError):
    """A picture format that cannot be written; the message names those that can."""


def save_picture(path: Path, world: World, trace: Trace, plan: Plan | None = None) -> None:
    """Write the picture of a conversation to a file; the ending of its name chooses the format.

    Raises: PictureError for another ending; WriteError when the file cannot be written.
    """
    ending = path.suffix.lower()
    if ending not in _DRAWN:
        raise PictureError(
            f"cannot write a picture as {ending or path.name!r}; the name must end in {', '.join(_DRAWN)}"
        )
    write_file(path, picture_data(ending, world, trace, plan))


def picture_data(ending: str, world: World, trace: Trace, plan: Plan | None = None) -> str | bytes:
    """Return what a file with such an ending, one of `ENDINGS`, holds of the picture of a conversation."""
    return _DRAWN[ending](lay_out(world, trace, plan))


def _svg(drawing: Drawing) -> str:
    return f'<?xml version="1.0" encoding="utf-8"?>\n{to_svg(drawing)}\n'


def _pdf(drawing: Drawing) -> bytes:
    figure, out = new_figure(drawing.width, drawing.height), BytesIO()
    paint(figure, drawing)
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        figure.savefig(out, format="pdf", metadata={"CreationDate": None, "Title": drawing.title})
    return out.getvalue()


_DRAWN: dict[str, Callable[[Drawing], str | bytes]] = {".svg": _svg, ".png": to_png, ".pdf": _pdf}

ENDINGS = tuple(_DRAWN)
