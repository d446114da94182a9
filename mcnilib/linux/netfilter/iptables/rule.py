"""Rules, chains and tables as iptables knows them, and the index in which a long chain looks its rules up.

Source: iptables(8); net/ipv4/netfilter/ip_tables.c.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from typing import Any, Generic, NamedTuple, TypeVar

from mcnilib.errors import NotThere, Unsupported
from mcnilib.language import tr
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.hooks import NfVerdict
from mcnilib.linux.netfilter.iptables.extension import Match, Purity, Target, Test
from mcnilib.linux.origin import Origin
from mcnilib.linux.packet import Packet


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
            raise NotThere(tr("no chain {name!r} in table {table}", name=name, table=self.name))
        return self.by_name[name]

    def samples(self, hook: str) -> tuple[ChainRule, ...]:
        """Return rules of each kind of match and target that a packet may meet at a hook."""
        waiting, met = [hook], dict[str, Chain]()
        while waiting:
            chain = self.by_name.get(waiting.pop())
            if chain and chain.name not in met:
                met[chain.name] = chain
                waiting += chain.summary.jumps
        return tuple(rule for chain in met.values() for rule in chain.summary.samples)


Later = TypeVar("Later")
"""What is kept of a line that is put off: enough to read it."""


class ChainBuilder(Generic[Later]):
    """The rules of one chain so far."""

    def __init__(self, name: str, policy: str, read: Callable[[Later], ChainRule]) -> None:
        """Begin without rules; `read` reads a line that was put off, and must not fail."""
        self.name, self.policy, self._read = name, policy, read
        self._parts: list[ChainRule | Later] = []
        self._samples: dict[int, ChainRule] = {}
        self._jumps: dict[str, None] = {}

    def put(self, rule: ChainRule) -> None:
        """Append a rule."""
        self._parts.append(rule)
        self._samples[id(rule)] = rule
        if rule.jumps_to:
            self._jumps[rule.jumps_to] = None

    def put_later(self, line: Later, sample: ChainRule, to: str) -> None:
        """Append a line that looks like the sample, and jumps to the chain `to` unless that is empty."""
        self._parts.append(line)
        self._samples[id(sample)] = sample
        if to:
            self._jumps[to] = None

    def chain(self) -> Chain:
        """Return the chain; its lines that were put off are read when somebody first asks for its rules."""
        summary = ChainSummary(tuple(self._jumps), tuple(self._samples.values()))
        return Chain(self.name, LazyRules(self._rules, summary), self.policy)

    def _rules(self) -> tuple[ChainRule, ...]:
        return tuple(part if isinstance(part, ChainRule) else self._read(part) for part in self._parts)


class LazyRules(Sequence["ChainRule"]):
    """The rules of a chain, read when somebody first asks for one; equal to a tuple of the same rules."""

    def __init__(self, read: Callable[[], tuple[ChainRule, ...]], summary: ChainSummary) -> None:
        """Keep what reads the rules, and what is known of them before."""
        self._read, self.summary = read, summary

    @cached_property
    def all(self) -> tuple[ChainRule, ...]:
        """All of them, read."""
        rules = self._read()
        del self._read  # with the lines it holds
        return rules

    def __getitem__(self, position: Any) -> Any:
        return self.all[position]

    def __len__(self) -> int:
        return len(self.all)

    def __iter__(self) -> Iterator[ChainRule]:
        return iter(self.all)

    def __eq__(self, other: object) -> bool:
        return self.all == (other.all if isinstance(other, LazyRules) else other)

    def __hash__(self) -> int:
        return hash(self.all)

    def __repr__(self) -> str:
        return repr(self.all)

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return tuple, (self.all,)


READ: dict[str, Callable[[Packet, Context], Hashable]] = {
    "service": lambda packet, at: (int(packet.dst), packet.dport),
    "dst": lambda packet, at: int(packet.dst),
    "src": lambda packet, at: int(packet.src),
    "iif": lambda packet, at: at.iif,
    "oif": lambda packet, at: at.oif,
    "dport": lambda packet, at: packet.dport,
}
"""What rules are indexed by, and where a packet has it. Nothing here changes while a packet walks a table."""

Key = tuple[str, Hashable]

Placed = tuple[int, "ChainRule"]


class RuleIndex:
    """The rules of a chain, each under the rarest value it asks for."""

    def __init__(self, rules: Sequence[ChainRule]) -> None:
        """Sort the rules; those that ask for no exact value are free."""
        keys = [tuple(_keys(rule.matches)) for rule in rules]
        population = Counter(key for asked in keys for key in asked)
        parts: dict[str, dict[Hashable, list[Placed]]] = {}
        free: list[Placed] = []
        for position, (rule, asked) in enumerate(zip(rules, keys, strict=True)):
            if asked:
                kind, value = min(asked, key=population.__getitem__)
                parts.setdefault(kind, defaultdict(list))[value].append((position, rule))
            else:
                free.append((position, rule))
        self._parts = tuple((READ[kind], dict(buckets)) for kind, buckets in parts.items())
        self._free, self._free_rules = free, [rule for _, rule in free]

    def candidates(self, packet: Packet, at: Context) -> Sequence[ChainRule]:
        """Return, in their order, the rules that could match this packet."""
        placed = self._free
        for read, buckets in self._parts:
            bucket = buckets.get(read(packet, at))
            if bucket:
                placed = placed + bucket
        if placed is self._free:
            return self._free_rules
        return [rule for _, rule in sorted(placed, key=itemgetter(0))]


def _keys(matches: Sequence[Match]) -> Iterator[Key]:
    """List the exact values a rule asks for, up to the first match that has to be tried in any case."""
    dst = None
    for match in matches:
        if match.purity is not Purity.PURE:
            return
        if exact := match.exact:
            yield exact
            if exact[0] == "dport" and dst is not None:
                yield "service", (dst, exact[1])
            dst = exact[1] if exact[0] == "dst" else dst


INDEX_FROM = 12
"""Rules a chain must have before it is indexed instead of scanned."""


@dataclass(frozen=True)
class ChainRule:
    """One `-A` line: all matches must hold for the target to act. No target: the rule only counts."""

    chain: str
    matches: tuple[Match, ...] = ()
    target: Target | None = None
    origin: Origin | None = field(default=None, compare=False)

    @cached_property
    def text(self) -> str:
        """The line as iptables-save prints it."""
        parts = [f"-A {self.chain}", *map(str, self.matches), *([str(self.target)] if self.target else [])]
        return " ".join(parts)

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
        return self.target is not None and self.target.record.changes

    @cached_property
    def remembers(self) -> bool:
        """Tell whether a match of the rule remembers packets."""
        return any(match.purity is Purity.REMEMBERS for match in self.matches)

    @cached_property
    def ends(self) -> NfVerdict | None:
        """The verdict with which the rule ends its table; None when the walk goes on after it."""
        return self.target.ends if self.target else None

    @cached_property
    def returns(self) -> bool:
        """Tell whether the rule leaves its chain for the caller."""
        return self.target is not None and self.target.returns

    @property
    def jumps_to(self) -> str:
        """The user chain the walk goes on in; empty when it stays in this one."""
        return self.target.jumps_to if self.target else ""

    @cached_property
    def action(self) -> str:
        """Say in a word or two what the rule does: its target without the dashes."""
        return str(self.target).removeprefix("-j ").removeprefix("-g ") if self.target else "counted"

    @property
    def rewrites(self) -> bool:
        """Tell whether the rule decides what becomes of an address."""
        return self.target is not None and hasattr(self.target, "nat_range")

    @property
    def rejects(self) -> bool:
        """Tell whether the rule answers the packet it drops."""
        return self.target is not None and self.target.record.name == "REJECT"

    def holds(self, packet: Packet, at: Context) -> bool:
        """Tell whether every match holds."""
        return self.test(packet, at)

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say in words which match did not hold first; empty when all hold.

        Nothing is drawn or counted: where only chance or a count is left to decide, it says so.
        """
        chance = ""
        for match in self.matches:
            if match.purity in (Purity.UNDECIDED, Purity.REMEMBERS):
                chance = chance or match.why_not(packet, at)
            elif reason := _why_not(match, packet, at):
                return reason
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


