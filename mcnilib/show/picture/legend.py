"""What each sign in a picture, on the time axis and in a listing means: as it is painted, with a sentence beside it."""

from __future__ import annotations

from collections.abc import Iterator

from mcnilib.language import tr
from mcnilib.show.html.markup import DECIDED, MET, Html, element, folded, joined
from mcnilib.show.html.timeline import AGAIN
from mcnilib.show.layout.geometry import Rect
from mcnilib.show.layout.scene import Arrow, Cable
from mcnilib.show.picture.palette import ROLES
from mcnilib.show.picture.shapes import (
    Primitive,
    arrow_shapes,
    cable_shape,
    glyph,
    number_shapes,
    path_shapes,
    pipe_shapes,
)
from mcnilib.show.picture.svg import icon

ICON = Rect(0, 0, 56, 20)
"""The size of a painted sign, in pixels."""

LEVEL = ((4.0, ICON.cy), (ICON.w - 4, ICON.cy))
"""A line through it."""


def legend_html() -> Html:
    """Return the signs and what they mean, folded."""
    return element("div", folded(tr("What the signs mean"), element("dl", *_entries())), class_="legend")


def _entries() -> Iterator[Html]:
    for sign, says in (*_painted(), *_printed()):
        yield joined(element("dt", sign), element("dd", says))


def _painted() -> Iterator[tuple[Html, str]]:
    """Yield the signs of the picture."""
    numbered = Arrow(LEVEL, (3, 4), "request", lost=False, numbers_at=((24.0, ICON.cy), 1))
    samples: tuple[tuple[tuple[Primitive, ...], str], ...] = (
        (_arrow("request"), tr("a packet from the client")),
        (_arrow("reply"), tr("a packet from the server")),
        (_arrow("error"), tr("an ICMP error, or a TCP reset")),
        (
            tuple(number_shapes(numbered)),
            tr("the packets with these numbers took this path; … stands for more of them"),
        ),
        (_mark("drop"), tr("a packet is lost here; the box beside it names the line of state that did it")),
        (_mark("rewrite"), tr("an address or a port is rewritten here (NAT)")),
        (tuple(pipe_shapes(LEVEL)), tr("packed into a tunnel: VXLAN or IPIP")),
        (tuple(path_shapes(LEVEL)), tr("the path of the packet you look at, and where it is")),
        ((cable_shape(Cable("child", LEVEL)),), tr("joins a Macvlan NIC to the NIC below it")),
        ((cable_shape(Cable("pair", LEVEL)),), tr("a veth pair, or a cable")),
    )
    for shapes, says in samples:
        yield icon(shapes, ICON.w, ICON.h), says


def _arrow(role: str) -> tuple[Primitive, ...]:
    return tuple(arrow_shapes(Arrow(LEVEL, (), role, lost=False)))


def _mark(role: str) -> tuple[Primitive, ...]:
    return tuple(glyph(role, (ICON.cx, ICON.cy)))


def _printed() -> Iterator[tuple[str, str]]:
    """Yield the signs that are letters."""
    yield AGAIN, tr("on the time axis: sent again, because no answer came in time")
    yield ROLES["drop"].glyph, tr("on the time axis: this packet did not arrive")
    yield DECIDED, tr("this line of state decided the step you look at")
    yield MET, tr("this line of state decided something about an earlier packet")
