"""A map of a world: machines with what lives in them, the segments between, and everybody's addresses.

The overview before the first packet; `drawing` shows one conversation in detail.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from mcnilib.language import current_language, in_own_language
from mcnilib.show.html.markup import Bundle, static_fallback
from mcnilib.show.html.netns_state import address_list
from mcnilib.show.layout.plan import plan_of
from mcnilib.show.picture.palette import FONTS, INK, PAPER, QUIET_INK, SURFACES
from mcnilib.world.world import World

if TYPE_CHECKING:  # a browser has no matplotlib, and reads the map in words
    from matplotlib.figure import Figure

MAP_WIDTH, MAP_MARGIN, BOX_GAP, LINE_STEP, TITLE_SPACE = 864.0, 12.0, 14.0, 17.0, 46.0

BAR_HEIGHT, OUTSIDE_HEIGHT, PLUG_SIZE, CROSSING_GAP = 26.0, 64.0, 5.0, 4.5
"""Sizes in pixels: the picture, its margin, between boxes, a line of text, a title, a segment, a machine below; the dot
where a cable is plugged in, the gap in a segment that a cable only passes.
"""


@dataclass(frozen=True, slots=True)
class Map:
    """A map as a notebook shows it: a picture, and the same in words."""

    world: World
    language: str = field(default_factory=current_language)

    def lines(self) -> list[str]:
        """Tell the map in words, one line per machine."""
        plan = plan_of(self.world)
        rows = [f"{m.host} ({address_list(self.world[m.host])}): {self._members(m.members)}" for m in plan.machines]
        rows += [f"{name}: {address_list(self.world[name])}" for name in plan.outside]
        return rows + [f"{s.name}: {', '.join(port.netns for port in s.ports)}" for s in self.world.segments]

    def _members(self, names: tuple[str, ...]) -> str:
        return ", ".join(f"{name} {address_list(self.world[name])}" for name in names)

    @in_own_language
    def _repr_mimebundle_(self, **kwargs: Any) -> Bundle:
        return static_fallback(None, self.lines, lambda: map_png(self.world))


def map_png(world: World) -> bytes:
    """Return the map of a world as PNG. Raises: ModuleNotFoundError without matplotlib, as in a browser."""
    from mcnilib.show.picture.paint import figure_png  # takes most of the time

    return figure_png(paint_map(world))


def paint_map(world: World) -> Figure:
    """Paint the map of a world: machines above, segments across, everybody else below."""
    plan = plan_of(world)
    most = max((len(m.members) for m in plan.machines), default=0)
    top = MAP_MARGIN + TITLE_SPACE + most * 2 * LINE_STEP + 10
    tops = {s.name: top + 22 + i * (BAR_HEIGHT + 8) for i, s in enumerate(world.segments)}
    below = top + 22 + len(tops) * (BAR_HEIGHT + 8) + 16
    figure, axes = _sheet(below + OUTSIDE_HEIGHT + MAP_MARGIN)
    middle: dict[str, float] = {}
    width = (MAP_WIDTH - 2 * MAP_MARGIN + BOX_GAP) / max(1, len(plan.machines)) - BOX_GAP
    for i, machine in enumerate(plan.machines):
        x = MAP_MARGIN + i * (width + BOX_GAP)
        middle[machine.host] = x + width / 2
        _box(axes, x, MAP_MARGIN, width, top - MAP_MARGIN, "machine")
        _write(axes, x + 12, MAP_MARGIN + 15, machine.host, bold=True, size=14)
        _write(axes, x + 12, MAP_MARGIN + 33, address_list(world[machine.host]), colour=QUIET_INK)
        for row, name in enumerate(machine.members):
            y = MAP_MARGIN + TITLE_SPACE + row * 2 * LINE_STEP + 10
            _write(axes, x + 12, y, name, bold=True)
            _write(axes, x + 12, y + LINE_STEP - 2, address_list(world[name]), colour=QUIET_INK, size=11)
    _outside(axes, world, plan.outside, below, middle)
    _segments(axes, bars_of(world, tops, middle, (top, below)))
    return figure


def _sheet(height: float) -> tuple[Figure, Any]:
    """Return an empty figure whose axes count pixels from the upper left corner."""
    from mcnilib.show.picture.paint import new_figure

    figure = new_figure(MAP_WIDTH, height)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, MAP_WIDTH), ylim=(height, 0))
    axes.set_axis_off()
    return figure, axes


def _outside(axes: Any, world: World, names: tuple[str, ...], y: float, middle: dict[str, float]) -> None:
    width = (MAP_WIDTH - 2 * MAP_MARGIN + BOX_GAP) / max(1, len(names)) - BOX_GAP
    for i, name in enumerate(names):
        x = MAP_MARGIN + i * (width + BOX_GAP)
        middle[name] = x + width / 2
        _box(axes, x, y, width, OUTSIDE_HEIGHT, "pod")
        _write(axes, x + 12, y + 18, name, bold=True, size=14)
        _write(axes, x + 12, y + 42, address_list(world[name]), colour=QUIET_INK, size=11)


@dataclass(frozen=True, slots=True)
class Bar:
    """A segment as it is drawn: its ends, the height of its middle, its cables: (where, from which height)."""

    name: str
    left: float
    right: float
    y: float
    cables: tuple[tuple[float, float], ...]

    def passing(self, bars: Iterable[Bar]) -> list[float]:
        """Return where the cables of other segments pass this one."""
        return [
            x
            for neighbour in bars
            if neighbour is not self
            for x, start in neighbour.cables
            if self.left <= x <= self.right and min(start, neighbour.y) < self.y < max(start, neighbour.y)
        ]

    def free(self, bars: Iterable[Bar]) -> float:
        """Return the middle of the longest part without a cable, for the name."""
        edges = sorted([self.left, *(x for x, _ in self.cables), *self.passing(bars), self.right])
        left, right = max(pairwise(edges), key=lambda part: part[1] - part[0])
        return (left + right) / 2


def bars_of(world: World, tops: dict[str, float], middle: dict[str, float], edges: tuple[float, float]) -> list[Bar]:
    """Return each segment as a bar from its first to its last machine; a machine's cables stand beside each other."""
    hosts = {machine.host for machine in plan_of(world).machines}
    bars = []
    for index, segment in enumerate(world.segments):
        shift = (index - len(world.segments) / 2) * 26
        cables = tuple((middle[p.netns] + shift, edges[p.netns not in hosts]) for p in segment.ports)
        ends = [x for x, _ in cables]
        bars.append(Bar(segment.name, min(ends) - 40, max(ends) + 40, tops[segment.name] + BAR_HEIGHT / 2, cables))
    return bars


