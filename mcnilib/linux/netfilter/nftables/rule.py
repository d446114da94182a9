"""Rules, chains and tables of nftables, printed as `nft list ruleset` prints them.

Source: nft(8) "TABLES", "CHAINS", "RULES"; src/rule.c (nftables 1.0.6) for names of priorities.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from mcnilib.errors import NotThere
from mcnilib.language import tr
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.nftables.sets import NftSet
from mcnilib.linux.netfilter.nftables.statement import Passage, Statement, tracking
from mcnilib.linux.origin import Origin
from mcnilib.linux.packet import Packet

PRIORITIES = {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100}
"""Names of priorities; dstnat is one in prerouting only, srcnat in postrouting only."""

_ONLY_AT = {"dstnat": "prerouting", "srcnat": "postrouting"}

NEAR = 10
"""So far from a named priority one is printed by that name."""


@dataclass(frozen=True)
class NftRule:
    """One rule: its statements in order."""

    chain: str
    statements: tuple[Statement, ...] = ()
    comment: str = ""
    origin: Origin | None = field(default=None, compare=False)

    @cached_property
    def text(self) -> str:
        """The rule as nft prints it."""
        parts = [*map(str, self.statements), *([f'comment "{self.comment}"'] if self.comment else [])]
        return " ".join(parts)

    def why_not(self, packet: Packet, at: Context, sets: dict[str, NftSet]) -> str:
        """Say in words which statement did not hold first; empty when all hold."""
        sight = Passage(packet, at, sets).sight()
        return next((reason for statement in self.statements if (reason := statement.why_not(sight))), "")

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class NftChain:
    """A chain; a base chain has a type, a hook and a priority, and packets come to it by themselves."""

    name: str
    rules: tuple[NftRule, ...] = ()
    type: str = ""  # filter, nat or route
    hook: str = ""  # prerouting, input, forward, output, postrouting, ingress
    priority: int = 0
    policy: str = ""  # accept or drop
    device: str = ""  # of ingress
    comment: str = ""

    @property
    def acts(self) -> bool:
        """Tell whether a packet that gets here may meet something."""
        return bool(self.rules) or self.policy == "drop"

    @property
    def shown_priority(self) -> str:
        """The priority as nft prints it."""
        for name, number in PRIORITIES.items():
            distance = self.priority - number
            if _ONLY_AT.get(name, self.hook) == self.hook and abs(distance) <= NEAR:
                return f"{name} {'-' if distance < 0 else '+'} {abs(distance)}" if distance else name
        return str(self.priority)

    @property
    def policy_line(self) -> str:
        """The line that says where the chain stands, and its policy."""
        device = f' device "{self.device}"' if self.device else ""
        return f"type {self.type} hook {self.hook}{device} priority {self.shown_priority}; policy {self.policy};"

    def lines(self) -> Iterator[str]:
        """Print the chain."""
        yield f"\tchain {self.name} {{"
        if self.comment:
            yield f'\t\tcomment "{self.comment}"'
        if self.hook:
            yield f"\t\t{self.policy_line}"
        yield from (f"\t\t{rule}" for rule in self.rules)
        yield "\t}"

    def __str__(self) -> str:
        return self.policy_line if self.hook else f"chain {self.name}"


@dataclass(frozen=True)
class NftTable:
    """One table with its sets, maps and chains, in the order nft prints them.

    `kept`: what is printed as it was read: named counters, flowtables, and tables of IPv6.
    """

    family: str
    name: str
    sets: tuple[NftSet, ...] = ()
    chains: tuple[NftChain, ...] = ()
    flags: tuple[str, ...] = ()
    comment: str = ""
    kept: tuple[str, ...] = ()

    @cached_property
    def by_name(self) -> dict[str, NftChain]:
        """The chains by name."""
        return {chain.name: chain for chain in self.chains}

    @cached_property
    def set_of(self) -> dict[str, NftSet]:
        """The sets and maps by name."""
        return {one.name: one for one in self.sets}

    def chain(self, name: str) -> NftChain:
        """Return the chain called `name`. Raises: NotThere, naming the table."""
        if name not in self.by_name:
            raise NotThere(tr("no chain {name!r} in table {table}", name=name, table=self.title))
        return self.by_name[name]

    @property
    def title(self) -> str:
        """Family and name, as in `nft list table`."""
        return f"{self.family} {self.name}"

    @property
    def dormant(self) -> bool:
        """Tell whether its chains are switched off."""
        return "dormant" in self.flags

    @cached_property
    def tracks(self) -> bool:
        """Tell whether a rule makes the kernel track connections."""
        return any(tracking(rule.statements) for chain in self.chains for rule in chain.rules)

    def lines(self) -> Iterator[str]:
        """Print the table."""
        yield f"table {self.title} {{"
        blocks: list[list[str]] = [block.splitlines() for block in self.kept]
        blocks += [list(named.lines()) for named in self.sets]
        blocks += [list(chain.lines()) for chain in self.chains]
        if self.flags:
            yield f"\tflags {','.join(self.flags)}"
        if self.comment:
            yield f'\tcomment "{self.comment}"'
        for number, block in enumerate(blocks):
            if number or self.flags:
                yield ""
            yield from block
        yield "}"


def print_ruleset(tables: tuple[NftTable, ...]) -> str:
    """Print tables as `nft list ruleset` does."""
    return "".join(f"{line}\n" for table in tables for line in table.lines())
