"""What other tools gather: how they call the files that hold a listing, and what has to be changed in their text.

A tool is one row of `LAYOUTS`: from it derive how its folders and archives are known, which files are read, and the
namespaces they belong to. What a tool did not gather is missing in the snapshot, as in any other; a file with a name of
the snapshot format (`ip-rule.txt`, `sysctl.txt`, ...) that is put beside a report's own counts too.
Source: sos/report/plugins/{networking,firewall_tables,kernel}.py of sosreport/sos (4.7);
calicoctl/calicoctl/commands/node/diags.go of projectcalico/calico (3.28).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from mcnilib.errors import printable
from mcnilib.snapshots.files import WORLD, Names, Place, print_world
from mcnilib.world.listing import LISTINGS

Reshape = Callable[[str], str]
"""Makes of what a tool kept the text that the command of the listing prints."""


class Gathered(NamedTuple):
    """A file of a report: its path below the report's folder (group `netns`: whose it is), and the listing it holds."""

    path: str
    file: str
    reshape: Reshape = str


class ReportLayout(NamedTuple):
    """How a tool lays out what it gathers: the path of a file that only it has, and those that name the machine."""

    tool: str
    sign: str
    machine: tuple[str, ...]
    files: tuple[Gathered, ...]


def _without(pattern: str) -> Reshape:
    return lambda text: re.sub(pattern, "", text, flags=re.MULTILINE)


def _only(pattern: str) -> Reshape:
    return lambda text: "".join(f"{line}\n" for line in text.splitlines() if re.match(pattern, line))


_ipv4 = _without(r"^(?:\w+ )?[0-9a-f]*:[0-9a-f:./]* .*\n?")
"""Routes and neighbours of IPv6, which `ip` prints too unless it was asked for one family."""


def _neighbours(text: str) -> str:
    """Return what `ip neigh` prints without `-s`."""
    return _without(r" (?:ref \d+|used \d+/\d+/\d+|probes \d+)(?= |$)")(_ipv4(text))


def _sockets(text: str) -> str:
    """Return the columns of `ss -tuan`; an address `:::22` of older versions is one of both families."""
    rows = (line.split()[:6] for line in text.splitlines() if re.match(r"(tcp|udp) ", line))
    return "".join(f"{' '.join(row)}\n".replace(" :::", " *:") for row in rows if row[0] == "udp" or row[1] == "LISTEN")


def _release(text: str) -> str:
    """Return the third word of `uname -a`."""
    return f"{' '.join(text.split()[2:3])}\n"


def _saved_sets(text: str) -> str:
    """Return as `ipset save` what `ipset list` prints. Source: ipset(8)."""
    lines: list[str] = []
    name = kind = ""
    for line in text.splitlines():
        key, _, value = line.partition(": ")
        match key:
            case "Name":
                name = value
            case "Type":
                kind = value
            case "Header":
                lines.append(f"create {name} {kind} {value}")
            case _ if line.strip() and ":" not in line.partition("/")[0]:
                lines.append(f"add {name} {line}")
    return "".join(f"{line}\n" for line in lines)


_OWN = tuple(Gathered(re.escape(file), file) for row in LISTINGS for file in row.files)
"""Files named as a snapshot names them."""

_COMMANDS = {
    "ip-address.txt": r"ip_-d_address(?:_show)?",
    "ip-rule.txt": r"ip_(?:-4_)?rule_list",
    "sysctl.txt": r"sysctl_-a",
    "iptables.txt": r"iptables-save(?:_-c)?",
}
_RESHAPED = {
    "ip-route.txt": (r"ip_(?:-4_)?route_show_table_all", _ipv4),
    "ip-neigh.txt": (r"ip_-s_-s_neigh_show|ip_neigh_show_nud_noarp", _neighbours),
    "ss.txt": (r"ss_-peaonmi", _sockets),
}


def _of_sos(prefix: str) -> Iterator[Gathered]:
    for file, command in _COMMANDS.items():
        yield Gathered(f"{prefix}(?:{command})", file)
    for file, (command, reshape) in _RESHAPED.items():
        yield Gathered(f"{prefix}(?:{command})", file, reshape)


