"""The commands `iptables` and `iptables-save` as they are typed, carried out on the model.

Source: iptables(8) and its code, release 1.8.9.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from getopt import GetoptError, getopt

from mcnilib.errors import McniError, Unsupported
from mcnilib.language import listed, tr
from mcnilib.linux.netfilter.hooks import BUILT_IN
from mcnilib.linux.netfilter.iptables.edit import append, delete, find_table, flush_chain, insert, new_chain, set_policy
from mcnilib.linux.netfilter.iptables.rule import ChainRule, Tables
from mcnilib.linux.netfilter.iptables.rule_text import CHAIN_LENGTH
from mcnilib.linux.netfilter.iptables.save import parse_rule, print_table, print_tables
from mcnilib.linux.netfilter.iptables.target.verdict import Jump
from mcnilib.linux.netfilter.iptables.validate import check_table
from mcnilib.linux.netns import Netns
from mcnilib.linux.origin import Origin
from mcnilib.linux.text import nearest

Edit = Callable[[Tables, str, str, list[str], Origin], Tables]

_SHORT = {
    **{"--append": "-A", "--insert": "-I", "--delete": "-D", "--policy": "-P", "--new-chain": "-N", "--flush": "-F"},
    **{"--new": "-N", "--table": "-t", "--wait": "-w"},
}

TEXTS = ("--comment", "--log-prefix", "--nflog-prefix")
"""Options whose value may look like an option."""


def iptables(netns: Netns, arguments: list[str], origin: Origin) -> Netns:
    """Carry out `iptables [-t TABLE] VERB CHAIN ...`; the table and -w may stand anywhere.

    Raises: McniError for what the tool, the kernel or the model does not take.
    """
    table, rest = _table(arguments)
    if not rest or rest[0] not in EDITS:
        command, edits = f" {rest[0]}" if rest else "", "|".join(EDITS)
        expected = tr("iptables{command}: expected iptables [-t TABLE] {edits} CHAIN ...", command=command, edits=edits)
        raise Unsupported(expected)
    if rest == ["-F"]:
        return netns.with_ip4(tables=_flush_all(netns.ip4.tables, table))
    if len(rest) < 2:
        raise McniError(tr("iptables {command}: the chain is missing", command=rest[0]))
    verb, chain = rest[:2]
    there = find_table(netns.ip4.tables, table).by_name
    if verb != "-N" and chain not in there:
        raise McniError(
            tr(
                "iptables: table {table} of {netns} has no chain {chain}{nearest}",
                table=table,
                netns=netns.name,
                chain=chain,
                nearest=nearest(chain, there),
            )
        )
    tables = EDITS[verb](netns.ip4.tables, table, chain, rest[2:], origin)
    check_table(find_table(tables, table), f"iptables in {netns.name}")
    return netns.with_ip4(tables=tables)


def _table(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Take -t TABLE and -w [SECONDS] out of the words. Raises: McniError for a table that does not exist."""
    table, rest, left = "filter", [], [_SHORT.get(word, word) for word in arguments]
    while left:
        word = left.pop(0)
        if word == "-t" or word.startswith("--table="):
            table = word.partition("=")[2] if "=" in word else "".join(left[:1])
            left = left[word == "-t" :]
        elif word == "-w":
            left = left[bool(left and left[0].isdecimal()) :]
        else:
            rest += [word, *left[: word in TEXTS]]
            left = left[word in TEXTS :]
    if table not in BUILT_IN:
        names = ", ".join(BUILT_IN)
        raise McniError(
            tr(
                "iptables: table {table!r} does not exist; there are {names}{nearest}",
                table=table,
                names=names,
                nearest=nearest(table, BUILT_IN),
            )
        )
    return table, rest


def _rule(chain: str, arguments: Sequence[str], origin: Origin | None = None) -> ChainRule:
    return parse_rule(" ".join(map(_quoted, ["-A", chain, *arguments])), origin)


def _quoted(word: str) -> str:
    """Write a word so that it is read as one."""
    if word and not re.search(r'[\s"]', word):
        return word
    return '"' + re.sub(r'(["\\])', r"\\\1", word) + '"'


def _numbered(arguments: Sequence[str]) -> bool:
    """Tell whether the rule is given by its number: what is neither an option nor its negation."""
    return bool(arguments) and arguments[0][:1] not in ("-", "!")


def _number(chain: str, word: str, most: int) -> int:
    """Read the number of a rule, from 1 to `most`. Raises: McniError."""
    number = int(word) if re.fullmatch("[0-9]{1,9}", word) else 0
    if not 1 <= number <= most:
        raise McniError(
            tr(
                "iptables: there is no rule {word} in {chain}; numbers are 1 to {most}",
                word=word,
                chain=chain,
                most=most,
            )
        )
    return number


