"""Reading one iptables rule word by word: quotes, `!`, and errors that name line and column."""

from __future__ import annotations

import re
from collections.abc import Collection
from difflib import get_close_matches
from ipaddress import IPv4Address

from mcnilib.errors import StateSyntaxError, Unsupported
from mcnilib.language import mark, tr
from mcnilib.linux.text import Scanner

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')

_WORD = re.compile(rf"{_QUOTED.pattern}|\S+")

LONGEST = 40
"""Digits a number may have, leading zeroes among them."""

_A_WORD = mark("a word")

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")

_ESCAPED = str.maketrans({character: f"\\{character}" for character in "\"\\'"})


def quoted(text: str) -> str:
    """Write a string as iptables-save does: quoted unless it is letters, digits, `_` and `-` only.

    Source: xtables_save_string() in libxtables/xtables.c (iptables 1.8.9).
    """
    if _PLAIN.fullmatch(text):
        return text
    return f'"{text.translate(_ESCAPED)}"'


def bang(negated: bool) -> str:
    """Return the `! ` in front of a negated option."""
    return "! " if negated else ""


def has_holes(mask: str) -> bool:
    """Tell whether a mask written as an address, such as 255.0.0.255, is no prefix. False for what is no address."""
    try:
        inverse = 0xFFFFFFFF & ~int(IPv4Address(mask))
    except ValueError:
        return False
    return bool(inverse & (inverse + 1))


def word_list(text: str) -> list[str]:
    """Cut a rule into words as they are written; a quoted string is one word."""
    return _WORD.findall(text)


class RuleWords(Scanner):
    """The words of a rule, read from left to right; a quoted string is one word."""

    word = _WORD

    def take(self, what: str = _A_WORD) -> str:
        """Read the next word, without its quotes; `what` names it should the rule end here."""
        word = self._words[self.read]
        if not word:
            raise self.error_at(tr("{what} is missing", what=tr(what)), len(self.line) + 1)
        self.read += 1
        if '"' not in word:
            return word
        if not _QUOTED.fullmatch(word):
            raise self.fail(tr("a quote that is not closed, or stands inside a word"))
        return re.sub(r"\\(.)", r"\1", word[1:-1]) if "\\" in word else word[1:-1]

    def accept(self, *words: str) -> str:
        """Read the next word if it is one of these; otherwise read nothing and return an empty string."""
        return self.take() if self._words[self.read] in words else ""

    def peek_option(self) -> str:
        """Return the next word, or the one after a `!`, without reading it; empty at the end."""
        word = self._words[self.read]
        return self._words[self.read + 1] if word == "!" else word

    def take_option(self) -> tuple[str, bool]:
        """Read the next word, or the one after a `!`: (word, negated)."""
        following = self.peek_option()
        negated = self._words[self.read] == "!"
        self.read += 1 + negated
        return following, negated

    def number(self, what: str, low: int = 0, high: int = 0xFFFFFFFF) -> int:
        """Read a number in a range."""
        word = self.take(what)
        return self.as_number(word, what, low, high)

    def as_number(self, word: str, what: str, low: int = 0, high: int = 0xFFFFFFFF) -> int:
        """Turn a word just read into a number in a range: decimal, 0x for hexadecimal, a leading 0 for octal."""
        if not re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}|0[0-7]{0,11}|[1-9][0-9]{0,9}", word, re.ASCII):
            raise self.fail(tr("{word!r} is not {what}", word=word, what=tr(what)))
        octal = word.startswith("0") and word.isdecimal()  # as strtoul(3) does
        value = int(word, 8 if octal else 0)
        if not low <= value <= high:
            raise self.fail(
                tr("{what} must be {low} to {high}, not {word}", what=tr(what), low=low, high=high, word=word)
            )
        return value

    def as_long(self, word: str, what: str) -> int:
        """Turn a word just read into a number of 64 bits, written as in `as_number`."""
        digits = word.lower().removeprefix("0x") if word.lower().startswith("0x") else word
        if len(digits) > LONGEST:
            raise self.fail(tr("{what} must be below 2**64", what=tr(what)))
        base = 16 if digits != word else 8 if word.startswith("0") else 10
        if not re.fullmatch("[0-9a-f]+" if base == 16 else f"[0-{min(base, 10) - 1}]+", digits, re.ASCII):
            raise self.fail(tr("{word!r} is not {what}", word=word, what=tr(what)))
        if (value := int(digits, base)) > 0xFFFFFFFFFFFFFFFF:
            raise self.fail(tr("{what} must be below 2**64", what=tr(what)))
        return value

    def one_of(self, what: str, valid: tuple[str, ...]) -> str:
        """Read one of the valid words, in capitals or not."""
        word = self.take(what).upper()
        if word not in valid:
            raise self.fail(tr("{word!r} is not {what}", word=word, what=tr(what)), near=valid)
        return word

    def listed(self, what: str, valid: tuple[str, ...]) -> tuple[str, ...]:
        """Read words separated by commas, each one of the valid ones."""
        listed = tuple(self.take(what).upper().split(","))
        for word in listed:
            if word not in valid:
                raise self.fail(tr("{word!r} is not {what}", word=word, what=tr(what)), near=valid)
        return listed

    @property
    def place(self) -> int:
        """The number of the word read last, for errors that are found later."""
        return self.read - 1 if self.read else 0

    @property
    def last(self) -> str:
        """The word read last."""
        return self._words[self.place]

    def fail(self, what: str, *, near: tuple[str, ...] = (), place: int | None = None) -> StateSyntaxError:
        """Build the error for the word read last, or at a place; `near` are valid words, the closest is named."""
        at = self.place if place is None else place
        word = self._words[at]
        close = get_close_matches(word, near, n=1)
        hint = tr("; did you mean {name!r}?", name=close[0]) if close and close[0] != word else ""
        return self.error_at(f"{what}{hint}", self.column(at))

    def unsupported(self, what: str) -> Unsupported:
        """Build the error for something iptables knows and this model does not; the word read last says where."""
        return Unsupported(f"{self.source}:{self.line_number}:{self.column(self.place)}: {what}")


def need(words: RuleWords, options: Collection[str]) -> tuple[str, bool]:
    """Read one of the options; a syntax error names them when it is not there."""
    if words.peek_option() in options:
        return words.take_option()
    words.take("an option")
    raise words.fail(tr("expected {options}", options=" or ".join(options)), near=tuple(options))
