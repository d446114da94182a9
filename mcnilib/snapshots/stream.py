"""What `collect.sh` prints, read into the files of a snapshot.

mcni-snapshot 1 node1          version of the format, and the machine
@ NAME<TAB>CALLED              a network namespace follows; CALLED: the name the machine's tools have for it
> FILE                         the output of a command follows, each line behind a space
 ...
 =STATUS                       the last of these lines: the command's exit status
end
"""

from __future__ import annotations

import re
from importlib.resources import files as resources

from mcnilib.errors import StateSyntaxError, Unsupported, printable
from mcnilib.snapshots.files import FORMAT, WORLD, Names, Place, folder_name, print_world
from mcnilib.snapshots.folder import NAMES

_HEAD = "mcni-snapshot "
TOLERATED = ("sysctl.txt",)
"""Files that are kept although their command failed: some sysctls cannot be read."""


def script() -> str:
    """Return the shell script that prints a stream."""
    return resources("mcnilib.snapshots").joinpath("collect.sh").read_text(encoding="utf-8")


def read_stream(text: str, source: str = "stream") -> dict[str, str]:
    """Return the files of a snapshot: relative name -> text.

    Raises: StateSyntaxError for text the script does not print, or that breaks off; Unsupported for another version.
    """
    return _Reader(text, source).read()


class _Reader:
    """The lines of a stream and how far they are read."""

    def __init__(self, text: str, source: str) -> None:
        self.lines, self.source, self.at = text.split("\n"), source, 0
        self.files: dict[str, str] = {}
        self.places: list[Place] = []
        self.names = Names()

    def read(self) -> dict[str, str]:
        """Read to the word `end`."""
        node = self._head()
        while self._line() != "end":
            kind, _, rest = self._line().partition(" ")
            self.at += 1
            if kind == "@":
                self._place(node, rest)
            elif kind == ">" and self.places:
                self._file(rest)
            else:
                self.at -= 1
                raise self._wrong("expected `@ NAME`, `> FILE` or `end`")
        self.files[WORLD] = print_world(self.places, (), complete=False)
        return self.files

    def _line(self) -> str:
        if self.at >= len(self.lines) or not self.lines[self.at]:
            raise self._wrong("the stream breaks off: `end` is missing")
        return self.lines[self.at]

    def _wrong(self, what: str) -> StateSyntaxError:
        line = self.lines[self.at][:200] if self.at < len(self.lines) else ""
        return StateSyntaxError(what, source=self.source, line=self.at + 1, column=1, text=line)

    def _head(self) -> str:
        found = re.fullmatch(rf"{_HEAD}(\d{{1,9}}) (\S+)", self._line(), re.ASCII)
        if not found:
            raise self._wrong("not the output of collect.sh")
        if int(found[1]) != FORMAT:
            raise Unsupported(f"{self.source}: format {found[1]}; this version reads format {FORMAT}")
        node = printable(found[2])
        self._name(node)
        self.at += 1
        return node

    def _name(self, name: str) -> None:
        """Insist on a name that a folder can have."""
        try:
            folder_name(name)
        except ValueError as problem:
            raise self._wrong(str(problem)) from None

    def _place(self, node: str, words: str) -> None:
        name, _, called = printable(words).partition("\t")
        self.at -= 1
        self._name(name)
        self.at += 1
        self.places.append(Place(self.names.choose(name), node, called, collected=True))

    def _file(self, name: str) -> None:
        """Read the output of one command; that of one that failed is left out."""
        first = self.at
        while self._line().startswith(" "):
            self.at += 1
        body = [line[1:] for line in self.lines[first : self.at]]
        found = re.fullmatch(r"=(\d{1,3})", body[-1], re.ASCII) if body else None
        if not found:
            raise self._wrong(f"the exit status of {name!r} is missing")
        text = "\n".join(body[:-1]).strip("\n")
        if name in NAMES and (found[1] == "0" or (name in TOLERATED and text)):
            self.files[f"{self.places[-1].name}/{name}"] = f"{text}\n" if text else ""
