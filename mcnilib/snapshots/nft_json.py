"""`nft -j list ruleset`, held against what iptables-save prints of the same tables.

iptables-save says nothing of sets, maps, ranges of addresses and other native expressions, and prints such a rule
without them; it does not say that a table is dormant; tables of other names and families it leaves out. Of all these
only so much is read here as tells where they are: a packet that gets there is unknown.
Source: libnftables-json(5), nft(8); measured with iptables 1.8.9 and nft 1.0.6.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from mcnilib.errors import StateSyntaxError
from mcnilib.language import tr
from mcnilib.linux.netfilter.hooks import BUILT_IN
from mcnilib.linux.netfilter.iptables.rule import Chain, ChainRule, Table, Tables
from mcnilib.linux.netfilter.iptables.save import UnparsedRule
from mcnilib.linux.netfilter.nftables.rule import NftTable
from mcnilib.linux.netfilter.nftables.text.json_form import ruleset_text
from mcnilib.linux.netfilter.nftables.text.ruleset import read_ruleset
from mcnilib.linux.unmodelled import Gap
from mcnilib.world.json_form import read_json

Named = tuple[str, str]
"""Family and name of a table."""

_FLAGS = {"owner", "persist"}
"""Flags of a table that change nothing for packets; nft 1.0.6 prints others than there are."""

ADDRESSES, _PORTS, _HEADERS = (
    ("saddr", "daddr"),
    ("sport", "dport"),
    ("protocol", "ttl", "frag-off", "type", "code", "flags"),
)

META = ("l4proto", "iif", "iifname", "oif", "oifname", "mark", "pkttype")

DONE = ("counter", "accept", "drop", "return", "jump", "goto", "continue", "log", "xt")
"""Statements iptables-nft writes, and iptables-save prints."""


@dataclass
class NativeChain:
    """A chain as nft prints it; `hook` is empty for one that no packet gets to by itself."""

    table: Named
    name: str
    hook: str = ""
    policy: str = "accept"
    rules: list[bool] = field(default_factory=list)  # whether iptables-save prints all of it

    @property
    def acts(self) -> bool:
        """Tell whether a packet that gets here may meet something."""
        return bool(self.rules) or self.policy != "accept"

    def __str__(self) -> str:
        return f"{' '.join(self.table)} {self.name}"


class Ruleset:
    """The chains of a namespace as nft prints them, without those of dormant tables."""

    def __init__(self, text: str, source: str, dormant: frozenset[Named]) -> None:
        """Read the ruleset; `dormant` are tables of which the text form of nft says that they are.

        Raises: StateSyntaxError for text nft does not print.
        """
        self.source = source
        self.chains: dict[tuple[Named, str], NativeChain] = {}
        self.dormant, self.doubtful = set(dormant), set[Named]()
        self._entries: list[dict[str, Any]] = []  # of tables that iptables-save does not print
        try:
            for entry in read_json(text, source, _short)["nftables"] if text.strip() else ():
                self._take(entry)
        except (LookupError, TypeError, AttributeError) as problem:
            raise _no_ruleset(problem, source, text[:80].partition("\n")[0]) from None

    def _take(self, entry: dict[str, Any]) -> None:
        for kind, said in entry.items():
            named = (said.get("family"), said["name"] if kind == "table" else said.get("table"))
            if kind != "metainfo" and _is_native(*named):
                self._entries.append(entry)
        if (table := entry.get("table")) is not None:
            self._table((table["family"], table["name"]), table.get("flags", []))
        elif (chain := entry.get("chain")) is not None:
            at = (chain["family"], chain["table"])
            native = NativeChain(at, chain["name"], chain.get("hook", ""), chain.get("policy", "accept"))
            self.chains[at, native.name] = native
        elif (rule := entry.get("rule")) is not None:
            foreign = _is_native(rule["family"], rule["table"])
            self.chains[(rule["family"], rule["table"]), rule["chain"]].rules.append(not foreign and rule["expr"])

    def _table(self, table: Named, flags: str | list[str]) -> None:
        said = {flags} if isinstance(flags, str) else set(flags)
        if "dormant" in said:
            self.dormant.add(table)
        elif said - _FLAGS and table not in self.dormant:
            self.doubtful.add(table)

    def native(self, *, running: bool) -> tuple[NftTable, ...]:
        """Return the tables of the families ip and inet that iptables-save does not print. Raises: StateSyntaxError."""
        try:
            tables = native_tables(ruleset_text(self._entries), self.source, running=running)
        except StateSyntaxError:
            raise
        except (LookupError, TypeError, AttributeError, ValueError) as problem:
            raise _no_ruleset(problem, self.source) from None
        return tuple(table for table in tables if (table.family, table.name) not in self.dormant)

    def gaps(self, told: bool, read: Collection[Named]) -> Iterator[Gap]:
        """Yield where a packet meets chains that iptables-save does not print, but for tables that were `read`.

        `told`: the flags of tables were printed as text, too. ARP meets chains of the families arp and netdev.
        """
        for family, name in () if told else sorted(self.doubtful):
            yield Gap(
                tr("whether the table {family} {name} is dormant, nft does not say", family=family, name=name),
                self.source,
                rules=True,
            )
        for chain in self._foreign():
            if chain.table[0] in ("ip", "inet") and chain.hook != "ingress":
                if chain.table in read:
                    continue
                yield self._gap(chain)._replace(rules=True, hooks=(chain.hook.upper(),))
            elif chain.table[0] in ("arp", "netdev", "inet"):
                yield self._gap(chain)

    def bridges(self) -> Gap | None:
        """Return which chain decides about frames in bridges; None for none."""
        return next((self._gap(chain) for chain in self._foreign() if chain.table[0] == "bridge"), None)

    def _foreign(self) -> Iterator[NativeChain]:
        """Yield the chains at hooks that belong to tables of which iptables-save prints nothing."""
        for chain in self.chains.values():
            own = chain.table[0] == "ip" and chain.table[1] in BUILT_IN
            if chain.hook and chain.acts and not own and chain.table not in self.dormant:
                yield chain

    def _gap(self, chain: NativeChain) -> Gap:
        return _unmodelled(str(chain), chain.hook, self.source)

    def corrected(self, tables: Tables) -> Tables:
        """Return the tables without dormant ones, and with rules nobody knows in place of those printed wrongly."""
        return tuple(self._corrected(table) for table in tables if ("ip", table.name) not in self.dormant)

    def _corrected(self, table: Table) -> Table:
        chains = tuple(self._chain(table, chain) for chain in table.chains)
        return (
            Table(table.name, chains) if any(a is not b for a, b in zip(chains, table.chains, strict=True)) else table
        )

    def _chain(self, table: Table, chain: Chain) -> Chain:
        listed = self.chains.get((("ip", table.name), chain.name))
        if listed and not listed.hook and chain.name in BUILT_IN[table.name]:
            return Chain(chain.name, (), "ACCEPT")  # no packet gets there
        native = [number for number, whole in enumerate(listed.rules) if not whole] if listed else []
        if not listed or not native:
            return chain
        rules = list(chain.rules)
        if len(rules) != len(listed.rules):
            return replace(chain, rules=(self._unknown(chain.name, native[0]),))
        for number in native:
            rules[number] = self._unknown(chain.name, number)
        return replace(chain, rules=tuple(rules))

    def _unknown(self, chain: str, number: int) -> ChainRule:
        what = tr(
            "rule {number} of {chain} has expressions of nftables that iptables-save does not print",
            number=number + 1,
            chain=chain,
        )
        return ChainRule(chain, (UnparsedRule("", Gap(what, self.source)),))


def _short(entry: dict[str, Any]) -> dict[str, Any]:
    """Keep of a rule whether iptables-save prints it: a node has a hundred thousand of them."""
    if "expr" not in entry or "chain" not in entry or _is_native(entry.get("family"), entry.get("table")):
        return entry
    return {**entry, "expr": _printed(entry["expr"])}


def _is_native(family: str | None, table: str | None) -> bool:
    """Tell whether a table is one whose rules are read as nft prints them."""
    return family == "inet" or (family == "ip" and table not in BUILT_IN)


def is_ruleset(text: str) -> bool:
    """Tell whether a text is what `nft list ruleset` prints, with chains or sets, and not a list of tables."""
    return re.search(r"^\s+(?:chain|set|map) \S+ \{", text, re.MULTILINE) is not None


def headings(text: str) -> str:
    """Keep of a ruleset the lines with its tables and their flags; the others are empty, so that lines keep their
    numbers."""
    return "\n".join(line if re.match(r"table |\tflags ", line) else "" for line in text.splitlines())


def native_tables(text: str, source: str, *, running: bool) -> tuple[NftTable, ...]:
    """Read the tables of the families ip and inet that iptables-save does not print.

    `running`: they have seen packets, nobody knows which. Raises: StateSyntaxError.
    """
    tables = (table for table in read_ruleset(text, source) if _is_native(table.family, table.name))
    return tuple(table.running() if running else table for table in tables)


def ingress_chains(tables: tuple[NftTable, ...], source: str) -> Iterator[Gap]:
    """Yield the chains of tables that look at frames as they come in or go out, which are not modelled."""
    for table in tables:
        for chain in table.chains:
            if chain.hook in ("ingress", "egress") and chain.acts and not table.dormant:
                yield _unmodelled(f"{table.title} {chain.name}", chain.hook, source)


def _unmodelled(chain: str, hook: str, source: str) -> Gap:
    return Gap(tr("the nftables chain {chain}, at the hook {hook}, is not modelled", chain=chain, hook=hook), source)


def _no_ruleset(problem: Exception, source: str, text: str = "") -> StateSyntaxError:
    what = tr("not a ruleset, as `nft -j list ruleset` prints it: {problem}", problem=problem)
    return StateSyntaxError(what, source=source, line=1, column=1, text=text)


def _printed(expr: list[dict[str, Any]]) -> bool:
    """Tell whether iptables-save prints everything a rule says."""
    return all(_statement_printed(key, value) for statement in expr for key, value in statement.items())


def _statement_printed(key: str, value: Any) -> bool:
    if key == "match":
        return _match_printed(value["left"], value["right"])
    if key == "limit":
        return not value.get("inv", False)
    if key == "mangle":  # TRACE and, in later versions, MARK
        return bool(value["key"].get("meta", {}).get("key") in ("nftrace", "mark"))
    return key in DONE


def _match_printed(left: Any, right: Any) -> bool:
    """Tell whether a comparison has a form in the words of iptables."""
    masked = left.get("&")
    subject = masked[0] if masked else left
    if _set(right) or not isinstance(subject, dict):
        return False
    if (kind := subject.get("payload")) is not None:
        what = kind.get("field", "")
        ranges = what in _PORTS
        printed = what in (*ADDRESSES, *_PORTS, *_HEADERS) and kind.get("protocol") in ("ip", "tcp", "udp", "icmp")
    else:
        printed, ranges = subject.get("meta", {}).get("key") in META, False
    return printed and (ranges or not (isinstance(right, dict) and "range" in right))


def _set(right: Any) -> bool:
    """Tell whether something is compared with many values: a set, by its name or with its elements."""
    return (isinstance(right, str) and right.startswith("@")) or (isinstance(right, dict) and "set" in right)
