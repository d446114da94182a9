"""The file form of the netfilter tables: what iptables-save prints and iptables-restore reads.

Counters, comments and dates are read over; printed counters are zero. Rules are read in `rule_parse` and
`target_parse`.
Source: iptables-save(8), iptables-restore(8) (iptables 1.8.9).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import cast

from mcnilib.errors import StateSyntaxError
from mcnilib.linux.match import Match, Protocol
from mcnilib.linux.match_ports import Ports
from mcnilib.linux.netfilter import BUILT_IN, Chain, ChainRule, Table, check_loops
from mcnilib.linux.origin import Origin
from mcnilib.linux.rule_parse import HEADER_ORDER, read_header, read_match
from mcnilib.linux.rule_words import RuleWords
from mcnilib.linux.tables import Tables, append, put_chain, put_table
from mcnilib.linux.target import Target
from mcnilib.linux.target_parse import read_target

_CHAIN = re.compile(r":(\S+) (ACCEPT|DROP|-)(?: \[\d+:\d+\])?\s*")
_COUNTERS = re.compile(r"\[\d+:\d+\] ")
OPTIONS = ("-s", "-d", "-i", "-o", "-p", "-m", "-j", "-g", "--dport", "--sport")
NAME_LENGTH = 28
"""Longest chain name iptables accepts."""


def parse_rule(line: str, by: Origin | None = None, *, source: str = "rule", number: int = 1) -> ChainRule:
    """Read one `-A CHAIN ...` line.

    Raises: StateSyntaxError for text iptables would refuse, Unsupported for matches and targets that are not modelled.
    """
    rule = _parse_cached(line) if source == "rule" else _parse(line, source, number)
    return replace(rule, by=by) if by else rule


@lru_cache(maxsize=65536)
def _parse_cached(line: str) -> ChainRule:
    return _parse(line, "rule", 1)


def _parse(line: str, source: str, number: int) -> ChainRule:
    words = RuleWords(line, source, number)
    if words.take("-A") not in ("-A", "--append"):
        raise words.fail("a rule begins with -A")
    chain = words.take("a chain")
    if len(chain) > NAME_LENGTH:
        raise words.fail(f"chain names have {NAME_LENGTH} characters at most")
    header: list[Match] = []
    matches: list[Match] = []
    target: Target | None = None
    while words.more:
        found = read_header(words)
        if found:
            header.append(found)
        elif words.accept("-m", "--match"):
            matches.append(read_match(words, words.take("a match")))
        elif option := words.accept("-j", "--jump", "-g", "--goto"):
            target = read_target(words, option in ("-g", "--goto"))
        else:
            _imply(words, header, matches)
    return ChainRule(chain, (*_in_order(header, words), *matches), target)


def _imply(words: RuleWords, header: list[Match], matches: list[Match]) -> None:
    """Read `--dport 80` after `-p tcp`: the option of a protocol's own match, which -m may have loaded before."""
    option = words.peek()
    protocol = next((match.name for match in header if isinstance(match, Protocol)), "")
    if protocol in ("tcp", "udp", "icmp") and option.startswith(("--", "!")):
        found = read_match(words, protocol)
        if words.peek() != option:
            loaded = next((i for i, m in enumerate(matches) if isinstance(m, Ports) and m.proto == protocol), None)
            if loaded is None or not isinstance(found, Ports):
                matches.append(found)
            else:
                matches[loaded] = cast(Ports, matches[loaded]).joined(found)
            return
    words.take()
    raise words.fail(f"unknown option {option!r}", near=OPTIONS)


def _in_order(header: list[Match], words: RuleWords) -> list[Match]:
    kinds = [type(match) for match in header]
    if len(set(kinds)) != len(kinds):
        raise words.fail("the same header option stands twice")
    return sorted(header, key=lambda match: HEADER_ORDER.index(type(match)))


def parse_tables(text: str, source: str = "iptables-save") -> Tables:
    """Read the output of iptables-save (any backend).

    Raises: StateSyntaxError, Unsupported, and McniError for chains that jump in circles.
    """
    tables: Tables = ()
    current: Table | None = None
    rules: list[ChainRule] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("*"):
            current, rules = _open(line, source, number), []
        elif current is None:
            raise _fail("expected *TABLE", line, source, number)
        elif line.startswith(":"):
            current = put_chain(current, _chain(line, source, number))
        elif line.strip() == "COMMIT":
            tables = _close(tables, current, rules, source)
            current = None
        else:
            rules.append(_parse(_COUNTERS.sub("", line, count=1) if line.startswith("[") else line, source, number))
    if current is not None:
        raise _fail("COMMIT is missing", "", source, len(text.splitlines()) + 1)
    return tables


def _open(line: str, source: str, number: int) -> Table:
    name = line[1:].strip()
    if name not in BUILT_IN:
        raise _fail(f"{name!r} is not a table; tables are {', '.join(BUILT_IN)}", line, source, number)
    return Table(name)


def _chain(line: str, source: str, number: int) -> Chain:
    found = _CHAIN.fullmatch(line)
    if not found:
        raise _fail("expected :CHAIN POLICY [packets:bytes]", line, source, number)
    return Chain(found[1], (), "" if found[2] == "-" else found[2])


def _close(tables: Tables, table: Table, rules: list[ChainRule], source: str) -> Tables:
    filled = append((table,), table.name, rules)[0]
    check_loops(filled, source)
    return put_table(tables, filled)


def _fail(what: str, line: str, source: str, number: int) -> StateSyntaxError:
    return StateSyntaxError(what, source=source, line=number, column=1, text=line)


def print_table(table: Table) -> str:
    """Print one table as iptables-save does, counters zero."""
    rules = (str(rule) for chain in table.chains for rule in chain.rules)
    return "\n".join([f"*{table.name}", *map(str, table.chains), *rules, "COMMIT", ""])


def print_tables(tables: Iterable[Table]) -> str:
    """Print tables as iptables-save does, without its comment lines."""
    return "".join(print_table(table) for table in tables)
