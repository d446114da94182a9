"""The layout of a world: machines in a row, the segments below them, everybody else in the bottom row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from operator import itemgetter

from mcnilib.linux.device.base import DeviceRole
from mcnilib.linux.device.link import Link
from mcnilib.linux.netns import Netns
from mcnilib.show.labels.text_metrics import ellipsize, text_width
from mcnilib.show.layout.geometry import Rect
from mcnilib.show.layout.machine_layout import MACHINE_HEIGHT, PAIR_GAP, STACKED_HEIGHT, left_out, place_machine
from mcnilib.show.layout.plan import STACKED, Plan
from mcnilib.show.layout.scene import Box, Label, Layout
from mcnilib.world.world import World

TITLE_HEIGHT, STACKED_TITLE, SHEET_MARGIN, MACHINE_GAP = 48.0, 68.0, 12.0, 16.0

CABLE_WIDTH = 34.0
"""Width of what a stacked machine leaves free at its right for the cables of the one above."""

SEGMENT_HEIGHT, SEGMENT_STEP, ROW_GAP = 26.0, 38.0, 20.0
"""Height of a segment's band, distance of two bands, distance of the first from the machines and the last from the
hosts.
"""

HOST_HEIGHT, CALLOUT_HEIGHT = 86.0, 84.0
"""Height of a host in the bottom row, and of the room for callouts below it where there are no machines above."""


def place_world(world: World, plan: Plan) -> Layout:
    """Place everything the plan shows; the same world and plan always give the same places."""
    layout = Layout(plan.width, plan.stacked)
    bottom = _place_machines(layout, world, plan)
    bottom = _place_segments(layout, world, plan, bottom + ROW_GAP)
    bottom = _place_outside(layout, world, plan, bottom)
    crowded = plan.stacked and any(box.name in plan.outside for box in layout.boxes)
    bottom += CALLOUT_HEIGHT if crowded or not any(box.kind == "machine" for box in layout.boxes) else 0.0
    _stretch_segments(layout, world, plan)
    hidden = plan.hidden([box.name for box in layout.boxes] + ([] if plan.stacked else _named(plan)))
    if hidden:
        text = ellipsize(left_out(hidden), plan.width * 0.98 - 2 * SHEET_MARGIN)
        layout.add_label(("", ""), text, SHEET_MARGIN, bottom + 16, colour="quiet")
        bottom += 20
    layout.height = bottom + SHEET_MARGIN
    return layout


def _named(plan: Plan) -> list[str]:
    """Return the members that are named in the title of their machine, although not drawn."""
    shown = {m.host for m in plan.shown_machines()}
    return [name for m in plan.machines if m.host in shown for name in m.members]


def _place_machines(layout: Layout, world: World, plan: Plan) -> float:
    there = {netns.name for netns in world}
    members_of = {m.host: m.members for m in plan.machines}
    machines = [m for m in plan.shown_machines() if m.host in there]
    top = STACKED_TITLE if plan.stacked else TITLE_HEIGHT
    rects = list(_machine_rects(plan, len(machines), top))
    for machine, rect in zip(machines, rects, strict=True):
        if plan.stacked and rect is not rects[-1]:
            layout.aside[machine.host] = rect.right - CABLE_WIDTH / 2
        others = tuple(name for name in members_of[machine.host] if not plan.draws(name) and name in there)
        place_machine(layout, world, machine, rect, others)
    return rects[-1].bottom if rects else top


def _machine_rects(plan: Plan, count: int, top: float) -> Iterator[Rect]:
    """Yield the places of the machines: beside each other, or one above the other."""
    whole = plan.width - 2 * SHEET_MARGIN
    wide = (whole - MACHINE_GAP * (count - 1)) / max(1, count)
    for number in range(count):
        if plan.stacked:
            high = STACKED_HEIGHT if count > 1 and plan.drawn else MACHINE_HEIGHT  # all of it takes a longer sheet
            y = top + number * (high + PAIR_GAP / 3)
            yield Rect(SHEET_MARGIN, y, whole - number * CABLE_WIDTH, high)
        else:
            yield Rect(SHEET_MARGIN + number * (wide + MACHINE_GAP), top, wide, MACHINE_HEIGHT)


def _place_segments(layout: Layout, world: World, plan: Plan, y: float) -> float:
    """Place the bands of the segments in focus and plug the machines' NICs into them."""
    for name in plan.segments:
        segment = next((s for s in world.segments if s.name == name), None)
        plugged = [p for p in segment.ports if layout.draws((p.netns, p.link))] if segment else []
        if not segment or not (plan.draws(name) or (plugged and not plan.drawn)):
            continue
        layout.add_box(name, "segment", Rect(0, y, 0, SEGMENT_HEIGHT))
        layout.add_waypoint((name, ""), y + SEGMENT_HEIGHT / 2)
        for port in plugged:
            x = layout.graph.nodes[(port.netns, port.link)]["plug_x"]
            layout.connect("plug", (port.netns, port.link), (name, ""), x)
            layout.plug_xs.setdefault(name, []).append(x)
        y += SEGMENT_STEP
    return y - SEGMENT_STEP + SEGMENT_HEIGHT


