"""What a match or a target of iptables is: one class with its records, which say all that holds for it.

A record is what libxtables and the kernel write down of an extension in one structure each. Readers, the checks of a
table, the index of long chains and the tracking of connections ask it; nobody keeps a list of extensions beside it.
Source: include/xtables.h (iptables 1.8.9), include/linux/netfilter/x_tables.h (Linux 6.18).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import KW_ONLY, MISSING, dataclass, fields
from enum import Enum, auto
from functools import cache
from typing import Any, ClassVar, Self

from mcnilib.errors import Unsupported
from mcnilib.language import all_of, tr
from mcnilib.linux.chance import Range
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.hooks import BUILT_IN, HOOKS, NfVerdict
from mcnilib.linux.netfilter.iptables.grammar import Grammar
from mcnilib.linux.packet import Packet, lengths

Test = Callable[[Packet, Context], bool]


ANY_TABLE, ANY_HOOK = tuple(BUILT_IN), tuple(HOOKS)


class Purity(Enum):
    """What happens when a match is asked about a packet, and asked again."""

    PURE = auto()  # always the same and always an answer: a long chain may pass the rule over
    REFUSES = auto()  # always the same, but some packets are refused
    UNDECIDED = auto()  # chance decides, or what is not modelled
    REMEMBERS = auto()  # it remembers the packet: two equal rules differ


@dataclass(frozen=True, slots=True)
class Record:
    """What is declared of an extension; `name` stands after -m or -j, and is empty where other words lead to it."""

    name: str
    options: Grammar
    _: KW_ONLY
    tracks: bool  # makes the kernel track connections; source: the checkentry functions of net/netfilter/xt_*.c
    samples: tuple[str, ...]  # options the fuzzer tries: `A|B` is one of them, `[A]` may be left out; none: never tried
    tables: tuple[str, ...] = ANY_TABLE  # where the kernel takes it
    hooks: tuple[str, ...] = ANY_HOOK  # the same; a user chain stands in every hook it is reached from
    protocols: tuple[str, ...] = ()  # the rule must ask for one of these
    why: str = ""  # what the model lacks, for one that is kept as text


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchRecord(Record):
    """What is declared of a match."""

    purity: Purity
    implied: bool = False  # its options may follow `-p NAME` without `-m NAME`


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRecord(Record):
    """What is declared of a target."""

    changes: bool  # the packet or its connection's mark, or would if it were modelled


class Extension:
    """A match or a target. `str()` is exactly what iptables-save prints for it."""

    __slots__ = ()
    dash: ClassVar[str]
    records: ClassVar[tuple[Record, ...]]
    by_name: ClassVar[Mapping[str, Record]]
    named: ClassVar[str] = ""  # the field with the name of its record, where it has several

    def __init_subclass__(cls) -> None:
        cls.by_name = {record.name: record for record in getattr(cls, "records", ())}

    @classmethod
    def own(cls, given: Mapping[str, Any], known: Collection[str]) -> dict[str, Any] | None:
        """Return the fields of its own among those given; None where it lacks one, or has another value for good of one
        that is known."""
        there, needed = _field_names(cls)  # type: ignore[arg-type]
        if any(name not in there and getattr(cls, name, None) != given.get(name) for name in known):
            return None
        return {name: given[name] for name in given if name in there} if needed <= given.keys() else None

    def __str__(self) -> str:
        record = self.record
        options = record.options.print(self)
        return f"{self.dash} {record.name} {options}" if options else f"{self.dash} {record.name}"

    @property
    @abstractmethod
    def record(self) -> Record:
        """What is declared of it."""

    @property
    def protocols(self) -> tuple[str, ...]:
        """The protocols of which the rule must ask for one; none if it need not."""
        return self.record.protocols

    def misplaced(self, table: str, chain: str, hooks: frozenset[str]) -> str:
        """Say why it has no place in a chain that is reached from these hooks; empty when it has."""
        record = self.record
        if record.tables is ANY_TABLE and record.hooks is ANY_HOOK:
            return ""
        if table not in record.tables:
            return tr("has no place in table {table}", table=table)
        wrong = sorted(hooks.difference(record.hooks))
        return tr("has no place in {wrong}", wrong=all_of(wrong)) if wrong else ""


@cache
def _field_names(kind: type[Extension]) -> tuple[frozenset[str], frozenset[str]]:
    """Return the fields of a class, and those that must be given."""
    there = fields(kind)  # type: ignore[arg-type]
    needed = (one.name for one in there if one.default is MISSING and one.name != kind.named)
    return frozenset(one.name for one in there), frozenset(needed)


class Match(Extension):
    """A condition of a rule."""

    __slots__ = ()
    dash = "-m"
    records: ClassVar[tuple[MatchRecord, ...]]
    by_name: ClassVar[Mapping[str, MatchRecord]]

    @property
    def record(self) -> MatchRecord:
        """What is declared of it."""
        return self.by_name[getattr(self, self.named)] if self.named else self.records[0]

    @property
    def purity(self) -> Purity:
        """What happens when it is asked."""
        return self.record.purity

    @abstractmethod
    def test(self) -> Test | None:
        """Return the compiled condition; None when it always holds."""

    @abstractmethod
    def why_not(self, packet: Packet, at: Context) -> str:
        """Say what the packet is and what the rule asks for, for example `mark is 0x0, not 0x4000/0x4000`."""

    @property
    def exact(self) -> tuple[str, Hashable] | None:
        """The one value it holds for, by where a packet has it (src, dst, iif, oif, dport); None for any other."""
        return None

    @property
    def asked_ports(self) -> tuple[Range, ...]:
        """The ranges of ports it tells apart."""
        return ()

    def running(self, only_tells: bool) -> Self:
        """Return the match of a rule that has seen packets before, nobody knows which; it may be one that only tells
        of them."""
        return self


class Target(Extension):
    """What a rule does with a packet its matches selected."""

    __slots__ = ()
    dash = "-j"
    records: ClassVar[tuple[TargetRecord, ...]]
    by_name: ClassVar[Mapping[str, TargetRecord]]

    @property
    def record(self) -> TargetRecord:
        """What is declared of it."""
        return self.by_name[getattr(self, self.named)] if self.named else self.records[0]

    @property
    def ends(self) -> NfVerdict | None:
        """The verdict with which it ends its table; None when the walk goes on after it."""
        return None

    @property
    def jumps_to(self) -> str:
        """The user chain the walk goes on in; empty when it stays in this one."""
        return ""

    @property
    def returns(self) -> bool:
        """Tell whether the walk leaves this chain for the caller."""
        return False

    def apply(self, packet: Packet, at: Context) -> Packet:
        """Return the packet as it is afterwards; a changed connection mark is left in `at.entry`."""
        return packet


def needs_exact_length(match: Match, packet: Packet) -> Unsupported:
    """Build the error for a match that decides by the length of a packet of which only the bounds are known."""
    shortest, longest = lengths(packet)
    return Unsupported(
        tr(
            "match {match} for a packet of {shortest} to {longest} bytes: its exact length",
            match=str(match)[3:],
            shortest=shortest,
            longest=longest,
        )
    )


def differs(what: str, actual: object, wanted: object, negated: bool) -> str:
    """Phrase the answer of `why_not`: `src is A, not B`, or for a negated option `src is A, which the rule
    excludes`."""
    if negated:
        return tr("{what} is {actual}, which the rule excludes", what=what, actual=actual)
    return tr("{what} is {actual}, not {wanted}", what=what, actual=actual, wanted=wanted)
