"""A trace as a time axis: every packet at its time, in HTML; packets that leave at the same moment stand together.

The space between two moments grows with the seconds between them, as far as the room allows. A mark is a button: it
says which rows of the step table are those of its packet, and a script may walk there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from mcnilib.language import mark, tr
from mcnilib.show.html.markup import Html, element, joined
from mcnilib.show.html.table import Row
from mcnilib.show.layout.edge_routing import is_error
from mcnilib.show.picture.palette import ROLES
from mcnilib.trace.explain import packet_name
from mcnilib.trace.trace import Fate, Journey, Trace

AGAIN = "↻"
"""Stands at a packet that is sent again."""

RESOLUTION = 3
"""Decimal places of a second: packets closer together than that leave at the same moment."""


_MARK_NAMES = (
    mark("{number} {packet} at {at} s: {fate}, {netns}"),
    mark("{number} {packet}, sent again, at {at} s: {fate}, {netns}"),
)
"""Of a packet that is sent for the first time, and of one that is sent again."""


def timeline_html(trace: Trace, steps: Iterable[Row]) -> Html:
    """Return the packets of a conversation along the seconds since it began; `steps` are the rows of a depth.

    `data-step` and `data-last` of a mark are the first and last step of its packet, counted from 1; a mark of a packet
    that is not told at this depth has neither and cannot be chosen. `data-at` of a moment are its seconds.
    """
    packets = [row.journey for row in steps]
    moments = [(at, tuple(journeys)) for at, journeys in groupby(trace.journeys, key=_moment)]
    ends = [*(after for after, _ in moments[1:]), moments[-1][0]]
    items = (_moment_html(at, end - at, journeys, packets) for (at, journeys), end in zip(moments, ends, strict=True))
    return element("ol", *items, class_="times")


def _moment(journey: Journey) -> float:
    return round(journey.time, RESOLUTION)


def _moment_html(at: float, gap: float, journeys: Sequence[Journey], packets: list[int]) -> Html:
    marks = (_mark(journey, at, packets) for journey in journeys)
    label = element("span", tr("{at} s", at=f"{at:g}"), class_="at")
    return element("li", label, *marks, data_at=f"{at:g}", style=f"--gap:{gap * 10:g}")


def _mark(journey: Journey, at: float, packets: list[int]) -> Html:
    steps = [number for number, packet in enumerate(packets, start=1) if packet == journey.number]
    where = {"data_step": str(steps[0]), "data_last": str(steps[-1])} if steps else {"disabled": "disabled"}
    name = tr(
        _MARK_NAMES[bool(journey.retransmission_of)],
        number=journey.number, packet=packet_name(journey.packet), at=f"{at:g}",
        fate=tr(journey.fate.value), netns=journey.last.netns,
    )  # fmt: skip
    classes = " ".join(_classes(journey))
    return element("button", *_mark_text(journey), type="button", class_=classes, title=name, aria_label=name, **where)


def _classes(journey: Journey) -> Iterator[str]:
    yield "error" if is_error(journey.packet) else "reply" if journey.reply else "request"
    if journey.retransmission_of:
        yield "again"
    if journey.fate is not Fate.DELIVERED:
        yield "lost"


def _mark_text(journey: Journey) -> Iterator[str]:
    yield element("b", str(journey.number))
    name = AGAIN if journey.retransmission_of else packet_name(journey.packet)
    yield element("span", f" {name}", class_="name")
    if journey.fate is not Fate.DELIVERED:
        yield joined(" ", ROLES["drop"].glyph)
