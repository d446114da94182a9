"""The files of a snapshot on disk: read without trust, written as a whole or not at all.

A snapshot may come from anybody: only regular files with the names of the format are read, no symbolic link is
followed, sizes are limited, and no name from inside a snapshot reaches the file system unchecked.

What `collect.sh` prints, read into the files of a snapshot.

mcni-snapshot 1 node1          version of the format, and the machine
@ NAME<TAB>CALLED              a network namespace follows; CALLED: the name the machine's tools have for it
> FILE                         the output of a command follows, each line behind a space
 ...
 =STATUS                       the last of these lines: the command's exit status
end
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from importlib.resources import files as resources
from pathlib import Path

from mcnilib import writing
from mcnilib.errors import McniError, StateSyntaxError, Unsupported, printable
from mcnilib.language import tr
from mcnilib.snapshots.files import FORMAT, WORLD, Names, Place, folder_name, parse_world, print_world
from mcnilib.snapshots.sources.layout import reports_among
from mcnilib.snapshots.targets.names import NAME_FILES
from mcnilib.world.listing import LISTINGS

MAX_FILE = 256 << 20
"""Bytes of one file; the largest rulesets in use have some 20 MB."""

MAX_ALL = 1 << 30
"""Bytes of a whole snapshot."""

NAMES = tuple(file for row in LISTINGS for file in row.files)
"""Every file a namespace's folder may hold; others are passed over."""


class SnapshotError(McniError, OSError):
    """A folder or file that is no snapshot."""


OpenFolder = int | Path
"""A folder that is being read: its descriptor, so that it stays the same one, or its path where none can be had."""

BY_DESCRIPTOR = os.open in os.supports_dir_fd
"""Whether files can be opened in a folder that is open: not on Windows."""


def read_folder(folder: Path) -> dict[str, str]:
    """Return the files of a snapshot: relative name -> text. Files that are not there are left out.

    Bytes that are no UTF-8 are kept as they are (`surrogateescape`). Raises: SnapshotError, StateSyntaxError for a
    `world.json` that cannot be read.
    """
    with _opened(folder, str(folder)) as top, located(f"{folder}/"):
        text = _read(top, WORLD, WORLD)
        if text is None:
            raise SnapshotError(tr("{world} is missing: this is no snapshot (docs/snapshot.md)", world=WORLD))
        return {WORLD: text, **_counted(_contents(top, [place.name for place in parse_world(text)[0]]))}


def _counted(contents: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return files, as long as they are not too many. Raises: SnapshotError."""
    files, total = {}, 0
    for path, content in contents:
        files[path] = content
        total += len(content)
        if total > MAX_ALL:
            raise SnapshotError(
                tr("{path} and what was read before it have more than {size} MB", path=path, size=MAX_ALL >> 20)
            )
    return files


def reports_in(folder: Path) -> list[tuple[str, dict[str, str]]]:
    """Return the reports of other tools in a folder that is no snapshot, as snapshots, each with its own folder.

    Links are passed over. Raises: SnapshotError for a file that is too large.
    """
    if (folder / WORLD).exists():
        return []
    there = (Path(where) / name for where, _, names in os.walk(folder) for name in names)
    paths = [path.relative_to(folder).as_posix() for path in there if not path.is_symlink()]
    found = []
    with _opened(folder, str(folder)) as top, located(f"{folder}/"):
        for report in reports_among(paths):
            wanted = ((path, _read(top, path, path)) for path in paths if report.wants(path))
            files = _counted((path, text) for path, text in wanted if text is not None)
            found.append((f"{folder}/{report.root}", report.texts(files, folder.resolve().name)))
    return found


@contextmanager
def located(prefix: str) -> Iterator[None]:
    """Say in errors about files where the files are: `prefix` is put before their names."""
    try:
        yield
    except StateSyntaxError as wrong:
        raise wrong.inside(prefix) from None
    except SnapshotError as problem:
        raise SnapshotError(f"{prefix}{problem}") from None
    except Unsupported as problem:
        raise Unsupported(f"{prefix}{problem}") from None


def _contents(top: OpenFolder, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each file of the format that is there, and what it holds."""
    for file in NAME_FILES:
        if (content := _read(top, file, file)) is not None:
            yield file, content
    for name in names:
        if not _exists(top, name):
            continue
        with _opened(name, name, top) as here:
            for file in NAMES:
                content = _read(here, file, f"{name}/{file}")
                if content is not None:
                    yield f"{name}/{file}", content


def _exists(at: OpenFolder, name: str) -> bool:
    with suppress(ValueError):  # the letters of file names lack one: opening it will say so
        try:
            if isinstance(at, Path):
                writing.inside(at, name).lstat()
            else:
                os.stat(name, dir_fd=at, follow_symlinks=False)
        except FileNotFoundError:
            return False
    return True


@contextmanager
def _opened(folder: Path | str, called: str, at: OpenFolder | None = None) -> Iterator[OpenFolder]:
    """Open a folder; the one the user names may be a link, those inside it may not."""
    if not BY_DESCRIPTOR or isinstance(at, Path):
        path = writing.inside(at, str(folder)) if isinstance(at, Path) else Path(folder)
        if not path.is_dir() or (at is not None and path.is_symlink()):
            raise SnapshotError(tr("{called} cannot be read as a folder", called=called))
        yield path
        return
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if at is None else os.O_NOFOLLOW)
    try:
        descriptor = os.open(folder, flags, dir_fd=at)
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise SnapshotError(tr("{called} cannot be read as a folder: {reason}", called=called, reason=reason)) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open(at: OpenFolder, file: str) -> int:
    """Open a file, but not one that a link leads to. Raises: OSError."""
    if not isinstance(at, Path):
        return os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
    path = writing.inside(at, file)
    if not stat.S_ISREG(path.lstat().st_mode):
        raise OSError(errno.EINVAL, tr("it is no regular file"))
    return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))


