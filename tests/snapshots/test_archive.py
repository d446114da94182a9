"""Snapshots in archives and among dropped files: what is read, and what is refused by name, without delay."""

from __future__ import annotations

import gzip
import io
import lzma
import stat
import tarfile
import time
import zipfile
from collections.abc import Mapping

import pytest

from mcnilib.cli import main
from mcnilib.errors import McniError
from mcnilib.scenarios import scenario
from mcnilib.snapshots import archive
from mcnilib.snapshots.archive import snapshots_in
from mcnilib.snapshots.snapshot import Snapshot, open_files

STORY = scenario("7")
STREAM = "mcni-snapshot 1 node9\n@ web\tcni-1\n> ip-rule.txt\n 0:\tfrom all lookup local\n =0\nend\n"


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    settings = STORY.start()
    texts = Snapshot(STORY.world(settings), STORY.listeners(settings)).files()
    return {name: text.encode() for name, text in texts.items()}


def under(folder: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{name}": data for name, data in files.items()}


def tar(files: Mapping[str, bytes], mode: str = "w:gz", **more: object) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as packed:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for key, value in more.items():
                setattr(member, key, value)
            packed.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def zipped(files: Mapping[str, bytes], mode: int = stat.S_IFREG) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = mode << 16
            packed.writestr(member, data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


@pytest.mark.parametrize("pack", [tar, zipped, lambda files: tar(files, "w"), lambda files: tar(files, "w:xz")])
@pytest.mark.parametrize("folder", ["", "cluster", "./a/b"])
def test_an_archive_is_read_as_the_folder_it_holds(files, pack, folder):
    packed = pack(under(folder, files) if folder else files)
    assert [found for _, found in snapshots_in({"x.tgz": packed})] == [
        {name: data.decode() for name, data in files.items()}
    ]


def test_what_a_mac_adds_and_other_files_are_passed_over(files):
    more = {"__MACOSX/cluster/._world.json": b"x", "cluster/.DS_Store": b"y", "notes.txt": b"hello"}
    assert len(snapshots_in({"x.zip": zipped(under("cluster", files) | more)})) == 1


def test_texts_of_several_nodes_and_a_folder_are_one_snapshot(files):
    dropped = {"node9.txt": STREAM.encode(), "node8.txt.gz": gzip.compress(STREAM.replace("node9", "node8").encode())}
    names = [where for where, _ in snapshots_in(dropped | under("cluster", files))]
    assert sorted(names) == ["cluster/", "node8.txt.gz: node8.txt: ", "node9.txt: "]
    world = open_files(dropped | under("cluster", files)).world
    assert {"node1", "web", "node8.web"} & {netns.name for netns in world} == {"node1", "web"} | (
        {"node8.web"} & {netns.name for netns in world}
    )


@pytest.mark.parametrize(
    ("dropped", "says"),
    [
        ({}, "there is no file"),
        ({"a.txt": b"hello", "b.txt": b"you"}, "none of 2 files is one"),
        ({"a.txt": b"hello"}, "a.txt:1:1: not the output of collect.sh\n  hello\n  ^"),
        ({"a.txt": STREAM[:-4].encode()}, "a.txt:6:1: the stream breaks off: `end` is missing"),
        ({"a.tgz": tar({"x": b"hello", "y": b""})}, "a.tgz: a snapshot is a folder with world.json"),
        ({"a.tgz": tar({"world.json": b"{"})}, "a.tgz: world.json:1:"),
        ({"a.tgz": tar({"../world.json": b"{}"})}, "a.tgz: ../world.json leads out of the archive"),
        ({"a.tgz": tar({"/etc/world.json": b"{}"})}, "a.tgz: /etc/world.json leads out of the archive"),
        ({"a.zip": zipped({"a\\..\\world.json": b"{}"})}, "leads out of the archive"),
        ({"a.tgz": tar({"x": b""}, type=tarfile.SYMTYPE, linkname="/etc/shadow")}, "a.tgz: x is a link or a device"),
        ({"a.tgz": tar({"x": b""}, type=tarfile.LNKTYPE, linkname="y")}, "a.tgz: x is a link or a device"),
        ({"a.tgz": tar({"x": b""}, type=tarfile.FIFOTYPE)}, "a.tgz: x is a link or a device"),
        ({"a.zip": zipped({"x": b"/etc/shadow"}, stat.S_IFLNK)}, "a.zip: x is a link or a device"),
        ({"a.tgz": tar({"x\x1b[2J": b""}, type=tarfile.FIFOTYPE)}, r"a.tgz: x\x1b[2J is a link or a device"),
        ({"a.tgz": tar({"x": b"1" * 5000})[:-9]}, "a.tgz cannot be unpacked"),
        ({"a.zip": zipped({"x": b"1" * 5000})[:100]}, "a.zip cannot be unpacked"),
        ({"a.tgz": b"\x1f\x8b" + b"\xff" * 100}, "a.tgz cannot be unpacked"),
        ({"a.xz": b"\xfd7zXZ\x00"}, "a.xz cannot be unpacked: it ends too early"),
        ({"a.xz": lzma.compress(b"1" * 5000)[:-40]}, "a.xz cannot be unpacked"),
        (
            {"a.xz": lzma.compress(b"1", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 29}])},
            "a.xz cannot be unpacked: Memory usage limit exceeded",
        ),
        ({"a.bz2": b"BZh9"}, "a.bz2: this is packed with bzip2; .tar.gz, .tgz, .tar.xz, .tar, .zip and .gz are read"),
        ({"a.zip": b"PK\x03\x04" + bytes(50)}, "a.zip cannot be unpacked"),
    ],
)
def test_what_is_no_snapshot_is_refused_by_name(dropped, says):
    with pytest.raises(McniError) as caught:
        open_files(dropped)
    assert says in str(caught.value)


