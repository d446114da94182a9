"""What the commands of a shell in a network namespace print: the listings in which every step finds its evidence.

A command may be spelt as its tool lets it be spelt (`ip r s t 500`). What the tool would refuse, and what it would
print in another form, is refused by name. What exists only while a conversation runs (`conntrack -L`, `ss -ltun`) is
printed by the run, not here.
Source: do_iproute(), do_iprule(), do_ipneigh(), do_ipaddr() in ip/*.c and matches() in lib/utils.c (iproute2 6.1),
iptables/xtables-save.c (iptables 1.8.9), sysctl(8), ipset(8).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from functools import partial
from getopt import GetoptError, getopt

from mcnilib.errors import McniError, Unsupported
from mcnilib.linux.device.fdb import print_fdb
from mcnilib.linux.device.link import print_links
from mcnilib.linux.netfilter.hooks import BUILT_IN
from mcnilib.linux.netfilter.ipset import print_sets
from mcnilib.linux.netfilter.iptables.edit import find_table
from mcnilib.linux.netfilter.iptables.save import print_table, print_tables
from mcnilib.linux.netns import Netns
from mcnilib.linux.routing.neigh import SHOWN_BY, print_neighbours
from mcnilib.linux.routing.route import FULL_MASK, TABLES, print_routes
from mcnilib.linux.sysctl import print_settings
from mcnilib.linux.text import nearest, shell_words


def _lines(items: object) -> str:
    return "".join(f"{item}\n" for item in items)  # type: ignore[attr-defined]


def _neighbours(command: str, netns: Netns) -> str:
    return print_neighbours(netns.ip4.neighbours, command)


def _sysctls(netns: Netns) -> str:
    return print_settings(netns.sysctls, [link.name for link in netns.links])


COMMANDS: dict[str, Callable[[Netns], str]] = {
    "ip -d address": lambda netns: print_links(netns.links, netns.name),
    "bridge fdb": lambda netns: print_fdb(netns.links),
    "ip rule": lambda netns: _lines(netns.ip4.rules),
    "ip route": lambda netns: print_routes(netns.ip4.routes, "main"),
    "ip route show table all": lambda netns: print_routes(netns.ip4.routes),
    **{shown: partial(_neighbours, shown) for shown in SHOWN_BY.values()},
    "iptables-save": lambda netns: print_tables(netns.ip4.tables),
    "ipset save": lambda netns: print_sets(netns.sets),
    "sysctl -a": _sysctls,
}
"""The commands and how their output is made; besides `ip route show table T`, `iptables-save -t T` and `sysctl KEY`."""


def _begins(word: str, least: int = 1) -> str:
    """Return the pattern of what begins a word of `ip`, which is enough of it."""
    return f"(?:{'|'.join(word[:n] for n in range(len(word), least - 1, -1))})"


_IP = r"ip(?: --?4)*"  # the model knows no other family

_SHOW = f" (?:{_begins('show')}|{_begins('list')}|{_begins('lst')})"

_ROUTE, _RULE = f"{_IP} {_begins('route')}", f"{_IP} {_begins('rule', 2)}"

_NEIGH = f"{_IP} (?:{_begins('neighbor')}|neighbour)"

SPELLINGS = {
    f"bridge {_begins('fdb')}(?:{_SHOW})?": "bridge fdb",
    f"{_RULE}(?:{_SHOW})?": "ip rule",
    f"{_ROUTE}(?:{_SHOW})?": "ip route",
    f"{_NEIGH}(?:{_SHOW}(?: nud permanent)?)?": SHOWN_BY["PERMANENT"],
    f"{_NEIGH}{_SHOW} nud noarp": SHOWN_BY["NOARP"],
    f"{_NEIGH}{_SHOW} proxy": SHOWN_BY["proxy"],
    "ipset (?:-S|(?:--)?save)": "ipset save",
    "sysctl (?:-[aAX]|--all)": "sysctl -a",
}
"""Every way to spell a command that is modelled."""

_ADDRESS = re.compile(rf"ip((?: --?{_begins('details')})*) {_begins('address')}(?:{_SHOW}(?: (?:dev )?(\S+))?)?")

_IN_TABLE = re.compile(rf"{_ROUTE}{_SHOW} {_begins('table')} (\S+)")

_KEYS = re.compile(r"sysctl ([a-z]\S*)")


def listing(netns: Netns, command: str) -> str:
    """Print what a command prints in a namespace.

    Raises: Unsupported for a command that is not modelled, McniError for one the tool would refuse.
    """
    words = shell_words(command)
    if words[:1] == ["iptables-save"]:
        return _iptables_save(netns, words[1:])
    typed = shlex.join(words)  # a quoted word with spaces in it is no two words
    for spelling, meant in SPELLINGS.items():
        if re.fullmatch(spelling, typed):
            return COMMANDS[meant](netns)
    if found := _ADDRESS.fullmatch(typed):
        return _address(netns, found[2] or "", details=bool(found[1]))
    if found := _IN_TABLE.fullmatch(typed):
        return print_routes(netns.ip4.routes, _table(netns, found[1]))
    if found := _KEYS.fullmatch(typed):
        return _sysctl(netns, found[1])
    raise Unsupported(f"command {typed!r} is not modelled; there are {', '.join(COMMANDS)}{nearest(typed, COMMANDS)}")


def _address(netns: Netns, dev: str, *, details: bool) -> str:
    """Print devices, or one of them, with their addresses; the kind of a device is one of the details."""
    blocks = re.split(r"^(?=\d)", print_links(netns.links, netns.name), flags=re.MULTILINE)[1:]
    names = [netns.link(dev).name] if dev else [link.name for link in netns.links]
    shown = "".join(block for block, link in zip(blocks, netns.links, strict=True) if link.name in names)
    return shown if details else re.sub(r"^    (?!link/|inet|   ).*\n| +$", "", shown, flags=re.MULTILINE)


def _table(netns: Netns, name: str) -> str:
    """Return a routing table as routes name it; the kernel has made those that have routes, and main.

    Raises: McniError for a table that is not there. Source: inet_dump_fib() in net/ipv4/fib_frontend.c.
    """
    there = list(dict.fromkeys(["main", *(route.table for route in netns.ip4.routes)]))
    numbers = {str(number): name for name, number in TABLES.items()} | {"0": "all", "unspec": "all"}
    if re.fullmatch("0x[0-9a-fA-F]{1,8}|[1-9][0-9]{0,9}", name) and int(name, 0) <= FULL_MASK:
        name = str(int(name, 0))
    name = numbers.get(name, name)
    if name not in (*there, "all"):
        raise McniError(f"{netns.name} has no routing table {name!r}; it has {', '.join(there)}{nearest(name, there)}")
    return name


def _iptables_save(netns: Netns, words: Sequence[str]) -> str:
    try:
        options, left = getopt(list(words), "t:", ["table="])
    except GetoptError as problem:
        raise Unsupported(f"iptables-save: {problem.msg}; -t TABLE is modelled") from None
    if left:
        raise McniError(f"iptables-save: unknown argument {left[0]!r}; it takes -t TABLE{nearest(left[0], BUILT_IN)}")
    if not options:
        return print_tables(netns.ip4.tables)
    name = options[-1][1]
    if name not in BUILT_IN:
        raise McniError(
            f"iptables-save: table {name!r} does not exist; there are {', '.join(BUILT_IN)}{nearest(name, BUILT_IN)}"
        )
    return print_table(find_table(netns.ip4.tables, name))


def _sysctl(netns: Netns, key: str) -> str:
    """Print the line of one key."""
    lines = {line.partition(" = ")[0]: line for line in _sysctls(netns).splitlines()}
    if key not in lines:
        raise Unsupported(f"sysctl {key!r} is not modelled{nearest(key, lines)}")
    return f"{lines[key]}\n"
