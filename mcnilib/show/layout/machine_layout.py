"""The layout of one machine: its pods on top, its own network namespace below them, its NICs at the lower edge.

A macvlan child hangs on the NIC itself: its cable runs down a gutter beside the box of the machine's namespace,
because its frames never enter it. The end of a veth pair stands on top of that box.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mcnilib.language import listed, tr, trn
from mcnilib.linux.device.base import DeviceRole, LinkEnd
from mcnilib.linux.device.link import Link
from mcnilib.linux.netns import Netns
from mcnilib.show.labels.text_metrics import ellipsize, text_width
from mcnilib.show.layout.geometry import Rect
from mcnilib.show.layout.plan import Machine
from mcnilib.show.layout.scene import Layout, Waypoint
from mcnilib.world.world import World

MACHINE_TITLE, POD_HEIGHT, PAIR_GAP, PANEL_HEIGHT, PANEL_FOOT, NIC_HEIGHT = 28.0, 66.0, 36.0, 200.0, 10.0, 46.0
"""Heights from top to bottom: the machine's title, pods, the room of the veth pairs, the host's namespace, a gap, the
NICs.
"""

STACKED_PANEL = 125.0
"""Height of the host's namespace where two machines are stacked: both fit the window of a phone."""

MACHINE_HEIGHT = MACHINE_TITLE + POD_HEIGHT + PAIR_GAP + PANEL_HEIGHT + PANEL_FOOT + NIC_HEIGHT

STACKED_HEIGHT = MACHINE_HEIGHT - PANEL_HEIGHT + STACKED_PANEL

PADDING, POD_WIDTH, DEVICE_HEIGHT, GUTTER_WIDTH = 10.0, 170.0, 20.0, 68.0

STATE_HEIGHT = 54.0
"""Height of the three lines of text at the bottom of the host's box."""

NIC_INSET = 36.0
"""Distance of a pod's outer NIC from the pod's edge."""


@dataclass(frozen=True, slots=True)
class Seat:
    """The place of a pod: its rectangle, the side its macvlan NIC is on, and where that NIC's cable runs down."""

    netns: Netns
    rect: Rect
    side: str
    cable_x: float

    @property
    def nic_x(self) -> float:
        """The x of the pod's outer NIC."""
        return self.rect.x + self._inset if self.side == "left" else self.rect.right - self._inset

    @property
    def inner_x(self) -> float:
        """The x of the pod's other NIC, if it has two."""
        return self.rect.right - self._inset if self.side == "left" else self.rect.x + self._inset

    @property
    def _inset(self) -> float:
        return min(NIC_INSET, self.rect.w * 0.27)


def place_machine(layout: Layout, world: World, machine: Machine, rect: Rect, others: tuple[str, ...]) -> None:
    """Place a machine and everything in it; `others` are members that are only named, also if they have a place."""
    host = world[machine.host]
    layout.add_box(host.name, "machine", rect)
    layout.add_label((host.name, ""), host.name, rect.x + PADDING, rect.y + 15, size=14.0, bold=True)
    if not layout.stacked:  # there they are named below
        _name_others(layout, host.name, others, rect)
    seats = _seats(world, machine, rect)
    panel = _panel(layout, host, seats, rect)
    seats = [seat for seat in seats if seat.netns.name not in others]
    _keep_for_callouts(layout, host, seats, panel, rect)
    uplinks = _place_nics(layout, host, seats, panel, rect)
    for seat in seats:
        _place_pod(layout, host, seat, uplinks)
    _place_tunnels_and_bridges(layout, host, panel, uplinks)
    _name_panel(layout, host, panel)


def _name_panel(layout: Layout, host: Netns, panel: Rect) -> None:
    """Say what the box is, where no end of a pair stands in the way."""
    text = tr("host network")
    ends = [nic.rect.right for nic in layout.devices.values() if nic.netns == host.name and nic.rect.y == panel.y]
    if max(ends, default=0.0) + text_width(text) + 24 < panel.right:
        layout.add_label((host.name, ""), text, panel.right - 10, panel.y + 13, align="right", colour="quiet")


