"""Everything this package writes to a disk: files that are replaced whole, folders that are there whole or not at all.

Names may come from anybody: a snapshot, a stream, a hostname. `inside` is the one way from a name to a path, and proves
that it lies in the folder being written; that folder is new and nobody else's, so no link in it leads out again.
All is written under another name first and gets its own by rename: a full disk or a signal leaves what was there.
Source: path_resolution(7), rename(2).

Standard output: errors say that it is what cannot be written, and letters that its alphabet lacks are spelt out.
"""

from __future__ import annotations

import io
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from mcnilib.errors import McniError
from mcnilib.language import tr

NAME_MAX = 255
"""Bytes of one step of a path. Source: include/uapi/linux/limits.h."""

LEADING_OUT = set('\\/:*?"<>|' if os.sep == "\\" else "/")
"""Letters no name of a file has; on Windows some of them lead to another folder, drive or stream."""


class WriteError(McniError, OSError):
    """Something that cannot be written; nothing was changed."""


def inside(folder: Path, name: str) -> Path:
    """Return the path of `name`, relative with slashes, in a folder. Raises: WriteError for a name that leads out."""
    return folder.joinpath(*map(_step, name.split("/")))


def _step(name: str) -> str:
    """Return a name that leads to what lies directly in a folder, as no empty name, `.` and `..` do."""
    fits = len(name.encode(errors="replace")) <= NAME_MAX
    if not fits or name in ("", ".", "..") or LEADING_OUT & set(name) or any(x < " " or x == "\x7f" for x in name):
        raise WriteError(tr("{name!r} cannot be the name of a file or folder; nothing was written", name=name))
    return name


def write_file(path: Path, data: str | bytes) -> None:
    """Write a file, or replace one as a whole; it then keeps its mode and owner. Text becomes UTF-8; bytes it was not
    read from (`surrogateescape`) stay as they were.

    Raises: WriteError, naming the file, when it cannot be written or is no regular file; nothing was changed then.
    """
    check_file(path)
    beside = _beside(path)
    with _naming(path):
        try:
            _put(beside, data, like=path if path.exists() else None)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


def write_new_folder(
    folder: Path, files: Mapping[str, str | bytes], *, private: bool = False, programs: Collection[str] = ()
) -> None:
    """Write a new folder: relative name -> content. A `private` one is its owner's alone; `programs` can be started.

    Raises: WriteError when the folder is there and not empty, or cannot be written; nothing was changed then.
    """
    check_folder(folder)
    beside, own = _beside(folder), 0o700 if private else 0o777
    with _naming(folder):
        try:
            beside.mkdir(own)
            for name, data in files.items():
                target = inside(beside, name)
                target.parent.mkdir(own, parents=True, exist_ok=True)
                _put(target, data, own if name in programs else own & 0o666)
            if folder.is_dir():
                folder.rmdir()  # it is empty; not every system renames onto a folder
            beside.rename(folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def add_file(folder: Path, name: str, data: str | bytes) -> None:
    """Write a file directly in a folder, which is made when it is not there. Raises: WriteError."""
    with _naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_file(inside(folder, name), data)


def check_file(path: Path) -> None:
    """Tell before any work is done that a file cannot be written. Raises: WriteError."""
    with _naming(path):
        _check_kind(path, stat.S_ISREG, tr("no regular file"))
        if path.exists() and not os.access(path, os.W_OK):
            raise WriteError(tr("{path} is there already and read-only; nothing was written", path=path))
        _check_room(path, path.parent)


def check_folder(folder: Path) -> None:
    """Tell before any work is done that a new folder cannot be written. Raises: WriteError."""
    with _naming(folder):
        _check_kind(folder, stat.S_ISDIR, tr("no folder"))
        if folder.is_dir() and any(folder.iterdir()):
            raise WriteError(tr("{folder} is there already and not empty; nothing was written", folder=folder))
        _check_room(folder, folder.parent)


def check_files_in(folder: Path) -> None:
    """Tell before any work is done that no file can be added to a folder, or it cannot be made. Raises: WriteError."""
    with _naming(folder):
        there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
        if not there.is_dir():
            raise WriteError(tr("{there} is there already and is no folder; nothing was written", there=there))
        _check_room(folder, there)


def _check_kind(path: Path, meant: Callable[[int], bool], other: str) -> None:
    """Insist on a name that is free, or has what is meant; a link is nothing of that kind, wherever it leads."""
    if path.name in ("", ".."):
        raise WriteError(tr("{path!r} names nothing that can be written", path=str(path)))
    if not os.path.lexists(path):
        return
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        raise WriteError(tr("{path} is a symbolic link, which is not followed; nothing was written", path=path))
    if not meant(mode):
        raise WriteError(tr("{path} is there already and is {other}; nothing was written", path=path, other=other))


def _check_room(path: Path, folder: Path) -> None:
    if not folder.is_dir():
        raise WriteError(tr("there is no folder {folder!r}", folder=str(folder)))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise WriteError(tr("{path} cannot be written: {folder} takes no new files", path=path, folder=folder))


def _beside(path: Path) -> Path:
    """Return a name in the same folder that nobody has, for as long as something is being written."""
    return path.parent / f".mcni-{secrets.token_hex(8)}"


def _put(path: Path, data: str | bytes, mode: int = 0o666, like: Path | None = None) -> None:
    """Write a new file: every byte this package writes to a disk passes here. `open` follows no link with `x`."""
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        if like:
            shutil.copymode(like, path)
            with suppress(PermissionError, AttributeError):  # only root gives files away, and nobody on Windows
                shutil.chown(path, like.stat().st_uid, like.stat().st_gid)
        file.write(data.encode(errors="surrogateescape") if isinstance(data, str) else data)
        file.flush()
        if like:
            os.fsync(file.fileno())  # some file systems tell only now that there is no room


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Say in errors of the system what could not be written."""
    try:
        yield
    except McniError:
        raise
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise WriteError(tr("{path} cannot be written: {reason}", path=path, reason=reason)) from None


class _Output(io.FileIO):
    """A file whose errors name it. After one, what is still to come goes nowhere: it is said once."""

    def write(self, data: Any) -> int:
        """Write bytes. Raises: WriteError; BrokenPipeError when nobody reads any more."""
        try:
            return super().write(data) or 0
        except OSError as problem:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            if isinstance(problem, BrokenPipeError):
                raise
            raise WriteError(tr("standard output cannot be written: {strerror}", strerror=problem.strerror)) from None


def named(stream: TextIO) -> TextIO:
    """Return standard output with errors that name it; other streams stay as they are."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    raw: Any = _Output(stream.fileno(), "wb", closefd=False)
    at_once = stream.write_through
    return io.TextIOWrapper(
        raw if at_once else io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=at_once,
    )
