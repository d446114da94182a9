"""netfilter: rules, chains and tables, the order in which a hook consults them, and the walk through one table.

    device ──► PREROUTING ──► routing ──► FORWARD ──► routing done ──► POSTROUTING ──► device
                                 │                        ▲
                                 ▼                        │ (again, when a rule changed mark or address)
                               INPUT ──► socket ──► OUTPUT ┘

Source: include/uapi/linux/netfilter_ipv4.h (priorities), net/ipv4/netfilter/ip_tables.c, iptables(8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from mcnilib.errors import McniError
from mcnilib.linux.context import Context
from mcnilib.linux.match import Destination, Match, Test
from mcnilib.linux.match_ports import Ports
from mcnilib.linux.origin import Origin
from mcnilib.linux.packet import Packet
from mcnilib.linux.target import RETURN, Connmark, Jump, Log, Mark, Notrack, Reject, Target, Verdict

HOOKS = {
    "PREROUTING": ("raw", "conntrack", "mangle", "nat"),
    "INPUT": ("mangle", "filter", "nat", "confirm"),
    "FORWARD": ("mangle", "filter"),
    "OUTPUT": ("raw", "conntrack", "mangle", "nat", "filter"),
    "POSTROUTING": ("mangle", "nat", "confirm"),
}
"""What each hook consults, in order; `conntrack` looks the packet up, `confirm` stores a new connection."""

BUILT_IN = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
}
"""Built-in chains of each table, in the order iptables-save prints them."""

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
    def marks(self) -> bool:
        """Tell whether the rule changes the packet's mark or its connection's."""
        return isinstance(self.target, Mark | Connmark)

    @cached_property
    def ends(self) -> str:
        """The verdict with which the rule ends its table; empty when the walk goes on after it."""
        target = self.target
        if target is None or isinstance(target, Mark | Connmark | Log | Jump | Notrack) or target == RETURN:
            return ""
        if isinstance(target, Verdict):
            return target.name
        return "REJECT" if isinstance(target, Reject) else type(target).__name__.upper()

    @cached_property
    def action(self) -> str:
        """Say in a word or two what the rule does: its target without the dashes."""
        return str(self.target).removeprefix("-j ").removeprefix("-g ") if self.target else "counted"

    def holds(self, packet: Packet, at: Context) -> bool:
        """Tell whether every match holds."""
        return self.test(packet, at)

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say in words which match did not hold first; empty when all hold."""
        for match in self.matches:
            test = match.test()
            if test and not test(packet, at):
                return match.why_not(packet, at)
        return ""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Chain:
    """A chain with its rules; built-in chains have a policy (ACCEPT or DROP), user chains have none."""

    name: str
    rules: tuple[ChainRule, ...] = ()
    policy: str = ""

    def candidates(self, packet: Packet) -> tuple[ChainRule, ...]:
        """Return, in order, the rules that could match: all of a short chain, a few of a long one."""
        if len(self.rules) < INDEX_FROM:
            return self.rules
        read, buckets, rest = self._index
        return buckets.get(read(packet), rest)

    @cached_property
    def _index(self) -> tuple[Callable[[Packet], int], dict[int, tuple[ChainRule, ...]], tuple[ChainRule, ...]]:
        """Sort the rules by the one value most of them test: destination address or destination port."""
        choices: list[tuple[Callable[[Packet], int], list[int | None]]] = [
            (lambda packet: int(packet.dst), [_destination(rule) for rule in self.rules]),
            (lambda packet: packet.dport, [_port(rule) for rule in self.rules]),
        ]
        read, keys = max(choices, key=lambda choice: sum(key is not None for key in choice[1]))
        rest = tuple(rule for rule, key in zip(self.rules, keys, strict=True) if key is None)
        wild = [i for i, key in enumerate(keys) if key is None]
        places: dict[int, list[int]] = {}
        for place, key in enumerate(keys):
            if key is not None:
                places.setdefault(key, []).append(place)
        buckets = {key: tuple(self.rules[i] for i in sorted((*own, *wild))) for key, own in places.items()}
        return read, buckets, rest

    def __str__(self) -> str:
        return f":{self.name} {self.policy or '-'} [0:0]"


