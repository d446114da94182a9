"""One machine of the stage: its pods on top, its own network namespace below them, its NICs at the lower edge.

A macvlan child hangs on the NIC itself: its cable runs down a gutter beside the box of the machine's namespace,
because its frames never enter it. The end of a veth pair stands on top of that box.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mcnilib.linux.device.base import DeviceRole, LinkEnd
from mcnilib.linux.device.link import Link
from mcnilib.linux.netns import Netns
from mcnilib.show.labels.text_metrics import shorten, width
from mcnilib.show.layout.geometry import Rect
from mcnilib.show.layout.plan import Machine
from mcnilib.show.layout.scene import Places, Station
from mcnilib.world.world import World

TITLE, POD, GAP, HOST, FOOT, NIC = 28.0, 66.0, 36.0, 236.0, 10.0, 46.0
"""Heights from top to bottom:

the machine's title, pods, the room of the veth pairs, the host's namespace, a gap, the NICs.
"""

HEIGHT = TITLE + POD + GAP + HOST + FOOT + NIC

PAD, POD_WIDTH, CHIP, GUTTER = 10.0, 170.0, 20.0, 68.0

STATE = 54.0
"""Height of the three lines of text at the bottom of the host's box."""

LANE = 36.0
"""Distance of a pod's outer NIC from the pod's edge."""


@dataclass(frozen=True, slots=True)
class Seat:
    """The place of a pod: its rectangle, the side its macvlan NIC is on, and where that NIC's cable runs down."""

    netns: Netns
    rect: Rect
    side: str
    lane: float

    @property
    def nic(self) -> float:
        """The x of the pod's outer NIC."""
        return self.rect.x + self._inset if self.side == "left" else self.rect.right - self._inset

    @property
    def inner(self) -> float:
        """The x of the pod's other NIC, if it has two."""
        return self.rect.right - self._inset if self.side == "left" else self.rect.x + self._inset

    @property
    def _inset(self) -> float:
        return min(LANE, self.rect.w * 0.27)


def place_machine(places: Places, world: World, machine: Machine, rect: Rect, others: tuple[str, ...]) -> None:
    """Place a machine and everything in it; `others` are members that are only named."""
    host = world[machine.host]
    places.box(host.name, "machine", rect)
    places.write((host.name, ""), host.name, rect.x + PAD, rect.y + 15, size=14.0, bold=True)
    _name_others(places, host.name, others, rect)
    seats = _seats(world, machine, rect)
    panel = _panel(places, host, seats, rect)
    _keep_free(places, host, seats, panel, rect)
    uplinks = _place_nics(places, host, seats, panel, rect)
    for seat in seats:
        _place_pod(places, host, seat, uplinks)
    _place_inner(places, host, panel, uplinks)
    _name_panel(places, host, panel)


def _name_panel(places: Places, host: Netns, panel: Rect) -> None:
    """Say what the box is, where no end of a pair stands in the way."""
    text = "host network"
    chips = [nic.rect.right for nic in places.nics.values() if nic.netns == host.name and nic.rect.y == panel.y]
    if max(chips, default=0.0) + width(text) + 24 < panel.right:
        places.write((host.name, ""), text, panel.right - 10, panel.y + 13, align="right", colour="quiet")


def _name_others(places: Places, host: str, others: tuple[str, ...], rect: Rect) -> None:
    room = rect.w - 3 * PAD - width(host, 14, bold=True)
    if others:
        text = shorten(f"also here: {', '.join(others)}", room)
        places.write(("", ""), text, rect.right - PAD, rect.y + 15, align="right", colour="quiet")


def _seats(world: World, machine: Machine, rect: Rect) -> list[Seat]:
    """Give every pod its place: the first at the left edge, the last of several at the right edge."""
    count = len(machine.members)
    if not count:
        return []
    room = rect.w - 2 * PAD
    wide = min(POD_WIDTH, (room - PAD * (count - 1)) / count)
    step = (room - wide) / (count - 1) if count > 1 else 0.0
    seats = []
    for number, name in enumerate(machine.members):
        side = "right" if number * 2 >= count and count > 1 else "left"
        at = Rect(rect.x + PAD + number * step, rect.y + TITLE, wide, POD)
        seat = Seat(world[name], at, side, 0.0)
        edge = number == (0 if side == "left" else count - 1)
        gutter = rect.x + 2 * PAD if side == "left" else rect.right - 2 * PAD
        seats.append(replace(seat, lane=seat.nic if edge else gutter))
    return seats


