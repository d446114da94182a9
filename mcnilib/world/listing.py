"""The listings: which command prints which part of a namespace, and what a line of it looks like in files and shells.

A listing is one row of `LISTINGS`: from it derive the files of a snapshot and how they are read, the commands of a
shell, the command named beside a step's evidence, what the lab reads back, and what `snapshots/collect.sh` collects.
A command may be spelt as its tool lets it be spelt (`ip r s t 500`). What the tool would refuse, and what it would
print in another form, is refused by name. What exists only while a conversation runs (`conntrack -L`, `ss -ltun`) is
printed by the run, not here.
Source: do_iproute(), do_iprule(), do_ipneigh(), do_ipaddr() in ip/*.c and matches() in lib/utils.c (iproute2 6.1),
iptables/xtables-save.c (iptables 1.8.9), sysctl(8), ipset(8).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from mcnilib.errors import McniError, Unsupported
from mcnilib.language import listed, tr
from mcnilib.linux.device.bridge_vlan import print_vlans, with_vlans
from mcnilib.linux.device.fdb import print_fdb, with_fdb
from mcnilib.linux.device.l3.wg_show import print_peers, with_peers
from mcnilib.linux.device.link import parse_links, print_links
from mcnilib.linux.netfilter.hooks import LEGACY
from mcnilib.linux.netfilter.ipset import parse_sets, print_sets
from mcnilib.linux.netfilter.iptables.save import parse_tables, print_tables
from mcnilib.linux.netfilter.ipvs.service import RealServer, VirtualServer, parse_services, print_services
from mcnilib.linux.netfilter.nftables.rule import print_ruleset
from mcnilib.linux.netfilter.nftables.text.ruleset import read_ruleset
from mcnilib.linux.netns import Netns
from mcnilib.linux.routing.fib import with_doubt
from mcnilib.linux.routing.neigh import SHOWN_BY, Neigh, parse_learned, parse_neighbours, print_neighbours
from mcnilib.linux.routing.route import FULL_MASK, Route, parse_routes, print_routes
from mcnilib.linux.routing.route import TABLES as NAMED_TABLES
from mcnilib.linux.routing.rule import Rule, parse_rules
from mcnilib.linux.sysctl import Setting, parse_settings, print_settings, with_missing
from mcnilib.linux.text import nearest, shell_words
from mcnilib.linux.unmodelled import Unseen
from mcnilib.world.iptables_command import iptables_save
from mcnilib.world.json_form import JsonObject, fdb_lines, link_lines, neigh_lines, route_lines, rule_lines, vlan_lines


class Reading(NamedTuple):
    """How a listing is read.

    `partial`: what is not modelled is kept, and ends the way of a packet that meets it; otherwise it is refused.
    `running`: the machine goes on after this was printed, so that counters and limits stand nobody knows where.
    `whole`: the files are all that the tools said; a line that is not there is one nobody knows.
    """

    partial: bool = False
    running: bool = False
    whole: bool = False


class ShellCommand(NamedTuple):
    """A command of a shell that prints a listing, or a part of it: every way to spell it, and what that part is."""

    command: str
    spelling: str = ""  # a pattern; empty where the options of the command are read
    print: Callable[[Netns], str] | None = None


Parse = Callable[[Netns, str, str, Reading], Netns]
"""Reads a text into the namespace as far as it is known; the third is the name of the file, for errors."""


@dataclass(frozen=True)
class ListingRow:
    """What one command prints about a namespace, and all that follows from it.

    `print` is there for what is state of a namespace; `parse` puts what the text says into the namespace. Where
    `needed`, a namespace is not known without the file, or what cannot be read in it; when `rules`, only its netfilter
    rules are not. `json` turns an object of the tool's `-j` into lines of the text form. `line` is the type of the
    lines that are evidence, `evidence` the command that shows one of them. `script` is the command in `collect.sh`,
    where it is another one. Only where `there` is a file of it written.
    """

    file: str  # in a snapshot
    command: str  # whose output it holds
    print: Callable[[Netns], str] | None = None
    parse: Parse = lambda netns, text, source, how: netns
    needed: Callable[[Netns], bool] = lambda netns: False
    rules: bool = False
    json: Callable[[JsonObject], Iterable[str]] | None = None
    shown: tuple[ShellCommand, ...] = ()
    read_back: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # its name in the lab -> what is run there
    line: type | tuple[type, ...] = ()
    evidence: Callable[[Any], str] = str
    unseen: Unseen | None = None  # what may be there though nobody looked, without this file
    script: str = ""
    there: Callable[[Netns], bool] = lambda netns: True

    @property
    def stem(self) -> str:
        """The first part of the file's name: behind it stands .txt, or .json for the tool's JSON form."""
        return self.file.removesuffix(".txt")

    @property
    def files(self) -> tuple[str, ...]:
        """The names the file may have."""
        return (self.file, f"{self.stem}.json") if self.json else (self.file,)


def _always(netns: Netns) -> bool:
    return True


def _has_tunnels(netns: Netns) -> bool:
    return any(link.kind.has_far_ends for link in netns.links)


def _links(netns: Netns, text: str, source: str, how: Reading) -> Netns:
    return netns.but(links=parse_links(text, source, netns.name, partial=how.partial))


def _fdb(netns: Netns, text: str, source: str, how: Reading) -> Netns:
    return netns.but(links=with_fdb(netns.links, text, source))


def _peers(netns: Netns, text: str, source: str, how: Reading) -> Netns:
    return netns.but(links=with_peers(netns.links, text, source))


def _vlans(netns: Netns, text: str, source: str, how: Reading) -> Netns:
    return netns.but(links=with_vlans(netns.links, text, source))


def _rules(netns: Netns, text: str, source: str, how: Reading) -> Netns:
    return netns.with_ip4(rules=parse_rules(text, source=source, partial=how.partial))


def _routes(netns: Netns, text: str, source: str, how: Reading) -> Netns:
    return netns.with_ip4(routes=parse_routes(text, "all", source=source, partial=how.partial))


def _neighbours(netns: Netns, text: str, source: str, how: Reading) -> Netns:
    written, learned = parse_neighbours(text, source=source), parse_learned(text, source=source)
    return netns.with_ip4(routes=with_doubt(netns.ip4.routes, text), neighbours=written, learned=learned)


def _tables(netns: Netns, text: str, source: str, how: Reading) -> Netns:
    return netns.with_ip4(tables=parse_tables(text, source, partial=how.partial, running=how.running))


def _sets(netns: Netns, text: str, source: str, how: Reading) -> Netns:
    return netns.but(sets=parse_sets(text, source))


def _sysctls(netns: Netns, text: str, source: str, how: Reading) -> Netns:
    written = parse_settings(text, source=source)
    names = (link.name for link in netns.links)
    return netns.but(sysctls=with_missing(written, names, source) if how.whole else written)


def _print_lines(lines: Iterable[object]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _print_sysctls(netns: Netns) -> str:
    return print_settings(netns.sysctls, [link.name for link in netns.links])


def _print_neighbours(command: str, netns: Netns) -> str:
    return print_neighbours(netns.ip4.neighbours, command)


def _neighbour_command(state: str, spelling: str) -> ShellCommand:
    return ShellCommand(SHOWN_BY[state], spelling, partial(_print_neighbours, SHOWN_BY[state]))


def _begins(word: str, least: int = 1) -> str:
    """Return the pattern of what begins a word of `ip`, which is enough of it."""
    return f"(?:{'|'.join(word[:n] for n in range(len(word), least - 1, -1))})"


_IP = r"ip(?: --?4)*"  # the model knows no other family

_SHOW = f" (?:{_begins('show')}|{_begins('list')}|{_begins('lst')})"

_ROUTE, _RULE = f"{_IP} {_begins('route')}", f"{_IP} {_begins('rule', 2)}"

_NEIGH = f"{_IP} (?:{_begins('neighbor')}|neighbour)"

_WITH_IPVS = "[ ! -e /proc/net/ip_vs ]||ipvsadm -Sn"  # which loads the module where it is not there

LISTINGS = (
    ListingRow(
        "ip-address.txt",
        "ip -d address show",
        lambda netns: print_links(netns.links, netns.name),
        _links,
        _always,
        json=link_lines,
        shown=(ShellCommand("ip -d address"),),
        read_back={"ip -d address": ("ip", "-d", "address")},
        script="ip -d -j -p address show",
    ),
    ListingRow(
        "bridge-fdb.txt",
        "bridge fdb show",
        lambda netns: print_fdb(netns.links),
        _fdb,
        _has_tunnels,
        json=fdb_lines,
        shown=(ShellCommand("bridge fdb", f"bridge {_begins('fdb')}(?:{_SHOW})?"),),
        read_back={"bridge fdb show": ("bridge", "fdb", "show")},
    ),
    ListingRow(
        "bridge-vlan.txt",
        "bridge vlan show",
        lambda netns: print_vlans(netns.links),
        _vlans,
        json=vlan_lines,
        read_back={"bridge vlan show": ("bridge", "vlan", "show")},
        there=lambda netns: any(link.kind.filters_vlans for link in netns.links),
    ),
    ListingRow(
        "wg.txt",
        "wg show all allowed-ips; wg show all endpoints; wg show all listen-port; wg show all fwmark",
        lambda netns: print_peers(netns.links),
        _peers,
        script="""sh -c 'for part in allowed-ips endpoints listen-port fwmark; do wg show all "$part"; done'""",
    ),
    ListingRow(
        "ip-rule.txt",
        "ip rule",
        lambda netns: _print_lines(netns.ip4.rules),
        _rules,
        _always,
        json=rule_lines,
        shown=(ShellCommand("ip rule", f"{_RULE}(?:{_SHOW})?"),),
        read_back={"ip rule": ("ip", "rule")},
        line=Rule,
        evidence=lambda rule: "ip rule",
        script="ip -4 rule show",
    ),
    ListingRow(
        "ip-route.txt",
        "ip -4 route show table all",
        lambda netns: print_routes(netns.ip4.routes),
        _routes,
        _always,
        json=route_lines,
        shown=(
            ShellCommand("ip route", f"{_ROUTE}(?:{_SHOW})?", lambda netns: print_routes(netns.ip4.routes, "main")),
            ShellCommand("ip route show table all"),
        ),
        read_back={"ip route show table all": ("ip", "-4", "route", "show", "table", "all")},
        line=Route,
        evidence=lambda route: f"ip route show table {route.table}",
    ),
    ListingRow(
        "ip-neigh.txt",
        "ip -4 neigh show nud all; ip -4 neigh show proxy",
        lambda netns: print_neighbours(netns.ip4.neighbours),
        _neighbours,
        _always,
        json=neigh_lines,
        shown=(
            _neighbour_command("PERMANENT", f"{_NEIGH}(?:{_SHOW}(?: nud permanent)?)?"),
            _neighbour_command("NOARP", f"{_NEIGH}{_SHOW} nud noarp"),
            _neighbour_command("proxy", f"{_NEIGH}{_SHOW} proxy"),
        ),
        read_back={
            "ip neigh": ("ip", "-4", "neigh", "show", "nud", "permanent", "nud", "noarp"),
            "ip neigh show proxy": ("ip", "-4", "neigh", "show", "proxy"),
        },
        line=Neigh,
        evidence=lambda neigh: SHOWN_BY[neigh.state],
        script="sh -c 'ip -4 neigh show nud all; ip -4 neigh show proxy'",
    ),
    ListingRow(
        "iptables.txt",
        "iptables-save",
        lambda netns: print_tables(netns.ip4.tables),
        _tables,
        _always,
        rules=True,
        shown=(ShellCommand("iptables-save"),),
        read_back={"iptables-save": ("iptables-nft-save",)},
        script='"$save"',
    ),
    ListingRow(
        "ipset.txt",
        "ipset save",
        lambda netns: print_sets(netns.sets),
        _sets,
        rules=True,
        shown=(ShellCommand("ipset save", "ipset (?:-S|(?:--)?save)"),),
        read_back={"ipset save": ("ipset", "save")},
    ),
    ListingRow(
        "sysctl.txt",
        "sysctl -a",
        lambda netns: _print_lines(setting for setting in netns.sysctls if setting.value),
        _sysctls,
        _always,
        shown=(ShellCommand("sysctl -a", "sysctl (?:-[aAX]|--all)", _print_sysctls),),
        line=Setting,
        evidence=lambda setting: "sysctl -a",
        script="""sh -c 'lines=$(sysctl -e net.ipv4 net.netfilter net.bridge | sed -n -E "/^$0 ?=/p")
            [ -n "$lines" ] && printf "%s\\n" "$lines"' "$sysctls\"""",
    ),
    ListingRow("ss.txt", "ss -tuan", unseen=Unseen.SOCKETS, script="""sh -c 'ss -tuan | grep -v "^tcp  *[^L ]"'"""),
    ListingRow("conntrack.txt", "conntrack -L", unseen=Unseen.CONNECTIONS),
    ListingRow("ip-netns.txt", "ip netns list-id"),
    ListingRow(
        "iptables-legacy.txt",
        "iptables-legacy-save",
        lambda netns: print_tables(netns.ip4.legacy),
        lambda netns, *given: netns.with_ip4(legacy=_tables(netns, *given).ip4.tables),
        _always,
        rules=True,
        there=lambda netns: bool(netns.ip4.legacy),
    ),
    ListingRow("arptables-legacy.txt", "arptables-legacy-save"),
    ListingRow("ebtables-legacy.txt", "grep ^ebtable_ /proc/modules"),
    ListingRow(
        "nft.txt",
        "nft list ruleset",
        lambda netns: print_ruleset(netns.ip4.nft),
        lambda netns, text, source, how: netns.with_ip4(nft=read_ruleset(text, source)),
        rules=True,
        shown=(ShellCommand("nft list ruleset", r"nft (-s )?list ruleset"),),
        read_back={"nft list ruleset": ("nft", "list", "ruleset")},
        there=lambda netns: bool(netns.ip4.nft),
        script='sh -c "$tables"',
    ),
    ListingRow(
        "ipvsadm.txt",
        "ipvsadm -Sn",
        lambda netns: print_services(netns.ip4.ipvs),
        lambda netns, text, source, how: netns.with_ip4(ipvs=parse_services(text, source)),
        rules=True,
        shown=(ShellCommand("ipvsadm -Sn", "ipvsadm (?:-Sn|(?:-S|--save) (?:-n|--numeric))"),),
        read_back={"ipvsadm -Sn": ("sh", "-c", _WITH_IPVS)},
        line=(VirtualServer, RealServer),
        evidence=lambda line: "ipvsadm -Sn",
        script=f"sh -c '{_WITH_IPVS}'",
        there=lambda netns: bool(netns.ip4.ipvs),
    ),
    ListingRow("nft.json", "nft -j list ruleset", unseen=Unseen.TABLES),
    ListingRow("tc.txt", "tc qdisc show", unseen=Unseen.QUEUES),
    ListingRow(
        "tc-filter.txt", "tc filter show dev DEVICE, the device in front of each line", script='sh -c "$filters"'
    ),
    ListingRow("bpf.txt", "readlink /proc/self/ns/net; bpftool net; bpftool link", script='sh -c "$programs"'),
    ListingRow("uname.txt", "uname -r"),
    ListingRow("xfrm.txt", "ip xfrm policy count"),
)
"""Every listing there is, in the order in which a namespace is read: what comes later may need what came before.

Those without `print` say whether something is at work that is not modelled, or what is no state of a namespace.
"""

