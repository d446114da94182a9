"""The file form of the netfilter tables: what iptables-save prints and iptables-restore reads.

Counters, comments and dates are read over; printed counters are zero. Rules are read in `rule_parse`.
Source: iptables-save(8), iptables-restore(8) (iptables 1.8.9).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache

from mcnilib.errors import StateSyntaxError, Unsupported
from mcnilib.gc_pause import gc_paused
from mcnilib.linux.alike import Forms
from mcnilib.linux.bodies import Body
from mcnilib.linux.chain_checks import check_table
from mcnilib.linux.match_memory import MEMORIES, Limit
from mcnilib.linux.netfilter import BUILT_IN, ChainRule, Table
from mcnilib.linux.origin import Origin
from mcnilib.linux.rule_parse import CHAIN_LENGTH, read_rule
from mcnilib.linux.strangers import incompatible_tables, other_tool
from mcnilib.linux.tables import Tables, put_chains, put_table
from mcnilib.linux.target import Log
from mcnilib.linux.unread import absent_chains, unread_rule

_CHAIN = re.compile(r":(\S+) (ACCEPT|DROP|-)(?: \[\d+:\d+\])?\s*")
_COUNTERS = re.compile(r"^\[\d+:\d+\] ")

Numbered = tuple[str, int]
"""A line and its number."""


PRINTED = ("mangle", "security", "raw", "filter", "nat")
"""The order iptables-save 1.8.9 (nf_tables) prints tables in, whatever order they were made in."""


def parse_rule(line: str, by: Origin | None = None, *, source: str = "rule", number: int = 1) -> ChainRule:
    """Read one `-A CHAIN ...` line.

    Raises: StateSyntaxError for text iptables would refuse, Unsupported for matches and targets that are not modelled.
    """
    rule = _parse_cached(line) if source == "rule" else read_rule(line, source, number)
    if rule.remembers:  # two equal rules remember apart
        rule = read_rule(line, source, number)
    return replace(rule, by=by) if by else rule


@lru_cache(maxsize=65536)
def _parse_cached(line: str) -> ChainRule:
    return read_rule(line, "rule", 1)


@gc_paused()
def parse_tables(text: str, source: str = "iptables-save", *, partial: bool = False, running: bool = False) -> Tables:
    """Read the output of iptables-save (any backend).

    With `partial`, rules that are not modelled are kept as `Unread`, and so are chains that are not there; what a
    comment says is not printed is passed over. With `running`, the rules have seen packets: what they remember is not
    known.
    Raises: StateSyntaxError; Unsupported, also for what another tool prints; Refused for rules the kernel would not
    load where they stand.
    """
    tables: Tables = ()
    section: _Section | None = None
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if line.startswith("#") and not partial:
            for gap in incompatible_tables(line, source, number):
                raise Unsupported(gap.why)
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("*"):
            if section is not None:
                raise _fail("COMMIT is missing", line, source, number)
            section = _Section(_table_name(line, source, number), source, partial, running, number)
            if any(table.name == section.name for table in tables):
                raise _fail(f"table {section.name} stands twice", line, source, number)
        elif section is None:
            raise _stranger(line, source, number)
        elif line.strip() == "COMMIT":
            tables = put_table(tables, section.table(lines[:number]))
            section = None
        else:
            section.read(line, number)
    if section is not None:
        raise _fail("COMMIT is missing", "", source, len(lines) + 1)
    return tables


def _stranger(line: str, source: str, number: int) -> Unsupported | StateSyntaxError:
    """Build the error for a line outside all tables; the text of another tool is named."""
    if tool := other_tool(line):
        what = f"this is what {tool} prints; its rules are not modelled, those of iptables-save are"
        return Unsupported(f"{source}:{number}: {what}")
    return _fail("expected *TABLE", line, source, number)


def _table_name(line: str, source: str, number: int) -> str:
    name = line[1:].strip()
    if name not in BUILT_IN:
        raise _fail(f"{name!r} is not a table; tables are {', '.join(BUILT_IN)}", line, source, number)
    return name


def _without_counters(line: str) -> str:
    """Blank the counters in front of a rule; columns stay."""
    return _COUNTERS.sub(lambda found: " " * len(found[0]), line, count=1)


class _Section:
    """The lines of one table, from *TABLE to COMMIT."""

    def __init__(self, name: str, source: str, partial: bool, running: bool, start: int) -> None:
        self.name, self.source, self.partial, self.running, self.start = name, source, partial, running, start
        self.chains: dict[str, Body[Numbered]] = {}
        self.forms = Forms()

    def read(self, line: str, number: int) -> None:
        """Read a chain or a rule."""
        if line.startswith(":"):
            chain = self._chain(line, number)
            if chain.name in self.chains:
                raise _fail(f"chain {chain.name} is declared twice, or behind its rules", line, self.source, number)
            self.chains[chain.name] = chain
        elif not self._take(_COUNTERS.sub("", line, count=1) if line.startswith("[") else line, line, number):
            self._read_whole(line, number)

    def _take(self, words: str, line: str, number: int) -> bool:
        """Put off a line that looks like one that was read before; False when there is none."""
        if not (known := self.forms.find(words)):
            return False
        body = self.chains.get(known.chain)
        if body is None or (known.to and known.to not in self.chains):
            return False
        body.put_off((line, number), known.sample, known.to)
        return True

    def _put_off(self, line: Numbered) -> ChainRule:
        return read_rule(_without_counters(line[0]), self.source, line[1])

    def _read_whole(self, line: str, number: int) -> None:
        rule = self._rule(_without_counters(line), number)
        if rule.chain not in self.chains and rule.chain not in BUILT_IN[self.name]:
            raise _fail(f"chain {rule.chain} is not declared above", line, self.source, number)
        body = self.chains.setdefault(rule.chain, Body(rule.chain, "ACCEPT", self._put_off))
        body.put(_running(rule) if self.running and rule.remembers else rule)
        self.forms.learn(_COUNTERS.sub("", line, count=1), rule)

    def _rule(self, line: str, number: int) -> ChainRule:
        try:
            return read_rule(line, self.source, number)
        except Unsupported as problem:
            if not self.partial:
                raise
            return unread_rule(line, problem, self.source, number)

    def _chain(self, line: str, number: int) -> Body[Numbered]:
        """Read `:CHAIN POLICY`; a built-in chain without policy has ACCEPT, a user chain never has one."""
        found = _CHAIN.fullmatch(line)
        if not found:
            raise _fail("expected :CHAIN POLICY [packets:bytes]", line, self.source, number)
        if len(found[1]) > CHAIN_LENGTH:
            raise _fail(f"chain names have {CHAIN_LENGTH} characters at most", line, self.source, number)
        policy = found[2].replace("-", "ACCEPT") if found[1] in BUILT_IN[self.name] else ""
        return Body(found[1], policy, self._put_off)

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
            words = _without_counters(line)
            if not words.lstrip().startswith("-A ") or f" {chain} " not in f"{words} ":
                continue
            rule = self._rule(words, number)
            if rule.chain == chain and fits(rule):
                return f"{self.source}:{number}:{words.index('-A') + 1}"
        return self.source


def _running(rule: ChainRule) -> ChainRule:
    """Return a rule that has seen packets before, nobody knows which.

    How much its bucket of `-m limit` holds is all the same to packets where the rule only tells of them.
    """
    only_tells = rule.target is None or isinstance(rule.target, Log)
    unsure = tuple(one for one in MEMORIES if not (only_tells and one is Limit))
    matches = (replace(one, known=False) if isinstance(one, unsure) else one for one in rule.matches)
    return replace(rule, matches=tuple(matches))


def _fail(what: str, line: str, source: str, number: int) -> StateSyntaxError:
    return StateSyntaxError(what, source=source, line=number, column=1, text=line)


def print_table(table: Table) -> str:
    """Print one table as iptables-save does, counters zero."""
    rules = (str(rule) for chain in table.chains for rule in chain.rules)
    return "\n".join([f"*{table.name}", *map(str, table.chains), *rules, "COMMIT", ""])


@gc_paused()
def print_tables(tables: Iterable[Table]) -> str:
    """Print tables as iptables-save does, without its comment lines."""
    return "".join(print_table(table) for table in sorted(tables, key=lambda one: PRINTED.index(one.name)))