class ChainSummary(NamedTuple):
    """Where a chain's rules jump to, each chain once; and rules of each kind of match and target it holds."""

    jumps: tuple[str, ...]
    samples: tuple[ChainRule, ...]


@dataclass(frozen=True)
class Chain:
    """A chain with its rules; built-in chains have a policy (ACCEPT or DROP), user chains have none."""

    name: str
    rules: Sequence[ChainRule] = ()
    policy: str = ""

    @cached_property
    def summary(self) -> ChainSummary:
        """What can be said of the chain without reading each rule."""
        if isinstance(self.rules, LazyRules):
            return self.rules.summary
        jumps = dict.fromkeys(rule.jumps_to for rule in self.rules if rule.jumps_to)
        return ChainSummary(tuple(jumps), tuple(self.rules))

    @cached_property
    def _all(self) -> tuple[ChainRule, ...]:
        return tuple(self.rules)

    @cached_property
    def idle(self) -> bool:
        """Tell whether the chain lets every packet through without a look at it."""
        return self.policy == "ACCEPT" and not self.summary.samples

    def candidates(self, packet: Packet, at: Context) -> Sequence[ChainRule]:
        """Return, in order, the rules that could match: all of a short chain, a few of a long one."""
        rules = self._all
        return rules if len(rules) < INDEX_FROM else self._index.candidates(packet, at)

    @cached_property
    def _index(self) -> RuleIndex:
        return RuleIndex(self._all)

    def __str__(self) -> str:
        return f":{self.name} {self.policy or '-'} [0:0]"


Tables = tuple[Table, ...]


def asks_for_tracking(tables: Tables) -> bool:
    """Tell whether a rule makes the kernel track the connections of its namespace.

    NOTRACK and an empty nat table do not (measured on Linux 6.18). Source: nf_ct_netns_get().
    """
    rules = (rule for table in tables for chain in table.chains for rule in chain.summary.samples)
    return any(part.record.tracks for rule in rules for part in (*rule.matches, rule.target) if part)
