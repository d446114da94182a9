"""A whole cluster through kubectl: what is asked, what is left behind, and what is said of nodes that fail.

There is no cluster here: `fake_kubectl.py` on PATH plays one.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcnilib.cli import main
from mcnilib.kernel import kubectl
from mcnilib.snapshots.snapshot import Snapshot, open_snapshot

THREE = {"nodes": {"node1": "ready", "node2": "ready", "node3": "ready"}}

Play = Callable[..., Path]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Put the fake kubectl on PATH, and say what it plays."""
    place = tmp_path / "bin"
    place.mkdir()
    shutil.copy(Path(__file__).with_name("fake_kubectl.py"), place)
    program = place / "kubectl"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {place}/fake_kubectl.py "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    monkeypatch.setattr(kubectl, "POLL", 0.01)
    monkeypatch.chdir(tmp_path)

    def said(**what: Any) -> Path:
        (place / "play.json").write_text(json.dumps(THREE | what))
        return place

    return said


def calls(place: Path) -> list[list[str]]:
    there = place / "calls"
    return [json.loads(line) for line in there.read_text().splitlines()] if there.exists() else []


def cleaned(place: Path) -> bool:
    """Tell whether the pods were deleted last of all that changes anything."""
    changes = [words for words in calls(place) if {"create", "delete"} & set(words[:3]) and "can-i" not in words]
    return changes[-1:] != [] and "delete" in changes[-1] and not (place / "made.json").exists()


def test_every_node_is_collected_named_and_cleaned_up(play: Play, capsys: pytest.CaptureFixture[str]) -> None:
    place = play()
    assert main(["collect", "--kubectl", "out"]) == 0
    assert capsys.readouterr().out == "mcni trace out --from ... --to ...\n"
    snapshot = open_snapshot("out")
    assert [netns.name for netns in snapshot.world] == ["node1", "node2", "node3"]
    assert snapshot.flow("node1", "http://web.default/").dst == snapshot.names[1].address
    assert cleaned(place)


@pytest.mark.parametrize(
    ("what", "node", "says"),
    [
        ({"nodes": {**THREE["nodes"], "node2": "not ready"}}, "node2", "the node is not ready: kubelet is stopped"),
        ({"nodes": {**THREE["nodes"], "node2": "windows"}}, "node2", "it runs windows"),
        ({"pods": {"node2": "no image"}}, "node2", "its image cannot be pulled (Back-off pulling image"),
        ({"pods": {"node3": "evicted"}}, "node3", "its pod does not run: The node was low on resource: memory."),
        ({"pods": {"node3": "starting"}}, "node3", "its pod did not run within 1 s: ContainerCreating"),
        ({"pods": {"node3": "unseen"}}, "node3", "its pod did not run within 1 s"),
        ({"reads": {"node1": "cut"}}, "node1", "the stream breaks off: `end` is missing"),
        (
            {"reads": {"node1": "collect.sh needs the ip of iproute2"}},
            "node1",
            "`kubectl exec` failed: collect.sh needs the ip of iproute2",
        ),
    ],
)
def test_a_node_that_fails_is_a_gap_and_the_others_go_on(
    what: dict[str, Any], node: str, says: str, play: Play, capsys: pytest.CaptureFixture[str]
) -> None:
    place = play(**what)
    assert main(["collect", "--kubectl", "out", "--within", "1", "--json"]) == 3
    printed = capsys.readouterr()
    assert f"mcni: not collected: {node}: " in printed.err and says in printed.err
    assert list(json.loads(printed.out)["gaps"]) == [node]
    snapshot = open_snapshot("out")
    assert {netns.name for netns in snapshot.world} == set(THREE["nodes"])
    assert not Path("out", node).exists() and snapshot.world[node].missing
    assert cleaned(place)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ({"denied": ["create pods"]}, "you may not create pods in the namespace kube-system"),
        ({"denied": ["delete pods"]}, "you may not delete pods in the namespace kube-system"),
        ({"denied": ["create pods/exec"]}, "you may not run commands in pods (create pods/exec)"),
        ({"broken": {"get nodes": "The connection to the server 10.0.0.1:6443 was refused"}}, "10.0.0.1:6443 was refused"),
        ({"broken": {"create": "Error from server (Forbidden): violates PodSecurity"}}, "violates PodSecurity"),
        ({"nodes": {}}, "no node was collected"),
    ],
)  # fmt: skip
def test_what_makes_it_impossible_is_said_and_nothing_is_written(
    what: dict[str, Any], says: str, play: Play, capsys: pytest.CaptureFixture[str]
) -> None:
    place = play(**what)
    assert main(["collect", "--kubectl", "out"]) == 2
    assert says in capsys.readouterr().err
    assert not Path("out").exists()
    assert not (place / "made.json").exists()


