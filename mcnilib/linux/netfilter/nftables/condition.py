"""Conditions of a rule of nft: comparisons, look-ups of a verdict, and limits.

Source: nft(8) "STATEMENTS", "MAPS"; net/netfilter/nft_{cmp,bitwise,range,lookup,limit}.c (Linux 6.18).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from mcnilib.errors import Unsupported
from mcnilib.language import tr
from mcnilib.linux.chance import Range
from mcnilib.linux.netfilter.nftables.datatype import (
    INET_SERVICE,
    DataType,
    KeyValues,
    Value,
    Wanted,
    bits_of,
    show_values,
)
from mcnilib.linux.netfilter.nftables.expression import Expression, finder
from mcnilib.linux.netfilter.nftables.sets import Element, NftSet, asked_ports, covers, ports_among, show_span
from mcnilib.linux.netfilter.nftables.statement import CONTINUE, ChainPassage, NftStatement, NftVerdict
from mcnilib.linux.unmodelled import Gap


@dataclass(frozen=True, slots=True)
class Compare(NftStatement):
    """`ip saddr != 10.0.0.0/8`, `tcp dport { 80, 443 }`, `ip daddr @cluster-ips`, `tcp flags syn / fin,syn`.

    No operator asks of flags whether one of them is set, of all others whether they are equal.
    """

    left: Expression
    operator: str
    wanted: Wanted = ()
    table: NftSet | str = ""
    mask: int | None = None  # of `tcp flags VALUE / MASK`
    ranged: bool = False  # a range of addresses, also where a prefix would say the same

    compares = True

    def __str__(self) -> str:
        operator = f"{self.operator} " if self.operator else ""
        if self.mask is not None and self.mask.bit_count() == 1:
            kind = self.left.types[0]
            return f"{self.left} & {kind.show(self.mask)} {operator or '== '}{kind.show(bits_of(self.wanted))}"
        return f"{self.left} {operator}{self._right()}"

    def _right(self) -> str:
        if self.table:
            return str(self.table)
        kinds = self.left.types
        if self.ranged:
            return "-".join(map(kinds[0].show, self.wanted[0][0]))
        between = " | " if kinds[0].flags and self.operator == "!=" and self.mask is None else ","
        right = between.join(" . ".join(map(show_span, kinds, spans)) for spans in self.wanted)
        return right if self.mask is None else f"{right} / {self._flags(kinds[0], self.mask)}"

    @staticmethod
    def _flags(kind: DataType, bits: int) -> str:
        return ",".join(name for name, bit in kind.symbols.items() if bits & bit)

    @property
    def tracks(self) -> bool:  # type: ignore[override]
        """Tell whether it asks for the connection."""
        return self.left.tracks

    @property
    def port_ranges(self) -> Iterator[Range]:
        """The ranges of ports it asks for; an order divides all ports in two."""
        if self.table or self.left.parts:
            yield from asked_ports((self.left, self.table))
        for low, high in ports_among(self.left.types, self.wanted) if self.wanted else ():
            if self.operator in ("<", ">="):
                yield low, (1 << INET_SERVICE.bits) - 1
            else:
                yield 0 if self.operator in (">", "<=") else low, high

    def act(self, passage: ChainPassage) -> NftVerdict | None:
        """Compare."""
        return CONTINUE if self._holds(passage) else None

    def _holds(self, passage: ChainPassage) -> bool:
        key = self.left.key(passage)
        if key is None:
            return False
        if self.table:
            return (finder(self.table, passage).find(key) is not None) is (self.operator != "!=")
        return self._compares(key)

    def _compares(self, key: KeyValues) -> bool:
        kind, value = self.left.types[0], key[0]
        if self.operator in ("<", ">", "<=", ">="):
            return _ordered(value, self.operator, bits_of(self.wanted) if kind.flags else self.wanted[0][0][0])
        if kind.flags and isinstance(value, int):
            bits = bits_of(self.wanted)
            if self.mask is not None:
                return (value & self.mask == bits) is (self.operator != "!=")
            if self.operator in ("", "!"):
                return bool(value & bits) is (not self.operator)
            return (value == bits) is (self.operator == "==")
        return any(all(map(covers, spans, key)) for spans in self.wanted) is (self.operator != "!=")

    def why_not(self, passage: ChainPassage) -> str:
        """Name the value the packet has, and what was asked for."""
        if self._holds(passage):
            return ""
        key = self.left.key(passage)
        if key is None:
            return tr("the packet has no {part}", part=self.left)
        shown = show_values(self.left.types, key)
        if self.table:
            return (
                tr("{value} is an element of {set}", value=shown, set=self.table)
                if self.operator == "!="
                else tr("{value} is not an element of {set}", value=shown, set=self.table)
            )
        if self.operator == "!=":
            return tr("{part} is {value}, which the rule excludes", part=self.left, value=shown)
        return tr(
            "{part} is {value}, not {wanted}",
            part=self.left,
            value=shown,
            wanted=f"{self.operator} {self._right()}".strip(),
        )


def _ordered(value: Value, operator: str, limit: Value) -> bool:
    if isinstance(value, str) or isinstance(limit, str):
        return False
    return {"<": value < limit, ">": value > limit, "<=": value <= limit, ">=": value >= limit}[operator]


@dataclass(frozen=True, slots=True)
class VerdictMap(NftStatement):
    """`ip daddr . meta l4proto . th dport vmap @service-ips`: the element of the packet's values says what follows."""

    of: Expression
    table: NftSet | str

    def __str__(self) -> str:
        return f"{self.of} vmap {self.table}"

    @property
    def port_ranges(self) -> Iterator[Range]:
        """The ranges of ports its own map holds."""
        return asked_ports((self.of, self.table))

    @property
    def tracks(self) -> bool:  # type: ignore[override]
        """Tell whether it asks for the connection."""
        return self.of.tracks

    def act(self, passage: ChainPassage) -> NftVerdict | None:
        """Look the verdict up."""
        found = self._find(passage)
        if found is None or not isinstance(found.data, NftVerdict):
            return None
        passage.words.append(
            tr("{element}, an element of {set}", element=found, set=self.table)
            if isinstance(self.table, str)
            else str(found)
        )
        return found.data

    def _find(self, passage: ChainPassage) -> Element | None:
        key = self.of.key(passage)
        return None if key is None else finder(self.table, passage).find(key)  # type: ignore[return-value]

    def why_not(self, passage: ChainPassage) -> str:
        """Say that the map has no such element."""
        key = self.of.key(passage)
        if key is None:
            return tr("the packet has no {part}", part=self.of)
        if finder(self.table, passage).find(key) is not None:
            return ""
        shown = show_values(self.of.types, key)
        return tr("{value} is not an element of {set}", value=shown, set=self.table)


