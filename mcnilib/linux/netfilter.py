"""netfilter: rules, chains and tables, the order in which a hook consults them, and the walk through one table.

    device ──► PREROUTING ──► routing ──► FORWARD ──► routing done ──► POSTROUTING ──► device
                                 │                        ▲
                                 ▼                        │ (again, when mangle or nat changed what it asks for)
                               INPUT ──► socket ──► OUTPUT ┘

Source: include/uapi/linux/netfilter_ipv4.h (priorities), net/ipv4/netfilter/ip_tables.c, iptables(8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from mcnilib.errors import NotThere, Unsupported
from mcnilib.linux.context import Context
from mcnilib.linux.dispatch import Index
from mcnilib.linux.kept import KeptMatch, KeptTarget
from mcnilib.linux.match import Match, Test
from mcnilib.linux.match_memory import MEMORIES
from mcnilib.linux.match_state import Statistic
from mcnilib.linux.origin import Origin
from mcnilib.linux.packet import Packet
from mcnilib.linux.target import (
    CHANGING,
    RETURN,
    Connmark,
    Jump,
    Log,
    Mark,
    Notrack,
    Reject,
    Rewriting,
    Target,
    Verdict,
)

HOOKS = {
    "PREROUTING": ("raw", "conntrack", "mangle", "nat"),
    "INPUT": ("mangle", "filter", "security", "nat", "confirm"),
    "FORWARD": ("mangle", "filter", "security"),
    "OUTPUT": ("raw", "conntrack", "mangle", "nat", "filter", "security"),
    "POSTROUTING": ("mangle", "nat", "confirm"),
}
"""What each hook consults, in order; `conntrack` looks the packet up, `confirm` stores a new connection."""

BUILT_IN = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}
"""Built-in chains of each table, in the order iptables-save prints them."""

UNDECIDED = (Statistic, *MEMORIES, KeptMatch)
"""Matches that must not be asked a second time about a packet: chance, memory, or what is not modelled, decides."""

INDEX_FROM = 12
"""Rules a chain must have before it is indexed instead of scanned."""


@dataclass(frozen=True)
class ChainRule:
    """One `-A` line: all matches must hold for the target to act. No target: the rule only counts."""

    chain: str
    matches: tuple[Match, ...] = ()
    target: Target | None = None
    by: Origin | None = field(default=None, compare=False)

    @cached_property
    def text(self) -> str:
        """The line as iptables-save prints it."""
        words = [f"-A {self.chain}", *map(str, self.matches), *([str(self.target)] if self.target else [])]
        return " ".join(words)

    @cached_property
    def test(self) -> Test:
        """All conditions of the rule, compiled into one; those that always hold are left out."""
        tests = tuple(test for test in (match.test() for match in self.matches) if test)
        match tests:
            case ():
                return lambda packet, at: True
            case (only,):
                return only
            case (first, second):
                return lambda packet, at: first(packet, at) and second(packet, at)
        return lambda packet, at: all(test(packet, at) for test in tests)

    @cached_property
    def changes(self) -> bool:
        """Tell whether the rule changes the packet or its connection's mark, or would if it were modelled."""
        return isinstance(self.target, CHANGING)

    @cached_property
    def remembers(self) -> bool:
        """Tell whether a match of the rule remembers packets."""
        return any(isinstance(match, MEMORIES) for match in self.matches)

    @cached_property
    def ends(self) -> str:
        """The verdict with which the rule ends its table; empty when the walk goes on after it."""
        target = self.target
        if target is None or isinstance(target, (*CHANGING, Log, Jump, Notrack)) or target == RETURN:
            return ""
        if isinstance(target, Verdict):
            return target.name
        return "REJECT" if isinstance(target, Reject) else type(target).__name__.upper()

    @cached_property
    def returns(self) -> bool:
        """Tell whether the rule leaves its chain for the caller."""
        return self.target == RETURN

    @cached_property
    def action(self) -> str:
        """Say in a word or two what the rule does: its target without the dashes."""
        return str(self.target).removeprefix("-j ").removeprefix("-g ") if self.target else "counted"

    def holds(self, packet: Packet, at: Context) -> bool:
        """Tell whether every match holds."""
        return self.test(packet, at)

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say in words which match did not hold first; empty when all hold.

        Nothing is drawn or counted: where only chance or a count is left to decide, it says so.
        """
        chance = ""
        for match in self.matches:
            if isinstance(match, UNDECIDED):
                chance = chance or match.why_not(packet, at)
            elif said := _why_not(match, packet, at):
                return said
        return chance

    def __str__(self) -> str:
        return self.text


def _why_not(match: Match, packet: Packet, at: Context) -> str:
    """Say why a match does not hold, or why that cannot be said; empty when it holds."""
    test = match.test()
    try:
        return "" if test is None or test(packet, at) else match.why_not(packet, at)
    except Unsupported as error:
        return str(error)


class Outline(NamedTuple):
    """Where a chain's rules jump to, each chain once; and rules of each kind of match and target it holds."""

    jumps: tuple[str, ...]
    samples: tuple[ChainRule, ...]


