"""The errors mcnilib raises: one base class, each also the built-in it resembles.

Messages say what was found, where it stands, and what would be valid. What they quote comes from anywhere, so control
characters in them are spelt out.
"""

from __future__ import annotations

from mcnilib.language import tr

EXCERPT = 200
"""Characters of a line that an error shows; of a longer one those around the place that is meant."""


def printable(text: str) -> str:
    """Return a text without characters that act on a terminal or hide what it says; they are spelt out.

    Line ends and tabs stay; a byte that is no UTF-8 (kept by `surrogateescape`) is spelt as the byte.
    """
    return text if text.isascii() and text.isprintable() else "".join(map(_spelt, text))


def _spelt(letter: str) -> str:
    if letter.isprintable() or letter in "\n\t":
        return letter
    return f"\\x{ord(letter) & 0xFF:02x}" if "\udc80" <= letter <= "\udcff" else ascii(letter)[1:-1]


def capital(text: str) -> str:
    """Return a text as it begins a sentence."""
    return text[:1].upper() + text[1:]


class McniError(Exception):
    """Base of every error this package raises on purpose."""

    def __str__(self) -> str:
        """Return the message, safe to print."""
        return printable(super().__str__())


def error_text(problem: Exception) -> str:
    """Say what is wrong; what is no mistake of the reader is called one of mcnilib."""
    if isinstance(problem, McniError):
        return str(problem)
    return printable(
        tr(
            "mcnilib made a mistake here, please report it: {kind}: {problem}",
            kind=type(problem).__name__,
            problem=problem,
        )
    )


class StateSyntaxError(McniError, ValueError):
    """Text that the tool would not print. Line and column count from 1."""

    def __init__(self, what: str, *, source: str, line: int, column: int, text: str) -> None:
        """Build the message `source:line:column: what`, the line itself and a caret under the column."""
        self.what, self.source, self.line, self.column, self.text = what, source, line, column, text
        start = max(0, min(column - 1 - EXCERPT // 2, len(text) - EXCERPT))
        before, after = printable(text[start : column - 1]), printable(text[column - 1 : start + EXCERPT])
        super().__init__(f"{self.head}\n  {before}{after}\n  {' ' * len(before)}^")

    @property
    def head(self) -> str:
        """Where it stands and what it is, in one line."""
        return printable(f"{self.source}:{self.line}:{self.column}: {self.what}".replace("\n", " "))

    def inside(self, place: str) -> StateSyntaxError:
        """Return the same error with a place before the name of the source: the folder of a file."""
        return StateSyntaxError(
            self.what, source=f"{place}{self.source}", line=self.line, column=self.column, text=self.text
        )


class Unsupported(McniError, NotImplementedError):
    """A real feature of Linux that is not modelled; it is named, never guessed."""


class Unknown(McniError, LookupError):
    """State that nobody collected stands where a packet would need it; a run ends there instead of guessing.

    `why` says what is not known, `collect` what would have to be collected, `netns` where the packet needed it, if it
    is another namespace than the one the packet was in.
    """

    def __init__(self, why: str, *, collect: str, netns: str = "") -> None:
        """Keep the parts of the sentence."""
        self.why, self.collect, self.netns = why, collect, netns
        super().__init__(f"{why}; collect {collect}" if collect else why)


class NotThere(McniError, KeyError):
    """A name that nothing has: of a namespace, a device, a chain; the message names those there are."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would put it in quotes


class Refused(McniError, ValueError):
    """The kernel would refuse the change; `error` is the errno name it answers with."""

    def __init__(self, what: str, *, error: str) -> None:
        """Keep the errno name (EEXIST, ESRCH, EINVAL, ENETUNREACH)."""
        self.error = error
        super().__init__(f"{what} ({error})")


class MissingExtra(McniError, ImportError):
    """Something needs a package that is not installed; the message says how to install it."""

    def __init__(self, what: str, package: str, extra: str = "notebooks") -> None:
        """Name what was asked for, the package it needs, and the extra that brings it."""
        super().__init__(
            tr(
                "{what} needs {package}: install it with `pip install 'mcnilib[{extra}]'`; in a clone, "
                "`uv run --extra {extra} mcni ...` does",
                what=what,
                package=package,
                extra=extra,
            )
        )


class NoRoute(McniError, LookupError):
    """No rule and no route lead to the destination; `error` is the errno name Linux reports."""

    def __init__(self, what: str, *, error: str = "ENETUNREACH", line: object = None) -> None:
        """Keep the errno name (ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL) and the Route or Rule that decided."""
        self.error, self.line = error, line
        super().__init__(what)

    @property
    def evidence(self) -> str:
        """The deciding line as `ip` prints it; empty when nothing matched at all."""
        return "" if self.line is None else str(self.line)
