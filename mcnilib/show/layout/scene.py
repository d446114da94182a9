"""What stands still: boxes, NICs, cables and segments of a world at their places, before anything happens on it.

Places depend on the plan and on which devices there are, never on a run. Next to the values to be painted, `Layout`
holds the graph the arrows travel on: a waypoint is a device, a switch segment (name, "") or the IP layer of a
namespace (name, ""); it is a level at height `y`, and a cable joins two waypoints at one `x`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import networkx as nx

from mcnilib.language import tr
from mcnilib.show.layout.geometry import Point, Polyline, Rect

Waypoint = tuple[str, str]
"""(namespace, device); the device is empty for the IP layer of a namespace and for a segment."""


@dataclass(frozen=True, slots=True)
class Box:
    """An area: `kind` is machine, host, pod or segment; `name` the namespace or segment it stands for."""

    name: str
    kind: str
    rect: Rect
    involved: bool = True


@dataclass(frozen=True, slots=True)
class DeviceBox:
    """A device, drawn as a small box under which arrows pass; through a `wide` one they are seen to pass."""

    netns: str
    name: str
    rect: Rect
    text: str
    wide: bool = False
    involved: bool = True


@dataclass(frozen=True, slots=True)
class Cable:
    """What joins two waypoints: `kind` is inside, pair (veth), child (macvlan) or plug (a NIC in its switch)."""

    kind: str
    points: Polyline
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
    devices: tuple[DeviceBox, ...]
    labels: tuple[Label, ...]


@dataclass(frozen=True, slots=True)
class Arrow:
    """Packets that took one way: `role` is request, reply or error.

    `numbers_at` is where their numbers stand on the line, and 1 when it runs to the right there, -1 to the left;
    `tunnelled` are the parts inside a tunnel.
    """

    points: Polyline
    numbers: tuple[int, ...]
    role: str
    lost: bool
    numbers_at: tuple[Point, int] | None = None
    tunnelled: tuple[Polyline, ...] = ()


@dataclass(frozen=True, slots=True)
class Callout:
    """Words beside a point: of an arrow (`role` request, reply or error), or joined to a marker (drop, rewrite).

    The first line is the heading. `since` is the step from which on they are true: the packet's number, and the index.
    """

    role: str
    at: Point
    lines: tuple[str, ...]
    rect: Rect
    since: tuple[int, int] = (0, 0)


@dataclass
class Layout:
    """Where the nodes of a picture are: filled in while laying out, read while routing edges."""

    width: float
    stacked: bool = False
    height: float = 0.0
    boxes: list[Box] = field(default_factory=list)
    devices: dict[Waypoint, DeviceBox] = field(default_factory=dict)
    labels: list[tuple[Label, Waypoint]] = field(default_factory=list)  # each with what it belongs to
    callout_areas: dict[str, tuple[Rect, ...]] = field(default_factory=dict)  # where those about a namespace may stand
    aside: dict[str, float] = field(default_factory=dict)  # per stacked machine, where its cables pass those below
    plug_xs: dict[str, list[float]] = field(default_factory=dict)  # per segment, where cables reach it or would
    tunnels: set[Waypoint] = field(default_factory=set)
    graph: nx.Graph = field(default_factory=nx.Graph)

    def add_box(self, name: str, kind: str, rect: Rect) -> Rect:
        """Place an area."""
        self.boxes.append(Box(name, kind, rect))
        return rect

    def rect_of(self, name: str) -> Rect:
        """Return the box of a namespace or segment; KeyError when it is not drawn."""
        for box in self.boxes:
            if box.name == name and box.kind != "machine":
                return box.rect
        raise KeyError(tr("{name} is not in the picture", name=name))

    def is_pod(self, name: str) -> bool:
        """Tell whether a namespace is drawn as a pod."""
        return any(box.name == name and box.kind == "pod" for box in self.boxes)

    def add_waypoint(self, waypoint: Waypoint, y: float) -> None:
        """Place a waypoint at a height."""
        self.graph.add_node(waypoint, y=y)

    def add_device(
        self, waypoint: Waypoint, rect: Rect, text: str = "", *, y: float | None = None, wide: bool = False
    ) -> None:
        """Place a device; arrows pass it at height `y`, by default in its middle."""
        self.devices[waypoint] = DeviceBox(*waypoint, rect, text or waypoint[1], wide)
        self.add_waypoint(waypoint, rect.cy if y is None else y)

    def connect(self, kind: str, upper: Waypoint, lower: Waypoint, x: float) -> None:
        """Join two waypoints by a vertical cable."""
        self.graph.add_edge(upper, lower, x=x, kind=kind)

    def add_label(self, owner: Waypoint, text: str, x: float, y: float, **how: object) -> None:
        """Place a line of text that belongs to a namespace or device."""
        self.labels.append((Label(text, x, y, **how), owner))  # type: ignore[arg-type]

    def draws(self, waypoint: Waypoint) -> bool:
        """Tell whether a waypoint is in the picture."""
        return waypoint in self.graph
