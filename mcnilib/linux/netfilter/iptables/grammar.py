"""Reading the options of matches and targets that are kept as text: a grammar of options, each with the reader of its
value, in the order iptables-save prints them.

Source: iptables-extensions(8); extensions/lib{xt,ipt}_*.c (iptables 1.8.9).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv4Interface

from mcnilib.linux.netfilter.iptables.extension import bang
from mcnilib.linux.netfilter.iptables.words import RuleWords, each_option, quoted

Reader = Callable[[RuleWords], str]
"""Reads the value of an option and returns it as iptables-save prints it; empty for an option without value."""


@dataclass(frozen=True)
class Grammar:
    """What stands after `-m NAME` or `-j NAME`."""

    options: Mapping[str, Reader] = field(default_factory=dict)
    negatable: frozenset[str] = frozenset()
    needed: tuple[str, ...] = ()  # options of which each must stand
    defaults: Mapping[str, str] = field(default_factory=dict)  # printed though not given
    aliases: Mapping[str, str] = field(default_factory=dict)
    protocols: tuple[str, ...] = ()  # the rule must ask for one of these
    some: bool = False  # at least one option must stand
    why: str = ""

    @cached_property
    def _known(self) -> dict[str, str]:
        return {option: option for option in self.options} | dict(self.aliases)

    @cached_property
    def _plain(self) -> frozenset[str]:
        return frozenset(self.options) - self.negatable

    def read(self, words: RuleWords, owner: str) -> dict[str, str]:
        """Read the options: by name, each with its value as it is printed. Raises: StateSyntaxError."""
        found: dict[str, str] = {}
        for option, negated in each_option(words, owner, self._known, plain=self._plain):
            value = self.options[option](words)
            found[option] = f"{bang(negated)}{option}{' ' if value else ''}{value}"
        for option in self.needed:
            if option not in found:
                raise words.fail(f"{owner} needs {option}")
        if self.some and not found:
            raise words.fail(f"{owner} needs one of {', '.join(self.options)}")
        return found

    def text(self, found: Mapping[str, str]) -> str:
        """Put options in the order they are printed in, with those that are printed always."""
        whole = {**{option: f"{option} {value}" for option, value in self.defaults.items()}, **found}
        return " ".join(whole[option] for option in self.options if option in whole)


def flag(words: RuleWords) -> str:
    """Read an option without value."""
    return ""


def text(words: RuleWords) -> str:
    """Read a word, quoted where iptables-save quotes it."""
    return quoted(words.take("a word"))


def in_quotes(words: RuleWords) -> str:
    """Read a word that iptables-save always quotes."""
    found = quoted(words.take("a word"))
    return found if found.startswith('"') else f'"{found}"'


def word(pattern: str, what: str = "a word") -> Reader:
    """Return the reader of a word of a given form."""

    def read(words: RuleWords) -> str:
        found = words.take(what)
        if not re.fullmatch(pattern, found, re.ASCII):
            raise words.fail(f"{found!r} is not {what}")
        return found

    return read


def choice(*valid: str) -> Reader:
    """Return the reader of one of some words."""

    def read(words: RuleWords) -> str:
        found = words.take(f"one of {', '.join(valid)}")
        if found not in valid:
            raise words.fail(f"{found!r} is not one of {', '.join(valid)}", near=valid)
        return found

    return read


def several(what: str, *valid: str) -> Reader:
    """Return the reader of a list of words, printed in the order given here."""

    def read(words: RuleWords) -> str:
        found = words.take(what).split(",")
        for one in found:
            if one not in valid:
                raise words.fail(f"{one!r} is not {what}", near=valid)
        return ",".join(one for one in valid if one in found)

    return read


def number(low: int = 0, high: int = 0xFFFFFFFF) -> Reader:
    """Return the reader of a number in a range, printed in decimal."""
    return lambda words: str(words.number("a number", low, high))


def hexadecimal(digits: int = 0, high: int = 0xFFFFFFFF) -> Reader:
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
    if re.fullmatch(r"[A-Za-z_][\w.-]*", words.peek(), re.ASCII):
        return words.take("a name")
    return masked_hex(words)


def span(high: int, what: str = "a number") -> Reader:
    """Return the reader of LOW, LOW:HIGH, :HIGH or LOW:, both within 0 to `high`."""

    def read(words: RuleWords) -> str:
        low, colon, last = words.take(what).partition(":")
        first = words.as_number(low or "0", what, 0, high)
        end = words.as_number(last or str(high), what, first, high) if colon else first
        return f"{first}:{end}" if end != first else str(first)

    return read


def address(words: RuleWords) -> str:
    """Read an address."""
    found = words.take("an address")
    try:
        return str(IPv4Address(found))
    except ValueError:
        raise words.fail(f"{found!r} is not an IPv4 address") from None


def prefix(words: RuleWords) -> str:
    """Read an address with or without a prefix length; /32 is not printed."""
    found = words.take("an address or prefix")
    try:
        return str(IPv4Interface(found)).removesuffix("/32")
    except ValueError:
        raise words.fail(f"{found!r} is not an IPv4 address or prefix") from None


MAC = r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}"


def mac(words: RuleWords) -> str:
    """Read a link-layer address."""
    return word(MAC, "a MAC address")(words).lower()


def device(words: RuleWords) -> str:
    """Read the name of a device."""
    return word(r"\S{1,15}", "the name of a device, which has 1 to 15 characters")(words)
