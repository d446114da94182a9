"""A network as a person types it for a bug report: hosts and pods with their devices, and what is done on each.

    host node1: eth0 192.0.2.11/24 @lan, cni0 10.244.1.1/24 bridge, veth1 master cni0
      default via 192.0.2.1
      iptables -A INPUT -j REJECT
      sysctl net.ipv4.ip_forward=1
    pod web on node1: eth0 10.244.1.5/24 veth node1/veth1, default via 10.244.1.1, listen 80

This module reads; `mcnilib.snapshots.typed.skeleton` makes the files. docs/snapshot.md describes the language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from mcnilib.errors import StateSyntaxError
from mcnilib.language import tr
from mcnilib.linux.routing.route import TYPES
from mcnilib.linux.text import Words, check_text, nearest
from mcnilib.snapshots.files import folder_name
from mcnilib.snapshots.typed.device import TypedDevice, read_typed_device
from mcnilib.trace.flow import ANY_ADDRESS, Listener

RULES_FILE = "iptables.txt"

TYPED_EXAMPLE = """\
# A bug report in five minutes: a k3s node whose distribution came with a firewall. A pod asks the API server.
#   mcni snapshot new --example > report.txt
#   mcni snapshot new folder report.txt
#   mcni trace folder --from pod1 --to tcp:10.43.0.1:443

host node1: eth0 192.0.2.15/24 @lan, cni0 10.42.0.1/24 bridge mtu 1450, veth1 master cni0
  default via 192.0.2.2
  sysctl net.ipv4.ip_forward=1
  listen tcp:6443
  iptables -t nat -A PREROUTING -d 10.43.0.1 -p tcp --dport 443 -j DNAT --to-destination 192.0.2.15:6443
  iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
  iptables -A INPUT -p tcp --dport 22 -j ACCEPT
  iptables -A INPUT -j REJECT --reject-with icmp-host-prohibited

