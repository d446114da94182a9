"""A drawing as SVG with real text, painted by nothing but the standard library, so that it works in a browser, too.

The stage is painted once per plan and kept; only what happened is painted for every run. Texts of the same drawing
are the same, byte by byte, but for the prefix of the ids, which keeps several pictures on one page apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from html import escape

from mcnilib.show.html.markup import Html
from mcnilib.show.layout.geometry import Polyline
from mcnilib.show.layout.scene import Label, Scene
from mcnilib.show.picture.drawing import Drawing
from mcnilib.show.picture.palette import COLOURS, FONTS
from mcnilib.show.picture.shapes import (
    CAPITAL,
    Area,
    Disc,
    GraphicsElement,
    Polygon,
    Sign,
    Stroke,
    device_shapes,
    scene_shapes,
    story_shapes,
)

SVG = "http://www.w3.org/2000/svg"

FALLBACKS = ", ".join(f"'{name}'" if " " in name else name for name in FONTS)

ANCHORS = {"left": "start", "center": "middle", "right": "end"}


def to_svg(drawing: Drawing, uid: str = "mcni", scale: float = 1.0) -> str:
    """Return the picture as one SVG element. To a screen reader it is one image: its name is the outcome, its
    description every packet's path in order; the words in it stand where there is room, in no order to be read.
    To those who point, each sign says what it means; `data-at` is the packet and the index of the step it marks.

    `uid` begins its two ids and must differ between pictures of one page. `scale` enlarges it for a projector; a page
    that sets `--mcni-widest` says itself how wide it may be, `--mcni-beside` how much of the window's height is for
    other things. It is never wider than its container nor higher than
    the window, and never smaller than its natural size, in which letters have 11 pixels: then the container scrolls.
    Its colours are those of the light sheet; each has a class, `f-NAME` where it fills and `s-NAME` where it is a
    line, by which a page may set others.
    """
    layers = (_background(drawing.scene), _story(drawing), _devices(drawing.scene))
    body = "\n".join(layers)
    style = f'stroke-linejoin="round" stroke-linecap="butt" font-family="{FALLBACKS}"'
    return f"{_head(drawing, uid, scale)}\n<g {style}>\n{body}\n</g>\n</svg>"


def icon(shapes: Iterable[GraphicsElement], width: float, height: float) -> Html:
    """Return a sign by itself, for a legend: the words beside it say what it is."""
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    return Html(f'<svg xmlns="{SVG}" {size} aria-hidden="true" font-family="{FALLBACKS}">{_painted(shapes)}</svg>')


def _head(drawing: Drawing, uid: str, scale: float) -> str:
    width, height = drawing.width, drawing.height
    size = f'width="{width * scale:g}" height="{height * scale:g}"'
    widest = f"min(100%,var(--mcni-widest,{width * scale:g}px),(100vh - var(--mcni-beside,60px))*{width / height:.4f})"
    return f"""\
<svg xmlns="{SVG}" {size} style="width:max({width:g}px,{widest});height:auto" viewBox="0 0 {width:g} {height:g}"
 class="mcni-picture" role="img" aria-labelledby="{uid}-title" aria-describedby="{uid}-desc">
<title id="{uid}-title">{escape(drawing.title)}</title>
<desc id="{uid}-desc">{escape(drawing.description)}</desc>
<rect width="{width:g}" height="{height:g}" rx="8" {_fill("paper")}/>"""


@lru_cache(maxsize=128)
def _background(scene: Scene) -> str:
    return _painted(scene_shapes(scene))


@lru_cache(maxsize=128)
def _devices(scene: Scene) -> str:
    return _painted(device_shapes(scene))


@lru_cache(maxsize=1024)
def _story(drawing: Drawing) -> str:
    return _painted(story_shapes(drawing))


def _painted(shapes: Iterable[GraphicsElement]) -> str:
    return "\n".join(map(_element, shapes))


def _element(shape: GraphicsElement) -> str:
    match shape:
        case Label():
            return _text(shape)
        case Stroke():
            return _line(shape)
        case Area(rect, corner):
            size = f'x="{_n(rect.x)}" y="{_n(rect.y)}" width="{_n(rect.w)}" height="{_n(rect.h)}" rx="{_n(corner)}"'
            return f"<rect {size} {_filled(shape)}/>"
        case Disc((x, y), radius):
            return f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}" {_filled(shape)}/>'
        case Polygon(corners):
            return f'<polygon points="{_points(corners)}" {_filled(shape)}/>'
        case Sign(says, parts, at):
            marks = f' data-at="{at[0]} {at[1]}"' if at else ""
            return f"<g{marks}><title>{escape(says)}</title>{_painted(parts)}</g>"


def _text(label: Label) -> str:
    x, y = _n(label.x), _n(label.y + CAPITAL / 2 * label.size)
    weight = ' font-weight="bold"' if label.bold else ""
    anchor = f' text-anchor="{ANCHORS[label.align]}"' if label.align != "left" else ""
    size = f'font-size="{label.size:g}px"'
    return f'<text x="{x}" y="{y}" {size}{weight}{anchor} {_fill(label.colour)}>{escape(label.text)}</text>'


def _line(stroke: Stroke) -> str:
    dash = f' stroke-dasharray="{" ".join(map(_n, stroke.dash))}"' if stroke.dash else ""
    look = f'fill="none" {_edge(stroke.colour, stroke.width)}{dash}{_opacity(stroke.opacity)}'
    return f'<polyline points="{_points(stroke.points)}" {look} class="s-{stroke.colour}"/>'


def _filled(shape: Area | Disc | Polygon) -> str:
    faded = "" if isinstance(shape, Area) else _opacity(shape.opacity)
    classes = f'class="f-{shape.fill} s-{shape.edge}"'
    return f'fill="{COLOURS[shape.fill]}" {_edge(shape.edge, shape.width)}{faded} {classes}'


def _fill(colour: str) -> str:
    return f'fill="{COLOURS[colour]}" class="f-{colour}"'


def _edge(colour: str, width: float) -> str:
    return f'stroke="{COLOURS[colour]}" stroke-width="{_n(width)}"'


def _opacity(opacity: float) -> str:
    return "" if opacity == 1.0 else f' opacity="{_n(opacity)}"'


def _points(points: Polyline) -> str:
    return " ".join(f"{_n(x)},{_n(y)}" for x, y in points)


def _n(number: float) -> str:
    """Print a length with at most two decimals: machines differ in what comes after."""
    return f"{number:.2f}".rstrip("0").rstrip(".")
