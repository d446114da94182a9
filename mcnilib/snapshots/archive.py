"""Snapshots among files in memory, and in archives: what somebody drops onto a page, or packed to send it away.

An archive may come from anybody. It is unpacked into memory, never into a file system; how much comes out of it is
counted while it comes, whatever it says of itself; names that lead out of it, links and devices are refused by name.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import PurePosixPath
from typing import Protocol

from mcnilib.errors import McniError, printable
from mcnilib.language import mark, tr
from mcnilib.snapshots.files import WORLD, parse_world
from mcnilib.snapshots.folder import HEAD, MAX_FILE, NAMES, SnapshotError, located, read_stream
from mcnilib.snapshots.sources.layout import reports_among
from mcnilib.snapshots.targets.names import NAME_FILES

MAX_FILES = 60_000
"""Files of one archive, or dropped at once; a cluster of 3,000 pods has as many."""

MAX_UNPACKED = 256 << 20
"""Bytes that may come out of one archive, or be dropped at once."""

GZIP, ZIP, TAR, TAR_AT = b"\x1f\x8b", b"PK", b"ustar", 257

XZ, XZ_MEMORY = b"\xfd7zXZ", 128 << 20
"""How what xz packs begins, and the bytes of memory its dictionary may take; `xz -9` needs 64 MB."""

PACKERS = {XZ: "xz", b"BZh": "bzip2", b"\x28\xb5\x2f\xfd": "zstd", b"7z\xbc\xaf": "7-Zip", b"Rar!": "RAR"}
"""How the files of other packers begin."""

UNPACKED = mark(".tar.gz, .tgz, .tar.xz, .tar, .zip and .gz are read")


class _Stream(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


Texts = dict[str, str]
"""The files of a snapshot: relative name -> text."""


def is_packed(data: bytes) -> bool:
    """Tell whether this is an archive or a packed file, by how it begins."""
    return data.startswith((GZIP, ZIP, *PACKERS)) or data[TAR_AT : TAR_AT + len(TAR)] == TAR


def snapshots_in(files: Mapping[str, bytes]) -> list[tuple[str, Texts]]:
    """Return the snapshots among files (name -> content), each with what stands before its files' names in errors.

    A folder with a `world.json` is one, a text of the script is one, and an archive holds those that are in it.
    Raises: SnapshotError where there is none, or an archive is not what it should be; StateSyntaxError, Unsupported.
    """
    packed = [name for name, data in files.items() if is_packed(data)]
    found = [one for name in packed for one in _in_archive(files[name], name)]
    found += _among({name: data for name, data in files.items() if name not in packed})
    return _some(found, files)


def _in_archive(data: bytes, name: str) -> list[tuple[str, Texts]]:
    inside = _unpacked(data, name)
    with located(f"{name}: "):
        return [(f"{name}: {where}", texts) for where, texts in _some(_among(inside), inside)]


def _some(found: list[tuple[str, Texts]], files: Sized) -> list[tuple[str, Texts]]:
    """Return what was found. Raises: SnapshotError when that is nothing."""
    if not found:
        expected = tr(
            "a folder with {world}, the text that `mcni collect --script` prints on a node, or a report of sosreport "
            "or calicoctl node diags",
            world=WORLD,
        )
        number = len(files)
        there = (
            tr("there is no file")
            if not number
            else tr("this is none")
            if number == 1
            else tr("none of {number} files is one", number=number)
        )
        raise SnapshotError(tr("a snapshot is {expected}; {there}", expected=expected, there=there))
    return found


def _among(files: Mapping[str, bytes]) -> list[tuple[str, Texts]]:
    """Return the snapshots among files none of which is packed; a file that is alone is taken for one."""
    roots = [name.removesuffix(WORLD) for name in files if PurePosixPath(name).name == WORLD]
    texts = [name for name in files if not name.startswith(tuple(roots))]
    reports = reports_among(texts)
    alone = texts[: len(files) == 1 and not reports]
    streams = [name for name in texts if files[name].startswith(HEAD.encode())] or alone
    return [
        *((report.root, report.texts({n: _text(files[n]) for n in texts if report.wants(n)})) for report in reports),
        *((root, _folder(files, root)) for root in roots),
        *((f"{name}: ", read_stream(_text(files[name]), name)) for name in streams),
    ]


def _folder(files: Mapping[str, bytes], root: str) -> Texts:
    with located(root):
        world = _text(files[f"{root}{WORLD}"])
        inside = [*NAME_FILES, *(f"{place.name}/{file}" for place in parse_world(world)[0] for file in NAMES)]
        return {WORLD: world, **{name: _text(files[f"{root}{name}"]) for name in inside if f"{root}{name}" in files}}


def _text(data: bytes) -> str:
    return data.decode(errors="surrogateescape")


def _unpacked(data: bytes, name: str) -> dict[str, bytes]:
    """Return the files of an archive, or the one that is packed. Raises: SnapshotError."""
    with _refusing(name):
        budget = _Budget()
        if data.startswith(ZIP):
            return _members(_of_zip(data), budget)
        if data.startswith(XZ) and find_spec("_lzma"):  # a Python may be built without it
            return _members(_of_tar(_Unxz(data)), budget)
        for begin, packer in PACKERS.items():
            if data.startswith(begin):
                raise SnapshotError(tr("this is packed with {packer}; {unpacked}", packer=packer, unpacked=UNPACKED))
        if not data.startswith(GZIP):
            return _members(_of_tar(io.BytesIO(data)), budget)
        with gzip.open(io.BytesIO(data)) as peeked:
            tar = peeked.read(TAR_AT + len(TAR)).endswith(TAR)
        with gzip.open(io.BytesIO(data)) as opened:
            if tar:
                return _members(_of_tar(opened), budget)
            return {name.removesuffix(".gz"): budget.read(opened, name)}


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Say of which archive something is wrong, whatever goes wrong while bytes from anywhere are unpacked."""
    try:
        yield
    except McniError as problem:
        raise SnapshotError(f"{name}: {problem}") from None
    except Exception as problem:
        raise SnapshotError(tr("{name} cannot be unpacked: {problem}", name=name, problem=problem)) from None