pod pod1 on node1: eth0 10.42.0.6/24 veth node1/veth1 mtu 1450, default via 10.42.0.1
"""


@dataclass(frozen=True, slots=True)
class Statement:
    """A part of a line that says one thing, and where it stands; line and column count from 1."""

    text: str
    line: str
    number: int
    column: int
    source: str

    @property
    def words(self) -> Words:
        """Its words, with the columns they have in the line."""
        return Words(" " * (self.column - 1) + self.text, source=self.source, number=self.number)

    def error(self, what: str, column: int = 0) -> StateSyntaxError:
        """Build the error that points to a column of its line, or to where it begins."""
        return StateSyntaxError(
            what, source=self.source, line=self.number, column=column or self.column, text=self.line
        )

    def at_word(self, what: str, rest: str) -> StateSyntaxError:
        """Build the error that points to the word with which `rest` begins, or to where it begins itself."""
        word = next(iter(rest.split()), "")
        at = re.search(rf"(?<!\S){re.escape(word)}(?!\S)", self.text) if word else None
        return self.error(what, self.column + (at.start() if at else 0))


@dataclass(slots=True)
class TypedHost:
    """One network namespace as it was typed; `node` is its machine."""

    name: str
    node: str
    devices: dict[str, tuple[TypedDevice, Statement]] = field(default_factory=dict)
    commands: list[tuple[str, Statement]] = field(default_factory=list)  # as they are typed in a shell
    servers: list[Listener] = field(default_factory=list)
    pasted: dict[str, list[Statement]] = field(default_factory=dict)  # file -> lines as a tool printed them


@dataclass(slots=True)
class TypedReport:
    """All that was typed; `switches` has what was said of each: `alone`, `reflects`."""

    hosts: dict[str, TypedHost] = field(default_factory=dict)
    switches: dict[str, set[str]] = field(default_factory=dict)
    complete: bool = False


_HEAD = re.compile(r"(host|pod|netns|switch)\s+([^\s:]+)(?:\s+on\s+([^\s:]+))?\s*(:|$)")
_SHORT = {"route": "ip route add", "rule": "ip rule add", "neigh": "ip neigh add", "sysctl": "sysctl -w"}
_TOOLS = ("ip", "iptables")
_SAID_OF_SWITCHES = ("alone", "reflects")
_SAVED = re.compile(r"\*(?:raw|mangle|nat|filter|security)$")
_STATEMENTS = ("host", "pod", "switch", "complete", "listen", "ipset", *_SHORT, *_TOOLS)


def read_report(text: str, source: str = "report") -> TypedReport:
    """Read what was typed. Raises: StateSyntaxError, with line, column and a caret."""
    check_text(text, source)
    return _Reader(source).read(text)


class _Reader:
    """The report as far as it is read, the host that is being described, and the table that is being pasted."""

    def __init__(self, source: str) -> None:
        self.source, self.report = source, TypedReport()
        self.host: TypedHost | None = None
        self.inside_table = False

    def read(self, text: str) -> TypedReport:
        lines = text.expandtabs().splitlines()
        for number, line in enumerate(lines, 1):
            if line.strip() and not line.strip().startswith("#"):
                self._line(line.rstrip(), number)
        if self.inside_table:
            raise Statement("", "", len(lines) + 1, 1, self.source).error(tr("COMMIT is missing: it ends a table"))
        if not self.report.hosts:
            what = tr("there is no host; for example: host node1: eth0 192.0.2.11/24 @lan, default via 192.0.2.1")
            raise Statement("", lines[0] if lines else "", 1, 1, self.source).error(what)
        return self.report

    def _line(self, line: str, number: int) -> None:
        text = line.strip()
        whole = Statement(text, line, number, line.index(text) + 1, self.source)
        if self.inside_table or (self.host and _SAVED.fullmatch(text)):
            self._paste(RULES_FILE, whole)
            self.inside_table = text != "COMMIT"
        elif text == "complete":
            self.report.complete = True
        else:
            match = _HEAD.match(text)
            for statement in _statements(whole, self._begin(whole, match) if match else 0):
                self._say(statement)

    def _begin(self, whole: Statement, match: re.Match[str]) -> int:
        """Begin a host or a switch; return where the rest of the line begins."""
        word, name, node = match.group(1, 2, 3)
        try:
            folder_name(name)
        except ValueError as problem:
            raise whole.error(str(problem), whole.column + match.start(2)) from None
        if word == "switch":
            self._switch(name, whole, match)
            return len(whole.text)
        if name in self.report.hosts:
            raise whole.error(tr("{name} is described a second time", name=name), whole.column + match.start(2))
        if word == "host" and node:
            raise whole.error(tr("a host is a machine of its own; pod {name} on {node}", name=name, node=node))
        if word != "host" and node not in self.report.hosts:
            hosts = [host.name for host in self.report.hosts.values() if host.name == host.node]
            what = tr(
                "{word} {name} needs its host: on {hosts}", word=word, name=name, hosts=", ".join(hosts) or "HOST"
            )
            raise whole.error(what, whole.column + (match.start(3) if node else match.end(2)))
        self.host = self.report.hosts[name] = TypedHost(name, node or name)
        return match.end()

    def _switch(self, name: str, whole: Statement, match: re.Match[str]) -> None:
        self.host = None
        said = self.report.switches.setdefault(name, set())
        for word in re.finditer(r"[^\s,]+", whole.text[match.end() :]):
            if word[0] not in _SAID_OF_SWITCHES:
                what = tr("{word!r}: of a switch one says alone or reflects", word=word[0])
                raise whole.error(what, whole.column + match.end() + word.start())
            said.add(word[0])

    def _say(self, statement: Statement) -> None:
        """Keep what is said of a host."""
        if self.host is None:
            first = statement.text.split()[0]
            near = nearest(first, _STATEMENTS)
            what = tr("expected host NAME: or pod NAME on HOST: before {word!r}{near}", word=first, near=near)
            raise statement.error(what)
        first, _, rest = statement.text.partition(" ")
        if first == "listen":
            self.host.servers += _servers(statement, self.host.name)
        elif first == "ipset":
            self._paste("ipset.txt", replace(statement, text=rest.strip()))
        elif command := _command(first, statement.text, rest):
            self.host.commands.append((command, statement))
        else:
            self._device(self.host, statement)

    def _device(self, host: TypedHost, statement: Statement) -> None:
        try:
            device = read_typed_device(statement.words)
        except StateSyntaxError as wrong:
            meant = nearest(statement.text.split()[0], _STATEMENTS)
            raise statement.error(wrong.what if "?" in wrong.what else f"{wrong.what}{meant}", wrong.column) from None
        if device.name in host.devices or device.name == "lo":
            raise statement.error(tr("{host} has a device {name}", host=host.name, name=device.name))
        host.devices[device.name] = (device, statement)

    def _paste(self, file: str, line: Statement) -> None:
        """Keep a line that a tool printed."""
        if self.host:
            self.host.pasted.setdefault(file, []).append(line)


def _statements(whole: Statement, start: int) -> Iterator[Statement]:
    """Cut a line at commas with a space behind them, except between double quotes."""
    for part in re.finditer(r'(?:"[^"]*"|,(?!\s|$)|[^,"])+|"', whole.text[start:]):
        text = part[0].strip()
        if text:
            column = whole.column + start + part.start() + part[0].index(text)
            yield Statement(text, whole.line, whole.number, column, whole.source)


def _command(first: str, text: str, rest: str) -> str:
    """Return the command a statement stands for; empty where it describes a device."""
    if first in _TOOLS:
        return text
    if first in _SHORT:
        return f"{_SHORT[first]} {re.sub(' *= *', '=', rest) if first == 'sysctl' else rest}"
    if first == "default" or first in TYPES or re.match(r"\d+\.\d", first):
        return f"ip route add {text}"
    return f"sysctl -w {re.sub(' *= *', '=', text)}" if first.startswith("net.") else ""


def _servers(statement: Statement, netns: str) -> Iterator[Listener]:
    """Read `listen [tcp:|udp:][ADDRESS:]PORT ...`; without a protocol a server of both listens."""
    words = statement.words
    words.take()
    while words:
        typed = words.take()
        match = re.fullmatch(r"(?:(tcp|udp):)?(?:([\d.]+):)?(\d{1,5})", typed)
        try:
            address = IPv4Address(match[2]) if match and match[2] else ANY_ADDRESS
        except ValueError:
            match = None
        if not match or not 0 < int(match[3]) < 65536:
            what = tr("{word!r} is not a port, for example listen 80, or listen udp:10.0.0.1:53", word=typed)
            raise statement.error(what, words.column(words.read - 1))
        for proto in [match[1]] if match[1] else ["tcp", "udp"]:
            yield Listener(netns, int(match[3]), proto, address)