def test_without_kubectl_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["collect", "--kubectl", str(tmp_path / "out")]) == 2
    assert "kubectl is not installed, or not in a folder of PATH" in capsys.readouterr().err


def test_pods_that_cannot_be_deleted_are_named_with_the_command(play: Play, capsys: Any) -> None:
    play(broken={"delete": "Error from server (Forbidden)"})
    assert main(["collect", "--kubectl", "out"]) == 2
    said = capsys.readouterr().err
    assert "the pods could not be deleted" in said and "run `kubectl delete pods -n kube-system -l mcni-run=" in said


def test_names_that_cannot_be_read_are_no_gap_of_the_cluster(play: Play, capsys: Any) -> None:
    play(broken={"get services": "Error from server (Forbidden): services is forbidden"})
    assert main(["collect", "--kubectl", "out"]) == 0
    assert "not collected: services.txt" in capsys.readouterr().err


def test_the_pods_read_only_end_by_themselves_and_run_anywhere(play: Play, capsys: Any) -> None:
    place = play(nodes={"node1": "ready", "node2": "not ready"})
    assert main(["collect", "--kubectl", "--dry-run", "--connections", "--context", "staging"]) == 0
    (pod,) = json.loads(capsys.readouterr().out)["items"]
    spec = pod["spec"]
    assert (spec["nodeName"], spec["hostNetwork"], spec["hostPID"], spec["restartPolicy"]) == (
        "node1",
        True,
        True,
        "Never",
    )
    assert spec["activeDeadlineSeconds"] == int(spec["containers"][0]["command"][1]) == 420
    assert spec["tolerations"] == [{"operator": "Exists"}] and "volumes" not in spec
    assert spec["automountServiceAccountToken"] is False
    assert {one["name"]: one["value"] for one in spec["containers"][0]["env"]} == {
        "MCNI_NODE": "node1", "MCNI_CONNECTIONS": "1",
    }  # fmt: skip
    assert calls(place) == [["--context", "staging", "get", "nodes", "-o", "json"]]


def test_tools_of_the_nodes_are_reached_by_nsenter(play: Play) -> None:
    place = play()
    assert main(["collect", "--kubectl", "out", "--host-tools", "--node", "node2", "--namespace", "net"]) == 0
    ran = next(words for words in calls(place) if words[0] == "exec")
    assert ran[:4] == ["exec", "-i", "-n", "net"] and ran[5:] == ["--", "nsenter", "-t", "1", "-m", "-n", "sh", "-s"]
    assert [netns.name for netns in open_snapshot("out").world] == ["node2"]


def test_a_node_nobody_knows_is_refused(play: Play, capsys: Any) -> None:
    play()
    assert main(["collect", "--kubectl", "out", "--node", "nod1"]) == 2
    assert "no node is called nod1; there are node1, node2, node3" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--context=x", "--node=x", "--image=x", "--host-tools", "--within=3", "--dry-run"])
def test_what_is_for_a_cluster_needs_kubectl(option: str, tmp_path: Path, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        main(["collect", str(tmp_path / "out"), option])
    assert "changes nothing without --kubectl" in capsys.readouterr().err


def test_ctrl_c_deletes_the_pods(play: Play) -> None:
    place = play(reads={"node2": "hang"})
    command = [sys.executable, "-m", "mcnilib", "collect", "--kubectl", "out"]

    def heard() -> None:  # a shell's background job ignores Ctrl-C, and so would what it starts
        signal.signal(signal.SIGINT, signal.default_int_handler)

    process = subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=heard)
    until = time.monotonic() + 30
    while not (place / "hanging").exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert "interrupted" in process.communicate(timeout=30)[1].decode()
    assert process.returncode == 130 and not Path("out").exists()
    assert cleaned(place)


def test_a_snapshot_with_a_gap_says_what_is_unknown(play: Play, capsys: Any) -> None:
    play(pods={"node2": "no image"})
    main(["collect", "--kubectl", "out"])
    assert isinstance(open_snapshot("out"), Snapshot)
    assert main(["trace", "out", "--from", "node2", "--to", "10.0.0.1"]) == 3
    assert "node2" in capsys.readouterr().out
