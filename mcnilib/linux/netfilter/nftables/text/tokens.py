"""The words of a ruleset of nft, with errors that name line and column.

Source: nft(8) "LEXICAL CONVENTIONS"; src/scanner.l (nftables 1.0.6).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property

from mcnilib.errors import StateSyntaxError
from mcnilib.language import tr
from mcnilib.linux.text import check_text, nearest

_TOKEN = re.compile(r'[^\s{};,"()|&^]+|[\n;{},()|&^]|"[^"\n]*"|"')

_COMMENT = re.compile(r"(?m)^\s*#.*$|# handle [0-9]+[ \t]*$")
"""Lines of comment, and the handles that `nft -a` prints behind everything."""

_HANDLE = re.compile(r"[ \t]*# handle ([0-9]{1,19})[ \t]*(?:$|\n)")

_MARKS = frozenset("{},()\n;") | {""}


class Tokens:
    """The words, brackets, commas and ends of lines of a text, and how far they are read.

    A ruleset has a million of them: each is a plain text, and where it stands is looked up for errors only.
    """

    def __init__(self, text: str, source: str = "nft") -> None:
        """Split a text; `source` names it. Raises: StateSyntaxError for control characters or an open quote."""
        check_text(text, source)
        self.text, self.source, self.read = text, source, 0
        self.has_handles = "# handle " in text
        self._told = _COMMENT.sub(lambda comment: " " * len(comment[0]), text) if "#" in text else text
        self.all: list[str] = [*_TOKEN.findall(self._told), ""]
        if '"' in self.all:
            raise self.error(tr("a quote that does not end"), self.all.index('"'))

    @property
    def next(self) -> str:
        """The next word, not yet read; empty at the end of the text."""
        return self.all[self.read]

    @property
    def over(self) -> bool:
        """Tell whether nothing is left."""
        return self.read >= len(self.all) - 1

    @property
    def at_end(self) -> bool:
        """Tell whether a statement ends here: with its line, a semicolon, or the bracket that closes its block."""
        return self.all[self.read] in ("\n", ";", "}", "")

    def skip(self, *values: str) -> bool:
        """Read the next words if they are these."""
        read = self.read
        if self.all[read] != values[0] or (len(values) > 1 and self.all[read : read + len(values)] != [*values]):
            return False
        self.read = read + len(values)
        return True

    def take(self, what: str) -> str:
        """Read a word or a quoted text; else say that `what`, a marked text, is missing."""
        word = self.all[self.read]
        if word in _MARKS:
            raise self.error(tr("{what} is missing", what=tr(what)))
        self.read += 1
        return word

    def unquoted(self, what: str) -> str:
        """Read a word or a quoted text, without its quotes."""
        return self.take(what).strip('"')

    def expect(self, value: str) -> None:
        """Read one given word."""
        if not self.skip(value):
            raise self.error(tr("expected {value!r}", value=value))

    def one_of(self, values: Iterable[str], what: str) -> str:
        """Read one of some words."""
        valid, word = list(values), self.take(what)
        if word not in valid:
            raise self.error(tr("unknown word {word!r}{near}", word=word, near=nearest(word, valid)), self.read - 1)
        return word

    def number(self, what: str, limit: int = 2**64 - 1) -> int:
        """Read a number, decimal or with 0x."""
        word = self.take(what)
        value = int(word, 0) if re.fullmatch(r"0x[0-9a-f]{1,16}|-?(0|[1-9][0-9]{0,19})", word, re.ASCII) else limit + 1
        if value > limit:
            what = tr("{word!r} is not a number from 0 to {limit}", word=word, limit=limit)
            raise self.error(what, self.read - 1)
        return value

    def skip_ends(self) -> None:
        """Go to the next line or statement that says something."""
        while self.all[self.read] in ("\n", ";"):
            self.read += 1

    def closes(self) -> bool:
        """Go to what comes next in a block; tell whether it was the bracket that closes it, and read that."""
        self.skip_ends()
        if self.over:
            raise self.error(tr("expected {value!r}", value="}"))
        return self.skip("}")

    def end(self) -> None:
        """Insist that a statement ends here, and go to the next."""
        if not self.at_end:
            raise self.unexpected()
        self.skip_ends()

    def unexpected(self) -> StateSyntaxError:
        """Build the error for the next word."""
        return self.error(tr("unexpected word {next!r}", next=self.next))

    def block_end(self) -> int:
        """Return the place behind the bracket that closes the block which is read up to its first word."""
        depth, place = 1, self.read
        while depth:
            word = self.all[place]
            if word == "{":
                depth += 1
            elif word == "}":
                depth -= 1
            elif not word:
                raise self.error(tr("expected {value!r}", value="}"), place)
            place += 1
        return place

    def handle(self) -> int:
        """Return the handle that stands behind the word read last; 0 where there is none."""
        if not self.has_handles:
            return 0
        last = self.read - 1
        found = _HANDLE.match(self.text, self.start(last) + len(self.all[last]))
        return int(found[1]) if found else 0

    def rest_of_line(self) -> str:
        """Read up to the end of the statement, as it is written; a block in brackets is part of it."""
        start = self.read
        while not self.at_end:
            self.read += 1
            if self.all[self.read - 1] == "{":
                self.read = self.block_end()
        return self.written(start, self.read)

    def written(self, start: int, end: int) -> str:
        """Return what is written from one word up to another, which is not in it."""
        return self._told[self.start(start) : self.start(end)].strip()

    @cached_property
    def _starts(self) -> list[int]:
        return [token.start() for token in _TOKEN.finditer(self._told)]

    def start(self, place: int) -> int:
        """Return where a word begins in the text, from 0."""
        return self._starts[place] if place < len(self._starts) else len(self.text.rstrip())

    def error(self, what: str, place: int | None = None) -> StateSyntaxError:
        """Build the error that points to a word, by default the next one."""
        at = self.start(self.read if place is None else place)
        start = self.text.rfind("\n", 0, at) + 1
        line, number = self.text[start:].partition("\n")[0], self.text.count("\n", 0, at) + 1
        return StateSyntaxError(what, source=self.source, line=number, column=at - start + 1, text=line)