BOMB = bytes(40 << 20)


@pytest.mark.parametrize(
    "packed",
    [
        tar({"x": BOMB}),
        zipped({"x": BOMB}),
        gzip.compress(BOMB),
        zipped({str(n): BOMB[: 4 << 20] for n in range(10)}),
        lzma.compress(gzip.decompress(tar({"x": BOMB}))),
    ],
    ids=["tar", "zip", "gzip", "zip of many", "tar.xz"],
)
def test_a_small_archive_of_which_much_comes_out_is_refused(monkeypatch, packed):
    monkeypatch.setattr(archive, "MAX_UNPACKED", 8 << 20)
    began = time.process_time()
    with pytest.raises(McniError, match="more than 8 MB come out of it"):
        snapshots_in({"bomb": packed})
    assert time.process_time() - began < 2


@pytest.mark.parametrize("pack", [tar, zipped])
def test_an_archive_of_very_many_files_is_refused(monkeypatch, pack):
    monkeypatch.setattr(archive, "MAX_FILES", 50)
    with pytest.raises(McniError, match="it has more than 50 files"):
        snapshots_in({"many": pack({str(number): b"" for number in range(60)})})


def test_a_name_that_stands_twice_is_refused():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        for name in ("x", "./x"):
            packed.addfile(tarfile.TarInfo(name))
    with pytest.raises(McniError, match="x is in it twice"):
        snapshots_in({"a.tar": buffer.getvalue()})


def test_the_command_line_reads_an_archive_as_it_reads_a_folder(tmp_path, capsys, files):
    path = tmp_path / "cluster.tgz"
    path.write_bytes(tar(under("cluster", files)))
    assert main(["trace", str(path), "--from", "mac1", "--to", "tcp:10.233.101.2:80"]) == 1
    assert "connect succeeds, then hangs" in capsys.readouterr().out


def test_a_mistake_in_an_archive_is_told_with_file_line_and_column(tmp_path, capsys, files):
    path = tmp_path / "cluster.tgz"
    path.write_bytes(tar(under("cluster", files) | {"cluster/world.json": b'{"namespaces": 1,\n nonsense'}))
    assert main(["trace", str(path), "--from", "mac1", "--to", "tcp:10.233.101.2:80"]) == 2
    assert f"{path}: cluster/world.json:2:2: " in capsys.readouterr().err
