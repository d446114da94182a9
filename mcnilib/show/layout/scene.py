"""The stage: boxes, NICs, cables and segments of a world at their places, before anything happens on it.

Places depend on the plan and on which devices there are, never on a run. Next to the values to be painted, `Places`
holds the graph the arrows travel on: a station is a device, a switch segment (name, "") or the IP layer of a
namespace (name, ""); it is a level at height `y`, and a cable joins two stations at one `x`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import networkx as nx

from mcnilib.show.layout.geometry import Line, Point, Rect

Station = tuple[str, str]
"""(namespace, device); the device is empty for the IP layer of a namespace and for a segment."""


@dataclass(frozen=True, slots=True)
class Box:
    """An area: `kind` is machine, host, pod or segment; `name` the namespace or segment it stands for."""

    name: str
    kind: str
    rect: Rect
    involved: bool = True


@dataclass(frozen=True, slots=True)
class Nic:
    """A device, drawn as a small box under which arrows pass; through a `wide` one they are seen to pass."""

    netns: str
    name: str
    rect: Rect
    text: str
    wide: bool = False
    involved: bool = True


@dataclass(frozen=True, slots=True)
class Cable:
    """What joins two stations: `kind` is inside, pair (veth), child (macvlan) or plug (a NIC in its switch)."""

    kind: str
    points: Line
    involved: bool = True


@dataclass(frozen=True, slots=True)
class Label:
    """One line of text. `align` says which point of the text stands at x: left, center or right; y is its middle."""

    text: str
    x: float
    y: float
    size: float = 11.0
    bold: bool = False
    align: str = "left"
    colour: str = "ink"  # ink, quiet, or paper


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that stands still, in painting order."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    cables: tuple[Cable, ...]
    nics: tuple[Nic, ...]
    labels: tuple[Label, ...]


@dataclass(frozen=True, slots=True)
class Arrow:
    """Packets that took one way.

    `mark` is where their numbers stand on the line, and 1 when it runs to the right there, -1 to the left; `packed`
    are the parts inside a tunnel.
    """

    points: Line
    numbers: tuple[int, ...]
    reply: bool
    lost: bool
    mark: tuple[Point, int] | None = None
    packed: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """Words pinned to a point: `role` is drop, rewrite, request or reply; the first line is the heading."""

    role: str
    at: Point
    lines: tuple[str, ...]
    rect: Rect


@dataclass
class Places:
    """Where things are: filled in while laying out, read while routing arrows."""

    width: float
    height: float = 0.0
    boxes: list[Box] = field(default_factory=list)
    nics: dict[Station, Nic] = field(default_factory=dict)
    labels: list[tuple[Label, Station]] = field(default_factory=list)  # each with what it belongs to
    free: dict[str, tuple[Rect, ...]] = field(default_factory=dict)  # per namespace, where notes about it may stand
    plugs: dict[str, list[float]] = field(default_factory=dict)  # per segment, where cables reach it or would
    inner: set[Station] = field(default_factory=set)  # tunnel devices
    graph: nx.Graph = field(default_factory=nx.Graph)

    def box(self, name: str, kind: str, rect: Rect) -> Rect:
        """Place an area."""
        self.boxes.append(Box(name, kind, rect))
        return rect

    def rect(self, name: str) -> Rect:
        """Return the box of a namespace or segment; KeyError when it is not drawn."""
        for box in self.boxes:
            if box.name == name and box.kind != "machine":
                return box.rect
        raise KeyError(f"{name} is not in the picture")

    def level(self, station: Station, y: float) -> None:
        """Place a station at a height."""
        self.graph.add_node(station, y=y)

    def nic(self, station: Station, rect: Rect, text: str = "", *, y: float | None = None, wide: bool = False) -> None:
        """Place a device; arrows pass it at height `y`, by default in its middle."""
        self.nics[station] = Nic(*station, rect, text or station[1], wide)
        self.level(station, rect.cy if y is None else y)

    def join(self, kind: str, one: Station, other: Station, x: float) -> None:
        """Join two stations by a vertical cable."""
        self.graph.add_edge(one, other, x=x, kind=kind)

    def write(self, owner: Station, text: str, x: float, y: float, **how: object) -> None:
        """Place a line of text that belongs to a namespace or device."""
        self.labels.append((Label(text, x, y, **how), owner))  # type: ignore[arg-type]

    def draws(self, station: Station) -> bool:
        """Tell whether a station is in the picture."""
        return station in self.graph