@dataclass(frozen=True)
class Chain:
    """A chain with its rules; built-in chains have a policy (ACCEPT or DROP), user chains have none."""

    name: str
    rules: tuple[ChainRule, ...] = field(default_factory=tuple)
    policy: str = ""

    @classmethod
    def later(cls, name: str, policy: str, read: Callable[[], tuple[ChainRule, ...]], outline: Outline) -> Chain:
        """Return a chain whose rules are read when somebody first asks for them; its outline is known before."""
        chain = object.__new__(cls)
        vars(chain).update(name=name, policy=policy, outline=outline, _read=read)
        return chain

    def __getattr__(self, name: str) -> tuple[ChainRule, ...]:
        """Read the rules of a chain made by `later`."""
        if name != "rules" or "_read" not in vars(self):
            raise AttributeError(f"a chain has no {name}")
        rules: tuple[ChainRule, ...] = vars(self)["_read"]()
        vars(self)["rules"] = rules
        del vars(self)["_read"]
        return rules

    @cached_property
    def outline(self) -> Outline:
        """What can be said of the chain without reading each rule."""
        jumps = (rule.target.chain for rule in self.rules if isinstance(rule.target, Jump))
        return Outline(tuple(dict.fromkeys(jumps)), self.rules)

    def candidates(self, packet: Packet, at: Context) -> Sequence[ChainRule]:
        """Return, in order, the rules that could match: all of a short chain, a few of a long one."""
        return self.rules if len(self.rules) < INDEX_FROM else self._index.candidates(packet, at)

    @cached_property
    def _index(self) -> Index:
        return Index(self.rules)

    def __str__(self) -> str:
        return f":{self.name} {self.policy or '-'} [0:0]"


@dataclass(frozen=True)
class Table:
    """One table: built-in chains first, then user chains by name, as iptables-save prints them."""

    name: str
    chains: tuple[Chain, ...] = ()

    @cached_property
    def by_name(self) -> dict[str, Chain]:
        """The chains by name."""
        return {chain.name: chain for chain in self.chains}

    def chain(self, name: str) -> Chain:
        """Return the chain called `name`. Raises: NotThere, naming the table."""
        if name not in self.by_name:
            raise NotThere(f"no chain {name!r} in table {self.name}")
        return self.by_name[name]


MAX_JUMPS = 20_000
"""Jumps one packet may take in one table at one hook: chains that jump to the next one twice double with each chain."""

Note = Callable[[ChainRule, Packet, Packet], None]


def traverse(
    table: Table, hook: str, packet: Packet, at: Context, note: Note
) -> tuple[str, Packet, ChainRule | Chain | None]:  # long because it is the inner loop of every walk
    """Walk a table's chain of one hook.

    Returns the verdict (ACCEPT, DROP, REJECT or the name of a NAT target), the packet as the rules changed it,
    and what decided: a rule, or the built-in chain whose policy applied; None when the table has no such chain.
    `note` hears of every rule whose matches held, with the packet before and after it. A changed connection mark is
    left in `at.entry`.
    """
    base = table.by_name.get(hook)
    if base is None:
        return "ACCEPT", packet, None
    callers: list[Iterator[ChainRule]] = []
    jumps = 0
    rules = iter(base.candidates(packet, at))
    while True:
        for rule in rules:
            if not rule.test(packet, at):
                continue
            target, before = rule.target, packet
            if rule.changes:
                packet = _apply(target, packet, at)
            note(rule, before, packet)
            if isinstance(target, Jump):
                jumps += 1
                if jumps > MAX_JUMPS:
                    raise Unsupported(f"table {table.name}: a packet takes more than {MAX_JUMPS} jumps in {hook}")
                if not target.goto:
                    callers.append(rules)
                rules = iter(table.chain(target.chain).candidates(packet, at))
                break
            if rule.ends:
                return rule.ends, packet, rule
            if rule.returns:
                rules = iter(())  # as if the chain ended here
                break
            if isinstance(target, Notrack) and at.fresh:
                at.notrack, at.ctstate = True, "UNTRACKED"
        else:
            if not callers:
                return base.policy or "ACCEPT", packet, base
            rules = callers.pop()


def _apply(target: Target | None, packet: Packet, at: Context) -> Packet:
    """Change the packet or its connection's mark. Source: xt_mark.c, xt_connmark.c."""
    if isinstance(target, Mark):
        return packet.but(mark=(packet.mark & ~target.mask) ^ target.value)
    if isinstance(target, Rewriting):
        return target.apply(packet)
    if isinstance(target, KeptTarget):
        target.refuse()
        if target.name == "CT" and at.fresh:  # a template for the connection is there now, see xt_ct_target()
            at.fresh, at.ctstate = False, "NEW"
    if at.entry is None or not isinstance(target, Connmark):
        return packet
    if target.action == "restore":
        return packet.but(mark=(packet.mark & ~target.nfmask) ^ (at.entry.mark & target.ctmask))
    value = target.value if target.action == "set" else packet.mark & target.nfmask
    at.entry = at.entry._replace(mark=(at.entry.mark & ~target.ctmask & 0xFFFFFFFF) ^ value)
    return packet


def why_not(rule: ChainRule, packet: Packet, at: Context) -> str:
    """Say in words why a rule did not match, for example `mark is 0x0, not 0x4000/0x4000`; empty when it would."""
    return rule.why_not(packet, at)