def _place_outside(layout: Layout, world: World, plan: Plan, y: float) -> float:
    there = {netns.name for netns in world}
    hosts = [name for name in plan.outside if name in there and plan.sees(name)]
    devices = {name: _shown_nics(layout, world[name], world) for name in hosts}
    places = dict(zip(hosts, _abreast(devices, plan.width), strict=True))
    hosts = list(filter(plan.draws, hosts))
    for name in hosts:
        x, wide = places[name]
        _place_host(layout, world, name, devices[name], Rect(x, y + ROW_GAP, wide, HOST_HEIGHT))
    _keep_for_callouts(
        layout, plan, hosts, Rect(SHEET_MARGIN, y + ROW_GAP - 6, plan.width - 2 * SHEET_MARGIN, HOST_HEIGHT + 18)
    )
    return y + ROW_GAP + HOST_HEIGHT + 4 if hosts else y


def _abreast(devices: Mapping[str, list[Link]], whole: float) -> list[tuple[float, float]]:
    """Return where the box of each host begins and how wide it is: their middles at equal distances.

    Where they would overlap, they stand narrow and close from the left, which leaves room for names of segments.
    """
    names = [text_width(name, 13, bold=True) + 24 for name in devices]
    wides = [max(name, 136.0 * len(own) + 8) for name, own in zip(names, devices.values(), strict=True)]
    begins = [whole * (number + 1) / (len(wides) + 1) - wide / 2 for number, wide in enumerate(wides)]
    if all(x + wide <= following for x, wide, following in zip(begins, wides, begins[1:], strict=False)):
        return list(zip(begins, wides, strict=True))
    margin, least = (22, 144.0) if whole > STACKED else (14, 0.0)
    needed = [
        len(own) * max((text_width(_nic_text(link)) + margin for link in own), default=0.0) for own in devices.values()
    ]
    wides = [max(name, wide + (8 if least else 0), least) for name, wide in zip(names, needed, strict=True)]
    gap = min(MACHINE_GAP, (whole - 2 * SHEET_MARGIN - sum(wides)) / (len(wides) - 1))
    return [(SHEET_MARGIN + gap * number + sum(wides[:number]), wide) for number, wide in enumerate(wides)]


def _nic_text(link: Link) -> str:
    return " ".join([link.name, *(str(address.ip) for address in link.addresses[:1])])


def _keep_for_callouts(layout: Layout, plan: Plan, hosts: list[str], row: Rect) -> None:
    """Remember the gaps between the hosts of the bottom row as room for callouts, the nearest first."""
    boxes = [layout.rect_of(name) for name in hosts]
    edges = [row.x, *(e for box in boxes for e in (box.x - 8, box.right + 8)), row.right]
    gaps = [Rect(a, row.y, b - a, row.h) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 100]
    for name, box in zip(hosts, boxes, strict=True):
        layout.callout_areas[name] = tuple(sorted(gaps, key=lambda gap: abs(gap.cx - box.cx)))


def _shown_nics(layout: Layout, netns: Netns, world: World) -> list[Link]:
    return [
        x
        for x in netns.links
        if x.kind.role in (DeviceRole.NIC, DeviceRole.PROGRAM) and _plugged(layout, world, netns.name, x)
    ]


def _plugged(layout: Layout, world: World, name: str, link: Link) -> bool:
    segment = _segment_of(world, name, link)
    return segment == "" or layout.draws((segment, ""))


