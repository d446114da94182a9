"""A world as files: a folder per network namespace with the plain output of the tools, and `world.json` for the cables.

The folder of a real machine is made with the commands of `FILES`, run in each of its namespaces
(`ip netns exec NAME ip -d address show > NAME/ip-address.txt` and so on).
Who wrote a line is not part of the state and is not saved. docs/snapshot.md describes the format.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from mcnilib.errors import StateSyntaxError, Unsupported
from mcnilib.linux.fdb import print_fdb, with_fdb
from mcnilib.linux.ipset import parse_sets, print_sets
from mcnilib.linux.iptables_save import parse_tables, print_tables
from mcnilib.linux.link import print_links
from mcnilib.linux.link_parse import parse_links
from mcnilib.linux.neigh import parse_neighbours
from mcnilib.linux.netns import Netns
from mcnilib.linux.route import parse_routes, parse_rules, print_routes
from mcnilib.linux.sysctl import parse_settings
from mcnilib.linux.world import Port, Segment, World

WORLD = "world.json"
FORMAT = 1
"""Version of the format; it counts up when a file changes its meaning."""

FILES = {
    "ip-address.txt": "ip -d address show",
    "bridge-fdb.txt": "bridge fdb show",
    "ip-rule.txt": "ip rule",
    "ip-route.txt": "ip -4 route show table all",
    "ip-neigh.txt": "ip -4 neigh",
    "sysctl.txt": "sysctl -a",
    "iptables.txt": "iptables-save",
    "ipset.txt": "ipset save",
}
"""Files of a namespace and the command whose output each holds."""

OPTIONAL = {"ss.txt": "ss -ltun", "conntrack.txt": "conntrack -L"}
"""Files a namespace may have besides: who listens, and the connections there are."""

NAME_LENGTH = 255
"""Longest name of a namespace: it is a file's name. Source: ip-netns(8), NAME_MAX in include/uapi/linux/limits.h."""


def save(world: World) -> dict[str, str]:
    """Return the files of a world: relative name -> text. Of the sysctls only what was written is kept."""
    files = {WORLD: _print_world(world)}
    for netns in world:
        texts = (
            print_links(netns.links, netns.name),
            print_fdb(netns.links),
            "".join(f"{rule}\n" for rule in netns.rules),
            print_routes(netns.routes),
            "".join(f"{entry}\n" for entry in netns.neighbours),
            "".join(f"{line}\n" for line in netns.sysctls),
            print_tables(netns.tables),
            print_sets(netns.sets),
        )
        files |= {f"{_folder(netns.name)}/{name}": text for name, text in zip(FILES, texts, strict=True)}
    return files


def _folder(netns: str) -> str:
    """Return the name, which is also a folder's name, if a namespace can have it."""
    printable = netns.isprintable() and len(netns.encode(errors="replace")) <= NAME_LENGTH
    if not netns or "/" in netns or netns in (".", "..") or not printable:
        raise ValueError(f"{netns!r} cannot be the name of a network namespace (ip-netns(8))")
    return netns


def _print_world(world: World) -> str:
    segments = [
        {"name": s.name, "reflects": s.reflects, "ports": [f"{port.netns}/{port.link}" for port in s.ports]}
        for s in world.segments
    ]
    found = {"format": FORMAT, "namespaces": [n.name for n in world], "segments": segments}
    return json.dumps(found, indent=2) + "\n"


def load(files: Mapping[str, str]) -> World:
    """Return the world that `save` described; file names in errors are those of the mapping.

    Raises: StateSyntaxError for text the tools do not print, Unsupported for what is not modelled.
    """
    namespaces, segments = _parse_world(files.get(WORLD, ""))
    return World(tuple(_load_netns(name, files) for name in namespaces), segments)


def names_of(text: str) -> list[str]:
    """Return the names of the namespaces a `world.json` lists. Raises: StateSyntaxError, Unsupported."""
    return _parse_world(text)[0]


def _load_netns(name: str, files: Mapping[str, str]) -> Netns:
    def read(file: str, parse: Callable[..., Any]) -> Any:
        path = f"{name}/{file}"
        return parse(files.get(path, ""), source=path)

    links = read("ip-address.txt", lambda text, source: parse_links(text, source, name))
    return Netns(
        name,
        read("bridge-fdb.txt", lambda text, source: with_fdb(links, text, source)),
        read("ip-rule.txt", parse_rules),
        read("ip-route.txt", lambda text, source: parse_routes(text, "all", source=source)),
        read("ip-neigh.txt", parse_neighbours),
        read("iptables.txt", parse_tables),
        read("ipset.txt", parse_sets),
        read("sysctl.txt", parse_settings),
    )


def _parse_world(text: str) -> tuple[list[str], tuple[Segment, ...]]:
    try:
        found = json.loads(text)
        _check_format(found)
        names = [_folder(_text(name)) for name in found["namespaces"]]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"the namespace {twice!r} is named twice")
        return names, tuple(_segment(part) for part in found["segments"])
    except json.JSONDecodeError as problem:
        where = {"line": problem.lineno, "column": problem.colno}
        line = text.splitlines()[problem.lineno - 1] if text.splitlines()[problem.lineno - 1 :] else ""
        raise StateSyntaxError(problem.msg, source=WORLD, text=line, **where) from None
    except (LookupError, TypeError, ValueError, RecursionError) as problem:
        what = f"not `namespaces` and `segments` as expected: {problem}"
        raise StateSyntaxError(what, source=WORLD, line=1, column=1, text=text.partition("\n")[0]) from None


def _check_format(found: Mapping[str, Any]) -> None:
    version = found.get("format", FORMAT) if isinstance(found, dict) else FORMAT
    if version != FORMAT:
        raise Unsupported(f"{WORLD}: format {version!r}; this version reads format {FORMAT}")


def _segment(part: Mapping[str, Any]) -> Segment:
    ports = tuple(Port(*_text(port).split("/", 1)) for port in part["ports"])
    return Segment(_text(part["name"]), ports, part["reflects"] is True)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