@dataclass(frozen=True, slots=True)
class Limited(NftStatement):
    """`limit rate 5/second`: holds for so many packets at once, then as often; `over` holds for the others.

    `gap`: packets came before, and nobody knows how many are left. Source: nft_limit_eval() in net/netfilter/
    nft_limit.c (Linux 6.18).
    """

    text: str
    nanoseconds: int  # from one packet to the next
    burst: int
    over: bool = False
    gap: Gap | None = field(default=None, compare=False)

    compares = True
    remembers = True

    def __str__(self) -> str:
        return self.text

    def running(self, only_tells: bool) -> Limited:
        """Return the statement of a rule that packets have met; where it only tells of them nothing depends on it."""
        if only_tells:
            return self
        return replace(self, gap=Gap(tr("it is unknown how many packets `{limit}` has left", limit=self.text)))

    def act(self, passage: ChainPassage) -> NftVerdict | None:
        """Take a packet out of the bucket. Raises: Unknown where packets came before, Unsupported outside a run."""
        if self.gap:
            self.gap.meet()
        memory, now = passage.at.memory, round(passage.at.now * 1e9)
        if memory is None:
            raise Unsupported(tr("`{limit}` outside a run: it remembers packets", limit=self.text))
        full = self.burst * self.nanoseconds
        _, (left, since) = memory.get(("nft limit", id(self)), (self, (full, now)))
        left = min(full, left + now - since)
        enough = left >= self.nanoseconds
        memory["nft limit", id(self)] = (self, (left - self.nanoseconds * enough, now))
        return CONTINUE if enough is not self.over else None

    def why_not(self, passage: ChainPassage) -> str:
        """Say that the rate decides; nothing is taken."""
        return tr("the rate decides: `{limit}`", limit=self.text)