def _destination(rule: ChainRule) -> int | None:
    """Return the one address the rule asks for; None when it may match several."""
    for match in rule.matches:
        if isinstance(match, Destination) and match.network.prefixlen == 32 and not match.negated:
            return int(match.network.network_address)
    return None


def _port(rule: ChainRule) -> int | None:
    for match in rule.matches:
        if isinstance(match, Ports) and match.dport and match.dport[0] == match.dport[1] and not match.not_dport:
            return match.dport[0]
    return None


@dataclass(frozen=True)
class Table:
    """raw, mangle, nat or filter: built-in chains first, then user chains by name, as iptables-save prints them."""

    name: str
    chains: tuple[Chain, ...] = ()

    @cached_property
    def by_name(self) -> dict[str, Chain]:
        """The chains by name."""
        return {chain.name: chain for chain in self.chains}

    def chain(self, name: str) -> Chain:
        """Return the chain called `name`; KeyError names the table."""
        if name not in self.by_name:
            raise KeyError(f"no chain {name!r} in table {self.name}")
        return self.by_name[name]


Note = Callable[[ChainRule, Packet, Packet], None]


def traverse(
    table: Table, hook: str, packet: Packet, at: Context, note: Note
) -> tuple[str, Packet, ChainRule | Chain | None]:  # long because it is the inner loop of every walk
    """Walk a table's chain of one hook.

    Returns the verdict (ACCEPT, DROP, REJECT or the name of a NAT target), the packet with the marks it was given,
    and what decided: a rule, or the built-in chain whose policy applied; None when the table has no such chain.
    `note` hears of every rule whose matches held, with the packet before and after it. A changed connection mark is
    left in `at.entry`.
    """
    base = table.by_name.get(hook)
    if base is None:
        return "ACCEPT", packet, None
    callers: list[Iterator[ChainRule]] = []
    rules = iter(base.candidates(packet))
    while True:
        for rule in rules:
            if not rule.test(packet, at):
                continue
            target, before = rule.target, packet
            if rule.marks:
                packet = _apply(target, packet, at)
            note(rule, before, packet)
            if isinstance(target, Jump):
                if not target.goto:
                    callers.append(rules)
                rules = iter(table.chain(target.chain).candidates(packet))
                break
            if rule.ends:
                return rule.ends, packet, rule
            if target == RETURN:
                rules = callers.pop() if callers else iter(())
                break
            at.notrack = at.notrack or isinstance(target, Notrack)
        else:
            if not callers:
                return base.policy or "ACCEPT", packet, base
            rules = callers.pop()


def _apply(target: Target | None, packet: Packet, at: Context) -> Packet:
    """Change the packet's mark or its connection's. Source: xt_mark.c, xt_connmark.c."""
    if isinstance(target, Mark):
        return packet.but(mark=(packet.mark & ~target.mask) ^ target.value)
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


def check_loops(table: Table, source: str = "iptables") -> None:
    """Refuse chains that jump to each other in a circle, and jumps to chains that are not there, as the kernel does.

    Raises: McniError naming the circle or the missing chain.
    """
    done: set[str] = set()
    for start in table.chains:
        path: list[tuple[str, Iterator[str]]] = [(start.name, _jumps(start))] if start.name not in done else []
        while path:
            name, targets = path[-1]
            following = next(targets, None)
            if following is None:
                done.add(name)
                path.pop()
            elif following in [step[0] for step in path]:
                raise McniError(f"{source}: chains jump in a circle: {' > '.join([s[0] for s in path])} > {following}")
            elif following not in table.by_name:
                raise McniError(
                    f"{source}: chain {name} of table {table.name} jumps to {following}, which is not there"
                )
            elif following not in done:
                path.append((following, _jumps(table.by_name[following])))


def _jumps(chain: Chain) -> Iterator[str]:
    return (rule.target.chain for rule in chain.rules if isinstance(rule.target, Jump))
