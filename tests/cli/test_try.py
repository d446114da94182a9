"""`--try`: commands typed behind a question are carried out on the model first; the answer says what was and is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcnilib.cli import main

DELETED = "node1: iptables -D KUBE-FORWARD 1"
ADDED = "node1: iptables -I FORWARD -s 172.16.0.0/16 -j DROP"
TO_CAL2 = ("--from", "mac1", "--to", "tcp:10.233.101.2:80")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("tried") / "cluster"
    assert main(["save", "7", str(folder)]) == 0
    return str(folder)


def words(asks: str, cluster: str) -> list[str]:
    return ["run", "7"] if asks == "run" else ["trace", cluster, *TO_CAL2]


BOTH = pytest.mark.parametrize("asks", ["run", "trace"])


@BOTH
@pytest.mark.parametrize(
    ("commands", "status", "was", "now"),
    [
        ([DELETED], 0, "connect succeeds, then hangs: packet 3", "connected; the server sees the client as 172.16."),
        (
            [DELETED, ADDED],
            1,
            "connect succeeds, then hangs: packet 3",
            "connect times out (ETIMEDOUT): packet 1 (SYN) is dropped",
        ),
        (["node2: sysctl -w net.ipv4.ip_forward=1"], 1, "connect succeeds", "connect succeeds, then hangs: packet 3"),
    ],
)
def test_was_and_now(capsys, cluster: str, asks: str, commands: list[str], status: int, was: str, now: str) -> None:
    assert main([*words(asks, cluster), *(word for command in commands for word in ("--try", command))]) == status
    lines = capsys.readouterr().out.splitlines()[asks == "run" :]
    assert lines[0].startswith(f"was: {was}")
    assert lines[1].startswith(f"now: {now}")


@BOTH
@pytest.mark.parametrize(
    ("command", "says"),
    [
        (DELETED, "First difference: packet 3: node1 filter KUBE-FORWARD FORWARD: dropped"),
        ("node2: sysctl -w net.ipv4.ip_forward=1", "No step differs: these lines do not matter here."),
    ],
)
def test_where_both_part(capsys, cluster: str, asks: str, command: str, says: str) -> None:
    main([*words(asks, cluster), "--try", command])
    assert says in capsys.readouterr().out


@BOTH
def test_the_table_and_the_json_are_those_of_the_changed_world(capsys, cluster: str, asks: str) -> None:
    main([*words(asks, cluster), "--try", DELETED, "--table"])
    assert "\n4 data: 172.16.100.2 > 10.233.101.2: mac1 → " in capsys.readouterr().out
    main([*words(asks, cluster), "--try", DELETED, "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["outcome"]["works"] is True
    assert said["was"]["verdict"] == "connect succeeds, then hangs"
    assert said["tried"] == [DELETED]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("node1: iptables -A FORWARD -s 1.2.3.4.5 -j DROP", "--try command:1:31: '1.2.3.4.5' is not an IPv4"),
        ("node1: iptables -A FORWARD -s 1.2.3.4.5 -j DROP", f"\n  {'':<30}^"),
        (
            "node1: iptables -A FORWARD -m frob -j DROP",
            "1:31: match 'frob' is not one iptables documents for IPv4\n  node1: ip",
        ),
        ("node1: ipp route", "'ipp' is not understood; understood are ip route"),
        ("node1: sysctl -w net.ipv4.ip_forwrd=1", "did you mean 'net.ipv4.ip_forward'?"),
        ("node9: ip route add 1.2.3.4 dev en0", "--try command:1:1: no network namespace"),
        ("node1: ip route add 1.2.3.4 via 9.9.9.9", "9.9.9.9 is on no link of node1 (ENETUNREACH)"),
        ("node1 iptables -F", "'node1 iptables -F' is not NETNS: COMMAND"),
    ],
)
def test_a_command_that_cannot_be_carried_out_is_pointed_at(capsys, command: str, says: str) -> None:
    assert main(["run", "7", "--try", DELETED, "--try", command]) == 2
    assert says in capsys.readouterr().err


def test_a_snapshot_points_at_it_too(capsys, cluster: str) -> None:
    assert main([*words("trace", cluster), "--try", "node1: ipp route"]) == 2
    assert "mcni: --try command:1:8: 'ipp' is not understood" in capsys.readouterr().err


def test_nothing_is_changed_for_whoever_asks_next(capsys, cluster: str) -> None:
    before = sorted((file, file.read_text()) for file in Path(cluster).rglob("*.*"))
    main([*words("trace", cluster), "--try", DELETED])
    assert sorted((file, file.read_text()) for file in Path(cluster).rglob("*.*")) == before
    assert main(words("trace", cluster)) == 1
    assert main(words("run", cluster)) == 1


def test_the_page_of_a_trace_names_the_command_with_what_was_tried(cluster: str, tmp_path) -> None:
    main([*words("trace", cluster), "--try", DELETED, "--page", str(tmp_path / "works.html")])
    assert "--try" in (tmp_path / "works.html").read_text(encoding="utf-8")
