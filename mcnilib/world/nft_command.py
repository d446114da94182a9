"""The command `nft` as it is typed: tables, chains, rules, sets and elements are added, inserted, deleted or flushed.

Several commands may follow each other behind semicolons. A rule is deleted or replaced by its handle, which only
`nft -a` and `nft -j` show: where it is not known, the command is refused by name.
Source: nft(8); src/parser_bison.y (nftables 1.0.6), net/netfilter/nf_tables_api.c (Linux 6.18).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import replace

from mcnilib.errors import McniError, Refused, Unsupported
from mcnilib.language import mark, tr
from mcnilib.linux.netfilter.nftables.check import check_native, jumps_of
from mcnilib.linux.netfilter.nftables.rule import NftChain, NftRule, NftTable
from mcnilib.linux.netfilter.nftables.sets import Element, NftSet
from mcnilib.linux.netfilter.nftables.text.expressions import read_elements
from mcnilib.linux.netfilter.nftables.text.ruleset import FAMILIES, MODELLED, read_chain, read_named_set
from mcnilib.linux.netfilter.nftables.text.statements import read_statements
from mcnilib.linux.netfilter.nftables.text.tokens import Tokens
from mcnilib.linux.netns import Netns
from mcnilib.linux.origin import Origin
from mcnilib.linux.text import not_there

_QUOTED = re.compile(r"""'[^']*'|"(?:\\.|[^"\\])*"|\\.""")

NativeTables = tuple[NftTable, ...]


def nft_words(command: str) -> str:
    """Return what nft reads of a command line: its words as a shell hands them over, with blanks between them.

    Raises: McniError for an open quote, or for a sign the shell would take for itself.
    """
    if found := re.search(r"[;&|<>()]", _QUOTED.sub("", command)):
        raise McniError(
            tr(
                "{word!r} in {command!r} is for a shell: leave it out, or put it behind the closing quote",
                word=found[0],
                command=command,
            )
        )
    try:
        words = shlex.split(command)
    except ValueError as problem:
        raise McniError(f"{command!r}: {str(problem)[0].lower()}{str(problem)[1:]}") from None
    return " ".join(words[1 + (words[0] == "sudo") :])


def nft(netns: Netns, text: str, origin: Origin) -> Netns:
    """Carry out `nft add|insert|delete|flush OBJECT ...`, all of them or none.

    Raises: McniError for what the tool, the kernel or the model does not take.
    """
    words, tables = Tokens(text, "nft"), netns.ip4.nft
    words.skip_ends()
    if words.over:
        raise words.error(tr("the command is empty"))
    while not words.over:
        tables = _command(tables, words, origin)
        words.end()
    for table in tables:
        check_native(table, [link.name for link in netns.links])
    return netns.with_ip4(nft=tables)


def _command(tables: NativeTables, words: Tokens, origin: Origin) -> NativeTables:
    verb = words.one_of(dict.fromkeys(verb for verb, _ in NFT_VERBS), mark("a command"))
    kind = words.one_of([kind for known, kind in NFT_VERBS if known == verb], mark("an object"))
    family = words.take(mark("a family")) if words.next in FAMILIES else "ip"
    if family not in MODELLED:
        raise Unsupported(tr("nft {verb} {kind} in the family {family}", verb=verb, kind=kind, family=family))
    name = words.take(mark("a name"))
    table = next((table for table in tables if table.title == f"{family} {name}"), None)
    if (verb, kind) == ("add", "table"):
        return tables if table else (*tables, NftTable(family, name))
    if table is None:
        raise not_there(mark("table"), f"{family} {name}", [one.title for one in tables])
    if (verb, kind) == ("delete", "table"):
        return tuple(one for one in tables if one is not table)
    changed = NFT_VERBS[verb, kind](table, words, origin)
    return tuple(changed if one is table else one for one in tables)


def _whole(table: NftTable, words: Tokens, origin: Origin) -> NftTable:
    """Stand for what is done to a table as a whole; see `_command`."""
    return table


