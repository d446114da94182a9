"""From one `-A CHAIN ...` line to a rule: what iptables-restore accepts, and what it refuses.

Header options are read in `match.header`, matches and targets by their classes, found by their records.
Source: iptables(8), iptables-restore(8) (iptables 1.8.9).
"""

from __future__ import annotations

from types import ModuleType
from typing import TypeVar

from mcnilib.errors import StateSyntaxError
from mcnilib.language import tr
from mcnilib.linux.netfilter.iptables.extension import Extension, Match, Record, Target
from mcnilib.linux.netfilter.iptables.match import addrtype, conntrack, ip, mark, misc, ports, set, stateful
from mcnilib.linux.netfilter.iptables.match import opaque as opaque_matches
from mcnilib.linux.netfilter.iptables.match.header import HEADER_ORDER, ProtocolMatch, read_header
from mcnilib.linux.netfilter.iptables.match.ports import IcmpType, Ports
from mcnilib.linux.netfilter.iptables.rule import ChainRule
from mcnilib.linux.netfilter.iptables.target import log, mangle, nat, tproxy, verdict
from mcnilib.linux.netfilter.iptables.target import opaque as opaque_targets
from mcnilib.linux.netfilter.iptables.target.verdict import Jump
from mcnilib.linux.netfilter.iptables.words import RuleWords

_Kind = TypeVar("_Kind", bound=Extension)


def _classes(kind: type[_Kind], *rooms: ModuleType) -> tuple[type[_Kind], ...]:
    """Return the classes of that kind in their order; those without records only have others derived from them."""
    defined = (
        value for room in rooms for value in vars(room).values() if getattr(value, "__module__", "") == room.__name__
    )
    return tuple(cls for cls in defined if isinstance(cls, type) and issubclass(cls, kind) and "records" in vars(cls))


MATCHES = _classes(
    Match,  # type: ignore[type-abstract]
    addrtype, conntrack, ip, mark, misc, ports, set, stateful, tproxy, opaque_matches,
)  # fmt: skip

TARGETS = _classes(Target, verdict, mangle, nat, log, tproxy, opaque_targets)
"""All classes; of two records of one name, as of `statistic` and CT, the first reads."""


def _by_name(kinds: tuple[type[_Kind], ...]) -> dict[str, list[tuple[type[_Kind], Record]]]:
    """Return the classes that have a record of each name, with that record."""
    names: dict[str, list[tuple[type[_Kind], Record]]] = {}
    for kind in kinds:
        for record in kind.records:
            names.setdefault(record.name, []).append((kind, record))
    names.pop("", None)
    return names


MATCH_NAMES, TARGET_NAMES = _by_name(MATCHES), _by_name(TARGETS)


def _read(words: RuleWords, kinds: list[tuple[type[_Kind], Record]]) -> _Kind:
    """Read the options by the first record; of several classes the first is made that has these fields."""
    kind, record = kinds[0]
    given = record.options.values(words, record.name)
    if len(kinds) > 1:
        known = record.options.known.values()
        fitting = [(kind, own) for kind, _ in kinds if (own := kind.own(given, known)) is not None]
        if not fitting:
            raise words.fail(tr("expected {usage}", usage=record.options.usage))
        kind, given = fitting[0]
    if kind.named:
        given[kind.named] = record.name
    return kind(**given)


def read_match(words: RuleWords, name: str) -> Match:
    """Read the options of `-m name`. Raises: StateSyntaxError; Unsupported for a match iptables does not document."""
    if name not in MATCH_NAMES:
        raise words.unsupported(tr("match {name!r} is not one iptables documents for IPv4", name=name))
    return _read(words, MATCH_NAMES[name])


def is_implied(option: str, protocol: str) -> bool:
    """Tell whether an option may follow `-p PROTOCOL` without `-m`."""
    kinds = MATCH_NAMES.get(protocol, ())
    return any(getattr(record, "implied", False) and option in record.options.known for _, record in kinds)


def read_target(words: RuleWords, goto: bool) -> Target:
    """Read a target's name and options; a name that is no target is a chain. Raises: StateSyntaxError.

    Source: iptables/xshared.c, parse_target (iptables 1.8.9).
    """
    name = words.take("a target")
    if not name:
        raise words.fail(tr("a target has a name"))
    if any(map(str.isspace, name)):
        raise words.fail(tr("the name of a target has no spaces"))
    if goto or name not in TARGET_NAMES:
        return Jump(name, goto)
    return _read(words, TARGET_NAMES[name])