_SOS = r"sos_commands/\w+/"

SOSREPORT = ReportLayout(
    "sosreport",
    r"sos_commands/networking/[^/]+",
    ("hostname", "sos_commands/host/hostname", "etc/hostname"),
    (
        *_of_sos(_SOS),
        *_of_sos(r"sos_commands/networking/namespaces/(?P<netns>[^/]+)/ip_netns_exec_(?P=netns)_"),
        *_of_sos(r"sos_commands/networking/ip_netns_exec_(?P<netns>[^/]+?)_"),
        Gathered(_SOS + "bridge_-s_-s_-d_-t_fdb_show", "bridge-fdb.txt", _without(r" used \d+/\d+")),
        Gathered(_SOS + "nft_list_ruleset", "nft.txt"),
        Gathered(_SOS + "tc_-s_qdisc_show", "tc.txt", _only("qdisc ")),
        Gathered(_SOS + "uname_-a", "uname.txt", _release),
        Gathered(_SOS + "ipset_save", "ipset.txt"),
        *_OWN,
    ),
)

CALICO_DIAGS = ReportLayout(
    "calicoctl diags",
    r"ipv4_tables",
    ("hostname",),
    (Gathered("ipv4_tables", "iptables.txt"), Gathered("ipsets", "ipset.txt", _saved_sets), *_OWN),
)
"""It gathers only one routing table, and addresses without the devices: these are asked for by name."""

LAYOUTS = (SOSREPORT, CALICO_DIAGS)
"""Every tool whose reports are read."""


class FoundReport(NamedTuple):
    """A report among files: which tool gathered it, and what stands before the paths of its files."""

    layout: ReportLayout
    root: str

    def wants(self, path: str) -> bool:
        """Tell whether a file of that path belongs to it and is read."""
        below = path.removeprefix(self.root)
        return path.startswith(self.root) and (below in self.layout.machine or self._matched(below) is not None)

    def texts(self, files: Mapping[str, str], folder: str = "") -> dict[str, str]:
        """Return the files of the snapshot that the report is: relative name -> text.

        A machine whose name nothing says is called as its folder; `folder` is the one that all paths are in.
        """
        machine = self._machine(files, folder)
        texts: dict[tuple[str, str], str] = {}
        for path in sorted(path for path in files if path.startswith(self.root)):
            if match := self._matched(path.removeprefix(self.root)):
                gathered, netns = match
                place = (netns, gathered.file)
                joins = gathered.file == "ip-neigh.txt"  # several commands print its parts
                if place not in texts or joins:
                    texts[place] = texts.get(place, "") + gathered.reshape(files[path])
        names, taken = {"": machine}, Names()
        taken.choose(machine)
        for netns in sorted({netns for netns, _ in texts} - {""}):
            names[netns] = taken.choose(netns, f"{machine}.{netns}")
        places = [Place(name, machine, netns, collected=True) for netns, name in names.items()]
        world = print_world(places, (), complete=False)
        return {WORLD: world, **{f"{names[netns]}/{file}": text for (netns, file), text in texts.items()}}

    def _machine(self, files: Mapping[str, str], folder: str) -> str:
        """Return the name of the machine."""
        said = (files.get(f"{self.root}{path}", "").split() for path in self.layout.machine)
        words = next((words for words in said if words), [self.root.rstrip("/").rpartition("/")[2] or folder])
        return re.sub(r"[\s/]", "_", printable(words[0])) or "node1"

    def _matched(self, below: str) -> tuple[Gathered, str] | None:
        for gathered in self.layout.files:
            if match := re.fullmatch(gathered.path, below):
                return gathered, match.groupdict().get("netns") or ""
        return None


def reports_among(paths: Iterable[str]) -> list[FoundReport]:
    """Return the reports of other tools that some paths are of, in the order of their folders."""
    every = list(paths)
    found = {
        (path[: match.start("sign")], number)
        for number, layout in enumerate(LAYOUTS)
        for path in every
        if (match := re.fullmatch(rf"(?:.*/)?(?P<sign>{layout.sign})", path))
    }
    return [FoundReport(LAYOUTS[number], root) for root, number in sorted(found)]
