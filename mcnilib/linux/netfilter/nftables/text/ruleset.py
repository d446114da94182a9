"""Reading what `nft list ruleset` prints, and what people type after `nft -f` in that form.

Source: nft(8); src/parser_bison.y (nftables 1.0.6).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from mcnilib.gc_pause import gc_paused
from mcnilib.language import mark, tr
from mcnilib.linux.netfilter.nftables.datatype import DATA_TYPES, DataType
from mcnilib.linux.netfilter.nftables.expression import SELECTORS, SPELLINGS
from mcnilib.linux.netfilter.nftables.rule import PRIORITIES, NftChain, NftRule, NftTable
from mcnilib.linux.netfilter.nftables.sets import Element, NftSet
from mcnilib.linux.netfilter.nftables.text.expressions import NotModelled, read_elements
from mcnilib.linux.netfilter.nftables.text.statements import read_statements
from mcnilib.linux.netfilter.nftables.text.tokens import Tokens

FAMILIES = ("ip", "ip6", "inet", "arp", "bridge", "netdev")

MODELLED = ("ip", "inet")
"""Families whose rules are read; IPv6 is passed over, of the others only so much as tells that they decide."""


@gc_paused()
def read_ruleset(text: str, source: str = "nft") -> tuple[NftTable, ...]:
    """Read a ruleset. Raises: StateSyntaxError naming line and column."""
    words = Tokens(text, source)
    tables: list[NftTable] = []
    words.skip_ends()
    while not words.over:
        words.expect("table")
        family = words.take(mark("a family")) if words.next in FAMILIES else "ip"
        tables.append(_table(words, family, words.take(mark("a name"))))
        words.skip_ends()
    return tuple(tables)


def _table(words: Tokens, family: str, name: str) -> NftTable:
    if family not in MODELLED:
        return NftTable(family, name, kept=(_block(words),))
    if not words.skip("{"):
        return NftTable(family, name)
    parts = _Parts()
    while not words.closes():
        parts.take(words)
    named, chains = tuple(parts.sets.values()), parts.read_chains()
    return NftTable(family, name, named, chains, parts.flags, parts.comment, tuple(parts.kept))


class _Parts:
    """What a table holds, as far as it is read; rules are read at the end, when all sets are known."""

    def __init__(self) -> None:
        self.sets: dict[str, NftSet] = {}
        self.later: list[Callable[[], NftChain]] = []
        self.flags: tuple[str, ...] = ()
        self.comment = ""
        self.kept: list[str] = []

    def take(self, words: Tokens) -> None:
        """Read one part."""
        if words.skip("comment"):
            self.comment = words.unquoted(mark("a comment"))
        elif words.skip("flags"):
            self.flags = _listed(words)
        elif words.next in ("set", "map"):
            is_map = words.take(mark("set or map")) == "map"
            one = read_named_set(words, words.take(mark("a name")), is_map)
            self.sets[one.name] = one
        elif words.skip("chain"):
            self._chain(words)
        else:
            self.kept.append("\t" + words.rest_of_line())
        words.end()

    def _chain(self, words: Tokens) -> None:
        name = words.take(mark("a name"))
        words.expect("{")
        at = words.read
        end = words.read = words.block_end()
        self.later.append(lambda: read_chain(words, name, at, end, self.sets))

    def read_chains(self) -> tuple[NftChain, ...]:
        """Read the chains that were put off."""
        return tuple(read() for read in self.later)


def _block(words: Tokens) -> str:
    """Pass over a block in brackets; return it as it is written."""
    start = words.read
    words.expect("{")
    words.read = words.block_end()
    return words.written(start, words.read)


def _listed(words: Tokens) -> tuple[str, ...]:
    names = [words.take(mark("a flag"))]
    while words.skip(","):
        names.append(words.take(mark("a flag")))
    return tuple(names)


def read_chain(words: Tokens, name: str, start: int, end: int, sets: Mapping[str, NftSet]) -> NftChain:
    """Read what stands between the brackets of a chain, from one word to another."""
    kept, words.read = words.read, start
    chain = NftChain(name)
    rules: list[NftRule] = []
    comment = ""
    words.skip_ends()
    while words.read < end - 1:
        if words.skip("comment"):
            comment = words.unquoted(mark("a comment"))
        elif words.next == "type" and not rules:
            chain = _base(words, name)
        elif words.skip("policy"):
            chain = replace(chain, policy=words.one_of(("accept", "drop"), mark("a policy")))
        else:
            statements, note = read_statements(words, sets)
            rules.append(NftRule(name, statements, note, words.handle()))
        words.end()
    words.read = kept
    if not (chain.hook or chain.policy):  # most of a large ruleset are: made once
        return NftChain(name, tuple(rules), comment=comment)
    return replace(chain, rules=tuple(rules), comment=comment)


HOOK_NAMES = ("prerouting", "input", "forward", "output", "postrouting", "ingress", "egress")


def _base(words: Tokens, name: str) -> NftChain:
    words.expect("type")
    kind = words.one_of(("filter", "nat", "route"), mark("a type of chain"))
    words.expect("hook")
    hook = words.one_of(HOOK_NAMES, mark("a hook"))
    device = words.unquoted(mark("a device")) if words.skip("device") else ""
    words.expect("priority")
    return NftChain(name, (), kind, hook, _priority(words), "accept", device)


def _priority(words: Tokens) -> int:
    """Read `filter`, `dstnat - 10`, `-110`."""
    named = PRIORITIES.get(words.next)
    if named is None:
        return words.number(mark("a priority"), 2**31 - 1)
    words.read += 1
    if words.next in ("+", "-"):
        sign = -1 if words.take(mark("a sign")) == "-" else 1
        return named + sign * words.number(mark("a number"), 2**31 - 1)
    return named


def read_named_set(words: Tokens, name: str, is_map: bool) -> NftSet:
    """Read a named set or map."""
    words.expect("{")
    declared, key, data, gap = "", tuple[DataType, ...](), None, ""
    options: list[str] = []
    comment = ""
    elements: list[Element] = []
    kept = ""
    while not words.closes():
        if words.next in ("type", "typeof"):
            declared, key, data, gap = _declared(words, is_map)
        elif words.skip("comment"):
            comment = words.unquoted(mark("a comment"))
        elif words.skip("elements"):
            words.expect("=")
            start = words.read
            try:
                elements = [] if gap else read_elements(words, key, data, is_map=is_map)
            except NotModelled:
                words.read, gap = start, tr("elements of set {name} are not modelled", name=name)
            kept = _block(words) if gap else ""
        else:
            options.append(words.rest_of_line())
        words.end()
    return NftSet(name, key, (), data, is_map, declared, tuple(options), comment, gap, kept).holding(elements)


def _declared(words: Tokens, is_map: bool) -> tuple[str, tuple[DataType, ...], tuple[DataType, ...] | None, str]:
    """Read `type ipv4_addr . inet_service : verdict` or `typeof ip saddr . tcp dport`."""
    word = words.take(mark("type or typeof"))
    text = words.rest_of_line()
    key_text, _, data_text = text.partition(" : ")
    name = _type_called if word == "type" else _type_of
    key = tuple(map(name, key_text.split(" . ")))
    data = None if data_text in ("", "verdict") else tuple(map(name, data_text.split(" . ")))
    known = [kind for kind in (*key, *(data or ())) if kind is not None]
    whole = len(known) == len(key) + len(data or ())
    gap = "" if whole else tr("a set of the type {type} is not modelled", type=text)
    return f"{word} {text}", tuple(k for k in key if k), tuple(k for k in data if k) if data else None, gap


def _type_called(name: str) -> DataType | None:
    return DATA_TYPES.get(name.strip())


def _type_of(text: str) -> DataType | None:
    text = SPELLINGS.get(text.strip(), text.strip())
    return SELECTORS[text][0] if text in SELECTORS else DATA_TYPES.get(text)