def _read(at: OpenFolder, file: str, name: str) -> str | None:
    """Read one regular file; None when there is none of that name."""
    try:
        descriptor = _open(at, file)
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise SnapshotError(
            tr("{name} cannot be read: {strerror}; links are not followed", name=name, strerror=problem.strerror)
        ) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SnapshotError(tr("{name} is no regular file", name=name))
    with open(descriptor, "rb") as opened:
        data = opened.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise SnapshotError(tr("{path} has more than {size} MB", path=name, size=MAX_FILE >> 20))
    return data.decode(errors="surrogateescape")


def read_file(path: Path) -> bytes:
    """Return what a file holds, or standard input for `-`. Raises: SnapshotError."""
    if str(path) == "-" and sys.stdin is None:
        raise SnapshotError(tr("standard input is closed"))
    try:
        with nullcontext(sys.stdin.buffer) if str(path) == "-" else path.open("rb") as opened:
            data = opened.read(MAX_FILE + 1)
    except OSError as problem:
        raise SnapshotError(tr("{path} cannot be read: {strerror}", path=path, strerror=problem.strerror)) from None
    if len(data) > MAX_FILE:
        raise SnapshotError(tr("{path} has more than {size} MB", path=path, size=MAX_FILE >> 20))
    return data


def write_folder(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files of a snapshot as a new folder for its owner alone, complete or not at all.

    Raises: WriteError when the folder is there and not empty, or cannot be written.
    """
    writing.write_new_folder(folder, files, private=True)


HEAD = "mcni-snapshot "
"""How what the script prints begins."""

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
                raise self._wrong(tr("expected `@ NAME`, `> FILE` or `end`"))
        self.files[WORLD] = print_world(self.places, (), complete=False)
        return self.files

    def _line(self) -> str:
        if self.at >= len(self.lines) or not self.lines[self.at]:
            raise self._wrong(tr("the stream breaks off: `end` is missing"))
        return self.lines[self.at]

    def _wrong(self, what: str) -> StateSyntaxError:
        line = self.lines[self.at][:200] if self.at < len(self.lines) else ""
        return StateSyntaxError(what, source=self.source, line=self.at + 1, column=1, text=line)

    def _head(self) -> str:
        match = re.fullmatch(rf"{HEAD}(\d{{1,9}}) (\S+)", self._line(), re.ASCII)
        if not match:
            raise self._wrong(tr("not the output of collect.sh"))
        if int(match[1]) != FORMAT:
            raise Unsupported(
                tr(
                    "{source}: format {version}; this version reads format {format}",
                    source=self.source,
                    version=match[1],
                    format=FORMAT,
                )
            )
        node = printable(match[2])
        self._name(node)
        self.at += 1
        return node

    def _name(self, name: str) -> None:
        """Insist on a name that a folder can have."""
        try:
            folder_name(name)
        except ValueError as problem:
            raise self._wrong(str(problem)) from None

    def _place(self, node: str, text: str) -> None:
        name, _, called = printable(text).partition("\t")
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
        status = re.fullmatch(r"=(\d{1,3})", body[-1], re.ASCII) if body else None
        if not status:
            raise self._wrong(tr("the exit status of {name!r} is missing", name=name))
        text = "\n".join(body[:-1]).strip("\n")
        if name in NAMES and (status[1] == "0" or (name in TOLERATED and text)):
            self.files[f"{self.places[-1].name}/{name}"] = f"{text}\n" if text else ""
