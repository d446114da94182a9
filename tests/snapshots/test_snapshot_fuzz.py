"""Hostile snapshots: whatever the files hold, the answer is a verdict or an error that says where; never a crash or a hang."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcnilib import scenario
from mcnilib.cli import main
from mcnilib.errors import McniError
from mcnilib.linux.netfilter.conntrack import parse_connections
from mcnilib.show.picture.drawing import lay_out
from mcnilib.snapshots.folder import read_stream, write_folder
from mcnilib.snapshots.question import read_flow
from mcnilib.snapshots.snapshot import Snapshot, read_files, snapshot_of
from mcnilib.world.listing import LISTINGS

pytestmark = pytest.mark.slow

BOUNDED = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))

HOSTILE = st.sampled_from(
    [
        *(
            "",
            " ",
            "\n",
            "\t",
            "\0",
            "\x1b[2J",
            "\u202e",
            "\ud7ff",
            "'",
            '"',
            "\\",
            "`id`",
            "$(id)",
            "../../x",
            "/",
            "%s",
            "{0}",
        ),
        *(
            "99999999999999999999",
            "-1",
            "0x",
            "1e9",
            "4294967296",
            "٣",
            "²",
            "default",
            "all",
            "lo",
            "node",
            "pod",
            "/4",
        ),
        *(
            "255.255.255.255",
            "0.0.0.0",
            "0.0.0.0/0",
            "224.0.0.1",
            "127.0.0.1",
            "10.0.0.1/99",
            "::1",
            "link-netnsid",
            "master",
        ),
        *(
            "-j",
            "-g",
            "-m",
            "!",
            "-A FORWARD -j FORWARD",
            ":X - [0:0]",
            "COMMIT",
            "*nat",
            "-j REJECT",
            "-j DNAT --to-destination 0",
        ),
        *("null", "[]", "{}", "[[[[", "true", '"x"', "dev", "via", "inet", "up", "nexthop", "A" * 5000),
    ]
)


@cache
def base() -> dict[str, str]:
    """Return a snapshot of three namespaces of the flagship: a pod, its node, and what answers."""
    story = scenario("7")
    start = story.start()
    files = Snapshot(story.world(start), story.listeners(start)).files()
    kept = ("mac1", "node1", "node2", "cal2")
    files = {name: text for name, text in files.items() if name.partition("/")[0] in (*kept, "world.json")}
    found = json.loads(files["world.json"])
    ports = [{**one, "ports": [p for p in one["ports"] if p.partition("/")[0] in kept]} for one in found["segments"]]
    files["world.json"] = json.dumps({**found, "namespaces": list(kept), "segments": ports, "complete": False})
    files["node1/conntrack.txt"] = (
        "tcp 6 99 ESTABLISHED src=1.2.3.4 dst=1.2.3.5 sport=1 dport=2 src=1.2.3.5 dst=1.2.3.4 sport=2 dport=1 [ASSURED] mark=0 use=1\n"
    )
    return files


@st.composite
def damaged(draw: st.DrawFn, text: str) -> str:
    """Change a text in a few places: cut it, put something in, repeat or swap lines."""
    for _ in range(draw(st.integers(1, 3))):
        lines = text.split("\n")
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["cut", "word", "line", "twice", "gone", "char", "swap"])):
            case "cut":
                text = text[: draw(st.integers(0, len(text)))]
                continue
            case "word":
                words = lines[at].split(" ")
                words[draw(st.integers(0, len(words) - 1))] = draw(HOSTILE)
                lines[at] = " ".join(words)
            case "line":
                lines.insert(at, draw(HOSTILE))
            case "twice":
                lines.insert(at, lines[at])
            case "gone":
                del lines[at]
            case "char":
                place = draw(st.integers(0, len(lines[at])))
                lines[at] = lines[at][:place] + draw(st.characters(codec="utf-8")) + lines[at][place:]
            case "swap":
                other = draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
        text = "\n".join(lines)
    return text


@st.composite
def snapshots(draw: st.DrawFn) -> dict[str, str]:
    """Damage one or two files of a good snapshot."""
    files = dict(base())
    for name in draw(st.lists(st.sampled_from(sorted(files)), min_size=1, max_size=2)):
        files[name] = draw(damaged(files[name]))
    return files


@BOUNDED
@given(snapshots(), st.sampled_from(["tcp:10.233.101.2:80", "udp:172.16.1.3:53", "icmp:10.233.101.2"]))
def test_a_damaged_snapshot_gives_a_verdict_or_a_clear_error(files: dict[str, str], to: str) -> None:
    with contextlib.suppress(McniError, KeyError):
        snapshot = snapshot_of(files)
        trace = snapshot.trace(read_flow("mac1", to))
        assert lay_out(snapshot.world, trace).width > 0


@BOUNDED
@given(snapshots())
def test_in_a_terminal_it_ends_with_a_status_and_harms_no_terminal(files: dict[str, str]) -> None:
    out, err = io.StringIO(), io.StringIO()
    with tempfile.TemporaryDirectory() as home:
        with contextlib.suppress(UnicodeEncodeError):
            write_folder(Path(home) / "s", files)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(["trace", f"{home}/s", "--from", "mac1", "--to", "tcp:10.233.101.2:80", "--table"])
    assert status in (0, 1, 2, 3)
    assert "Traceback" not in err.getvalue()
    assert all(x.isprintable() or x in "\n\t" for x in out.getvalue() + err.getvalue())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | HOSTILE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | st.sampled_from([
        "ifindex", "ifname", "flags", "mtu", "link_type", "address", "addr_info", "linkinfo", "info_kind", "info_data", "local",
        "prefixlen", "family", "scope", "link", "link_netnsid", "dst", "dev", "gateway", "priority", "src", "table", "state", "mac",
        "format", "namespaces", "segments", "name", "ports", "ids", "node", "called", "complete", "uplink",
    ]), inner, max_size=6),
    max_leaves=25,
)  # fmt: skip


@BOUNDED
@given(JSON, st.sampled_from([*(f"node1/{row.stem}.json" for row in LISTINGS if row.json), "world.json"]))
def test_json_of_any_shape(value: object, name: str) -> None:
    files = dict(base())
    files.pop(name.replace(".json", ".txt"), None)
    files[name] = json.dumps([value] if name != "world.json" else value)
    with contextlib.suppress(McniError, KeyError):
        snapshot_of(files).trace(read_flow("mac1", "tcp:10.233.101.2:80"))


STREAM = "mcni-snapshot 1 n1\n@ n1\t\n> ip-rule.txt\n 0:\tfrom all lookup local\n =0\n> ipset.txt\n =1\n@ w\tw\n> ss.txt\n \n =0\nend\n"


@BOUNDED
@given(damaged(STREAM))
def test_a_damaged_stream(text: str) -> None:
    with contextlib.suppress(McniError):
        files = read_stream(text)
        assert not [name for name in files if name.startswith(("/", "../")) or "/../" in name]


@BOUNDED
@given(damaged(base()["node1/conntrack.txt"]))
def test_a_damaged_list_of_connections(text: str) -> None:
    with contextlib.suppress(McniError):
        parse_connections(text)


def ring(number: int) -> str:
    """Return chains that jump in a circle."""
    chains = "".join(f":X{i} - [0:0]\n" for i in range(number))
    rules = "".join(f"-A X{i} -j X{(i + 1) % number}\n" for i in range(number))
    return f"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{chains}-A FORWARD -j X0\n{rules}COMMIT\n"


def stairs(number: int) -> str:
    """Return chains that each jump to the next, without a circle."""
    return ring(number).replace(f"-A X{number - 1} -j X0\n", "")


def doubling(number: int) -> str:
    """Return chains that each jump to the next twice: 2**number visits."""
    table, rules = stairs(number).split("-A FORWARD", 1)
    twice = "".join(f"{line}\n" * 2 for line in f"-A FORWARD{rules}".splitlines() if line != "COMMIT")
    return f"{table}{twice}COMMIT\n"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("node1/iptables.txt", ring(3), "jump in a circle"),
        ("node1/iptables.txt", ring(3000), "jump in a circle"),
        ("node1/iptables.txt", stairs(3000), ""),
        ("node1/iptables.txt", doubling(40), "takes more than 20000 jumps in FORWARD"),
        ("node1/ip-route.txt", "default via 10.0.0.1 dev lo\n" * 20000, ""),
        ("world.json", '{"namespaces": ' + "[" * 100000, "world.json:1:"),
        ("world.json", json.dumps({"namespaces": [f"n{i}" for i in range(20000)], "segments": []}), ""),
        ("node1/ip-address.txt", "1: lo: <UP> mtu 1\n    link/loopback 00:00:00:00:00:00\n" * 2000, ""),
    ],
    ids=["a circle of chains", "a long circle", "a long staircase", "chains that double", "a route many times", "deep", "many namespaces", "a device many times"],
)  # fmt: skip
def test_loops_and_sizes_end(tmp_path: Path, capsys, name: str, text: str, says: str) -> None:
    write_folder(tmp_path / "s", {**base(), name: text})
    assert main(["trace", str(tmp_path / "s"), "--from", "mac1", "--to", "tcp:10.233.101.2:80"]) in (0, 1, 2, 3)
    said = capsys.readouterr()
    assert says in said.err + said.out


def test_a_name_of_a_namespace_is_never_a_path(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "ip-rule.txt").write_text("secret")
    write_folder(tmp_path / "s", base())
    for name in ("../outside", "..", ".", "/etc", "a/../../outside", ""):
        (tmp_path / "s" / "world.json").write_text(json.dumps({"namespaces": [name], "segments": []}))
        with pytest.raises(McniError, match="cannot be the name of a network namespace"):
            read_files(tmp_path / "s")


def test_bridges_in_a_circle_are_a_storm_that_ends() -> None:
    lo = "1: lo: <UP> mtu 1\n    link/loopback 00:00:00:00:00:00\n"
    text = (
        lo + "2: b0: <UP> mtu 1\n    link/ether 02:00:00:00:00:02\n    bridge\n    inet 10.0.0.1/24 scope global b0\n"
    )
    text += "3: b1: <UP> mtu 1\n    link/ether 02:00:00:00:00:03\n    bridge\n"
    for i in range(4):
        for end, bridge, other in ((10, "b0", 20), (20, "b1", 10)):
            text += f"{end + i}: v{end + i}@v{other + i}: <UP> mtu 1 master {bridge}\n    link/ether 02:00:00:00:01:{end + i}\n    veth\n"
    files = {**base(), "world.json": '{"namespaces": ["a"], "segments": []}', "a/ip-address.txt": text}
    files |= {f"a/{name}": base()[f"mac1/{name}"] for name in ("ip-rule.txt", "sysctl.txt")}
    files |= {
        "a/ip-route.txt": "10.0.0.0/24 dev b0 scope link src 10.0.0.1\nlocal 10.0.0.1 dev b0 table local src 10.0.0.1\n",
        "a/ip-neigh.txt": "",
        "a/iptables.txt": "",
    }
    trace = snapshot_of(files).trace(read_flow("a", "icmp:10.0.0.9"))
    assert "bridges in a circle" in trace.outcome.step.action