def _name_others(layout: Layout, host: str, others: tuple[str, ...], rect: Rect) -> None:
    room = rect.w - 3 * PADDING - text_width(host, 14, bold=True)
    if others:
        text = ellipsize(left_out(others), room)
        layout.add_label(("", ""), text, rect.right - PADDING, rect.y + 15, align="right", colour="quiet")


def left_out(names: Sequence[str]) -> str:
    """Name what is left out of the picture."""
    return trn("takes no part: {names}", "take no part: {names}", len(names), names=listed(names))


def _seats(world: World, machine: Machine, rect: Rect) -> list[Seat]:
    """Give every pod its place: the first at the left edge, the last of several at the right edge."""
    count = len(machine.members)
    if not count:
        return []
    room = rect.w - 2 * PADDING
    wide = min(POD_WIDTH, (room - PADDING * (count - 1)) / count)
    step = (room - wide) / (count - 1) if count > 1 else 0.0
    seats = []
    for number, name in enumerate(machine.members):
        side = "right" if number * 2 >= count and count > 1 else "left"
        at = Rect(rect.x + PADDING + number * step, rect.y + MACHINE_TITLE, wide, POD_HEIGHT)
        seat = Seat(world[name], at, side, 0.0)
        edge = number == (0 if side == "left" else count - 1)
        gutter = rect.x + 2 * PADDING if side == "left" else rect.right - 2 * PADDING
        seats.append(replace(seat, cable_x=seat.nic_x if edge else gutter))
    return seats


def _has_child(seat: Seat, host: Netns) -> bool:
    return any(x.kind.child and x.kind.child.lower.netns == host.name for x in seat.netns.links)


def _panel(layout: Layout, host: Netns, seats: list[Seat], rect: Rect) -> Rect:
    """Place the host's own namespace between the gutters its pods need."""
    sides = {seat.side for seat in seats if _has_child(seat, host)}
    left = rect.x + (PADDING + GUTTER_WIDTH if "left" in sides else PADDING)
    right = rect.right - (PADDING + GUTTER_WIDTH if "right" in sides else PADDING)
    top = rect.y + MACHINE_TITLE + POD_HEIGHT + PAIR_GAP
    panel = layout.add_box(
        host.name, "host", Rect(left, top, right - left, rect.bottom - NIC_HEIGHT - PANEL_FOOT - top)
    )
    layout.add_waypoint((host.name, ""), panel.y + 46)
    return panel


def _keep_for_callouts(layout: Layout, host: Netns, seats: list[Seat], panel: Rect, rect: Rect) -> None:
    """Remember the room for callouts: in the host's box below the level of its IP layer, and beside its pods."""
    uplink_x = _uplink_x(layout, panel, None)
    top, bottom = panel.y + 66, panel.bottom - STATE_HEIGHT
    left, right = (
        Rect(panel.x + 6, top, uplink_x - 26 - panel.x, bottom - top),
        Rect(uplink_x + 22, top, panel.right - uplink_x - 28, bottom - top),
    )
    rooms = [left, right]
    edges = [rect.x, *(e for seat in seats for e in (seat.rect.x, seat.rect.right)), rect.right]
    gaps = ((a + 8, b - 8) for a, b in zip(edges[::2], edges[1::2], strict=True))
    rooms += [Rect(a, rect.y + MACHINE_TITLE, b - a, POD_HEIGHT + PAIR_GAP - 6) for a, b in gaps if b - a > 120]
    layout.callout_areas[host.name] = tuple(rooms)
    for seat in seats:
        layout.callout_areas[seat.netns.name] = (*rooms[2:], *rooms[:2])


def _place_nics(layout: Layout, host: Netns, seats: list[Seat], panel: Rect, rect: Rect) -> dict[int, str]:
    """Place the NICs in use along the lower edge; return the names of all by device index."""
    parents = {_nic_below(host, x.kind.child.lower) for seat in seats for x in seat.netns.links if x.kind.child}
    physical = [link for link in host.links if link.kind.role in (DeviceRole.NIC, DeviceRole.PROGRAM)]
    used = [link for i, link in enumerate(physical) if i == 0 or link.addresses or link.index in parents]
    for number, link in enumerate(used):
        _place_nic(layout, host, link, seats, panel, rect, len(used) - 1 - number if number else None)
    return {link.index: link.name for link in used}