def _has_child(seat: Seat, host: Netns) -> bool:
    return any(x.kind.child and x.kind.child.lower.netns == host.name for x in seat.netns.links)


def _panel(places: Places, host: Netns, seats: list[Seat], rect: Rect) -> Rect:
    """Place the host's own namespace between the gutters its pods need."""
    sides = {seat.side for seat in seats if _has_child(seat, host)}
    left = rect.x + (PAD + GUTTER if "left" in sides else PAD)
    right = rect.right - (PAD + GUTTER if "right" in sides else PAD)
    panel = places.box(host.name, "host", Rect(left, rect.y + TITLE + POD + GAP, right - left, HOST))
    places.level((host.name, ""), panel.y + 46)
    return panel


def _keep_free(places: Places, host: Netns, seats: list[Seat], panel: Rect, rect: Rect) -> None:
    """Remember the room for notes: in the host's box below the level of its IP layer, and beside its pods."""
    tap = _tap(panel, None)
    top, bottom = panel.y + 66, panel.bottom - STATE
    left, right = (
        Rect(panel.x + 6, top, tap - 26 - panel.x, bottom - top),
        Rect(tap + 22, top, panel.right - tap - 28, bottom - top),
    )
    rooms = [left, right]
    edges = [rect.x, *(e for seat in seats for e in (seat.rect.x, seat.rect.right)), rect.right]
    gaps = ((a + 8, b - 8) for a, b in zip(edges[::2], edges[1::2], strict=True))
    rooms += [Rect(a, rect.y + TITLE, b - a, POD + GAP - 6) for a, b in gaps if b - a > 120]
    places.free[host.name] = tuple(rooms)
    for seat in seats:
        places.free[seat.netns.name] = (*rooms[2:], *rooms[:2])


def _place_nics(places: Places, host: Netns, seats: list[Seat], panel: Rect, rect: Rect) -> dict[int, str]:
    """Place the NICs in use along the lower edge; return the names of all by device index."""
    parents = {x.kind.child.lower.index for seat in seats for x in seat.netns.links if x.kind.child}
    physical = [link for link in host.links if link.kind.role is DeviceRole.NIC]
    used = [link for i, link in enumerate(physical) if i == 0 or link.addresses or link.index in parents]
    for number, link in enumerate(used):
        _place_nic(places, host, link, seats, panel, rect, len(used) - 1 - number if number else None)
    return {link.index: link.name for link in used}


def _place_nic(
    places: Places, host: Netns, link: Link, seats: list[Seat], panel: Rect, rect: Rect, behind: int | None
) -> None:
    """Place a NIC; `behind` counts those to the right of it, None stands for the first, which has tunnels beside it."""
    station = (host.name, link.name)
    last, tap = behind is not None, _tap(panel, behind)
    lanes = [seat.lane for seat in seats for x in seat.netns.links if _is_child(x, host, link)]
    text = " ".join([link.name, *(str(a.ip) for a in link.addresses[:1])])
    ends = [tap - 34, tap + 34, *(lane - 14 for lane in lanes), *(lane + 14 for lane in lanes)]
    left = min([*ends, tap - 44 - width(text, 11, bold=True)] if not last else ends)
    at = Rect(left, rect.bottom - NIC, max(ends) - left, NIC)
    places.nic(station, at, text, y=at.bottom - 15, wide=True)
    places.write(station, text, at.x + (48 if lanes and min(lanes) < tap and not last else 8), at.y + 9, bold=True)
    places.join("inside", station, (host.name, ""), tap)
    places.graph.nodes[station]["tap"] = tap


def _tap(panel: Rect, behind: int | None) -> float:
    """Return where a NIC's cable leaves the host's box."""
    return panel.right - (max(44.0, min(136.0, panel.w * 0.48)) if behind is None else 14.0 + 120.0 * behind)


def _is_child(link: Link, host: Netns, lower: Link) -> bool:
    return link.kind.child is not None and link.kind.child.lower == LinkEnd(host.name, lower.index)