OPTIONS = ("-s", "-d", "-i", "-o", "-p", "-m", "-j", "-g", "--dport", "--sport")

LINE_LENGTH = 65536
"""Longest rule that is read; iptables-restore reads lines of 10239 bytes."""

CHAIN_LENGTH = 28
"""Longest chain name iptables accepts."""


def read_rule(line: str, source: str, number: int) -> ChainRule:
    """Read one rule. Raises: StateSyntaxError, Unsupported."""
    if len(line) > LINE_LENGTH:
        what = tr("a rule has {line_length} characters at most", line_length=LINE_LENGTH)
        raise StateSyntaxError(what, source=source, line=number, column=1, text=f"{line[:60]}...")
    words = RuleWords(line, source, number)
    if words.take("-A") not in ("-A", "--append"):
        raise words.fail(tr("a rule begins with -A"))
    return _Draft(words, chain_name(words)).read()


def chain_name(words: RuleWords) -> str:
    """Read the name of a chain."""
    name = words.take("a chain")
    if not name:
        raise words.fail(tr("a chain has a name"))
    if len(name) > CHAIN_LENGTH:
        raise words.fail(tr("chain names have {chain_length} characters at most", chain_length=CHAIN_LENGTH))
    return name


class _Draft:
    """A rule while it is read: words may come in any order, and what a match needs is known at the end only."""

    def __init__(self, words: RuleWords, chain: str) -> None:
        self.words, self.chain = words, chain
        self.header: dict[str, Match | None] = {}
        self.matches: list[Match] = []
        self.places: list[int] = []  # word each match ends with
        self.target: Target | None = None
        self.target_place = 0

    def read(self) -> ChainRule:
        """Read to the end of the line."""
        words = self.words
        while words:
            if header_option := read_header(words, self.chain):
                self._put_header(*header_option)
            elif words.accept("-m", "--match"):
                self._put_match(read_match(words, words.take("a match")))
            elif option := words.accept("-j", "--jump", "-g", "--goto"):
                self._put_target(option in ("-g", "--goto"))
            elif option := words.accept("-c", "--set-counters"):
                words.number("packets"), words.number("bytes")
            elif not words.accept("-4", "--ipv4"):
                self._imply()
        self._check()
        header = [match for kind in HEADER_ORDER if (match := self.header.get(kind))]
        return ChainRule(self.chain, (*header, *self.matches), self.target)

    def _put_header(self, kind: str, match: Match | None) -> None:
        if kind in self.header:
            raise self.words.fail(tr("the same header option stands twice"))
        self.header[kind] = match

    def _put_target(self, goto: bool) -> None:
        if self.target:
            raise self.words.fail(tr("a rule has one target"))
        self.target_place = self.words.place + 1
        self.target = read_target(self.words, goto)

    def _put_match(self, match: Match) -> None:
        """Add a match; further `-m tcp` options join those that are there, as they do in the kernel."""
        for i, earlier in enumerate(self.matches) if isinstance(match, Ports) else ():
            if isinstance(earlier, Ports) and isinstance(match, Ports) and earlier.proto == match.proto:
                if clash := earlier.clash(match):
                    raise self.words.fail(tr("{option} stands twice", option=clash))
                self.matches[i] = earlier.joined(match)
                return
        self.matches.append(match)
        self.places.append(self.words.place)

    def _imply(self) -> None:
        """Read `--dport 80` after `-p tcp`: the option of a protocol's own match, which -m may have loaded before."""
        words, option = self.words, self.words.peek_option()
        protocol = self.header.get("proto")
        name = protocol.name if isinstance(protocol, ProtocolMatch) else ""
        if not is_implied(option, name):
            words.take()
            raise words.fail(tr("unknown option {option!r}", option=option), near=OPTIONS)
        if name == "icmp" and any(isinstance(match, IcmpType) for match in self.matches):
            raise words.fail(tr("{option} stands twice", option=option))
        self._put_match(read_match(words, name))

    def _check(self) -> None:
        """Refuse matches and targets that need a protocol the rule does not ask for."""
        protocol = self.header.get("proto")
        name = protocol.name if isinstance(protocol, ProtocolMatch) and not protocol.negated else ""
        parts: list[tuple[Extension | None, int]] = [*zip(self.matches, self.places, strict=True)]
        for part, position in (*parts, (self.target, self.target_place)):
            if part is not None and (needed := part.protocols) and name not in needed:
                raise self.words.fail(tr("this needs -p {needed}", needed=" or ".join(needed)), place=position)
