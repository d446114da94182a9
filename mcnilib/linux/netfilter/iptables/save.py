"""The file form of the netfilter tables: what iptables-save prints and iptables-restore reads.

Counters, dates and comments are skipped, but for the comment about incompatible tables; counters are printed as zero.
A rule is read in `rule_text`.
Source: iptables-save(8), iptables-restore(8) (iptables 1.8.9).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple, NoReturn

from mcnilib.errors import McniError, StateSyntaxError, Unsupported
from mcnilib.gc_pause import gc_paused
from mcnilib.language import listed, tr
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.hooks import BUILT_IN, HOOKS
from mcnilib.linux.netfilter.iptables.edit import put_chains, put_table
from mcnilib.linux.netfilter.iptables.extension import Match, MatchRecord, Purity, Test
from mcnilib.linux.netfilter.iptables.grammar import Grammar
from mcnilib.linux.netfilter.iptables.rule import Chain, ChainBuilder, ChainRule, Table, Tables
from mcnilib.linux.netfilter.iptables.rule_text import CHAIN_LENGTH, read_rule
from mcnilib.linux.netfilter.iptables.target.log import Log
from mcnilib.linux.netfilter.iptables.target.verdict import Jump
from mcnilib.linux.netfilter.iptables.validate import check_table
from mcnilib.linux.netfilter.iptables.words import word_list
from mcnilib.linux.origin import Origin
from mcnilib.linux.packet import Packet
from mcnilib.linux.unmodelled import Gap
from mcnilib.progress import passing

FOREIGN = (
    (r"table (ip|ip6|inet|arp|bridge|netdev) \S+( \{.*)?|\{\s*\"nftables\".*", "nft"),
    (
        r"IP Virtual Server version .*|Prot LocalAddress:Port .*|-A -[tuf] \S+ -s \S+.*|(TCP|UDP|SCTP|FWM) +\S+ +\w+.*",
        "ipvsadm",
    ),
)
"""How the text of other tools begins: a dump of rules of their own, or a list of virtual servers."""


def other_tool(line: str) -> str:
    """Name the tool that prints such a line, where iptables-save prints none like it; empty when none is known."""
    return next((tool for pattern, tool in FOREIGN if re.fullmatch(pattern, line.strip())), "")


INCOMPATIBLE = re.compile(r"^# Table `(\S+)' (?:is incompatible|contains incompatible base-chains)", re.MULTILINE)
"""The comment in which iptables-save says of a table that it holds more than is printed."""


def incompatible_tables(text: str, source: str, first: int = 1) -> Iterator[Gap]:
    """Read iptables-save; yield the tables of which it says that they hold what it cannot print; `first`
    numbers the first line.

    Source: iptables/xtables-save.c (iptables 1.8.9).
    """
    for number, message in matching_lines(INCOMPATIBLE, text, first):
        what = f"table {message[1]} holds chains or rules of nftables that iptables-save does not print"
        yield Gap(what, f"{source}:{number}", rules=True)


def matching_lines(pattern: re.Pattern[str], text: str, first: int = 1) -> Iterator[tuple[int, re.Match[str]]]:
    """Yield where a pattern stands, with the number of the line; `first` numbers the first line."""
    number, counted = first, 0
    for match in pattern.finditer(text):
        number += text.count("\n", counted, match.start())
        counted = match.start()
        yield number, match


_BYTE = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"

_ADDRESS = rf"{_BYTE}\.{_BYTE}\.{_BYTE}\.{_BYTE}"

_PORT = r"[1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5]"

_HOST, _DEVICE = rf"{_ADDRESS}/32", r"[A-Za-z][A-Za-z0-9_.-]{0,14}"

_CHAIN_NAME = r"[A-Z]*[-_a-z0-9][A-Za-z0-9_-]*"  # no name of a target or of a hook, which are all capitals

HOLES = {
    "-s": _HOST,
    "-d": _HOST,
    "-i": _DEVICE,
    "-o": _DEVICE,
    "--dport": _PORT,
    "--sport": _PORT,
    "--comment": r'"[ !#-\[\]-~]{0,255}"',  # printable ASCII without quotes and backslashes
    "--probability": r"0\.\d{1,11}",
    "--to-destination": rf"{_ADDRESS}:(?:{_PORT})",
}
"""The values that may differ in rules of one form, by the option they follow; all others must be the same."""

FEW = 250
"""So many lines are sooner read than their forms learned."""

MAX_TEMPLATES = 128
"""Forms that are remembered; a ruleset that has more of them is read line by line."""


class RuleTemplate(NamedTuple):
    """How the lines of alike rules look, and one rule of them. Groups: the chain, the chain it jumps to if it does."""

    pattern: re.Pattern[str]
    sample: ChainRule

    @classmethod
    def of(cls, line: str, rule: ChainRule) -> RuleTemplate | None:
        """Return the form of a line that was read as this rule; None where it cannot be told from the line alone."""
        tokens = word_list(line)
        if " ".join(tokens) != line or tokens[0] != "-A" or rule.remembers:
            return None
        own = re.escape(tokens[1]) if rule.chain in HOOKS or not re.fullmatch(_CHAIN_NAME, tokens[1]) else _CHAIN_NAME
        holes = dict(HOLES)
        if isinstance(rule.target, Jump) and tokens[-2] in ("-j", "-g"):
            holes[tokens[-2]] = _CHAIN_NAME
        parts = [_part(option, word, holes) for option, word in pairwise(tokens[1:])]
        pattern = " ".join([rf"-A ({own})", *parts])
        return cls(re.compile(pattern, re.ASCII), rule)


def _part(option: str, word: str, holes: dict[str, str]) -> str:
    """Return the pattern of a word that follows an option."""
    pattern = holes.get(option)
    if pattern is None or not re.fullmatch(pattern, word, re.ASCII):
        return re.escape(word)
    return f"({pattern})" if pattern == _CHAIN_NAME else f"(?:{pattern})"


class Recognised(NamedTuple):
    """A rule of the same form, the chain a line belongs to, and the chain it jumps to; empty when it does not."""

    sample: ChainRule
    chain: str
    to: str


class RuleTemplates:
    """The forms seen so far, the usual ones first."""

    def __init__(self) -> None:
        """Begin without any."""
        self._forms: list[RuleTemplate] = []
        self._read = 0

    def find(self, line: str) -> Recognised | None:
        """Return a rule that looks alike, with the chains this line names; None for a line of no known form.

        A form that fits moves one place up.
        """
        forms = self._forms
        for at, form in enumerate(forms):
            if fitting := form.pattern.fullmatch(line):
                if at:
                    forms[at - 1], forms[at] = form, forms[at - 1]
                return Recognised(form.sample, fitting[1], fitting[2] if fitting.re.groups > 1 else "")
        return None

    def learn(self, line: str, rule: ChainRule) -> None:
        """Remember the form of a line that was read."""
        self._read += 1
        if self._read > FEW and len(self._forms) < MAX_TEMPLATES and (form := RuleTemplate.of(line, rule)):
            self._forms.append(form)


@dataclass(frozen=True, slots=True)
class UnparsedRule(Match):
    """The rest of a rule from the first word that is not modelled, which `gap` names."""

    records = (MatchRecord("", Grammar(), purity=Purity.REFUSES, tracks=False, samples=()),)

    words: str
    gap: Gap

    def test(self) -> Test:
        """End the packet's way here: nobody knows whether the rule holds."""
        return self._end

    def _end(self, packet: Packet, at: Context) -> NoReturn:
        self.gap.meet()

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say why nobody knows."""
        return self.gap.why

    def __str__(self) -> str:
        return self.words


def unparsed_rule(line: str, problem: Unsupported, source: str, number: int) -> ChainRule:
    """Keep what is understood of a rule: its chain, and the header matches iptables-save prints in front."""
    head = min((line.partition(word)[0] for word in (" -m ", " -j ", " -g ")), key=len)
    try:
        rule = read_rule(head, source, number)
    except McniError:
        head = " ".join(line.split()[:2])
        rule = read_rule(head, source, number)
    matches: tuple[Match, ...] = (*rule.matches, UnparsedRule(line[len(head) :].strip(), Gap(str(problem))))
    return ChainRule(rule.chain, matches)


def absent_chains(table: str, chains: Mapping[str, Chain], source: str) -> Iterator[Chain]:
    """Yield a chain that ends every packet, unknown, for each one that is jumped to but not there."""
    jumps = (jump for chain in chains.values() for jump in chain.summary.jumps)
    for name in sorted({jump for jump in jumps if jump not in chains and jump not in BUILT_IN[table]}):
        gap = Gap(
            tr("{source} has no chain {name} in table {table}", source=source, name=name, table=table),
            collect=f"`iptables-save -t {table}`",
        )
        yield Chain(name, (ChainRule(name, (UnparsedRule("", gap),)),))


_CHAIN = re.compile(r":(\S+) (ACCEPT|DROP|-)(?: \[\d+:\d+\])?\s*")

_COUNTERS = re.compile(r"^\[\d+:\d+\] ")

Numbered = tuple[str, int]
"""A line and its number."""

PRINTED = ("mangle", "security", "raw", "filter", "nat")
"""The order iptables-save 1.8.9 (nf_tables) prints tables in, whatever order they were made in."""


def parse_rule(line: str, origin: Origin | None = None, *, source: str = "rule", number: int = 1) -> ChainRule:
    """Read one `-A CHAIN ...` line.

    Raises: StateSyntaxError for text iptables would refuse, Unsupported for matches and targets that are not modelled.
    """
    rule = _parse_cached(line) if source == "rule" else read_rule(line, source, number)
    if rule.remembers:  # two equal rules remember apart
        rule = read_rule(line, source, number)
    return replace(rule, origin=origin) if origin else rule


@lru_cache(maxsize=65536)
def _parse_cached(line: str) -> ChainRule:
    return read_rule(line, "rule", 1)


@gc_paused()
def parse_tables(text: str, source: str = "iptables-save", *, partial: bool = False, running: bool = False) -> Tables:
    """Read the output of iptables-save (any backend).

    With `partial`, rules that are not modelled are kept as `UnparsedRule`, and so are chains that are not there; what a
    comment says is not printed is passed over. With `running`, the rules have seen packets: what they remember is not
    known.
    Raises: StateSyntaxError; Unsupported, also for what another tool prints; Refused for rules the kernel would not
    load where they stand.
    """
    tables: Tables = ()
    section: _Section | None = None
    lines = text.splitlines()
    for number, line in enumerate(passing(lines), 1):
        if line.startswith("#") and not partial:
            for gap in incompatible_tables(line, source, number):
                raise Unsupported(gap.why)
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("*"):
            if section is not None:
                raise _fail(tr("COMMIT is missing"), line, source, number)
            section = _Section(_table_name(line, source, number), source, partial, running, number)
            if any(table.name == section.name for table in tables):
                raise _fail(tr("table {section} stands twice", section=section.name), line, source, number)
        elif section is None:
            raise _stranger(line, source, number)
        elif line.strip() == "COMMIT":
            tables = put_table(tables, section.table(lines[:number]))
            section = None
        else:
            section.read(line, number)
    if section is not None:
        raise _fail(tr("COMMIT is missing"), "", source, len(lines) + 1)
    return tables


def _stranger(line: str, source: str, number: int) -> Unsupported | StateSyntaxError:
    """Build the error for a line outside all tables; the text of another tool is named."""
    if tool := other_tool(line):
        what = tr("this is what {tool} prints, and not iptables-save", tool=tool)
        return Unsupported(f"{source}:{number}: {what}")
    return _fail("expected *TABLE", line, source, number)


def _table_name(line: str, source: str, number: int) -> str:
    name = line[1:].strip()
    if name not in BUILT_IN:
        raise _fail(
            tr("{name!r} is not a table; tables are {built_in}", name=name, built_in=listed(BUILT_IN)),
            line,
            source,
            number,
        )
    return name


def _without_counters(line: str) -> str:
    """Blank the counters in front of a rule; columns stay."""
    return _COUNTERS.sub(lambda counters: " " * len(counters[0]), line, count=1)


class _Section:
    """The lines of one table, from *TABLE to COMMIT."""

    def __init__(self, name: str, source: str, partial: bool, running: bool, start: int) -> None:
        self.name, self.source, self.partial, self.running, self.start = name, source, partial, running, start
        self.chains: dict[str, ChainBuilder[Numbered]] = {}
        self.forms = RuleTemplates()

    def read(self, line: str, number: int) -> None:
        """Read a chain or a rule."""
        if line.startswith(":"):
            chain = self._chain(line, number)
            if chain.name in self.chains:
                raise _fail(
                    tr("chain {chain} is declared twice, or behind its rules", chain=chain.name),
                    line,
                    self.source,
                    number,
                )
            self.chains[chain.name] = chain
        elif not self._take(_COUNTERS.sub("", line, count=1) if line.startswith("[") else line, line, number):
            self._read_whole(line, number)

    def _take(self, text: str, line: str, number: int) -> bool:
        """Put off a line that looks like one that was read before; False when there is none."""
        if not (recognised := self.forms.find(text)):
            return False
        body = self.chains.get(recognised.chain)
        if body is None or (recognised.to and recognised.to not in self.chains):
            return False
        body.put_later((line, number), recognised.sample, recognised.to)
        return True

    def _put_off(self, line: Numbered) -> ChainRule:
        return read_rule(_without_counters(line[0]), self.source, line[1])

    def _read_whole(self, line: str, number: int) -> None:
        rule = self._rule(_without_counters(line), number)
        if rule.chain not in self.chains and rule.chain not in BUILT_IN[self.name]:
            raise _fail(tr("chain {chain} is not declared above", chain=rule.chain), line, self.source, number)
        body = self.chains.setdefault(rule.chain, ChainBuilder(rule.chain, "ACCEPT", self._put_off))
        body.put(_running(rule) if self.running and rule.remembers else rule)
        self.forms.learn(_COUNTERS.sub("", line, count=1), rule)

    def _rule(self, line: str, number: int) -> ChainRule:
        try:
            return read_rule(line, self.source, number)
        except Unsupported as problem:
            if not self.partial:
                raise
            return unparsed_rule(line, problem, self.source, number)

    def _chain(self, line: str, number: int) -> ChainBuilder[Numbered]:
        """Read `:CHAIN POLICY`; a built-in chain without policy has ACCEPT, a user chain never has one."""
        heading = _CHAIN.fullmatch(line)
        if not heading:
            raise _fail(tr("expected :CHAIN POLICY [packets:bytes]"), line, self.source, number)
        if len(heading[1]) > CHAIN_LENGTH:
            raise _fail(
                tr("chain names have {chain_length} characters at most", chain_length=CHAIN_LENGTH),
                line,
                self.source,
                number,
            )
        policy = heading[2].replace("-", "ACCEPT") if heading[1] in BUILT_IN[self.name] else ""
        return ChainBuilder(heading[1], policy, self._put_off)

    def table(self, lines: list[str]) -> Table:
        """Put the rules into their chains; `lines` end with the table's COMMIT.

        Raises: Refused for a table the kernel would not load.
        """
        chains = {name: body.chain() for name, body in self.chains.items()}
        if self.partial:
            chains |= {chain.name: chain for chain in absent_chains(self.name, chains, self.source)}
        table = put_chains(Table(self.name), chains.values())
        check_table(table, self.source, lambda chain, fits: self._where(lines, chain, fits))
        return table

    def _where(self, lines: list[str], chain: str, fits: Callable[[ChainRule], bool]) -> str:
        """Say where the first rule of a chain that fits stands, by reading the table's lines again."""
        for number, line in enumerate(lines[self.start :], self.start + 1):
            text = _without_counters(line)
            if not text.lstrip().startswith("-A ") or f" {chain} " not in f"{text} ":
                continue
            rule = self._rule(text, number)
            if rule.chain == chain and fits(rule):
                return f"{self.source}:{number}:{text.index('-A') + 1}"
        return self.source


def _running(rule: ChainRule) -> ChainRule:
    """Return a rule that has seen packets before, nobody knows which."""
    only_tells = rule.target is None or isinstance(rule.target, Log)
    return replace(rule, matches=tuple(match.running(only_tells) for match in rule.matches))


def _fail(what: str, line: str, source: str, number: int) -> StateSyntaxError:
    return StateSyntaxError(what, source=source, line=number, column=1, text=line)


def print_table(table: Table) -> str:
    """Print one table as iptables-save does, counters zero."""
    rules = (str(rule) for chain in table.chains for rule in chain.rules)
    return "\n".join([f"*{table.name}", *map(str, table.chains), *rules, "COMMIT", ""])


@gc_paused()
def print_tables(tables: Iterable[Table]) -> str:
    """Print tables as iptables-save does, without its comment lines."""
    return "".join(print_table(table) for table in sorted(tables, key=lambda table: PRINTED.index(table.name)))
