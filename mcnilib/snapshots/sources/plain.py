"""What `ip` leaves out when it is asked shortly, as people paste it: kinds of devices without `-d`, the table local.

A kind is taken only where the rest shows it: two devices that name each other's index are a pair, and a device that
others have as their master, without the flag MASTER, is a bridge. All others stay unknown. The routes of table local
follow from the addresses. Where rules ask other tables, which `ip route` did not print, it counts as not collected.
What was taken is said with the verdict. Source: print_linkinfo() in ip/ipaddress.c, iproute_list_flush_or_save() in
ip/iproute.c (iproute2 6.1); vlan, macvlan and ipvlan have their lower device behind the @, which does not name them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from mcnilib.errors import McniError
from mcnilib.linux.device.link import parse_links
from mcnilib.linux.routing.fib import derived_routes
from mcnilib.linux.routing.route import print_routes
from mcnilib.linux.unmodelled import Unseen
from mcnilib.snapshots.files import Place

_HEAD = re.compile(r"(\d{1,10}): ([^\s@:]+)(?:@([^\s:]+))?: <([^>]*)>.*?(?: master (\S+))?(?: state .*)?$", re.ASCII)
_USUAL = re.compile(r"\s+(?:link/|inet6? |valid_lft |altname |alias |permaddr )")
"""The lines of a device that `ip` prints without `-d` too."""

_ADDRESSES = "ip-address.txt"
_OWN_TABLES = ("local", "main", "default")
_OTHER_MASTER = "not-named"
"""Stands for the kind of a master that is a bond, a VRF, a team or a switch of Open vSwitch: nothing tells which."""

Shortened = dict[str, list[Unseen]]
"""What was left out in which namespace."""


class _Device(NamedTuple):
    """The first line of a device, and where its lines end."""

    number: str
    name: str
    other: str
    flags: list[str]
    master: str
    end: int


def completed(files: Mapping[str, str], places: Iterable[Place]) -> tuple[Mapping[str, str], Shortened]:
    """Return the files with what follows from the others, and what was left out where."""
    every = list(places)
    kinds = _with_kinds(files, every)
    routes, left_out = _with_local(files, every)
    shortened: Shortened = {name.partition("/")[0]: [Unseen.KINDS] for name in kinds}
    for name in routes:
        shortened.setdefault(name.partition("/")[0], []).append(Unseen.ROUTES)
    if not (kinds or routes or left_out):
        return files, {}
    kept = {name: text for name, text in files.items() if name not in left_out}
    return kept | kinds | routes, shortened


def _with_kinds(files: Mapping[str, str], places: list[Place]) -> dict[str, str]:
    """Return the listings of devices that name no kind, with those that the rest shows."""
    texts = {place.name: files.get(f"{place.name}/{_ADDRESSES}", "") for place in places}
    plain = [place for place in places if _is_plain(texts[place.name])]
    if not plain:
        return {}
    machines: dict[str, dict[str, list[_Device]]] = {}
    for place in places:
        machines.setdefault(place.node, {})[place.name] = _devices(texts[place.name])
    new = {}
    for place in plain:
        machine = machines[place.node]
        shown = {device.end: kind for device in machine[place.name] if (kind := _kind(device, place.name, machine))}
        if shown:
            new[f"{place.name}/{_ADDRESSES}"] = "".join(_lines(texts[place.name].splitlines(), shown))
    return new


def _is_plain(text: str) -> bool:
    """Tell whether a listing has devices whose kind matters, and names none."""
    matters = "@" in text or " master " in text
    return matters and all(_HEAD.match(line) or _USUAL.match(line) or not line.strip() for line in text.splitlines())


def _devices(text: str) -> list[_Device]:
    lines = text.splitlines()
    heads = [(number, match) for number, line in enumerate(lines) if (match := _HEAD.match(line))]
    return [
        _Device(match[1], match[2], match[3] or "", match[4].split(","), match[5] or "", number + 1)
        for number, match in heads
    ]


def _kind(device: _Device, netns: str, machine: Mapping[str, list[_Device]]) -> str:
    """Return the kind of a device, where the others of its machine show it."""
    here = machine[netns]
    if device.other.startswith("if"):
        back = f"if{device.number}"
        others = (peer for name, devices in machine.items() if name != netns for peer in devices)
        return "veth" if any(p.number == device.other[2:] and p.other == back for p in others) else ""
    if device.other:
        return "veth" if any(p.name == device.other and p.other == device.name for p in here) else ""
    if not any(peer.master == device.name for peer in here):
        return ""
    return _OTHER_MASTER if "MASTER" in device.flags or device.name.startswith("ovs-") else "bridge"


def _lines(lines: list[str], shown: Mapping[int, str]) -> Iterator[str]:
    """Yield the lines, with those that name a kind behind the one of the link layer."""
    for number, line in enumerate(lines):
        yield f"{line}\n"
        if kind := shown.get(number):
            yield f"    {kind} \n"


def _with_local(files: Mapping[str, str], places: list[Place]) -> tuple[dict[str, str], set[str]]:
    """Return lists of routes without the table local, with what follows from the addresses; and those that are none."""
    new: dict[str, str] = {}
    without: set[str] = set()
    for place in places:
        path = f"{place.name}/ip-route.txt"
        text = files.get(path, "")
        if not text.strip() or re.search(r"^local | table ", text, re.MULTILINE):
            continue
        tables = re.findall(r" lookup (\S+)", files.get(f"{place.name}/ip-rule.txt", ""))
        if set(tables) - {*_OWN_TABLES}:
            without.add(path)
        elif local := _local(files.get(f"{place.name}/{_ADDRESSES}", ""), place.name):
            new[path] = text.rstrip("\n") + "\n" + local
    return new, without


def _local(text: str, netns: str) -> str:
    """Return the routes of table local that follow from a listing of devices; none where it cannot be read."""
    try:
        links = parse_links(text, netns=netns, partial=True)
    except McniError:
        return ""
    routes = (route for link in links for address in link.addresses for route in derived_routes(link, address))
    return print_routes(tuple(route for route in routes if route.table == "local"))