def _segments(axes: Any, bars: list[Bar]) -> None:
    """Draw the bars and their cables: a dot where one is plugged in, a gap in the bar where one only passes."""
    for bar in bars:
        _box(axes, bar.left, bar.y - BAR_HEIGHT / 2, bar.right - bar.left, BAR_HEIGHT, "segment")
        _write(axes, bar.free(bars), bar.y, bar.name, align="center")
        for x in bar.passing(bars):
            axes.plot(
                [x, x],
                [bar.y - BAR_HEIGHT / 2, bar.y + BAR_HEIGHT / 2],
                color=PAPER,
                linewidth=CROSSING_GAP,
                zorder=2.5,
            )
        for x, start in bar.cables:
            axes.plot([x, x], [start, bar.y], color=QUIET_INK, linewidth=1.2, solid_capstyle="butt", zorder=3)
            axes.plot([x], [bar.y], "o", color=QUIET_INK, markersize=PLUG_SIZE, zorder=3, gid="plug")


def _box(axes: Any, x: float, y: float, width: float, height: float, kind: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    surface = SURFACES[kind]
    style = "round,pad=0,rounding_size=6"
    axes.add_patch(
        FancyBboxPatch((x, y), width, height, style, fc=surface.fill, ec=surface.edge, lw=surface.width, zorder=2)
    )


def _write(
    axes: Any,
    x: float,
    y: float,
    text: str,
    *,
    bold: bool = False,
    colour: str = INK,
    size: float = 11.5,
    align: str = "left",
) -> None:
    weight = "bold" if bold else "normal"
    axes.text(
        x, y, text, color=colour, fontsize=size, fontweight=weight, family=FONTS[0], ha=align, va="center", zorder=4
    )
