"""Reading expressions of nft, values, and the elements of sets.

Source: nft(8); src/parser_bison.y (nftables 1.0.6).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mcnilib.language import mark, tr
from mcnilib.linux.netfilter.nftables import datatype
from mcnilib.linux.netfilter.nftables.datatype import DataType, ValueSpan, Wanted, bits_of, show_values
from mcnilib.linux.netfilter.nftables.expression import (
    OPERATORS,
    SELECTORS,
    SPELLINGS,
    Bitwise,
    Constant,
    Expression,
    FibLookup,
    Hash,
    Joined,
    MapLookup,
    NumGen,
    PacketField,
)
from mcnilib.linux.netfilter.nftables.sets import Element, NftSet
from mcnilib.linux.netfilter.nftables.statement import NftVerdict
from mcnilib.linux.netfilter.nftables.text.tokens import Tokens

Sets = Mapping[str, NftSet]
"""The sets and maps of the table a rule is in, by name."""


class NotModelled(Exception):
    """The next words are of nft, or may be, but not modelled."""


class NotIpv4(NotModelled):
    """The next words are about packets of IPv6."""


KEPT_WORDS = ("osf", "socket", "rt", "vlan", "ether", "arp", "frag", "exthdr", "symhash", "ipsec", "tunnel")
"""How expressions begin that are not modelled, where a value might stand too."""

OF_IPV6 = ("ip6", "icmpv6")
"""How what only packets of IPv6 have begins."""


WORDS = {"and": "&", "or": "|", "xor": "^", "lshift": "<<", "rshift": ">>"}
"""Operators as they may be typed."""


def read_wanted(words: Tokens, left: Expression) -> Wanted:
    """Read the values of a comparison; of flags several."""
    bracket = words.skip("(")
    wanted = [_spans(words, left.types)]
    while words.skip(",") or words.skip("|"):
        wanted.append(_spans(words, left.types))
    if bracket:
        words.expect(")")
    return tuple(wanted)


def _spans(words: Tokens, types: tuple[DataType, ...]) -> tuple[ValueSpan, ...]:
    """Read a value for each part of a key."""
    spans = []
    for place, kind in enumerate(types):
        if place:
            words.expect(".")
        spans.append(_span(words, kind))
    return tuple(spans)


def _key(words: Tokens, types: tuple[DataType, ...]) -> tuple[ValueSpan, ...]:
    """Read the key of an element; of flags those that bars join. Raises: NotModelled for the one that takes all."""
    if words.next == "*":
        raise NotModelled
    spans = _spans(words, types)
    while types[0].flags and len(types) == 1 and words.skip("|"):
        bits = bits_of((spans, _spans(words, types)))
        spans = ((bits, bits),)
    return spans


def _span(words: Tokens, kind: DataType) -> ValueSpan:
    word = words.take(mark("a value"))
    try:
        return kind.read(word)
    except ValueError:
        what = tr("{word!r} is no value of the type {type}", word=word, type=kind.name)
        raise words.error(what, words.read - 1) from None


def read_set(words: Tokens, key: tuple[DataType, ...], sets: Sets, data: tuple[DataType, ...] | None) -> NftSet | str:
    """Read `@NAME`, or a set or map with its elements; `data` is None for verdicts, empty for a set."""
    if words.next.startswith("@"):
        name = words.take(mark("a set"))
        if name[1:] not in sets:
            raise words.error(tr("no set {name} in the table", name=name[1:]), words.read - 1)
        return name
    anonymous = NftSet("", key, data=data or None, is_map=data is None or bool(data))
    return anonymous.holding(read_elements(words, key, data, is_map=anonymous.is_map))


def read_elements(
    words: Tokens, key: tuple[DataType, ...], data: tuple[DataType, ...] | None, *, is_map: bool
) -> list[Element]:
    """Read `{ KEY [: DATA], ... }`; the data of a map is a verdict where `data` is None."""
    words.expect("{")
    elements: list[Element] = []
    while True:
        words.skip_ends()
        if words.skip("}"):
            return elements
        elements.append(_element(words, key, data, is_map))
        words.skip_ends()
        if not words.skip(",") and words.next != "}":
            raise words.unexpected()


_OF_ELEMENT = {"timeout": 1, "expires": 1, "counter": 0, "packets": 1, "bytes": 1}
"""Options of an element and how many words follow."""


def _element(words: Tokens, key: tuple[DataType, ...], data: tuple[DataType, ...] | None, is_map: bool) -> Element:
    spans = _key(words, key)
    if words.next in ("limit", "quota", "ct", "last"):
        raise NotModelled
    options, comment = list[str](), ""
    while words.next in (*_OF_ELEMENT, "comment"):
        option = words.take(mark("an option"))
        if option == "comment":
            comment = words.unquoted(mark("a comment"))
            continue
        options += [option, *(words.take(mark("a value")) for _ in range(_OF_ELEMENT[option]))]
    said: object = None
    text = ""
    if is_map:
        words.expect(":")
        if data is None:
            said = read_verdict(words)
            text = str(said)
        else:
            spans_there = _spans(words, data)
            said = tuple(span[0] for span in spans_there)
            text = show_values(data, said)
    return Element(spans, said, " ".join(options), comment, text, key)


def read_verdict(words: Tokens) -> NftVerdict:
    """Read accept, drop, continue, return, or jump and goto with a chain."""
    name = words.one_of(("accept", "drop", "continue", "return", "jump", "goto", "queue"), mark("a verdict"))
    if words.next == "{":  # a chain without a name
        raise NotModelled
    return NftVerdict(name, words.take(mark("a chain")) if name in ("jump", "goto") else "")


def read_expression(words: Tokens, sets: Sets, expected: tuple[DataType, ...] = ()) -> Expression:
    """Read an expression; a value of the `expected` type may stand there too.

    Raises: NotModelled, StateSyntaxError.
    """
    left = read_joined(words, sets, expected)
    while (operator := WORDS.get(words.next, words.next)) in OPERATORS:
        words.read += 1
        bracket = words.skip("(")
        right = _operand(words, sets, left.types)
        while (bracket and words.skip("|")) or (left.types[0].flags and words.skip(",")):
            right = Constant((_number_of(right) | _number_of(_operand(words, sets, left.types)),), left.types)
        if bracket:
            words.expect(")")
        left = Bitwise(left, operator, right)
    if words.skip("map"):
        return _map_lookup(words, sets, left, expected)
    return left


def _number_of(expression: Expression) -> int:
    if not isinstance(expression, Constant) or isinstance(expression.values[0], str):
        raise NotModelled
    return expression.values[0]


def _map_lookup(words: Tokens, sets: Sets, of: Expression, expected: tuple[DataType, ...]) -> Expression:
    """Read the map that is asked for a value; what it says is of the type it was declared with."""
    if words.next.startswith("@"):
        named = sets.get(words.next[1:])
        if named is not None and named.data is None:
            raise NotModelled
        table = read_set(words, of.types, sets, ())
        return MapLookup(of, table, named.data if named and named.data else ())
    data = expected
    if not data:
        raise NotModelled
    at = words.read
    for kinds in (data, (*data, datatype.INET_SERVICE)):
        try:
            return MapLookup(of, read_set(words, of.types, sets, kinds), kinds)
        except ValueError:
            words.read = at
    return MapLookup(of, read_set(words, of.types, sets, data), data)


def read_joined(words: Tokens, sets: Sets, expected: tuple[DataType, ...]) -> Expression:
    """Read parts that dots join; one alone is itself."""
    parts = [_operand(words, sets, expected)]
    while words.skip("."):
        parts.append(_operand(words, sets, expected[len(parts) :]))
    return parts[0] if len(parts) == 1 else Joined(tuple(parts))


def _operand(words: Tokens, sets: Sets, expected: tuple[DataType, ...]) -> Expression:
    """Read a selector, a number that is drawn or hashed, or a value."""
    head = words.next
    if head in OF_IPV6:
        raise NotIpv4
    if read := _SPECIAL.get(head):
        words.read += 1
        return read(words, sets)
    if candidates := _SELECTORS.get(head):
        return _selector(words, candidates)
    if head in KEPT_WORDS or head.startswith("@"):
        raise NotModelled
    if expected and not words.at_end and head not in "{},()":
        first, _ = _span(words, expected[0])
        return Constant((first,), expected[:1])
    raise NotModelled


_SELECTORS: dict[str, list[tuple[list[str], PacketField]]] = {}
for _text in sorted({**SELECTORS, **SPELLINGS}, key=lambda text: -text.count(" ")):
    _SELECTORS.setdefault(_text.split()[0], []).append((_text.split(), PacketField(SPELLINGS.get(_text, _text))))


def _selector(words: Tokens, candidates: list[tuple[list[str], PacketField]]) -> PacketField:
    """Read the longest of the selectors that begin with the next word."""
    for spelling, selector in candidates:
        if words.skip(*spelling):
            return selector
    raise NotModelled


def _fib(words: Tokens, sets: Sets) -> FibLookup:
    address = words.one_of(("saddr", "daddr"), mark("saddr or daddr"))
    flags: list[str] = []
    while words.skip("."):
        flags.append(words.one_of(("iif", "oif", "mark"), mark("iif, oif or mark")))
    result = words.one_of(("type", "oif", "oifname", "check"), mark("type, check, oif or oifname"))
    result = "oif" if result == "check" else result  # as versions after 1.1 print it
    numbered = result == "oif" and words.next == "0"  # no device; any other number is nobody's to know
    if result != "type" and not numbered and words.next not in ("missing", "exists"):
        raise NotModelled
    return FibLookup(address, tuple(flags), result, numbered)


def _offset(words: Tokens) -> int:
    return words.number(mark("an offset")) if words.skip("offset") else 0


def _numgen(words: Tokens, sets: Sets) -> NumGen:
    mode = words.one_of(("random", "inc"), mark("random or inc"))
    if mode == "inc":
        raise NotModelled
    words.expect("mod")
    return NumGen(mode, words.number(mark("a modulus"), 2**32 - 1) or 1, _offset(words))


def _jhash(words: Tokens, sets: Sets) -> Hash:
    of = read_joined(words, sets, ())
    words.expect("mod")
    modulus = words.number(mark("a modulus"), 2**32 - 1) or 1
    seed = words.take(mark("a seed")) if words.skip("seed") else ""
    return Hash(of, modulus, seed, _offset(words))


_SPECIAL: dict[str, Callable[[Tokens, Sets], Expression]] = {"fib": _fib, "numgen": _numgen, "jhash": _jhash}