class _Budget:
    """How much may still come out of an archive."""

    def __init__(self) -> None:
        self.left, self.files = MAX_UNPACKED, MAX_FILES

    def read(self, opened: _Stream, name: str) -> bytes:
        """Read a file. Raises: SnapshotError when more comes out of it than there may be."""
        data = opened.read(min(self.left, MAX_FILE) + 1)
        self.left -= len(data)
        if self.left < 0 or len(data) > MAX_FILE:
            raise SnapshotError(
                tr(
                    "more than {size} MB come out of it; {name} is where it ends",
                    size=MAX_UNPACKED >> 20,
                    name=printable(name),
                )
            )
        return data

    def count(self) -> None:
        """Take note of one more member. Raises: SnapshotError for one too many."""
        self.files -= 1
        if self.files < 0:
            raise SnapshotError(tr("it has more than {max_files} files", max_files=MAX_FILES))


class _Unxz:
    """What xz packed, as a stream."""

    def __init__(self, data: bytes) -> None:
        from lzma import LZMADecompressor

        self._packed, self._rest = LZMADecompressor(memlimit=XZ_MEMORY), data

    def read(self, size: int = -1) -> bytes:
        """Read some of the next bytes; none at the end. Raises: LZMAError, EOFError for what is no whole file of xz."""
        if self._packed.eof:
            return b""
        data, self._rest = self._packed.decompress(self._rest, size), b""
        if not data and not self._packed.eof:
            raise EOFError(tr("it ends too early"))
        return data


PackedFile = tuple[str, Callable[[], _Stream] | None]
"""The name of a file in an archive, and how it is opened; a link or a device is not."""


def _members(members: Iterable[PackedFile | None], budget: _Budget) -> dict[str, bytes]:
    """Read what may belong to a snapshot; None is a folder. Raises: SnapshotError, naming a member that is refused.

    A link or a device is refused, and passed over in the report of another tool, which has some.
    """
    files: dict[str, bytes] = {}
    links: list[str] = []
    for member in members:
        budget.count()
        if member is None:
            continue
        name = _inside(member[0])
        if name in files:
            raise SnapshotError(tr("{name} is in it twice", name=printable(name)))
        if member[1] is None:
            links.append(member[0])
        elif not PurePosixPath(name).name.startswith(".") and not name.startswith("__MACOSX/"):
            files[name] = budget.read(member[1](), name)
    if links and not reports_among(files):
        raise SnapshotError(tr("{member} is a link or a device", member=printable(links[0])))
    return files


def _inside(name: str) -> str:
    """Return the path of a member inside its archive. Raises: SnapshotError for one that leads out of it."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise SnapshotError(tr("{name} leads out of the archive", name=printable(name)))
    return str(path)


def _of_tar(opened: _Stream) -> Iterator[PackedFile | None]:
    counted = _Counted(opened)
    with tarfile.open(fileobj=counted, mode="r|") as archive:  # type: ignore[call-overload]
        for member in archive:
            if member.isdir():
                yield None
            elif not member.isreg():
                yield member.name, None
            else:
                yield member.name, partial(archive.extractfile, member)
    while counted.read(1 << 20):  # to the end, where a sum is checked
        pass


class _Counted:
    """A stream that ends with an error when more is read from it than any archive may hold, headers and all."""

    def __init__(self, opened: _Stream) -> None:
        self.opened, self.left = opened, 2 * MAX_UNPACKED

    def read(self, size: int) -> bytes:
        """Read the next bytes. Raises: SnapshotError when there are too many."""
        data = self.opened.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise SnapshotError(tr("more than {size} MB come out of it", size=MAX_UNPACKED >> 20))
        return data


def _of_zip(data: bytes) -> Iterator[PackedFile | None]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for member in archive.infolist():
            if member.flag_bits & 1:
                raise SnapshotError(tr("{member} is encrypted", member=printable(member.filename)))
            if member.external_attr >> 28 not in (0, 4, 8):  # the type of a Unix file: folder 4, regular 8
                yield member.filename, None
                continue
            yield None if member.is_dir() else (member.filename, partial(archive.open, member))