def _flush_table(table: NftTable, words: Tokens, origin: Origin) -> NftTable:
    return replace(table, chains=tuple(replace(chain, rules=()) for chain in table.chains))


def _add_chain(table: NftTable, words: Tokens, origin: Origin) -> NftTable:
    name = words.take(mark("a chain"))
    chain = NftChain(name)
    if words.skip("{"):
        start = words.read
        words.read = words.block_end()
        chain = read_chain(words, name, start, words.read, table.set_of)
    old = table.by_name.get(name)
    if old is None:
        return replace(table, chains=(*table.chains, chain))
    if chain.hook and replace(chain, policy="") != replace(old, rules=(), policy=""):
        raise Refused(tr("chain {chain} exists and stands elsewhere", chain=name), error="EEXIST")
    return _with_chain(table, replace(old, policy=chain.policy or old.policy))


def _with_chain(table: NftTable, chain: NftChain) -> NftTable:
    return replace(table, chains=tuple(chain if one.name == chain.name else one for one in table.chains))


def _delete_chain(table: NftTable, words: Tokens, origin: Origin) -> NftTable:
    gone = table.chain(words.take(mark("a chain")))
    rules = (rule for chain in table.chains if chain is not gone for rule in chain.rules)
    if any(gone.name in jumps_of(rule, table.set_of) for rule in rules):
        raise Refused(tr("a rule leads to chain {chain}", chain=gone.name), error="EBUSY")
    return replace(table, chains=tuple(chain for chain in table.chains if chain is not gone))


def _flush_chain(table: NftTable, words: Tokens, origin: Origin) -> NftTable:
    return _with_chain(table, replace(table.chain(words.take(mark("a chain"))), rules=()))


def _add_rule(table: NftTable, words: Tokens, origin: Origin) -> NftTable:
    """Append a rule, or put it behind the one at a place, counted from 0."""
    return _put_rule(table, words, origin, behind=1)


def _insert_rule(table: NftTable, words: Tokens, origin: Origin) -> NftTable:
    """Put a rule first, or before the one at a place, counted from 0."""
    return _put_rule(table, words, origin, behind=0)


def _put_rule(table: NftTable, words: Tokens, origin: Origin, behind: int) -> NftTable:
    chain = table.chain(words.take(mark("a chain")))
    place = len(chain.rules) * behind
    if words.skip("index"):
        place = words.number(mark("a number"), len(chain.rules) - 1) + behind
    elif words.next in ("handle", "position"):
        place = _by_handle(chain, words) + behind
    rule = _new_rule(table, chain, words, origin)
    return _with_chain(table, replace(chain, rules=(*chain.rules[:place], rule, *chain.rules[place:])))


def _new_rule(table: NftTable, chain: NftChain, words: Tokens, origin: Origin) -> NftRule:
    statements, comment = read_statements(words, table.set_of)
    if not statements:
        raise words.error(tr("{what} is missing", what=tr("a statement")))
    return NftRule(chain.name, statements, comment, origin=origin)


def _delete_rule(table: NftTable, words: Tokens, origin: Origin) -> NftTable:
    chain = table.chain(words.take(mark("a chain")))
    place = _by_handle(chain, words)
    return _with_chain(table, replace(chain, rules=(*chain.rules[:place], *chain.rules[place + 1 :])))


def _replace_rule(table: NftTable, words: Tokens, origin: Origin) -> NftTable:
    """Put another rule in place of one; the kernel gives it a new handle."""
    chain = table.chain(words.take(mark("a chain")))
    place = _by_handle(chain, words)
    rule = _new_rule(table, chain, words, origin)
    return _with_chain(table, replace(chain, rules=(*chain.rules[:place], rule, *chain.rules[place + 1 :])))


