"""What the commands of a shell in a network namespace print: the listings in which every step finds its evidence.

What exists only while a conversation runs (`conntrack -L`, `ss -ltun`) is printed by the run, not here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from mcnilib.errors import Unsupported
from mcnilib.linux.fdb import print_fdb
from mcnilib.linux.ipset import print_sets
from mcnilib.linux.iptables_save import print_table, print_tables
from mcnilib.linux.link import print_links
from mcnilib.linux.neigh import SHOWN_BY, print_neighbours
from mcnilib.linux.netns import Netns
from mcnilib.linux.route import print_routes
from mcnilib.linux.sysctl import print_settings
from mcnilib.linux.words import nearest


def _lines(items: object) -> str:
    return "".join(f"{item}\n" for item in items)  # type: ignore[attr-defined]


def _neighbours(command: str, netns: Netns) -> str:
    return print_neighbours(netns.neighbours, command)


COMMANDS: dict[str, Callable[[Netns], str]] = {
    "ip -d address": lambda netns: print_links(netns.links, netns.name),
    "bridge fdb": lambda netns: print_fdb(netns.links),
    "ip rule": lambda netns: _lines(netns.rules),
    "ip route": lambda netns: print_routes(netns.routes, "main"),
    "ip route show table all": lambda netns: print_routes(netns.routes),
    **{shown: partial(_neighbours, shown) for shown in SHOWN_BY.values()},
    "iptables-save": lambda netns: print_tables(netns.tables),
    "ipset save": lambda netns: print_sets(netns.sets),
    "sysctl -a": lambda netns: print_settings(netns.sysctls, [link.name for link in netns.links]),
}
"""The commands and how their output is made; there are also `ip route show table T` and `iptables-save -t T`."""


def listing(netns: Netns, command: str) -> str:
    """Print what a command prints in a namespace; a trailing `show` or `list` changes nothing.

    Raises: Unsupported for a command that is not modelled.
    """
    command = " ".join(command.split())
    for ending in (" show", " list"):
        command = command.removesuffix(ending)
    if command in COMMANDS:
        return COMMANDS[command](netns)
    if command.startswith("ip route show table "):
        return print_routes(netns.routes, command.rpartition(" ")[2])
    if command.startswith("iptables-save -t "):
        name = command.rpartition(" ")[2]
        return "".join(print_table(table) for table in netns.tables if table.name == name)
    raise Unsupported(f"command {command!r}; there are {', '.join(COMMANDS)}{nearest(command, COMMANDS)}")
