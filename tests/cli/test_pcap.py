"""Packet captures on the command line: a folder that is written whole, for scenarios and for snapshots."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcnilib.cli import main

MAGIC = bytes.fromhex("0a0d0d0a")
FILES = ["cal2.pcapng", "mac1.pcapng", "node1.pcapng", "node2.pcapng"]
ASKED = ["--from", "mac1", "--to", "tcp:10.233.101.2:80"]


def check(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert all(path.read_bytes()[:4] == MAGIC for path in folder.iterdir())


def test_a_scenario_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "captures"
    assert main(["pcap", "7", str(folder), "--kube-proxy", "1.30"]) == 0
    check(folder)
    title, verdict, *files = capsys.readouterr().out.splitlines()
    assert title == "7. Macvlan pod to Calico pod, across nodes (--kube-proxy 1.30)"
    assert verdict.startswith("connect succeeds, then hangs: packet 3 (ACK) is dropped on node1")
    assert files == [str(folder / name) for name in FILES]
    assert title.encode() in (folder / "node1.pcapng").read_bytes()


def test_json_names_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pcap", "7", str(tmp_path / "x"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"folder": str(tmp_path / "x"), "files": FILES}


def test_a_snapshot_is_written_beside_the_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["save", "7", str(tmp_path / "cluster")]) == 0
    capsys.readouterr()
    folder = tmp_path / "captures"
    assert main(["trace", str(tmp_path / "cluster"), *ASKED, "--pcap", str(folder)]) == 1
    check(folder)
    assert capsys.readouterr().out.startswith("connect succeeds, then hangs")
    assert b"from mac1 to tcp:10.233.101.2:80" in (folder / "node1.pcapng").read_bytes()


def test_a_snapshot_with_a_gap_is_written_as_far_as_it_is_known(tmp_path: Path) -> None:
    assert main(["save", "7", str(tmp_path / "cluster")]) == 0
    world = tmp_path / "cluster" / "world.json"
    known = json.loads(world.read_text())
    known["complete"] = False
    known["namespaces"] = [one for one in known["namespaces"] if one not in ("node2", "cal2")]
    for segment in known["segments"]:
        segment["uplink"] = True
        segment["ports"] = [port for port in segment["ports"] if "node2" not in str(port)]
    world.write_text(json.dumps(known))
    folder = tmp_path / "captures"
    assert main(["trace", str(tmp_path / "cluster"), *ASKED, "--pcap", str(folder)]) == 3
    assert sorted(path.name for path in folder.iterdir()) == ["mac1.pcapng", "node1.pcapng"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: (path.mkdir(), (path / "a").touch()), "is there already and not empty"),
        (lambda path: path.touch(), "is there already and is no folder"),
        (lambda path: path.symlink_to("/tmp"), "is a symbolic link"),
    ],
    ids=["not empty", "a file", "a link"],
)
@pytest.mark.parametrize(
    "verb",
    [
        ["pcap", "7"],
        ["trace", "nowhere", *ASKED, "--pcap"],
        ["save", "7"],
        ["collect"],
        ["merge", "nowhere"],
        ["learner"],
        ["site"],
    ],
    ids=lambda verb: verb[0],
)
def test_a_folder_that_cannot_be_written_is_refused_before_any_work(
    verb: list[str], make, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "x")
    before = sorted(map(str, tmp_path.rglob("*")))
    with pytest.raises(SystemExit) as ended:
        main([*verb, str(tmp_path / "x")])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert sorted(map(str, tmp_path.rglob("*"))) == before


def test_a_setting_that_does_not_exist_leaves_nothing(tmp_path: Path) -> None:
    assert main(["pcap", "7", str(tmp_path / "x"), "--kube-proxy", "0.1"]) == 2
    assert not [*tmp_path.iterdir()]
