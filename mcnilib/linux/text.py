"""Reading the output of `ip` word by word, with errors that name line and column.

The parsers of `route`, `neigh` and `link` share it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from itertools import islice

from mcnilib.errors import McniError, NotThere, StateSyntaxError, Unsupported, printable
from mcnilib.language import listed, mark, tr

MANY = 30
"""So many names are listed in a message."""


def nearest(word: str, words: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` with the nearest valid word, in capitals or not, or nothing."""
    lowered = {candidate.lower(): candidate for candidate in words}
    close = get_close_matches(word.lower(), lowered, 1)
    return tr("; did you mean {name!r}?", name=lowered[close[0]]) if close else ""


def not_there(what: str, name: str, names: Iterable[str], place: str = "", also: Iterable[str] = ()) -> NotThere:
    """Build the error for a name nothing has in a place, with the names there are and the nearest, or of `also`.

    `what` is a marked sentence.
    """
    there = list(names)
    hint = tr("; there are {names}", names=names_of(there)) if there else tr("; there are none")
    hint += nearest(name, [*there, *also])
    if place:
        return NotThere(tr("no {what} {name!r} in {place}{hint}", what=what, name=name, place=place, hint=hint))
    return NotThere(tr("no {what} {name!r}{hint}", what=what, name=name, hint=hint))


def names_of(there: Sequence[str]) -> str:
    """List names, of very many the first."""
    first = listed(there[:MANY])
    return tr("{names} and {count} more", names=first, count=len(there) - MANY) if len(there) > MANY else first


