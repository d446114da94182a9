"""What is written lies where it was meant to, whole or not at all, whatever a stranger's names say."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from mcnilib.cli import main
from mcnilib.errors import McniError
from mcnilib.kernel.fuzz.case import Case, Exchange
from mcnilib.kernel.fuzz.report import keep
from mcnilib.kernel.fuzz.trial import TRIAL_DIFFERS, Trial
from mcnilib.kernel.lab import sysctls
from mcnilib.learner import learner_copy
from mcnilib.scenarios import scenario
from mcnilib.show.picture.files import save_picture
from mcnilib.show.picture.handout import handout
from mcnilib.snapshots import folder as snapshots
from mcnilib.snapshots.files import Place, print_world
from mcnilib.snapshots.merge import merged
from mcnilib.snapshots.snapshot import read_files
from mcnilib.world.world import World
from mcnilib.writing import WriteError, write_file, write_new_folder

HOSTILE = [
    pytest.param("../other", id="one step up"),
    pytest.param("../../other", id="two steps up"),
    pytest.param("a/../../other", id="down and up"),
    pytest.param("{top}/other", id="absolute"),
    pytest.param("other", id="the name of a link that is there"),
    pytest.param("..", id="the folder above"),
    pytest.param(".", id="the folder itself"),
    pytest.param("", id="nothing"),
    pytest.param("/", id="the root"),
    pytest.param("a//b", id="an empty step"),
    pytest.param("a\0b", id="NUL"),
    pytest.param("a\nb", id="newline"),
    pytest.param("\x1b[2J", id="ESC"),
    pytest.param("\x7f", id="DEL"),
    pytest.param("a" * 256, id="too long"),
    pytest.param("ä" * 128, id="too long in bytes"),
    pytest.param("\udcff", id="a byte that is no text"),
    pytest.param("-rf", id="like an option"),
    pytest.param("$(touch other)", id="for a shell"),
]


def stream(node: str, netns: str = "d") -> str:
    """What the script prints of a machine whose only namespace has one file."""
    return f"mcni-snapshot 1 {node}\n@ {netns}\t{netns}\n> ip-rule.txt\n from a stranger\n =0\nend\n"


def from_streams(where: Path, name: str) -> None:
    """Merge two machines of which the second has a strange name, so that its namespace gets that in front."""
    (where / "one").write_text(stream("n1"))
    (where / "two").write_bytes(stream(name).encode(errors="surrogateescape"))
    snapshots.write_folder(where / "out", read_files(where / "one", where / "two"))


def from_folders(where: Path, name: str) -> None:
    world = print_world([Place("d", name)], (), complete=False)
    parts = [{"world.json": text, "d/ip-rule.txt": "from a stranger\n"} for text in (world, world)]
    snapshots.write_folder(where / "out", merged([*parts, *parts]))


def from_namespaces(where: Path, name: str) -> None:
    world = json.dumps({"namespaces": [name], "segments": []})
    snapshots.write_folder(where / "out", merged([{"world.json": world, f"{name}/ip-rule.txt": "from a stranger\n"}]))


def from_stream_s_namespace(where: Path, name: str) -> None:
    (where / "one").write_bytes(stream("n1", name).encode(errors="surrogateescape"))
    snapshots.write_folder(where / "out", read_files(where / "one"))


def as_files(where: Path, name: str) -> None:
    write_new_folder(where / "out", {"a/x": "", name: "from a stranger\n"})


def as_folders(where: Path, name: str) -> None:
    write_new_folder(where / "out", {"a/x": "", f"{name}/ip-rule.txt": "from a stranger\n"})


def as_kept_case(where: Path, name: str) -> None:
    with suppress(WriteError):
        keep(
            where / "out",
            "7-1",
            Trial(Case("routers", (Exchange((), "a", "icmp:10.0.2.2", "b"),)), TRIAL_DIFFERS, "text"),
        )
    keep(
        where / "out",
        name,
        Trial(Case("routers", (Exchange((), "a", "icmp:10.0.2.2", "b"),)), TRIAL_DIFFERS, "from a stranger"),
    )


def as_sysctl(where: Path, name: str) -> None:
    sysctls.PROC_SYS.mkdir(exist_ok=True)
    slashed = name.translate(str.maketrans("./", "/."))
    sysctls.write_sysctl(f"net.ipv4.conf.{slashed}.rp_filter", "from a stranger")


WRITERS = [
    from_streams,
    from_folders,
    from_namespaces,
    from_stream_s_namespace,
    as_files,
    as_folders,
    as_kept_case,
    as_sysctl,
]


def tree(top: Path) -> dict[str, object]:
    """Everything below a folder: relative name -> what it is and holds."""
    found: dict[str, object] = {}
    for path in sorted(top.rglob("*")):
        name = str(path.relative_to(top))
        found[name] = os.readlink(path) if path.is_symlink() else path.is_dir() or path.read_bytes()
    return found


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.__name__.replace("_", " "))
@pytest.mark.parametrize("name", HOSTILE)
def test_a_strange_name_leads_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: Callable[[Path, str], None], name: str
) -> None:
    where = tmp_path / "work" / "here"
    where.mkdir(parents=True)
    for top in (tmp_path, where.parent):
        (top / "other").mkdir()
        (top / "other.d").mkdir()
        (top / "other.d" / "ip-rule.txt").write_text("mine")
    (where / "other").symlink_to("../other")
    monkeypatch.setattr(sysctls, "PROC_SYS", where / "out")
    monkeypatch.chdir(where)
    before = tree(tmp_path)
    with suppress(McniError):
        writer(where, name.format(top=tmp_path))
    inside = ("work/here/out", "work/here/one", "work/here/two")
    assert {name: what for name, what in tree(tmp_path).items() if not name.startswith(inside)} == before
    assert all("\x1b" not in name and "\n" not in name for name in tree(tmp_path))
    assert not [path for path in where.rglob("*") if path.name.startswith(".mcni-")]


@pytest.mark.parametrize("node", ["../../other", "{top}/other", ".."])
def test_a_machine_with_a_strange_name_is_refused_where_it_stands(tmp_path: Path, capsys, node: str) -> None:
    (tmp_path / "one").write_text(stream("n1"))
    (tmp_path / "two").write_text(stream(node.format(top=tmp_path)))
    assert main(["merge", str(tmp_path / "one"), str(tmp_path / "two"), str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path / 'two'}:1:1: " in said and "cannot be the name of a network namespace or machine" in said
    assert "\x1b" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


STORY = scenario("1")


def world() -> World:
    return STORY.world(STORY.start())


def a_picture(path: Path) -> None:
    save_picture(path, world(), STORY.run(STORY.start()))


def a_handout(path: Path) -> None:
    handout(path, STORY, STORY.start())


def a_record(path: Path) -> None:
    write_file(path, "{}\n")


def a_snapshot(path: Path) -> None:
    snapshots.write_folder(path, {"world.json": "{}", "a/ip-rule.txt": ""})


def a_copy(path: Path) -> None:
    learner_copy(path)


FILE_WRITERS = [
    pytest.param(a_picture, "x.svg", id="picture.svg"),
    pytest.param(a_picture, "x.png", id="picture.png"),
    pytest.param(a_picture, "x.pdf", id="picture.pdf"),
    pytest.param(a_handout, "x.pdf", id="handout"),
    pytest.param(a_record, "x.json", id="record"),
]
FOLDER_WRITERS = [pytest.param(a_snapshot, "x", id="snapshot"), pytest.param(a_copy, "x", id="learner's copy")]


@pytest.mark.slow
@pytest.mark.parametrize(("writer", "name"), [*FILE_WRITERS, *FOLDER_WRITERS])
@pytest.mark.parametrize("to", ["there", "dangling", "/dev/full", "empty"])
def test_a_link_is_not_followed_and_not_replaced(
    tmp_path: Path, writer: Callable[[Path], None], name: str, to: str
) -> None:
    (tmp_path / "there").write_text("mine")
    (tmp_path / "empty").mkdir()
    (tmp_path / name).symlink_to(to)
    before = tree(tmp_path)
    with pytest.raises(WriteError, match="is a symbolic link, which is not followed; nothing was written"):
        writer(tmp_path / name)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(("writer", "name"), FILE_WRITERS)
def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path, writer: Callable[[Path], None], name: str) -> None:
    target = tmp_path / name
    target.write_text("old")
    target.chmod(0o640)
    number = target.stat().st_ino
    writer(target)
    assert target.stat().st_ino != number and target.stat().st_size > 2
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(("writer", "name"), FILE_WRITERS[:1])
def test_a_file_that_its_owner_made_read_only_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: Callable[[Path], None], name: str
) -> None:
    (tmp_path / name).write_text("mine")
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path / name)  # root may write everything
    with pytest.raises(WriteError, match="is there already and read-only; nothing was written"):
        writer(tmp_path / name)
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize(
    ("writer", "name", "there", "says"),
    [
        (a_snapshot, "x", "file", "x is there already and is no folder; nothing was written"),
        (a_snapshot, "x", "full", "x is there already and not empty; nothing was written"),
        (a_snapshot, ".", "", "'.' names nothing that can be written"),
        (a_snapshot, "nowhere/x", "", "there is no folder 'nowhere'"),
        (a_record, "x", "full", "x is there already and is no regular file; nothing was written"),
        (a_record, "x", "pipe", "x is there already and is no regular file; nothing was written"),
        (a_record, "nowhere/x", "", "there is no folder 'nowhere'"),
        (a_record, "..", "", "'..' names nothing that can be written"),
        (a_record, "a\0b", "", "cannot be written: embedded null byte"),
        (a_record, "a" * 256, "", "cannot be written: File name too long"),
        (a_snapshot, "a" * 256, "", "cannot be written: File name too long"),
    ],
)
def test_what_stands_in_the_way_is_said_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: Callable[[Path], None], name: str, there: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if there == "file":
        Path(name).write_text("mine")
    elif there == "full":
        (Path(name) / "mine").mkdir(parents=True)
    elif there == "pipe":
        os.mkfifo(name)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(WriteError) as problem:
        writer(Path(name))
    assert says in str(problem.value)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_a_snapshot_is_its_owner_s_alone(tmp_path: Path) -> None:
    assert main(["save", "1", str(tmp_path / "one")]) == 0
    assert main(["merge", str(tmp_path / "one"), str(tmp_path / "two")]) == 0
    for top in (tmp_path / "one", tmp_path / "two"):
        paths = [top, *top.rglob("*")]
        assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()} == {0o700}
        assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()} == {0o600}


def test_cases_are_kept_in_a_folder_that_is_known_to_take_them(tmp_path: Path, capsys) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SystemExit) as ended:
        main(["fuzz", "--keep", str(tmp_path / "file" / "cases")])
    assert ended.value.code == 2
    assert "file is there already and is no folder" in capsys.readouterr().err
    keep(
        tmp_path / "new" / "cases",
        "7-1",
        Trial(Case("routers", (Exchange((), "a", "icmp:10.0.2.2", "b"),)), TRIAL_DIFFERS, "text"),
    )
    assert (tmp_path / "new" / "cases" / "7-1.txt").read_text().startswith("# text\nworld routers\n")


def test_a_record_that_is_none_is_known_before_anything_is_measured(tmp_path: Path, capsys) -> None:
    (tmp_path / "x.json").write_text("[]")
    assert main(["verify", "1", "--all", "--record", str(tmp_path / "x.json")]) == 2
    assert "x.json is no record of `mcni verify --record`" in capsys.readouterr().err
