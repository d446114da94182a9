"""The values of options that several matches and targets share: how each is read, and how iptables-save prints it.

Source: iptables-extensions(8); libxtables/xtables.c, extensions/lib{xt,ipt}_*.c (iptables 1.8.9).
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Interface
from typing import NamedTuple

from mcnilib.language import listed, mark, tr
from mcnilib.linux.netfilter.iptables.grammar import Reader, TextReader
from mcnilib.linux.netfilter.iptables.words import RuleWords, quoted
from mcnilib.linux.packet import ALL_PROTOCOLS, USUAL, protocol_name

_A_WORD, _A_NUMBER = mark("a word"), mark("a number")


def flag(words: RuleWords) -> str:
    """Read an option without value."""
    return ""


def text(words: RuleWords) -> str:
    """Read a word, quoted where iptables-save quotes it."""
    return quoted(words.take("a word"))


def in_quotes(words: RuleWords) -> str:
    """Read a word that iptables-save always quotes."""
    text = quoted(words.take("a word"))
    return text if text.startswith('"') else f'"{text}"'


def word(pattern: str, what: str = _A_WORD) -> TextReader:
    """Return the reader of a word of a given form."""

    def read(words: RuleWords) -> str:
        taken = words.take(what)
        if not re.fullmatch(pattern, taken, re.ASCII):
            raise words.fail(tr("{word!r} is not {what}", word=taken, what=tr(what)))
        return taken

    return read


def choice(*valid: str) -> TextReader:
    """Return the reader of one of some words."""
    expected = mark("one of {words}", words=", ".join(valid))

    def read(words: RuleWords) -> str:
        taken = words.take(expected)
        if taken not in valid:
            raise words.fail(tr("{taken!r} is not one of {valid}", taken=taken, valid=listed(valid)), near=valid)
        return taken

    return read


def several(what: str, *valid: str) -> TextReader:
    """Return the reader of a list of words, printed in the order given here."""

    def read(words: RuleWords) -> str:
        names = words.take(what).split(",")
        for name in names:
            if name not in valid:
                raise words.fail(tr("{word!r} is not {what}", word=name, what=tr(what)), near=valid)
        return ",".join(name for name in valid if name in names)

    return read


def number(low: int = 0, high: int = 0xFFFFFFFF, what: str = _A_NUMBER) -> Reader:
    """Return the reader of a number in a range, printed in decimal."""
    return lambda words: words.number(what, low, high)


def any_word(what: str) -> Reader:
    """Return the reader of any word."""
    return lambda words: words.take(what)


def hexadecimal(digits: int = 0, high: int = 0xFFFFFFFF) -> TextReader:
    """Return the reader of a number printed in hexadecimal, filled up with zeroes to a number of digits."""
    return lambda words: f"0x{words.number('a number', 0, high):0{digits}x}"


def masked_hex(words: RuleWords) -> str:
    """Read VALUE or VALUE/MASK, printed in hexadecimal, without a mask of all ones."""
    value, slash, mask = words.take("a number").partition("/")
    first = words.as_number(value, "a number")
    bits = words.as_number(mask, "a mask") if slash else 0xFFFFFFFF
    return f"{first:#x}" if bits == 0xFFFFFFFF else f"{first:#x}/{bits:#x}"


def named_hex(words: RuleWords) -> str:
    """Read a name out of a file below /etc/iproute2, which stays one, or a number as `masked_hex` does.

    Source: xtables_parse_val_mask() in libxtables/xtables.c (iptables 1.8.9).
    """
    if re.fullmatch(r"[A-Za-z_][\w.-]*", words.next, re.ASCII):
        return words.take("a name")
    return masked_hex(words)


def span(high: int, what: str = _A_NUMBER) -> TextReader:
    """Return the reader of LOW, LOW:HIGH, :HIGH or LOW:, both within 0 to `high`."""

    def read(words: RuleWords) -> str:
        low, colon, last = words.take(what).partition(":")
        first = words.as_number(low or "0", what, 0, high)
        end = words.as_number(last or str(high), what, first, high) if colon else first
        return f"{first}:{end}" if end != first else str(first)

    return read


def bounds(what: str, high: int = 0xFFFF) -> Reader:
    """Return the reader of both ends of LOW, LOW:HIGH, :HIGH or LOW:, each within 0 to `high`, in any order."""

    def read(words: RuleWords) -> tuple[int, int]:
        low, colon, last = words.take(what).partition(":")
        first = words.as_number(low or "0", what, 0, high)
        return first, words.as_number(last or str(high), what, 0, high) if colon else first

    return read


def range_text(ends: tuple[int, int]) -> str:
    """Write one number or `low:high`."""
    return str(ends[0]) if ends[0] == ends[1] else f"{ends[0]}:{ends[1]}"


def long_number(what: str) -> Reader:
    """Return the reader of a number of 64 bits."""
    return lambda words: words.as_long(words.take(what), what)


def read_protocol(words: RuleWords) -> str:
    """Read a protocol: its name, or its number if it has none; empty for all of them."""
    word = words.take("a protocol")
    if word.lower() in ALL_PROTOCOLS:
        return ""
    if name := protocol_name(word):
        return name
    raise words.fail(tr("{word!r} is not a protocol", word=word), near=USUAL)


def address(words: RuleWords) -> str:
    """Read an address."""
    return str(read_ip(words, words.take("an address")))


def prefix(words: RuleWords) -> str:
    """Read an address with or without a prefix length; /32 is not printed."""
    prefix = words.take(tr("an address or prefix"))
    try:
        return str(IPv4Interface(prefix)).removesuffix("/32")
    except ValueError:
        raise words.fail(tr("{word!r} is not an IPv4 address or prefix", word=prefix)) from None


MAC = r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}"


def mac(words: RuleWords) -> str:
    """Read a link-layer address."""
    return word(MAC, tr("a MAC address"))(words).lower()


def device(words: RuleWords) -> str:
    """Read the name of a device."""
    return word(r"\S{1,15}", tr("the name of a device, which has 1 to 15 characters"))(words)


def read_ip(words: RuleWords, word: str) -> IPv4Address:
    """Turn a word just read into an address."""
    try:
        return IPv4Address(word)
    except ValueError:
        raise words.fail(tr("{word!r} is not an IPv4 address", word=word)) from None


def read_mark(words: RuleWords) -> tuple[int, int]:
    """Read VALUE or VALUE/MASK, 32 bits each."""
    value, slash, mask = words.take("a mark").partition("/")
    return words.as_number(value, "a mark"), words.as_number(mask, "a mask") if slash else 0xFFFFFFFF


TOS_NAMES = {
    "minimize-delay": 0x10, "maximize-throughput": 0x08, "maximize-reliability": 0x04, "minimize-cost": 0x02,
    "normal-service": 0x00,
}  # fmt: skip

TOS_NAME_MASK = 0x3F

DSCP_CLASSES = (
    {f"cs{number}": number * 8 for number in range(8)}
    | {f"af{high}{low}": high * 8 + low * 2 for high in range(1, 5) for low in range(1, 4)}
    | {"be": 0, "ef": 0x2E}
)


def read_tos(words: RuleWords) -> tuple[int, int]:
    """Read VALUE, VALUE/MASK or the name of a type of service: value and mask."""
    word = words.take(tr("a type of service"))
    if word.lower() in TOS_NAMES:
        return TOS_NAMES[word.lower()], TOS_NAME_MASK
    value, slash, mask = word.partition("/")
    return words.as_number(value, "a TOS", 0, 255), words.as_number(mask, "a mask", 0, 255) if slash else 0xFF


def read_class(words: RuleWords) -> int:
    """Read the name of a DSCP."""
    name = words.take("a class").lower()
    if name not in DSCP_CLASSES:
        raise words.fail(tr("{name!r} is not a class of service", name=name), near=tuple(DSCP_CLASSES))
    return DSCP_CLASSES[name]


def masked_tos(value: int, mask: int) -> str:
    """Write a TOS byte with its mask."""
    return f"{value:#04x}/{mask:#04x}"


def hex_byte(value: int) -> str:
    """Write a byte in hexadecimal."""
    return f"{value:#04x}"


UNITS = {"day": 86400, "hour": 3600, "min": 60, "sec": 1}
"""Seconds of each unit, in the order they are tried in for printing."""


class Rate(NamedTuple):
    """One packet in `period` units of 1/scale seconds."""

    period: int
    scale: int

    @property
    def nanoseconds(self) -> int:
        """Nanoseconds from one packet to the next."""
        return self.period * 1_000_000_000 // self.scale

    @property
    def text(self) -> str:
        """The rate as iptables-save prints it."""
        best = "day"
        for name, seconds in UNITS.items():
            whole = seconds * self.scale
            if name != "day" and (self.period > whole or whole // self.period < whole % self.period):
                break
            best = name
        return f"{UNITS[best] * self.scale // self.period}/{best}"


def read_rate(words: RuleWords, word: str, scale: int) -> Rate:
    """Turn a word just read, such as `5/min` or `3`, into a rate. Raises: StateSyntaxError."""
    parts = re.fullmatch(r"(\d{1,9})(?:/([a-z]+))?", word, re.ASCII)
    unit = next((name for name in UNITS if parts and _means(parts[2] or "sec", name)), "")
    if not parts or not unit or not int(parts[1]):
        raise words.fail(tr("{word!r} is not a rate such as 5/min", word=word))
    period = UNITS[unit] * scale // int(parts[1])
    if not period:
        raise words.fail(tr("{word!r} is faster than the kernel can measure", word=word))
    return Rate(period, scale)


def _means(word: str, unit: str) -> bool:
    """Tell whether a word is a unit or begins as one does: `s`, `sec`, `second`."""
    whole = {"sec": "second", "min": "minute"}.get(unit, unit)
    return whole.startswith(word)


DSCP = number(0, 63, mark("a DSCP"))
