"""A world as files: a folder per network namespace with the plain output of the tools, and `world.json` for the cables.

The folder of a real machine is made with the commands of `FILES`, run in each of its namespaces
(`ip netns exec NAME ip -d address show > NAME/ip-address.txt` and so on).
Who wrote a line is not part of the state and is not saved. docs/snapshot.md describes the format.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mcnilib.linux.device.fdb import print_fdb, with_fdb
from mcnilib.linux.device.link import print_links
from mcnilib.linux.device.link_parse import parse_links
from mcnilib.linux.netfilter.ipset import parse_sets, print_sets
from mcnilib.linux.netfilter.iptables.save import parse_tables, print_tables
from mcnilib.linux.netns import Netns
from mcnilib.linux.routing.neigh import parse_neighbours, print_neighbours
from mcnilib.linux.routing.route import parse_routes, print_routes
from mcnilib.linux.routing.rule import parse_rules
from mcnilib.linux.sysctl import parse_settings
from mcnilib.linux.world_file import WORLD, Place, folder_name, parse_world, print_world
from mcnilib.world.world import World

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
            "".join(f"{rule}\n" for rule in netns.rules),
            print_routes(netns.routes),
            print_neighbours(netns.neighbours),
            "".join(f"{line}\n" for line in netns.sysctls if line.value),
            print_tables(netns.tables),
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