COMMANDS = {shown.command: printed for row in LISTINGS for shown in row.shown if (printed := shown.print or row.print)}
"""The commands and how their output is made; besides `ip route show table T`, `iptables-save -t T` and `sysctl KEY`."""

_BY_LINE = {line: row for row in LISTINGS for line in (row.line if isinstance(row.line, tuple) else (row.line,))}


def evidence_command(line: object, table: str) -> str:
    """Name the command whose output holds a line of state; what no row prints is of a netfilter table or a socket."""
    if row := _BY_LINE.get(type(line)):
        return row.evidence(line)
    if table.startswith(LEGACY):
        return f"iptables-legacy-save -t {table.removeprefix(LEGACY)}"
    if " " in table:
        return f"nft list table {table}"
    return f"iptables-save -t {table}" if table else "ss -ltun"


_ADDRESS = re.compile(rf"ip((?: --?{_begins('details')})*) {_begins('address')}(?:{_SHOW}(?: (?:dev )?(\S+))?)?")

_IN_TABLE = re.compile(rf"{_ROUTE}{_SHOW} {_begins('table')} (\S+)")

_KEYS = re.compile(r"sysctl ([a-z]\S*)")


def listing(netns: Netns, command: str) -> str:
    """Print what a command prints in a namespace.

    Raises: Unsupported for a command that is not modelled, McniError for one the tool would refuse.
    """
    argv = shell_words(command)
    if argv[:1] == ["iptables-save"]:
        return iptables_save(netns.ip4.tables, argv[1:])
    if argv[:1] == ["iptables-legacy-save"]:
        return iptables_save(netns.ip4.legacy, argv[1:])
    typed = shlex.join(argv)  # a quoted word with spaces in it is no two words
    for shown in (shown for row in LISTINGS for shown in row.shown if shown.spelling):
        if re.fullmatch(shown.spelling, typed):
            return COMMANDS[shown.command](netns)
    if match := _ADDRESS.fullmatch(typed):
        return _address(netns, match[2] or "", details=bool(match[1]))
    if match := _IN_TABLE.fullmatch(typed):
        return print_routes(netns.ip4.routes, _table(netns, match[1]))
    if match := _KEYS.fullmatch(typed):
        return _sysctl(netns, match[1])
    raise Unsupported(
        tr(
            "command {typed!r} is not modelled; there are {commands}{nearest}",
            typed=typed,
            commands=listed(COMMANDS),
            nearest=nearest(typed, COMMANDS),
        )
    )


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
    numbers = {str(number): name for name, number in NAMED_TABLES.items()} | {"0": "all", "unspec": "all"}
    if re.fullmatch("0x[0-9a-fA-F]{1,8}|[1-9][0-9]{0,9}", name) and int(name, 0) <= FULL_MASK:
        name = str(int(name, 0))
    name = numbers.get(name, name)
    if name not in (*there, "all"):
        raise McniError(
            tr(
                "{netns} has no routing table {name!r}; it has {there}{nearest}",
                netns=netns.name,
                name=name,
                there=listed(there),
                nearest=nearest(name, there),
            )
        )
    return name


def _sysctl(netns: Netns, key: str) -> str:
    """Print the line of one key."""
    lines = {line.partition(" = ")[0]: line for line in _print_sysctls(netns).splitlines()}
    if key not in lines:
        raise Unsupported(tr("sysctl {key!r} is not modelled{nearest}", key=key, nearest=nearest(key, lines)))
    return f"{lines[key]}\n"
