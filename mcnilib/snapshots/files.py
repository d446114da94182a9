"""A world as files: a folder per network namespace with the plain output of the tools, and `world.json` for the cables.

The folder of a real machine is made with the commands of `FILES`, run in each of its namespaces
(`ip netns exec NAME ip -d address show > NAME/ip-address.txt` and so on).
Who wrote a line is not part of the state and is not saved. docs/snapshot.md describes the format.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from mcnilib.errors import StateSyntaxError, Unsupported
from mcnilib.linux.device.fdb import print_fdb, with_fdb
from mcnilib.linux.device.link import parse_links, print_links
from mcnilib.linux.netfilter.ipset import parse_sets, print_sets
from mcnilib.linux.netfilter.iptables.save import parse_tables, print_tables
from mcnilib.linux.netns import Family, Netns
from mcnilib.linux.routing.neigh import parse_neighbours, print_neighbours
from mcnilib.linux.routing.route import parse_routes, print_routes
from mcnilib.linux.routing.rule import parse_rules
from mcnilib.linux.sysctl import parse_settings
from mcnilib.world.json_form import read_json
from mcnilib.world.world import Port, Segment, World

FILES = {
    "ip-address.txt": "ip -d address show",
    "bridge-fdb.txt": "bridge fdb show",
    "ip-rule.txt": "ip rule",
    "ip-route.txt": "ip -4 route show table all",
    "ip-neigh.txt": "ip -4 neigh show nud all; ip -4 neigh show proxy",
    "sysctl.txt": "sysctl -a",
    "iptables.txt": "iptables-save",
    "ipset.txt": "ipset save",
}
"""Files of a namespace and the command whose output each holds."""

OPTIONAL = {"ss.txt": "ss -tuan", "conntrack.txt": "conntrack -L", "ip-netns.txt": "ip netns list-id"}
"""Files a namespace may have besides: who listens, the connections there are, names of the namespaces links lead to."""

OTHERS = {
    "iptables-legacy.txt": "iptables-legacy-save",
    "arptables-legacy.txt": "arptables-legacy-save",
    "ebtables-legacy.txt": "grep ^ebtable_ /proc/modules",
    "nft.txt": "nft list tables",
    "nft.json": "nft -j list ruleset",
    "tc.txt": "tc qdisc show",
    "tc-filter.txt": "tc filter show dev DEVICE, the device in front of each line",
    "bpf.txt": "readlink /proc/self/ns/net; bpftool net; bpftool link",
    "uname.txt": "uname -r",
    "xfrm.txt": "ip xfrm policy count",
}
"""Files that say whether something not modelled is at work: rules of another kind, filters of devices."""


def save(world: World) -> dict[str, str]:
    """Return the files of a world: relative name -> text. Of the sysctls only what was written is kept."""
    files = {WORLD: _print_world(world)}
    for netns in world:
        texts = (
            print_links(netns.links, netns.name),
            print_fdb(netns.links),
            "".join(f"{rule}\n" for rule in netns.ip4.rules),
            print_routes(netns.ip4.routes),
            print_neighbours(netns.ip4.neighbours),
            "".join(f"{line}\n" for line in netns.sysctls if line.value),
            print_tables(netns.ip4.tables),
            print_sets(netns.sets),
        )
        files |= {f"{folder_name(netns.name)}/{name}": text for name, text in zip(FILES, texts, strict=True)}
    return files


def _print_world(world: World) -> str:
    return print_world([Place(netns.name) for netns in world], world.segments, world.complete)


def load(files: Mapping[str, str]) -> World:
    """Return the world that `save` described; file names in errors are those of the mapping.

    Raises: StateSyntaxError for text the tools do not print, Unsupported for what is not modelled.
    """
    namespaces, segments, complete = parse_world(files.get(WORLD, ""))
    return World(tuple(_load_netns(one.name, files) for one in namespaces), segments, complete)


def _load_netns(name: str, files: Mapping[str, str]) -> Netns:
    def read(file: str, parse: Callable[..., Any]) -> Any:
        path = f"{name}/{file}"
        return parse(files.get(path, ""), source=path)

    links = read("ip-address.txt", lambda text, source: parse_links(text, source, name))
    links = read("bridge-fdb.txt", lambda text, source: with_fdb(links, text, source))
    ip4 = Family(
        rules=read("ip-rule.txt", parse_rules),
        routes=read("ip-route.txt", lambda text, source: parse_routes(text, "all", source=source)),
        neighbours=read("ip-neigh.txt", parse_neighbours),
        tables=read("iptables.txt", parse_tables),
    )
    return Netns(name, links, ip4, read("ipset.txt", parse_sets), read("sysctl.txt", parse_settings))


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
        raise ValueError(f"{netns!r} cannot be the name of a network namespace or machine (ip-netns(8))")
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
    found = {
        "format": FORMAT,
        "complete": complete,
        "namespaces": [_place_json(place) for place in places],
        "segments": [_segment_json(one) for one in segments],
    }
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _place_json(place: Place) -> object:
    ids = {str(number): name for number, name in place.ids.items()}
    known = {"node": place.node, "called": place.called, "ids": ids, "collected": place.collected}
    more = {key: value for key, value in known.items() if value}
    return {"name": place.name, **more} if more else place.name


def _segment_json(one: Segment) -> object:
    ports = [f"{port.netns}/{port.link}" for port in one.ports]
    return {"name": one.name, "reflects": one.reflects, "uplink": one.uplink, "ports": ports}


def parse_world(text: str) -> Parts:
    """Read the file. Raises: StateSyntaxError, Unsupported for another version of the format."""
    found = read_json(text, WORLD)
    try:
        _check_format(found)
        complete = found.get("complete", True) is True
        places = [_place(one) for one in found["namespaces"]]
        segments = tuple(_segment(one, complete) for one in found["segments"])
        _check_twice("namespace", [place.name for place in places])
        _check_twice("segment", [one.name for one in segments])
        return places, segments, complete
    except (LookupError, TypeError, ValueError, AttributeError) as problem:
        what = f"not `namespaces` and `segments` as expected: {problem}"
        first = text.partition("\n")[0][:200]
        raise StateSyntaxError(what, source=WORLD, line=1, column=1, text=first) from None


def _check_format(found: object) -> None:
    version = found.get("format", FORMAT) if isinstance(found, dict) else FORMAT
    if version != FORMAT:
        raise Unsupported(f"{WORLD}: format {version!r}; this version reads format {FORMAT}")


def _check_twice(what: str, names: list[str]) -> None:
    if len(set(names)) < len(names):
        twice = next(name for name, number in Counter(names).items() if number > 1)
        raise ValueError(f"the {what} {twice!r} is named twice")


def _place(found: Any) -> Place:
    if not isinstance(found, dict):
        return Place(folder_name(_text(found)))
    ids = {int(number): folder_name(_text(name)) for number, name in found.get("ids", {}).items()}
    node, called = _text(found.get("node", "")), _text(found.get("called", ""))
    if node:
        folder_name(node)  # a namespace whose name is taken gets it in front of its own
    return Place(folder_name(_text(found["name"])), node, called, ids, found.get("collected", False) is True)


def _segment(part: Mapping[str, Any], complete: bool) -> Segment:
    ports = tuple(_port(_text(port)) for port in part["ports"])
    uplink = part.get("uplink", not complete) is True
    return Segment(folder_name(_text(part["name"])), ports, part.get("reflects", False) is True, uplink)


def _port(text: str) -> Port:
    netns, slash, link = text.partition("/")
    if not slash or not link.isprintable():
        raise ValueError(f"{text!r} is not NAMESPACE/DEVICE")
    return Port(netns, link)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
