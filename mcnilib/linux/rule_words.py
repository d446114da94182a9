"""Reading one iptables rule word by word: quotes, `!`, and errors that name line and column."""

from __future__ import annotations

import re
from difflib import get_close_matches

from mcnilib.errors import StateSyntaxError

_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|\S+')
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")


def quoted(text: str) -> str:
    """Write a string as iptables-save does: quoted unless it is letters, digits, `_` and `-` only.

    Source: xtables_save_string() in libxtables/xtables.c (iptables 1.8.9).
    """
    if _PLAIN.fullmatch(text):
        return text
    return '"' + re.sub(r"([\"\\'])", r"\\\1", text) + '"'


class RuleWords:
    """The words of a rule, read from left to right."""

    def __init__(self, text: str, source: str = "rule", line: int = 1) -> None:
        """Cut the text into words; a quoted string is one word."""
        self.text, self.source, self.line = text, source, line
        self._words = [(found[0], found.start() + 1) for found in _WORD.finditer(text)]
        self._at = 0

    @property
    def more(self) -> bool:
        """Tell whether words are left."""
        return self._at < len(self._words)

    def peek(self) -> str:
        """Return the next word without reading it; empty at the end."""
        return self._words[self._at][0] if self.more else ""

    def take(self, what: str = "a word") -> str:
        """Read the next word, without its quotes; `what` names it should the rule end here."""
        if not self.more:
            raise StateSyntaxError(
                f"{what} is missing", source=self.source, line=self.line, column=len(self.text) + 1, text=self.text
            )
        word = self._words[self._at][0]
        self._at += 1
        if word.startswith('"') and word.endswith('"') and len(word) > 1:
            return re.sub(r"\\(.)", r"\1", word[1:-1])
        return word

    def accept(self, *words: str) -> str:
        """Read the next word if it is one of these; otherwise read nothing and return an empty string."""
        return self.take() if self.peek() in words else ""

    def accept_option(self, *names: str) -> tuple[str, bool]:
        """Read `[!] --name` if the name is one of these: (name, negated); ("", False) when it is not."""
        negated = self.peek() == "!"
        following = self._words[self._at + negated][0] if self._at + negated < len(self._words) else ""
        if following not in names:
            return "", False
        self._at += 1 + negated
        return following, negated

    def number(self, what: str, low: int = 0, high: int = 0xFFFFFFFF) -> int:
        """Read a decimal or 0x number in a range."""
        word = self.take(what)
        return self.as_number(word, what, low, high)

    def as_number(self, word: str, what: str, low: int = 0, high: int = 0xFFFFFFFF) -> int:
        """Turn a word just read into a number in a range."""
        if not re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10}", word):
            raise self.fail(f"{word!r} is not {what}")
        value = int(word, 0) if word[:2].lower() == "0x" else int(word)
        if not low <= value <= high:
            raise self.fail(f"{what} must be {low} to {high}, not {word}")
        return value

    def fail(self, what: str, *, near: tuple[str, ...] = ()) -> StateSyntaxError:
        """Build the error for the word read last; `near` are valid words, the closest is named."""
        word, column = self._words[max(0, self._at - 1)] if self._words else ("", 1)
        close = get_close_matches(word, near, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return StateSyntaxError(f"{what}{hint}", source=self.source, line=self.line, column=column, text=self.text)

    def where(self) -> str:
        """Return source:line:column of the word read last, for errors that are not about syntax."""
        column = self._words[max(0, self._at - 1)][1] if self._words else 1
        return f"{self.source}:{self.line}:{column}"


def need(words: RuleWords, *options: str) -> tuple[str, bool]:
    """Read one of the options; a syntax error names them when it is not there."""
    found = words.accept_option(*options)
    if not found[0]:
        words.take("an option")
        raise words.fail(f"expected {' or '.join(options)}", near=options)
    return found
