"""Put a world on the stage: machines in a row, the segments below them, everybody else in the bottom row."""

from __future__ import annotations

from collections.abc import Mapping

from mcnilib.linux.device.base import DeviceRole
from mcnilib.linux.device.link import Link
from mcnilib.linux.netns import Netns
from mcnilib.show.labels.text_metrics import shorten, width
from mcnilib.show.layout.geometry import Rect
from mcnilib.show.layout.node_layout import HEIGHT, place_machine
from mcnilib.show.layout.plan import Plan
from mcnilib.show.layout.scene import Places
from mcnilib.world.world import World

HEADER, MARGIN, BETWEEN = 48.0, 12.0, 16.0

BAND, BAND_STEP, DROP = 26.0, 38.0, 24.0
"""Height of a segment's band, distance of two bands, distance of the first from the machines and the last from the
hosts.
"""

HOST, NOTES = 90.0, 84.0
"""Height of a host in the bottom row, and of the room for notes below it where there are no machines above."""


def set_stage(world: World, plan: Plan) -> Places:
    """Place everything the plan shows; the same world and plan always give the same places."""
    places = Places(plan.width)
    bottom = _place_machines(places, world, plan)
    bottom = _place_segments(places, world, plan, bottom + DROP)
    bottom = _place_outside(places, world, plan, bottom)
    bottom += 0.0 if any(box.kind == "machine" for box in places.boxes) else NOTES
    _stretch_segments(places, world, plan)
    hidden = plan.hidden([box.name for box in places.boxes] + _named(plan))
    if hidden:
        text = shorten(f"not drawn: {', '.join(hidden)}", plan.width - 2 * MARGIN)
        places.write(("", ""), text, MARGIN, bottom + 16, colour="quiet")
        bottom += 20
    places.height = bottom + MARGIN
    return places


def _named(plan: Plan) -> list[str]:
    """Return the members that are named in the title of their machine, although not drawn."""
    shown = {m.host for m in plan.shown_machines()}
    return [name for m in plan.machines if m.host in shown for name in m.members]


def _place_machines(places: Places, world: World, plan: Plan) -> float:
    there = {netns.name for netns in world}
    machines = [m for m in plan.shown_machines() if m.host in there]
    whole = {m.host: m.members for m in plan.machines}
    wide = (plan.width - 2 * MARGIN - BETWEEN * (len(machines) - 1)) / max(1, len(machines))
    for number, machine in enumerate(machines):
        rect = Rect(MARGIN + number * (wide + BETWEEN), HEADER, wide, HEIGHT)
        others = tuple(name for name in whole[machine.host] if name not in machine.members and name in there)
        place_machine(places, world, machine, rect, others)
    return HEADER + (HEIGHT if machines else 0.0)


def _place_segments(places: Places, world: World, plan: Plan, y: float) -> float:
    """Place the bands of the segments in focus and plug the machines' NICs into them."""
    for name in plan.segments:
        segment = next((s for s in world.segments if s.name == name), None)
        plugged = [p for p in segment.ports if places.draws((p.netns, p.link))] if segment else []
        if not segment or not (plan.sees(name) or plugged):
            continue
        places.box(name, "segment", Rect(0, y, 0, BAND))
        places.level((name, ""), y + BAND / 2)
        for port in plugged:
            x = places.graph.nodes[(port.netns, port.link)]["tap"]
            places.join("plug", (port.netns, port.link), (name, ""), x)
            places.plugs.setdefault(name, []).append(x)
        y += BAND_STEP
    return y - BAND_STEP + BAND


def _place_outside(places: Places, world: World, plan: Plan, y: float) -> float:
    there = {netns.name for netns in world}
    hosts = [name for name in plan.outside if name in there and plan.sees(name)]
    nics = {name: _shown_nics(places, world[name], world) for name in hosts}
    for name, (x, wide) in zip(hosts, _abreast(nics, plan.width), strict=True):
        _place_host(places, world, name, nics[name], Rect(x, y + DROP, wide, HOST))
    _keep_free(places, plan, hosts, Rect(MARGIN, y + DROP - 6, plan.width - 2 * MARGIN, HOST + 18))
    return y + DROP + HOST + 4 if hosts else y


def _abreast(nics: Mapping[str, list[Link]], whole: float) -> list[tuple[float, float]]:
    """Return where the box of each host begins and how wide it is: their middles at equal distances.

    Where they would overlap, they stand narrow and close from the left, which leaves room for names of segments.
    """
    wides = [max(width(name, 13, bold=True) + 24, 136.0 * len(own) + 8) for name, own in nics.items()]
    begins = [whole * (number + 1) / (len(wides) + 1) - wide / 2 for number, wide in enumerate(wides)]
    if all(x + wide <= following for x, wide, following in zip(begins, wides, begins[1:], strict=False)):
        return list(zip(begins, wides, strict=True))
    chips = [max((width(_nic_text(link)) + 22 for link in own), default=0.0) * len(own) for own in nics.values()]
    wides = [max(width(name, 13, bold=True) + 24, wide + 8, 144.0) for name, wide in zip(nics, chips, strict=True)]
    gap = min(BETWEEN, (whole - 2 * MARGIN - sum(wides)) / (len(wides) - 1))
    return [(MARGIN + gap * number + sum(wides[:number]), wide) for number, wide in enumerate(wides)]