def _segment_of(world: World, name: str, link: Link) -> str:
    """Return the segment a NIC is plugged into; that of its subnet when the cable hangs loose."""
    segment = world.segment_of(name, link.name)
    if segment:
        return segment.name
    nets = {str(address.interface.network) for address in link.addresses}
    return next((s.name for s in world.segments if _subnet(world, s.name) in nets), "")


def _place_host(layout: Layout, world: World, name: str, devices: list[Link], rect: Rect) -> None:
    """Place a machine without pods: its NICs on the upper edge, its name at the bottom."""
    layout.add_box(name, "host", rect)
    layout.add_waypoint((name, ""), rect.y + 42)
    layout.add_label((name, ""), name, rect.cx, rect.bottom - 11, size=13.0, bold=True, align="center")
    for number, link in enumerate(devices):
        x = rect.x + rect.w * (number + 0.5) / len(devices)
        text = _nic_text(link)
        wide = text_width(text) + 12
        waypoint, chip = (name, link.name), Rect(x - wide / 2, rect.y, wide, 20)
        layout.add_device(waypoint, chip, text)
        layout.connect("inside", waypoint, (name, ""), x)
        segment = _segment_of(world, name, link)
        if world.segment_of(name, link.name):
            layout.connect("plug", waypoint, (segment, ""), x)
        layout.plug_xs.setdefault(segment, []).append(x)


def _stretch_segments(layout: Layout, world: World, plan: Plan) -> None:
    """Let every band reach from its first plug to its last, and on to where its name has room."""
    for number, box in enumerate(layout.boxes):
        if box.kind != "segment":
            continue
        plug_xs = layout.plug_xs.get(box.name, [plan.width / 2])
        left, right = min(plug_xs) - 24, max(plug_xs) + 24
        label = min(_segment_labels(layout, world, box, plan, (left, right)), key=itemgetter(0))[1]
        if label.y == box.rect.cy:
            left, right = min(left, label.x - 12), max(right, label.x + text_width(label.text) + 12)
        layout.boxes[number] = replace(box, rect=Rect(left, box.rect.y, right - left, SEGMENT_HEIGHT))
        layout.labels.append((label, (box.name, "")))


def _segment_labels(
    layout: Layout, world: World, box: Box, plan: Plan, ends: tuple[float, float]
) -> Iterator[tuple[float, Label]]:
    """Yield the names a band may have, and where, each with its cost: with its subnet, in the band; on a narrow sheet
    also without, and above the band."""
    subnet, most = _subnet(world, box.name), plan.width - 2 * SHEET_MARGIN - 30
    texts = [" ".join([ellipsize(box.name, most - text_width(f" {subnet}")), subnet]), ellipsize(box.name, most)]
    heights = {box.rect.cy: 0.0, box.rect.y - 8: 500.0}
    for y, dear in list(heights.items())[: 1 + plan.stacked]:
        crossing, busy = _crossing(layout, y), ends if y == box.rect.cy else (ends[1], ends[1])
        for short, text in enumerate(texts[: 1 + plan.stacked]):
            room = text_width(text) + 24
            for x in range(int(SHEET_MARGIN), int(plan.width - SHEET_MARGIN - room), 6):
                cost = _name_cost(x, x + room, busy, crossing) + 250 * short + dear
                yield cost, Label(text, x + 12, y, colour="quiet")


def _crossing(layout: Layout, y: float) -> list[float]:
    """Return where cables cross a height."""
    heights = layout.graph.nodes
    ends = ((data["x"], sorted((heights[a]["y"], heights[b]["y"]))) for a, b, data in layout.graph.edges(data=True))
    return [x for x, (top, bottom) in ends if top <= y <= bottom]


def _name_cost(start: float, end: float, plug_xs: tuple[float, float], crossing: list[float]) -> float:
    """Return how bad a place for a band's name is: on the way of packets, under cables, far from the plugs."""
    busy = start < plug_xs[1] and end > plug_xs[0]
    far = max(0.0, plug_xs[0] - end, start - plug_xs[1])
    return 1000 * busy + 300 * sum(1 for x in crossing if start - 14 < x < end + 14) + far


def _subnet(world: World, name: str) -> str:
    """Return the subnet most ports of a segment are in."""
    segment = next(s for s in world.segments if s.name == name)
    links = [link for p in segment.ports for link in world[p.netns].links if link.name == p.link]
    nets = [str(a.interface.network) for link in links for a in link.addresses]
    return max(nets, key=nets.count) if nets else ""