def _place_nic(
    layout: Layout, host: Netns, link: Link, seats: list[Seat], panel: Rect, rect: Rect, behind: int | None
) -> None:
    """Place a NIC; `behind` counts those to the right of it, None stands for the first, which has tunnels beside it."""
    waypoint = (host.name, link.name)
    last, uplink_x = behind is not None, _uplink_x(layout, panel, behind)
    cable_xs = [seat.cable_x for seat in seats for x in seat.netns.links if _is_child(x, host, link)]
    text = " ".join([link.name, *(str(a.ip) for a in link.addresses[:1])])
    plug_x = layout.aside.get(host.name, uplink_x)
    ends = [
        plug_x + 14,
        uplink_x - 34,
        uplink_x + 34,
        *(cable_x - 14 for cable_x in cable_xs),
        *(cable_x + 14 for cable_x in cable_xs),
    ]
    left = min([*ends, uplink_x - 44 - text_width(text, 11, bold=True)] if not last else ends)
    at = Rect(left, rect.bottom - NIC_HEIGHT, max(ends) - left, NIC_HEIGHT)
    layout.add_device(waypoint, at, text, y=at.bottom - 15, wide=True)
    layout.add_label(
        waypoint, text, at.x + (48 if cable_xs and min(cable_xs) < uplink_x and not last else 8), at.y + 9, bold=True
    )
    layout.connect("inside", waypoint, (host.name, ""), uplink_x)
    layout.graph.nodes[waypoint].update(uplink_x=uplink_x, plug_x=plug_x)


def _uplink_x(layout: Layout, panel: Rect, behind: int | None) -> float:
    """Return where a NIC's cable leaves the host's box."""
    if layout.stacked and behind is None:
        return panel.right - 36.0
    return panel.right - (max(44.0, min(136.0, panel.w * 0.48)) if behind is None else 14.0 + 120.0 * behind)


def _is_child(link: Link, host: Netns, lower: Link) -> bool:
    child = link.kind.child
    return child is not None and child.lower.netns == host.name and _nic_below(host, child.lower) == lower.index


def _nic_below(host: Netns, end: LinkEnd) -> int:
    """Return the index of the NIC that a device stands on, which may be below a VLAN or be one of a bond."""
    device = next((x for x in host.links if x.index == end.index), None)
    if device and device.kind.child and device.kind.child.tag and device.kind.child.lower.netns == host.name:
        return _nic_below(host, device.kind.child.lower)
    if device and device.kind.role is DeviceRole.BOND:
        return next((x.index for x in host.links if x.master == device.name), end.index)
    return end.index


def _place_pod(layout: Layout, host: Netns, seat: Seat, uplinks: dict[int, str]) -> None:
    name, rect = seat.netns.name, seat.rect
    layout.add_box(name, "pod", rect)
    layout.add_label((name, ""), name, rect.x + 10, rect.y + 13, size=13.0, bold=True)
    layout.add_waypoint((name, ""), rect.bottom)
    devices = [x for x in seat.netns.links if not x.is_loopback]
    wide = min(54.0, rect.w * 0.46, (rect.w - PADDING) / max(1, len(devices)) - 4)
    for number, (link, x) in enumerate(zip(devices, _nic_xs(seat, host, devices), strict=True)):
        box = Rect(x - wide / 2, rect.bottom - DEVICE_HEIGHT, wide, DEVICE_HEIGHT)
        layout.add_device((name, link.name), box, y=rect.bottom)
        for address in link.addresses[:1]:
            _write_address(layout, (name, link.name), str(address.ip), rect, box, up=number if rect.w < 160 else 0)
        layout.connect("inside", (name, link.name), (name, ""), x)
        _hang(layout, host, seat, link, uplinks)