def _nic_text(link: Link) -> str:
    return " ".join([link.name, *(str(address.ip) for address in link.addresses[:1])])


def _keep_free(places: Places, plan: Plan, hosts: list[str], row: Rect) -> None:
    """Remember the gaps between the hosts of the bottom row as room for notes, the nearest first."""
    boxes = [places.rect(name) for name in hosts]
    edges = [row.x, *(e for box in boxes for e in (box.x - 8, box.right + 8)), row.right]
    gaps = [Rect(a, row.y, b - a, row.h) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 100]
    for name, box in zip(hosts, boxes, strict=True):
        places.free[name] = tuple(sorted(gaps, key=lambda gap: abs(gap.cx - box.cx)))


def _shown_nics(places: Places, netns: Netns, world: World) -> list[Link]:
    return [x for x in netns.links if x.kind.role is DeviceRole.NIC and _plugged(places, world, netns.name, x)]


def _plugged(places: Places, world: World, name: str, link: Link) -> bool:
    home = _home(world, name, link)
    return home == "" or places.draws((home, ""))


def _home(world: World, name: str, link: Link) -> str:
    """Return the segment a NIC is plugged into; that of its subnet when the cable hangs loose."""
    segment = world.segment_of(name, link.name)
    if segment:
        return segment.name
    nets = {str(address.interface.network) for address in link.addresses}
    return next((s.name for s in world.segments if _subnet(world, s.name) in nets), "")


def _place_host(places: Places, world: World, name: str, nics: list[Link], rect: Rect) -> None:
    """Place a machine without pods: its NICs on the upper edge, its name at the bottom."""
    places.box(name, "host", rect)
    places.level((name, ""), rect.y + 42)
    places.write((name, ""), name, rect.cx, rect.bottom - 11, size=13.0, bold=True, align="center")
    for number, link in enumerate(nics):
        x = rect.x + rect.w * (number + 0.5) / len(nics)
        text = _nic_text(link)
        wide = width(text) + 12
        station, chip = (name, link.name), Rect(x - wide / 2, rect.y, wide, 20)
        places.nic(station, chip, text)
        places.join("inside", station, (name, ""), x)
        home = _home(world, name, link)
        if world.segment_of(name, link.name):
            places.join("plug", station, (home, ""), x)
        places.plugs.setdefault(home, []).append(x)


def _stretch_segments(places: Places, world: World, plan: Plan) -> None:
    """Let every band reach from its first plug to its last, and on to where its name has room."""
    for number, box in enumerate(places.boxes):
        if box.kind != "segment":
            continue
        plugs = places.plugs.get(box.name, [plan.width / 2])
        subnet, most = _subnet(world, box.name), plan.width - 2 * MARGIN - 30
        text = " ".join([shorten(box.name, most - width(f" {subnet}")), subnet])
        room, left, right = width(text) + 24, min(plugs) - 24, max(plugs) + 24
        crossing = _crossing(places, box.rect.cy)
        spots = range(int(MARGIN), int(plan.width - MARGIN - room), 6)
        x = min(spots, key=lambda x: _trouble(x, x + room, (left, right), crossing))
        rect = Rect(min(left, x), box.rect.y, max(right, x + room) - min(left, x), BAND)
        places.boxes[number] = type(box)(box.name, box.kind, rect)
        places.write((box.name, ""), text, x + 12, rect.cy, colour="quiet")


def _crossing(places: Places, y: float) -> list[float]:
    """Return where cables cross a height."""
    heights = places.graph.nodes
    ends = ((data["x"], sorted((heights[a]["y"], heights[b]["y"]))) for a, b, data in places.graph.edges(data=True))
    return [x for x, (top, bottom) in ends if top <= y <= bottom]


def _trouble(start: float, end: float, plugs: tuple[float, float], crossing: list[float]) -> float:
    """Return how bad a place for a band's name is: on the way of packets, under cables, far from the plugs."""
    busy = start < plugs[1] and end > plugs[0]
    far = max(0.0, plugs[0] - end, start - plugs[1])
    return 1000 * busy + 300 * sum(1 for x in crossing if start - 14 < x < end + 14) + far


def _subnet(world: World, name: str) -> str:
    """Return the subnet most ports of a segment are in."""
    segment = next(s for s in world.segments if s.name == name)
    links = [link for p in segment.ports for link in world[p.netns].links if link.name == p.link]
    nets = [str(a.interface.network) for link in links for a in link.addresses]
    return max(nets, key=nets.count) if nets else ""
