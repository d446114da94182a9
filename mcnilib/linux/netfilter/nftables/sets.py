"""Sets and maps of nft: their elements, how they are printed, and the look-up, as flat in their number as the kernel's.

Source: nft(8) "SETS", "MAPS"; net/netfilter/nft_set_{hash,rbtree,pipapo}.c; src/expression.c (nftables 1.0.6) for the
number of elements on a line.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from mcnilib.linux.chance import Range
from mcnilib.linux.netfilter.nftables.datatype import IPV4_ADDR, DataType, KeyValues, Value, ValueSpan
from mcnilib.linux.origin import Origin


class Element(NamedTuple):
    """One element: for each part of its key the first and last value; of a map also what it says."""

    key: tuple[ValueSpan, ...]
    data: object = None  # a Verdict, or the values of the data
    options: str = ""  # timeout, expires, counter, as printed
    comment: str = ""
    data_text: str = ""
    kinds: tuple[DataType, ...] = ()

    def __str__(self) -> str:
        parts = [" . ".join(map(_show_part, self.kinds, self.key))]
        parts += [self.options] if self.options else []
        parts += [f'comment "{self.comment}"'] if self.comment else []
        return " ".join(parts) + (f" : {self.data_text}" if self.data_text else "")


def _show_part(kind: DataType, span: ValueSpan) -> str:
    """Write a part of a key; of flags all that are set."""
    bits = span[0]
    names = kind.names_of(bits) if kind.flags and isinstance(bits, int) else []
    return " | ".join(names) if len(names) > 1 and span[0] == span[1] else show_span(kind, span)


def show_span(kind: DataType, span: ValueSpan) -> str:
    """Write a value, a prefix or a range as nft does."""
    first, last = span
    if first == last:
        return kind.show(first)
    if isinstance(first, str) or isinstance(last, str):
        return kind.show(first)
    size = last - first + 1
    if kind.name == IPV4_ADDR.name and size & (size - 1) == 0 and first % size == 0:
        return f"{kind.show(first)}/{32 - size.bit_length() + 1}"
    return f"{kind.plain(first)}-{kind.plain(last)}"


def covers(span: ValueSpan, value: Value) -> bool:
    """Tell whether a value lies in a span; a name that ends with * covers all that begin like it."""
    first, last = span
    if isinstance(first, str) or isinstance(value, str) or isinstance(last, str):
        return value == first or (str(first).endswith("*") and str(value).startswith(str(first)[:-1]))
    return first <= value <= last


def _is_one(span: ValueSpan) -> bool:
    return span[0] == span[1] and not str(span[0]).endswith("*")


class _Bucket:
    """Elements whose exact parts are equal: those that differ in ranges."""

    def __init__(self, elements: list[Element], ranges: tuple[int, ...]) -> None:
        """Sort them by where they begin, if that is one number and they lie apart."""
        self._elements, self._part, self._starts = elements, ranges[0], list[int]()
        ends = (one.key[self._part] for one in elements)
        spans = [(first, last) for first, last in ends if isinstance(first, int) and isinstance(last, int)]
        if len(ranges) == 1 and len(spans) == len(elements):
            elements.sort(key=lambda one: one.key[self._part])
            spans.sort()
            if all(last < first for (_, last), (first, _) in pairwise(spans)):
                self._starts = [first for first, _ in spans]

    def find(self, key: KeyValues) -> Element | None:
        """Return the element whose ranges a key lies in."""
        candidates: Sequence[Element] = self._elements
        if self._starts:
            place = bisect_right(self._starts, key[self._part])
            candidates = self._elements[place - 1 : place] if place else ()
        return next((one for one in candidates if all(map(covers, one.key, key))), None)


@dataclass(frozen=True)
class NftSet:
    """A set, or a map where `data` is given; one without a name stands within a rule."""

    name: str
    key: tuple[DataType, ...]
    elements: tuple[Element, ...] = ()
    data: tuple[DataType, ...] | None = None  # of a map; none: verdicts
    is_map: bool = False
    declared: str = ""  # `type ipv4_addr : verdict` or `typeof ...`, as printed
    options: tuple[str, ...] = ()  # lines between the type and the elements: size, flags, timeout, ...
    comment: str = ""
    gap: str = ""  # what is not modelled about it
    kept: str = ""  # its elements as they are printed, where they are not read
    origin: Origin | None = field(default=None, compare=False)

    @cached_property
    def _exact(self) -> dict[KeyValues, Element]:
        return {tuple(span[0] for span in one.key): one for one in self.elements if all(map(_is_one, one.key))}

    @cached_property
    def _ranged(self) -> tuple[tuple[tuple[int, ...], dict[KeyValues, _Bucket]], ...]:
        """Elements with ranges: by which of their parts are exact, and by the values of these."""
        kinds: dict[tuple[int, ...], dict[KeyValues, list[Element]]] = {}
        for one in self.elements:
            exact = tuple(place for place, span in enumerate(one.key) if _is_one(span))
            if len(exact) < len(one.key):
                values = tuple(one.key[place][0] for place in exact)
                kinds.setdefault(exact, {}).setdefault(values, []).append(one)
        every = range(len(self.key))
        return tuple(
            (exact, {key: _Bucket(some, tuple(p for p in every if p not in exact)) for key, some in buckets.items()})
            for exact, buckets in kinds.items()
        )

    def find(self, key: KeyValues) -> Element | None:
        """Return the element a key has; None where there is none."""
        if found := self._exact.get(key):
            return found
        for exact, buckets in self._ranged:
            bucket = buckets.get(tuple(key[place] for place in exact))
            if bucket and (found := bucket.find(key)):
                return found
        return None

    def holding(self, elements: Sequence[Element]) -> NftSet:
        """Return the set with these elements, in the order nft prints them.

        Ranges by where they begin, joined parts with ranges as they were added, others by their keys, read backwards
        byte for byte (measured with nft 1.0.6).
        """
        ranged = any("interval" in option for option in self.options if option.startswith("flags "))
        if not ranged and all(_is_one(span) for one in elements for span in one.key):
            return replace(self, elements=tuple(sorted(elements, key=lambda one: _order(one, len(self.key) > 1))))
        in_order = elements if len(self.key) > 1 else sorted(elements, key=lambda one: one.key[0])
        return replace(self, elements=tuple(in_order))

    def lines(self) -> Iterator[str]:
        """Print a named set as `nft list ruleset` does."""
        yield f"\t{'map' if self.is_map else 'set'} {self.name} {{"
        yield f"\t\t{self.declared}"
        yield from (f"\t\t{option}" for option in self.options)
        if self.comment:
            yield f'\t\tcomment "{self.comment}"'
        if self.elements:
            shown, on_line = list(map(str, self.elements)), _on_line(self.key)
            rows = [", ".join(shown[i : i + on_line]) for i in range(0, len(shown), on_line)]
            joined = ",\n\t\t\t     ".join(rows)
            yield f"\t\telements = {{ {joined} }}"
        elif self.kept:
            yield f"\t\telements = {self.kept}"
        yield "\t}"

    def __str__(self) -> str:
        return f"@{self.name}" if self.name else f"{{ {', '.join(map(str, self.elements))} }}"


def _on_line(key: tuple[DataType, ...]) -> int:
    if len(key) > 1 or key[0].name in ("ifname", "ipv6_addr", "ether_addr"):
        return 1
    return 2 if key[0].name == IPV4_ADDR.name else 5


def _order(element: Element, joined: bool) -> tuple[object, ...]:
    values = [span[0] for span in element.key]
    if not joined:
        first = values[0]
        return (len(first), first[::-1]) if isinstance(first, str) else (first,)
    octets: list[int] = []
    for kind, value in zip(element.kinds, values, strict=True):
        if isinstance(value, str):
            octets += [*value.encode(), *bytes(16 - len(value.encode()))]
        else:
            size = (kind.bits + 7) // 8
            octets += [*value.to_bytes(size, "big"), *bytes(-size % 4)]
    return tuple(reversed(octets))


def asked_ports(part: object) -> Iterator[Range]:
    """Yield the ranges of ports that a set holds, or the sets within a statement or an expression.

    An id of ICMP, which NAT draws as well, counts as one.
    """
    if isinstance(part, NftSet):
        yield from ports_among(part.key, (element.key for element in part.elements))
    elif isinstance(part, tuple):
        for one in part:
            yield from asked_ports(one)
    elif is_dataclass(part):
        for one in fields(part):
            yield from asked_ports(getattr(part, one.name))


def ports_among(kinds: Sequence[DataType], keys: Iterable[Sequence[ValueSpan]]) -> Iterator[Range]:
    """Yield the spans of ports among those of keys of such types."""
    places = [at for at, kind in enumerate(kinds) if kind.name in ("inet_service", "integer") and kind.bits == 16]
    for key in keys if places else ():
        for low, high in (key[at] for at in places):
            if isinstance(low, int) and isinstance(high, int):
                yield low, high