def _append(tables: Tables, table: str, chain: str, arguments: list[str], origin: Origin) -> Tables:
    return append(tables, table, [_rule(chain, arguments, origin)])


def _insert(tables: Tables, table: str, chain: str, arguments: list[str], origin: Origin) -> Tables:
    most = len(find_table(tables, table).chain(chain).rules) + 1
    number = _number(chain, arguments.pop(0), most) if _numbered(arguments) else 1
    return insert(tables, table, _rule(chain, arguments, origin), number)


def _delete(tables: Tables, table: str, chain: str, arguments: list[str], origin: Origin) -> Tables:
    """Delete a rule by its number, or the first that reads as said."""
    rules = find_table(tables, table).chain(chain).rules
    if not _numbered(arguments):
        rule = _rule(chain, arguments)
    elif len(arguments) == 1:
        rule = rules[_number(chain, arguments[0], len(rules)) - 1]
    else:
        raise McniError(tr("iptables: nothing may follow the rule's number, not {words!r}", words=arguments[1]))
    if rule not in rules:
        raise McniError(tr("iptables: {chain} has no rule {rule}", chain=chain, rule=rule))
    return delete(tables, table, rule)


def _policy(tables: Tables, table: str, chain: str, arguments: list[str], origin: Origin) -> Tables:
    if chain not in BUILT_IN[table]:
        raise McniError(tr("iptables: {chain} is no built-in chain and has no policy", chain=chain))
    if arguments not in (["ACCEPT"], ["DROP"]):
        raise McniError(tr("iptables: a policy is ACCEPT or DROP, not {words!r}", words=" ".join(arguments)))
    if (table, arguments) == ("nat", ["DROP"]):
        raise McniError(tr("iptables: table nat is not for filtering, no chain of it drops by policy"))
    return set_policy(tables, table, chain, arguments[0])


def _new(tables: Tables, table: str, chain: str, arguments: list[str], origin: Origin) -> Tables:
    _check_alone(chain, arguments)
    if chain in find_table(tables, table).by_name:
        raise McniError(tr("iptables: chain {chain} exists already in table {table}", chain=chain, table=table))
    if not re.fullmatch(rf"[^-!\s\"'\\][^\s\"'\\]{{0,{CHAIN_LENGTH - 1}}}", chain) or _is_target(chain):
        raise McniError(tr("iptables: {chain!r} cannot be the name of a chain", chain=chain))
    return new_chain(tables, table, chain)


def _is_target(name: str) -> bool:
    try:
        return not isinstance(_rule("X", ["-j", name]).target, Jump)
    except McniError:  # a target that needs options
        return True


def _flush(tables: Tables, table: str, chain: str, arguments: list[str], origin: Origin) -> Tables:
    _check_alone(chain, arguments)
    return flush_chain(tables, table, chain)


def _check_alone(chain: str, arguments: list[str]) -> None:
    if arguments:
        raise McniError(tr("iptables: nothing may follow {chain} here, not {words!r}", chain=chain, words=arguments[0]))


def _flush_all(tables: Tables, table: str) -> Tables:
    """Delete the rules of every chain of a table; the chains and their policies stay."""
    for chain in find_table(tables, table).chains:
        tables = flush_chain(tables, table, chain.name)
    return tables


EDITS: dict[str, Edit] = {
    "-A": _append,
    "-I": _insert,
    "-D": _delete,
    "-P": _policy,
    "-N": _new,
    "-F": _flush,
}


def iptables_save(tables: Tables, arguments: Sequence[str]) -> str:
    """Print tables as `iptables-save` does, one of them with -t.

    Raises: Unsupported for other options, McniError for an argument or a table there is not.
    """
    try:
        options, left = getopt(list(arguments), "t:", ["table="])
    except GetoptError as problem:
        raise Unsupported(tr("iptables-save: {msg}; -t TABLE is modelled", msg=problem.msg)) from None
    if left:
        raise McniError(
            tr(
                "iptables-save: unknown argument {word!r}; it takes -t TABLE{nearest}",
                word=left[0],
                nearest=nearest(left[0], BUILT_IN),
            )
        )
    if not options:
        return print_tables(tables)
    name = options[-1][1]
    if name not in BUILT_IN:
        raise McniError(
            tr(
                "iptables-save: table {name!r} does not exist; there are {built_in}{nearest}",
                name=name,
                built_in=listed(BUILT_IN),
                nearest=nearest(name, BUILT_IN),
            )
        )
    return print_table(find_table(tables, name))