def _by_handle(chain: NftChain, words: Tokens) -> int:
    """Read `handle N`, or `position N`; return the rule's place in its chain. Raises: Unsupported where that may be a
    rule whose handle is not known, Refused where there is none."""
    words.one_of(("handle", "position"), mark("handle"))
    handle = words.number(mark("a handle"))
    known = [rule.handle for rule in chain.rules]
    if handle in known and handle:
        return known.index(handle)
    if all(known):
        raise Refused(
            tr("chain {chain} has no rule with handle {handle}", chain=chain.name, handle=handle), error="ENOENT"
        )
    raise Unsupported(
        tr("nft: handles of the rules in chain {chain}, which only `nft -a list ruleset` shows", chain=chain.name)
    )


def _add_set(table: NftTable, words: Tokens, origin: Origin) -> NftTable:
    return _add_named(table, words, is_map=False)


def _add_map(table: NftTable, words: Tokens, origin: Origin) -> NftTable:
    return _add_named(table, words, is_map=True)


def _add_named(table: NftTable, words: Tokens, *, is_map: bool) -> NftTable:
    name = words.take(mark("a name"))
    named = read_named_set(words, name, is_map)
    return table if name in table.set_of else replace(table, sets=(*table.sets, named))


def _delete_set(table: NftTable, words: Tokens, origin: Origin) -> NftTable:
    gone = _set_called(table, words)
    asked = re.compile(rf"@{re.escape(gone.name)}(?![\w-])")
    if any(asked.search(str(rule)) for chain in table.chains for rule in chain.rules):
        raise Refused(tr("a rule asks for {set}", set=gone.name), error="EBUSY")
    return replace(table, sets=tuple(one for one in table.sets if one is not gone))


def _set_called(table: NftTable, words: Tokens) -> NftSet:
    name = words.take(mark("a name"))
    if name not in table.set_of:
        raise not_there(mark("set"), name, table.set_of)
    return table.set_of[name]


def _listed_elements(table: NftTable, words: Tokens, is_deleted: bool = False) -> tuple[NftSet, list[Element]]:
    named = _set_called(table, words)
    if named.gap:
        raise Unsupported(named.gap)
    is_map = named.is_map and not is_deleted
    return named, read_elements(words, named.key, named.data if is_map else (), is_map=is_map)


def _with_set(table: NftTable, named: NftSet, elements: list[Element]) -> NftTable:
    return replace(table, sets=tuple(named.holding(elements) if one is named else one for one in table.sets))


def _add_element(table: NftTable, words: Tokens, origin: Origin) -> NftTable:
    named, elements = _listed_elements(table, words)
    there = {one.key: one for one in named.elements}
    for one in elements:
        if there.setdefault(one.key, one).data != one.data:
            raise Refused(tr("{set} has the element {element}", set=named.name, element=one), error="EEXIST")
    return _with_set(table, named, list(there.values()))


def _delete_element(table: NftTable, words: Tokens, origin: Origin) -> NftTable:
    named, elements = _listed_elements(table, words, is_deleted=True)
    there = {one.key: one for one in named.elements}
    for one in elements:
        if there.pop(one.key, None) is None:
            raise Refused(tr("{element} is not an element of {set}", element=one, set=named.name), error="ENOENT")
    return _with_set(table, named, list(there.values()))


def _flush_set(table: NftTable, words: Tokens, origin: Origin) -> NftTable:
    return _with_set(table, _set_called(table, words), [])


NFT_VERBS: dict[tuple[str, str], Callable[[NftTable, Tokens, Origin], NftTable]] = {
    ("add", "table"): _whole,
    ("delete", "table"): _whole,
    ("flush", "table"): _flush_table,
    ("add", "chain"): _add_chain,
    ("delete", "chain"): _delete_chain,
    ("flush", "chain"): _flush_chain,
    ("add", "rule"): _add_rule,
    ("insert", "rule"): _insert_rule,
    ("delete", "rule"): _delete_rule,
    ("replace", "rule"): _replace_rule,
    ("add", "set"): _add_set,
    ("add", "map"): _add_map,
    ("delete", "set"): _delete_set,
    ("delete", "map"): _delete_set,
    ("flush", "set"): _flush_set,
    ("flush", "map"): _flush_set,
    ("add", "element"): _add_element,
    ("delete", "element"): _delete_element,
}
"""What may be done to a table, by verb and object."""
