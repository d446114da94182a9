"""The files of a snapshot on disk: read without trust, written as a whole or not at all.

A snapshot may come from anybody: only regular files with the names of the format are read, no symbolic link is
followed, sizes are limited, and no name from inside a snapshot reaches the file system unchecked.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from mcnilib import writing
from mcnilib.errors import McniError, StateSyntaxError, Unsupported
from mcnilib.snapshots.files import WORLD, parse_world
from mcnilib.world.listing import LISTINGS

MAX_FILE = 256 << 20
"""Bytes of one file; the largest rulesets in use have some 20 MB."""
MAX_ALL = 1 << 30
"""Bytes of a whole snapshot."""


NAMES = tuple(file for row in LISTINGS for file in row.files)
"""Every file a namespace's folder may hold; others are passed over."""


class SnapshotError(McniError, OSError):
    """A folder or file that is no snapshot."""


def read_folder(folder: Path) -> dict[str, str]:
    """Return the files of a snapshot: relative name -> text. Files that are not there are left out.

    Bytes that are no UTF-8 are kept as they are (`surrogateescape`). Raises: SnapshotError, StateSyntaxError for a
    `world.json` that cannot be read.
    """
    with _opened(folder, str(folder)) as top, located(f"{folder}/"):
        text = _read(top, WORLD, WORLD)
        if text is None:
            raise SnapshotError(f"{WORLD} is missing: this is no snapshot (docs/snapshot.md)")
        files, total = {WORLD: text}, 0
        for name, file, content in _namespaces(top, [place.name for place in parse_world(text)[0]]):
            files[f"{name}/{file}"] = content
            total += len(content)
            if total > MAX_ALL:
                raise SnapshotError(f"{file} and what was read before it have more than {MAX_ALL >> 20} MB")
    return files


@contextmanager
def located(place: str) -> Iterator[None]:
    """Say in errors about files where the files are: `place` is put before their names."""
    try:
        yield
    except StateSyntaxError as wrong:
        raise wrong.inside(place) from None
    except SnapshotError as problem:
        raise SnapshotError(f"{place}{problem}") from None
    except Unsupported as problem:
        raise Unsupported(f"{place}{problem}") from None


def _namespaces(top: int, names: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    for name in names:
        if not _exists(top, name):
            continue
        with _opened(name, name, top) as here:
            for file in NAMES:
                content = _read(here, file, f"{name}/{file}")
                if content is not None:
                    yield name, file, content


def _exists(at: int, name: str) -> bool:
    with suppress(ValueError):  # the letters of file names lack one: opening it will say so
        try:
            os.stat(name, dir_fd=at, follow_symlinks=False)
        except FileNotFoundError:
            return False
    return True


@contextmanager
def _opened(folder: Path | str, called: str, at: int | None = None) -> Iterator[int]:
    """Open a folder; the one the user names may be a link, those inside it may not."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if at is None else os.O_NOFOLLOW)
    try:
        descriptor = os.open(folder, flags, dir_fd=at)
    except (OSError, ValueError) as problem:
        why = getattr(problem, "strerror", None) or problem
        raise SnapshotError(f"{called} cannot be read as a folder: {why}") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _read(at: int, file: str, name: str) -> str | None:
    """Read one regular file; None when there is none of that name."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise SnapshotError(f"{name} cannot be read: {problem.strerror}; links are not followed") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SnapshotError(f"{name} is no regular file")
    with open(descriptor, "rb") as opened:
        data = opened.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise SnapshotError(f"{name} has more than {MAX_FILE >> 20} MB")
    return data.decode(errors="surrogateescape")


def read_file(path: Path) -> str:
    """Return the text of a file, or of standard input for `-`, with bytes that are no UTF-8. Raises: SnapshotError."""
    if str(path) == "-" and sys.stdin is None:
        raise SnapshotError("standard input is closed")
    try:
        with nullcontext(sys.stdin.buffer) if str(path) == "-" else path.open("rb") as opened:
            data = opened.read(MAX_FILE + 1)
    except OSError as problem:
        raise SnapshotError(f"{path} cannot be read: {problem.strerror}") from None
    if len(data) > MAX_FILE:
        raise SnapshotError(f"{path} has more than {MAX_FILE >> 20} MB")
    return data.decode(errors="surrogateescape")


def write_folder(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files of a snapshot as a new folder for its owner alone, complete or not at all.

    Raises: WriteError when the folder is there and not empty, or cannot be written.
    """
    writing.write_new_folder(folder, files, private=True)
