"""A world as files: a folder per network namespace with the plain output of the tools, and `world.json` for the cables.

The folder of a real machine is made with the commands of `FILES`, run in each of its namespaces
(`ip netns exec NAME ip -d address show > NAME/ip-address.txt` and so on).
Who wrote a line is not part of the state and is not saved. docs/snapshot.md describes the format.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface
from itertools import count
from typing import Any

from mcnilib.errors import StateSyntaxError, Unsupported
from mcnilib.language import tr
from mcnilib.world.json_form import read_json
from mcnilib.world.listing import LISTINGS
from mcnilib.world.world import Gateway, Port, Segment, Speaker, World

FILES = {row.file: row.command for row in LISTINGS if row.print}
"""Files of a namespace and the command whose output each holds."""


def save(world: World) -> dict[str, str]:
    """Return the files of a world: relative name -> text. Of the sysctls only what was written is kept."""
    listings = {
        f"{folder_name(netns.name)}/{row.file}": row.print(netns)
        for netns in world
        for row in LISTINGS
        if row.print and row.there(netns)
    }
    return {WORLD: _print_world(world), **listings}


def _print_world(world: World) -> str:
    return print_world([Place(netns.name) for netns in world], world.segments, world.complete)


WORLD = "world.json"

FORMAT = 1
"""Version of the format; it counts up when a file changes its meaning."""

NAME_LENGTH = 255
"""Longest name of a namespace: it is a file's name. Source: ip-netns(8), NAME_MAX in include/uapi/linux/limits.h."""


@dataclass(frozen=True)
class Place:
    """A namespace of a snapshot: its name there, its machine, the name that machine's tools have for it (or none).

    `collected`: its files are all that the tools said; a line that is not there is one nobody knows.
    `ids` says which namespace (by its name in the snapshot) an id means that `ip` prints as link-netnsid.
    """

    name: str
    node: str = ""
    called: str = ""
    ids: Mapping[int, str] = field(default_factory=dict)
    collected: bool = False


Parts = tuple[list[Place], tuple[Segment, ...], bool]
"""The namespaces, the segments, and whether the world is complete."""


def folder_name(netns: str) -> str:
    """Return the name, which is also a folder's name. Raises: ValueError when no namespace can have it."""
    printable = netns.isprintable() and len(netns.encode(errors="replace")) <= NAME_LENGTH
    if not netns or "/" in netns or netns in (".", "..") or not printable:
        raise ValueError(
            tr("{netns!r} cannot be the name of a network namespace or machine (ip-netns(8))", netns=netns)
        )
    return netns


class Names:
    """Names that are taken, and which number comes next for each: each choice takes the same time."""

    def __init__(self) -> None:
        """Begin with none."""
        self._next: dict[str, int] = {}

    def choose(self, *wanted: str) -> str:
        """Take the first of the names that is free, else the first of them with a number behind it: `web.2`."""
        name = next((name for name in wanted if name not in self._next), None)
        if name is None:
            numbered = (f"{wanted[0]}.{number}" for number in count(self._next[wanted[0]]))
            name = next(name for name in numbered if name not in self._next)
            self._next[wanted[0]] = int(name.rpartition(".")[2]) + 1
        self._next[name] = 2
        return name


def print_world(places: Iterable[Place], segments: Iterable[Segment], complete: bool) -> str:
    """Print the file."""
    data = {
        "format": FORMAT,
        "complete": complete,
        "namespaces": [_place_json(place) for place in places],
        "segments": [_segment_json(segment) for segment in segments],
    }
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _place_json(place: Place) -> object:
    ids = {str(number): name for number, name in place.ids.items()}
    fields = {"node": place.node, "called": place.called, "ids": ids, "collected": place.collected}
    more = {key: value for key, value in fields.items() if value}
    return {"name": place.name, **more} if more else place.name


def _segment_json(segment: Segment) -> object:
    ports = [f"{port.netns}/{port.link}" for port in segment.ports]
    data = {"name": segment.name, "reflects": segment.reflects, "uplink": segment.uplink, "ports": ports}
    more: dict[str, object] = {"gateway": _gateway_json(segment.gateway)} if segment.gateway else {}
    if segment.speakers:
        more["speakers"] = {str(each.address): f"{each.port.netns}/{each.port.link}" for each in segment.speakers}
    return {**data, **more}


def _gateway_json(gateway: Gateway) -> object:
    address = str(gateway.address).removesuffix("/32")
    return {"address": address, "routes": list(gateway.routes)} if gateway.routes else address


def parse_world(text: str) -> Parts:
    """Read the file. Raises: StateSyntaxError, Unsupported for another version of the format."""
    data = read_json(text, WORLD)
    try:
        _check_format(data)
        complete = data.get("complete", True) is True
        places = [_place(entry) for entry in data["namespaces"]]
        segments = tuple(_segment(entry, complete) for entry in data["segments"])
        _check_twice("namespace", [place.name for place in places])
        _check_twice("segment", [segment.name for segment in segments])
        return places, segments, complete
    except (LookupError, TypeError, ValueError, AttributeError) as problem:
        what = tr("not `namespaces` and `segments` as expected: {problem}", problem=problem)
        first = text.partition("\n")[0][:200]
        raise StateSyntaxError(what, source=WORLD, line=1, column=1, text=first) from None


def _check_format(data: object) -> None:
    version = data.get("format", FORMAT) if isinstance(data, dict) else FORMAT
    if version != FORMAT:
        raise Unsupported(
            tr(
                "{world}: format {version!r}; this version reads format {format}",
                world=WORLD,
                version=version,
                format=FORMAT,
            )
        )


def _check_twice(what: str, names: list[str]) -> None:
    if len(set(names)) < len(names):
        twice = next(name for name, number in Counter(names).items() if number > 1)
        raise ValueError(tr("the {what} {twice!r} is named twice", what=what, twice=twice))


def _place(data: Any) -> Place:
    if not isinstance(data, dict):
        return Place(folder_name(_text(data)))
    ids = {int(number): folder_name(_text(name)) for number, name in data.get("ids", {}).items()}
    node, called = _text(data.get("node", "")), _text(data.get("called", ""))
    if node:
        folder_name(node)  # a namespace whose name is taken gets it in front of its own
    return Place(folder_name(_text(data["name"])), node, called, ids, data.get("collected", False) is True)


def _segment(part: Mapping[str, Any], complete: bool) -> Segment:
    ports = tuple(_port(_text(port)) for port in part["ports"])
    uplink = part.get("uplink", not complete) is True
    gateway = _gateway(part["gateway"]) if "gateway" in part else None
    told = part.get("speakers", {}).items()
    speakers = tuple(Speaker(IPv4Address(address), _port(_text(port))) for address, port in told)
    return Segment(
        folder_name(_text(part["name"])), ports, part.get("reflects", False) is True, uplink, gateway, speakers
    )


def _gateway(data: Any) -> Gateway:
    if not isinstance(data, dict):
        return Gateway(IPv4Interface(_text(data)))
    return Gateway(IPv4Interface(_text(data["address"])), tuple(map(_text, data.get("routes", ()))))


def _port(text: str) -> Port:
    netns, slash, link = text.partition("/")
    if not slash or not link.isprintable():
        raise ValueError(tr("{text!r} is not NAMESPACE/DEVICE", text=text))
    return Port(netns, link)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(tr("{value!r} is no text", value=value))
    return value