def shell_words(command: str) -> list[str]:
    """Cut a command into words as a shell does. Raises: McniError for an open quote, or for more than one command."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        words = list(lexer)
    except ValueError as problem:
        raise McniError(f"{command!r}: {str(problem)[0].lower()}{str(problem)[1:]}") from None
    for word in words:
        if word and not word.strip("();<>|&"):
            raise McniError(
                tr(
                    "{word!r} in {command!r} is for a shell: leave it out, or put it behind the closing quote",
                    word=word,
                    command=command,
                )
            )
    return words[1:] if words[:1] == ["sudo"] else words


CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]|\r(?!\n)"
)
"""Characters that act on a terminal or hide what a line says, and bytes that are no text; not tab and line ends."""


def check_text(text: str, name: str) -> None:
    """Refuse control characters, and bytes that are no UTF-8. Raises: StateSyntaxError naming line and column."""
    if not (control := CONTROL.search(text)):
        return
    what = (
        tr("a control character, {control!a}", control=control[0])
        if control[0] < "\ud800"
        else tr("not text in UTF-8, {control}", control=printable(control[0]))
    )
    start = text.rfind("\n", 0, control.start()) + 1
    line = text[start:].partition("\n")[0]
    number = text.count("\n", 0, start) + 1
    raise StateSyntaxError(what, source=name, line=number, column=control.start() - start + 1, text=line)


class Scanner:
    """The words of one line, and how far they are read. Columns count from 1."""

    word = re.compile(r"\S+")

    def __init__(self, line: str, source: str = "rule", number: int = 1) -> None:
        """Split a line; `source` and `number` say where it stands."""
        self.line, self.source, self.line_number, self.read = line, source, number, 0
        self._words: list[str] = [*self.word.findall(line), ""]  # the empty one is the end

    def __bool__(self) -> bool:
        return self.read < len(self._words) - 1

    @property
    def next(self) -> str:
        """The next word, not yet read; empty at the end."""
        return self._words[self.read]

    def column(self, position: int) -> int:
        """Return the column of a word by its number from 0; behind the last stands the end of the line."""
        matches = islice(self.word.finditer(self.line), position, None)
        return next((word.start() + 1 for word in matches), len(self.line.rstrip()) + 1)

    def error_at(self, what: str, column: int) -> StateSyntaxError:
        """Build the error that points to a column."""
        return StateSyntaxError(what, source=self.source, line=self.line_number, column=column, text=self.line)


_WORD = mark("another word")


class Words(Scanner):
    """The words of a line of `ip`, `bridge` or `ipset`."""

    @property
    def number(self) -> int:
        """The number of the line, from 1."""
        return self.line_number

    def take(self, what: str = _WORD) -> str:
        """Read one word; at the end of the line say `what` is missing: a text that the catalogue has."""
        if not self:
            raise self.error(tr("{what} is missing", what=tr(what)))
        self.read += 1
        return self._words[self.read - 1]

    @property
    def last(self) -> bool:
        """Tell whether one word is left."""
        return self.read == len(self._words) - 2

    def rest(self) -> str:
        """Read all that is left of the line, as it is written."""
        start, self.read = self.column(self.read) - 1, len(self._words) - 1
        return self.line[start:].rstrip()

    def error(self, what: str) -> StateSyntaxError:
        """Build the error that points to the next word."""
        return self.error_at(what, self.column(self.read))

    def wrong(self, what: str) -> StateSyntaxError:
        """Build the error that points to the word just read."""
        self.read -= 1
        return self.error(what)

    def unsupported(self, what: str) -> Unsupported:
        """Build the error for something that is real and not modelled."""
        return Unsupported(f"{self.source}:{self.number}: {what}")

    def unknown(self, valid: Iterable[str]) -> StateSyntaxError:
        """Build the error for the word just read, naming the nearest valid one."""
        word = self._words[self.read - 1]
        return self.wrong(tr("unknown word {word!r}{near}", word=word, near=nearest(word, valid)))

    def address(self) -> IPv4Address:
        """Read an IPv4 address."""
        word = self.take("an address")
        try:
            return IPv4Address(word)
        except ValueError:
            raise self.wrong(tr("{word!r} is not an IPv4 address", word=word)) from None

    def prefix(self, *, strict: bool = True) -> IPv4Network:
        """Read `default`, `all`, an address or a prefix; unless `strict` is false it must not have host bits."""
        word = self.take("a prefix")
        try:
            return IPv4Network("0.0.0.0/0" if word in ("default", "all") else _with_length(word), strict)
        except ValueError:
            raise self.wrong(tr("{word!r} is not an IPv4 prefix", word=word)) from None

    def interface(self) -> IPv4Interface:
        """Read an address with its prefix length; without one it is a /32."""
        word = self.take("an address")
        try:
            return IPv4Interface(_with_length(word))
        except ValueError:
            raise self.wrong(tr("{word!r} is not an IPv4 address with prefix length", word=word)) from None

    def number_upto(self, limit: int) -> int:
        """Read a number from 0 to `limit`, decimal or with 0x."""
        word = self.take("a number")
        if (
            not re.fullmatch(r"0x[0-9a-f]{1,16}|[0-9]{1,20}", word, re.ASCII)
            or not 0 <= int(word, 16 if "x" in word else 10) <= limit
        ):
            raise self.wrong(tr("{word!r} is not a number from 0 to {limit}", word=word, limit=limit))
        return int(word, 16 if "x" in word else 10)

    def named(self, names: Mapping[str, int], limit: int = 255) -> str:
        """Read a name, or a number up to `limit`; a number that has a name is returned as that."""
        if self.next in names:
            return self.take()
        if self and not self.next.isdecimal():
            self.take()
            raise self.unknown(names)
        number = self.number_upto(limit)
        return next((name for name, value in names.items() if value == number), str(number))

    def one_of(self, words: Iterable[str]) -> str:
        """Read one of the given words."""
        valid = tuple(words)
        if not self:
            raise self.error(tr("{what} is missing", what=tr("one of {words}", words=listed(valid))))
        if (word := self.take()) not in valid:
            raise self.unknown(valid)
        return word

    def mac(self) -> str:
        """Read a link-layer address."""
        word = self.take("a MAC address")
        if not re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", word):
            raise self.wrong(tr("{word!r} is not a MAC address", word=word))
        return word

    def end(self) -> None:
        """Insist that the line is read to its end."""
        if self:
            raise self.error(tr("unexpected word {next!r}", next=self.next))

    def fields(self, grammar: WordReaders, refused: Iterable[str], what: str) -> dict[str, object]:
        """Read `word value` pairs up to the end of the line, filling each field at most once.

        Raises: Unsupported for a word in `refused`, StateSyntaxError for any other word that is not in the grammar.
        """
        values: dict[str, object] = {}
        while self:
            word = self.take()
            if word in refused:
                raise self.unsupported(tr("{word!r} in {what}", word=word, what=what))
            if word not in grammar:
                raise self.unknown(grammar)
            name, read = grammar[word]
            if name in values:
                raise self.wrong(tr("{word!r} sets the {name} a second time", word=word, name=name))
            values[name] = read(self)
        return values


def _with_length(word: str) -> str:
    """Return an address or prefix; Python also takes masks, 0.0.0.255 as 24, and 024 where `ip` takes an octal number.

    Raises: ValueError for these.
    """
    length = word.partition("/")[2]
    if "/" in word and not re.fullmatch("0|[1-9][0-9]?", length):
        raise ValueError(length)
    return word


WordReaders = dict[str, tuple[str, Callable[[Words], object]]]
"""Word of a tool -> the field it fills and how its value is read."""
