"""Snapshots that a person types: what the lines mean, what is wrong in them, and that the files are ordinary ones."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from mcnilib.cli import main
from mcnilib.errors import StateSyntaxError
from mcnilib.snapshots.snapshot import open_files, snapshot_of
from mcnilib.snapshots.typed.report import TYPED_EXAMPLE
from mcnilib.snapshots.typed.skeleton import skeleton
from mcnilib.trace.explain import verdict

REJECTED = "unreachable (EHOSTUNREACH): packet 1 (SYN) is rejected on node1 in filter INPUT by"

WORLDS = {
    "two machines on a switch": (
        "host a: eth0 10.0.0.1/24 @lan\nhost b: eth0 10.0.0.2/24 @lan, listen 80",
        ("a", "tcp:10.0.0.2:80"),
        "connected; the server sees the client as 10.0.0.1",
    ),
    "a router, everything in one line each": (
        "host r: eth0 10.0.0.254/24 @left, eth1 10.0.1.254/24 @right, net.ipv4.ip_forward = 1\n"
        "host a: eth0 10.0.0.1/24 @left, default via 10.0.0.254\n"
        "host b: eth0 10.0.1.1/24 @right, 10.0.0.0/24 via 10.0.1.254, listen udp:53",
        ("a", "udp:10.0.1.1:53"),
        "connected; the server sees the client as 10.0.0.1",
    ),
    "a router that does not forward": (
        "host r: eth0 10.0.0.254/24 @left, eth1 10.0.1.254/24 @right\n"
        "host a: eth0 10.0.0.1/24 @left, default via 10.0.0.254\n"
        "host b: eth0 10.0.1.1/24 @right, default via 10.0.1.254, listen 80",
        ("a", "tcp:10.0.1.1:80"),
        "packet 1 (SYN) is dropped on r in forwarding",
    ),
    "a macvlan pod, which its own node does not reach": (
        "switch lan: alone\nhost n: eth0 10.0.0.1/24 @lan\npod p on n: net1 10.0.0.5/24 macvlan n/eth0",
        ("n", "icmp:10.0.0.5"),
        "unreachable",
    ),
    "pods at a bridge, with pasted rules": (
        "host n: cni0 10.1.0.1/24 bridge, v1 master cni0, v2 master cni0, sysctl net.bridge.bridge-nf-call-iptables=0\n"
        '*filter\n:FORWARD DROP [0:0]\n-A FORWARD -m comment --comment "no, not this" -j DROP\nCOMMIT\n'
        "pod a on n: eth0 10.1.0.2/24 veth n/v1, default via 10.1.0.1\n"
        "pod b on n: eth0 10.1.0.3/24 veth n/v2, default via 10.1.0.1, listen 80",
        ("a", "tcp:10.1.0.3:80"),
        "connected; the server sees the client as 10.1.0.2",
    ),
    "policy routing": (
        "host n: eth0 10.0.0.1/24 @lan, eth1 10.0.1.1/24 @other, rule to 10.0.1.0/24 lookup 100, "
        "unreachable default table 100",
        ("n", "icmp:10.0.1.9"),
        "unreachable (EHOSTUNREACH)",
    ),
    "a kind that is not modelled is unknown by name": (
        "host n: eth0 10.0.0.1/24 @lan, g0 10.9.0.1/24 geneve id 5 remote 10.0.0.9",
        ("n", "icmp:10.9.0.2"),
        "link kind 'geneve' of g0",
    ),
}


@pytest.mark.parametrize(("typed", "asked", "ends"), WORLDS.values(), ids=WORLDS)
def test_what_was_typed_is_a_world(typed: str, asked: tuple[str, str], ends: str) -> None:
    snapshot = snapshot_of(skeleton(typed))
    assert all(netns.missing == () for netns in snapshot.world)
    assert ends in verdict(snapshot.trace(snapshot.flow(*asked)))


WRONG = [
    ("host a: eth0 10.0.0.1/24 @lan, default va 10.0.0.2", 1, 40, "did you mean 'via'?"),
    ("host a: eth0 10.0.0.1/33", 1, 14, "'10.0.0.1/33' is not an IPv4 address with prefix length"),
    ("hots a: eth0", 1, 1, "did you mean 'host'?"),
    ("eth0 10.0.0.1/24", 1, 1, "expected host NAME: or pod NAME on HOST: before 'eth0'"),
    ("# nothing", 1, 1, "there is no host; for example: host node1:"),
    ("host a: eth0\npod b on c: eth0", 2, 10, "pod b needs its host: on a"),
    ("host a: eth0\npod b: eth0", 2, 6, "pod b needs its host: on a"),
    ("host a: eth0\nhost a: eth1", 2, 6, "a is described a second time"),
    ("host a: eth0, eth0", 1, 15, "a has a device eth0"),
    ("host a: eth0\npod b on a: eth0 veth x/v1", 2, 23, "there is no host or pod 'x'"),
    ("host a: eth0\npod b on a: eth0 veth v1", 2, 23, "expected HOST/DEVICE, the other end"),
    ("host a: eth0\npod b on a: eth0 macvlan a/eth1", 2, 26, "a has no device 'eth1'; did you mean 'eth0'?"),
    ("host a: eth0\nhost b: eth0 veth a/v1", 2, 19, "a is on another machine than b: plug both into a @SWITCH"),
    ("host a: br0 bridge, v1 master br1", 1, 31, "a has no device 'br1'; did you mean 'br0'?"),
    ("host a: eth0 10.0.0.1/24, default via 10.0.1.1", 1, 39, "10.0.1.1 is on no link of a"),
    ("host a: eth0 10.0.0.1/24, listen 99999", 1, 34, "'99999' is not a port"),
    ("host a: eth0\n  iptables -A INPUTT -j DROP", 2, 15, "INPUTT"),
    ("host a: eth0\n*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j\nCOMMIT", 4, 1, "a target is missing"),
    ("host a: eth0\n*filter\n:INPUT ACCEPT [0:0]", 4, 1, "COMMIT is missing"),
    ("switch lan: mirror\nhost a: eth0 @lan", 1, 13, "of a switch one says alone or reflects"),
    ("host a: eth0 10.0.0.1/24, iptabls -A INPUT -j DROP", 1, 35, "did you mean 'iptables'?"),
    ("host a: x0 vxlan id seven dev eth0", 1, 21, "'seven' is not a number"),
]


@pytest.mark.parametrize(("typed", "line", "column", "said"), WRONG, ids=[row[0][-30:] for row in WRONG])
def test_what_is_wrong_is_pointed_to(typed: str, line: int, column: int, said: str) -> None:
    with pytest.raises(StateSyntaxError) as caught:
        skeleton(typed, "report.txt")
    wrong = caught.value
    assert said in str(wrong)
    assert (wrong.source, wrong.line, wrong.column) == ("report.txt", line, column)


def test_the_example_is_written_as_a_folder_and_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["snapshot", "new", "--example"]) == 0
    report = tmp_path / "report.txt"
    report.write_text(capsys.readouterr().out)
    assert main(["snapshot", "new", str(tmp_path / "folder"), str(report)]) == 0
    assert main(["trace", str(tmp_path / "folder"), "--from", "pod1", "--to", "tcp:10.43.0.1:443"]) == 1
    assert REJECTED in capsys.readouterr().out


def test_the_page_about_snapshots_shows_the_example() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "snapshot.md").read_text(encoding="utf-8")
    assert TYPED_EXAMPLE.partition("\n\n")[2].rstrip() in page


def test_a_mistake_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"host a: eth0 10.0.0.1/99\n")))
    assert main(["snapshot", "new", str(tmp_path / "folder")]) == 2
    assert not [*tmp_path.iterdir()]


def test_a_page_reads_what_was_typed() -> None:
    files = {f"folder/{name}": text.encode() for name, text in skeleton(TYPED_EXAMPLE).items()}
    snapshot = open_files(files)
    assert REJECTED in verdict(snapshot.trace(snapshot.flow("pod1", "tcp:10.43.0.1:443")))


def test_nothing_is_said_that_was_not_typed() -> None:
    """What was left out is the kernel's default, and an assumption where it decides."""
    snapshot = snapshot_of(skeleton(WORLDS["a router that does not forward"][0]))
    trace = snapshot.trace(snapshot.flow("a", "tcp:10.0.1.1:80"))
    assert trace.notes == ("assumed: ip_forward = 0 on r, not given",)