def _write_address(layout: Layout, waypoint: Waypoint, text: str, pod: Rect, box: Rect, *, up: int) -> None:
    """Write a NIC's address above it, inside the pod; `up` moves it a line up where two would not fit side by side."""
    half = text_width(text) / 2 + 3
    x = min(max(box.cx, pod.x + half), pod.right - half)
    layout.add_label(waypoint, text, x, box.y - 7 - 12.5 * up, align="center", colour="quiet")


def _nic_xs(seat: Seat, host: Netns, devices: list[Link]) -> Iterator[float]:
    """Yield the x of each NIC of a pod: macvlan NICs at its outer side, the others from its inner side on."""
    others = sum(not link.kind.child for link in devices)
    room = (seat.nic_x - seat.inner_x) / max(1, others if others < len(devices) else others - 1)
    alone = len(devices) == 1 and not _has_child(seat, host)
    route_edges = 0
    for link in devices:
        if link.kind.child:
            yield seat.nic_x
        else:
            yield seat.rect.cx if alone else seat.inner_x + room * route_edges
            route_edges += 1


def _hang(layout: Layout, host: Netns, seat: Seat, link: Link, uplinks: dict[int, str]) -> None:
    """Join a pod's NIC to what it hangs on: the far end of its pair, or the NIC of the machine."""
    waypoint = (seat.netns.name, link.name)
    end = link.kind.endpoint
    if end is None or link.kind.unmodelled:
        return
    device = next((d for d in host.links if end == LinkEnd(host.name, d.index)), None)
    x = layout.graph.edges[waypoint, (waypoint[0], "")]["x"]
    if link.kind.child and (nic := _nic_below(host, end)) in uplinks:
        _hang_child(layout, seat, waypoint, (host.name, uplinks[nic]))
    elif link.kind.child and device and device.is_bridge:
        layout.connect("child", waypoint, (host.name, device.name), x)
    elif device and not link.kind.child:
        _place_host_end(layout, host, device, x, seat.rect.w)
        layout.connect("pair", waypoint, (host.name, device.name), x)


def _hang_child(layout: Layout, seat: Seat, waypoint: Waypoint, lower: Waypoint) -> None:
    """Join a macvlan NIC to its lower device; from an inner seat the cable turns aside above the host's box."""
    if seat.cable_x == seat.nic_x:
        layout.connect("child", waypoint, lower, seat.cable_x)
        return
    bend = (waypoint[0], f"{waypoint[1]} gutter")
    layout.add_waypoint(bend, seat.rect.bottom + PAIR_GAP - 7)
    layout.connect("child", waypoint, bend, seat.nic_x)
    layout.connect("child", bend, lower, seat.cable_x)


def _place_host_end(layout: Layout, host: Netns, link: Link, x: float, room: float) -> None:
    panel, waypoint = layout.rect_of(host.name), (host.name, link.name)
    text = ellipsize(link.name, (panel.w / 2 if layout.stacked else room) - 14)
    wide = text_width(text) + 12
    box = Rect(min(max(x - wide / 2, panel.x), panel.right - wide), panel.y, wide, DEVICE_HEIGHT)
    layout.add_device(waypoint, box, text)
    layout.connect("inside", waypoint, (host.name, ""), x)


def _place_tunnels_and_bridges(layout: Layout, host: Netns, panel: Rect, uplinks: dict[int, str]) -> None:
    """Place tunnels and bridges in the host's box, right of its first NIC: what they pack goes on to that NIC."""
    right = _uplink_x(layout, panel, None) - 16 if layout.stacked else panel.right - 8
    for link in host.links:
        if link.kind.role not in (DeviceRole.TUNNEL, DeviceRole.BRIDGE):
            continue
        wide = text_width(link.name) + 12
        box = Rect(right - wide, panel.y + (57 if layout.stacked else 66), wide, DEVICE_HEIGHT)
        waypoint = (host.name, link.name)
        layout.add_device(waypoint, box)
        layout.connect("inside", waypoint, (host.name, ""), box.right - 16)
        if link.kind.tunnel and uplinks:
            layout.tunnels.add(waypoint)
            first = (host.name, next(iter(uplinks.values())))
            layout.connect("inside", waypoint, first, layout.graph.nodes[first]["uplink_x"])
        right = box.x - 10