def _place_pod(places: Places, host: Netns, seat: Seat, uplinks: dict[int, str]) -> None:
    name, rect = seat.netns.name, seat.rect
    places.box(name, "pod", rect)
    places.write((name, ""), name, rect.x + 10, rect.y + 13, size=13.0, bold=True)
    places.level((name, ""), rect.bottom)
    devices = [x for x in seat.netns.links if not x.is_loopback]
    wide = min(54.0, rect.w * 0.46, (rect.w - PAD) / max(1, len(devices)) - 4)
    for number, (link, x) in enumerate(zip(devices, _nic_xs(seat, host, devices), strict=True)):
        chip = Rect(x - wide / 2, rect.bottom - CHIP, wide, CHIP)
        places.nic((name, link.name), chip, y=rect.bottom)
        for address in link.addresses[:1]:
            _write_address(places, (name, link.name), str(address.ip), rect, chip, up=number if rect.w < 160 else 0)
        places.join("inside", (name, link.name), (name, ""), x)
        _hang(places, host, seat, link, uplinks)


def _write_address(places: Places, station: Station, text: str, pod: Rect, chip: Rect, *, up: int) -> None:
    """Write a NIC's address above it, inside the pod; `up` moves it a line up where two would not fit side by side."""
    half = width(text) / 2 + 3
    x = min(max(chip.cx, pod.x + half), pod.right - half)
    places.write(station, text, x, chip.y - 7 - 12.5 * up, align="center", colour="quiet")


def _nic_xs(seat: Seat, host: Netns, devices: list[Link]) -> Iterator[float]:
    """Yield the x of each NIC of a pod: macvlan NICs at its outer side, the others from its inner side on."""
    others = sum(not link.kind.child for link in devices)
    room = (seat.nic - seat.inner) / max(1, others if others < len(devices) else others - 1)
    alone = len(devices) == 1 and not _has_child(seat, host)
    placed = 0
    for link in devices:
        if link.kind.child:
            yield seat.nic
        else:
            yield seat.rect.cx if alone else seat.inner + room * placed
            placed += 1


def _hang(places: Places, host: Netns, seat: Seat, link: Link, uplinks: dict[int, str]) -> None:
    """Join a pod's NIC to what it hangs on: the far end of its pair, or the NIC of the machine."""
    station = (seat.netns.name, link.name)
    end = link.kind.endpoint
    if end is None or link.kind.unmodelled:
        return
    device = next((d for d in host.links if end == LinkEnd(host.name, d.index)), None)
    x = places.graph.edges[station, (station[0], "")]["x"]
    if link.kind.child and end.index in uplinks:
        _hang_child(places, seat, station, (host.name, uplinks[end.index]))
    elif link.kind.child and device and device.is_bridge:
        places.join("child", station, (host.name, device.name), x)
    elif device and not link.kind.child:
        _place_host_end(places, host, device, x, seat.rect.w)
        places.join("pair", station, (host.name, device.name), x)


def _hang_child(places: Places, seat: Seat, station: Station, lower: Station) -> None:
    """Join a macvlan NIC to its lower device; from an inner seat the cable turns aside above the host's box."""
    if seat.lane == seat.nic:
        places.join("child", station, lower, seat.lane)
        return
    bend = (station[0], f"{station[1]} in the gutter")
    places.level(bend, seat.rect.bottom + GAP - 7)
    places.join("child", station, bend, seat.nic)
    places.join("child", bend, lower, seat.lane)


def _place_host_end(places: Places, host: Netns, link: Link, x: float, room: float) -> None:
    panel, station = places.rect(host.name), (host.name, link.name)
    text = shorten(link.name, room - 14)
    wide = width(text) + 12
    chip = Rect(min(max(x - wide / 2, panel.x), panel.right - wide), panel.y, wide, CHIP)
    places.nic(station, chip, text)
    places.join("inside", station, (host.name, ""), x)


def _place_inner(places: Places, host: Netns, panel: Rect, uplinks: dict[int, str]) -> None:
    """Place tunnels and bridges in the host's box, right of its first NIC: what they pack goes on to that NIC."""
    right = panel.right - 8
    for link in host.links:
        if link.kind.role not in (DeviceRole.TUNNEL, DeviceRole.BRIDGE):
            continue
        wide = width(link.name) + 12
        chip = Rect(right - wide, panel.y + 66, wide, CHIP)
        station = (host.name, link.name)
        places.nic(station, chip)
        places.join("inside", station, (host.name, ""), chip.right - 16)
        if link.kind.tunnel and uplinks:
            places.inner.add(station)
            first = (host.name, next(iter(uplinks.values())))
            places.join("inside", station, first, places.graph.nodes[first]["tap"])
        right = chip.x - 10
