"""Rules, chains and tables of nftables, printed as `nft list ruleset` prints them.

Source: nft(8) "TABLES", "CHAINS", "RULES"; src/rule.c (nftables 1.0.6) for names of priorities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from mcnilib.errors import NotThere
from mcnilib.language import tr
from mcnilib.linux.chance import Range
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.hooks import HOOKS, REROUTES, HookEntry, HookKind
from mcnilib.linux.netfilter.nftables.sets import NftSet, asked_ports
from mcnilib.linux.netfilter.nftables.statement import ChainPassage, NftStatement, tracking
from mcnilib.linux.origin import Origin
from mcnilib.linux.packet import Packet

PRIORITIES = {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100}
"""Names of priorities; dstnat is one in prerouting only, srcnat in postrouting only."""

_ONLY_AT = {"dstnat": "prerouting", "srcnat": "postrouting"}

NEAR_PRIORITY = 10
"""So far from a named priority one is printed by that name."""


@dataclass(frozen=True)
class NftRule:
    """One rule: its statements in order. `handle` is the kernel's number for it, which `nft -a` prints; 0: unknown."""

    chain: str
    statements: tuple[NftStatement, ...] = ()
    comment: str = ""
    handle: int = field(default=0, compare=False)
    origin: Origin | None = field(default=None, compare=False)

    @cached_property
    def text(self) -> str:
        """The rule as nft prints it."""
        parts = [*map(str, self.statements), *([f'comment "{self.comment}"'] if self.comment else [])]
        return " ".join(parts)

    def running(self) -> NftRule:
        """Return the rule of a machine on which packets have met it; how much a limit has left decides nothing where
        the rule only tells of packets."""
        tells = all(statement.compares or statement.silent for statement in self.statements)
        running = tuple(statement.running(tells) for statement in self.statements)
        same = all(now is before for now, before in zip(running, self.statements, strict=True))
        return self if same else replace(self, statements=running)

    @property
    def rewrites(self) -> bool:
        """Tell whether the rule decides what becomes of an address."""
        return any(statement.rewrites for statement in self.statements)

    @property
    def remembers(self) -> bool:
        """Tell whether a statement of the rule remembers packets."""
        return any(statement.remembers for statement in self.statements)

    @property
    def rejects(self) -> bool:
        """Tell whether the rule answers the packet it drops."""
        return any(statement.rejects for statement in self.statements)

    @property
    def action(self) -> str:
        """Say what the rule does: its statements without the conditions."""
        done = [str(s) for s in self.statements if not s.silent and not s.compares]
        return " ".join(done) or tr("counted")

    def why_not(self, packet: Packet, at: Context, sets: dict[str, NftSet]) -> str:
        """Say in words which statement did not hold first; empty when all hold."""
        passage = ChainPassage(packet, at, sets)
        return next((reason for statement in self.statements if (reason := statement.why_not(passage))), "")

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
            if _ONLY_AT.get(name, self.hook) == self.hook and abs(distance) <= NEAR_PRIORITY:
                return f"{name} {'-' if distance < 0 else '+'} {abs(distance)}" if distance else name
        return str(self.priority)

    @property
    def chain(self) -> str:
        """Its name, as a rule knows it."""
        return self.name

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

    @property
    def entries(self) -> Iterator[tuple[str, HookEntry]]:
        """Yield what the table registers at the hooks; of two with one priority the one made last comes first.

        A nat chain is asked when NAT's own turn comes, in the order of the priorities of such chains.
        Source: nf_hook_entries_grow() in net/netfilter/core.c, nf_nat_register_fn() in net/netfilter/nf_nat_core.c.
        """
        for chain in () if self.dormant else reversed(self.chains):
            if chain.hook.upper() in HOOKS and chain.acts:
                kind = HookKind.NAT if chain.type == "nat" else HookKind.CHAIN
                reroutes = REROUTES if chain.type == "route" else ()
                yield chain.hook.upper(), HookEntry(chain.priority, kind, self.title, reroutes, chain.name)

    def by(self, origin: Origin) -> NftTable:
        """Return the table with whoever wrote its rules."""
        return self._each(lambda rule: replace(rule, origin=origin))

    def running(self) -> NftTable:
        """Return the table of a machine whose rules have seen packets, nobody knows which."""
        return self._each(NftRule.running)

    def _each(self, change: Callable[[NftRule], NftRule]) -> NftTable:
        chains = (replace(chain, rules=tuple(map(change, chain.rules))) for chain in self.chains)
        return replace(self, chains=tuple(chains))

    @cached_property
    def tracks(self) -> bool:
        """Tell whether a rule makes the kernel track connections."""
        return any(tracking(rule.statements) for chain in self.chains for rule in chain.rules)

    @property
    def port_ranges(self) -> Iterator[Range]:
        """The ranges of ports that its sets hold and its rules ask for."""
        yield from asked_ports(self.sets)
        for chain in self.chains:
            for rule in chain.rules:
                for statement in rule.statements:
                    yield from statement.port_ranges

    def lines(self) -> Iterator[str]:
        """Print the table."""
        if self.kept and self.kept[0].startswith("{"):  # of a family that is not read
            yield from f"table {self.title} {self.kept[0]}".splitlines()
            return
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
