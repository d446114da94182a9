"""Snapshots: a folder that was written and read is the same cluster, and a stranger's folder does no harm."""

from __future__ import annotations

import io
import json
import os
import subprocess
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from mcnilib.cli import main
from mcnilib.errors import McniError
from mcnilib.kernel.fuzz.case import base
from mcnilib.scenarios import all_scenarios
from mcnilib.snapshots.files import FILES
from mcnilib.snapshots.folder import read_folder, read_stream, write_folder
from mcnilib.snapshots.merge import merged
from mcnilib.snapshots.question import parse_listeners, print_listeners, read_flow, read_listeners
from mcnilib.snapshots.snapshot import Snapshot, open_snapshot
from mcnilib.snapshots.targets.flow_target import QuestionError
from mcnilib.trace.explain import difference, verdict
from mcnilib.trace.flow import Listener
from mcnilib.trace.trace import Verdict
from mcnilib.world.commands import do

SMALL = {
    "world.json": '{"format": 1, "namespaces": ["a"], "segments": []}',
    "a/ip-address.txt": "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000\n"
    "    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n"
    "    inet 127.0.0.1/8 scope host lo\n",
    "a/ip-rule.txt": "0:\tfrom all lookup local\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n",
    "a/ip-route.txt": "local 127.0.0.0/8 dev lo table local proto kernel scope host src 127.0.0.1\n"
    "local 127.0.0.1 dev lo table local proto kernel scope host src 127.0.0.1\n",
} | {f"a/{name}": "" for name in FILES if name not in ("ip-address.txt", "ip-rule.txt", "ip-route.txt")}


@pytest.mark.slow
@pytest.mark.parametrize("story", all_scenarios(), ids=lambda story: story.name)
def test_a_saved_scenario_is_walked_through_step_by_step_as_before(tmp_path: Path, story) -> None:
    settings = story.start()
    write_folder(tmp_path / "here", Snapshot(story.world(settings), story.listeners(settings)).files())
    found = open_snapshot(tmp_path / "here").trace(story.flow(settings))
    assert difference(found, story.run(settings)) is None
    assert found.outcome.verdict is story.run(settings).outcome.verdict


def test_save_and_trace_in_a_terminal(tmp_path: Path, capsys) -> None:
    folder = tmp_path / "here"
    assert main(["save", "7", str(folder), "--kube-proxy", "1.28"]) == 0
    again = capsys.readouterr().out.split()[1:]
    assert main([*again, "--table", "--picture", str(tmp_path / "x.svg")]) == 1
    assert "connect succeeds, then hangs" in capsys.readouterr().out
    assert (tmp_path / "x.svg").stat().st_size > 1000
    assert main([*again, "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["outcome"]["step"]["chain"] == "KUBE-FORWARD"
    assert said["snapshot"] == str(folder)


def test_writing_is_whole_or_not_at_all(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine").write_text("mine")
    with pytest.raises(McniError, match="not empty; nothing was written"):
        write_folder(full, SMALL)
    with pytest.raises(McniError, match="cannot be written"):
        write_folder(tmp_path / "new", {**SMALL, "a": ""})
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
    assert [path.name for path in full.iterdir()] == ["mine"]
    empty = tmp_path / "empty"
    empty.mkdir()
    write_folder(empty, SMALL)
    assert read_folder(empty) == SMALL


def broken(folder: Path, how: str) -> None:
    """Damage a written snapshot in one way."""
    file = folder / "a" / "ip-rule.txt"
    match how:
        case "link":
            file.unlink()
            file.symlink_to("/etc/hostname")
        case "link to a folder":
            (folder / "a").rename(folder / "b")
            (folder / "a").symlink_to("b")
        case "pipe":
            file.unlink()
            os.mkfifo(file)
        case "folder":
            file.unlink()
            file.mkdir()
        case "bytes":
            file.write_bytes(b"0:\tfrom all\n1:\t\xff")
        case "word":
            file.write_text("0:\t\n")
        case "nul":
            file.write_bytes(b"0:\tfrom\0 all\n")
        case _:
            (folder / "world.json").write_text(how)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("link", "s/a/ip-rule.txt cannot be read"),
        ("link to a folder", "s/a cannot be read as a folder"),
        ("pipe", "s/a/ip-rule.txt is no regular file"),
        ("folder", "s/a/ip-rule.txt is no regular file"),
        ('{"namespaces": ["../a"], "segments": []}', "'../a' cannot be the name of a network namespace"),
        ('{"namespaces": ["a", "a"], "segments": []}', "'a' is named twice"),
        ('{"namespaces": ["a\\u001b[2J"], "segments": []}', "cannot be the name"),
        ('{"format": 2, "namespaces": [], "segments": []}', "format 2; this version reads format 1"),
        ("[" * 100000, "s/world.json:1:1"),
        ("", "s/world.json:1:1"),
    ],
)
def test_a_strange_folder_is_an_error_that_says_where(tmp_path: Path, capsys, how: str, says: str) -> None:
    folder = tmp_path / "s"
    write_folder(folder, SMALL)
    assert main(["trace", str(folder), "--from", "a", "--to", "icmp:127.0.0.1"]) == 0
    broken(folder, how)
    assert main(["trace", str(folder), "--from", "a", "--to", "icmp:127.0.0.1"]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert "Traceback" not in said and "\x1b" not in said


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("bytes", "a/ip-rule.txt:2:4: not text in UTF-8, \\xff: it cannot be read"),
        ("word", "a/ip-rule.txt:1:3: from is missing: it cannot be read"),
        ("nul", "a/ip-rule.txt:1:8: a control character, '\\x00': it cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_costs_its_namespace(tmp_path: Path, capsys, how: str, says: str) -> None:
    folder = tmp_path / "s"
    write_folder(folder, merged([SMALL, SMALL]))
    broken(folder, how)
    assert main(["trace", str(folder), "--from", "a", "--to", "icmp:127.0.0.1"]) == 3
    assert f"unknown beyond this point: packet 1 (ICMP) got to a, but {says}" in capsys.readouterr().out
    assert main(["trace", str(folder), "--from", "a.2", "--to", "icmp:127.0.0.1"]) == 0
    assert f"\nnot looked at, in a: {says}\n" in capsys.readouterr().out
    assert main(["merge", str(folder), str(tmp_path / "t")]) == 0
    assert (tmp_path / "t/a/ip-rule.txt").read_bytes() == (folder / "a/ip-rule.txt").read_bytes()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("table ip kube-proxy {\n", "this is what nft prints, and not iptables-save"),
        ("table ip kube-proxy {\n", "it runs in nftables mode: put what `nft list ruleset` prints there into nft.txt"),
        ("TCP  10.233.0.1:443 rr\n", "it runs in IPVS mode: put what `ipvsadm -Sn` prints there into ipvsadm.txt"),
    ],
)
def test_another_mode_of_kube_proxy_is_named_with_what_to_run_instead(tmp_path, capsys, text: str, says: str) -> None:
    write_folder(tmp_path / "s", {**SMALL, "a/iptables.txt": text})
    assert main(["trace", str(tmp_path / "s"), "--from", "a", "--to", "icmp:127.0.0.1"]) == 3
    assert says in capsys.readouterr().out


IPVS = (
    "9: kube-ipvs0: <BROADCAST,NOARP> mtu 1500\n    link/ether 02:00:00:00:00:99 brd ff:ff:ff:ff:ff:ff\n    dummy\n"
    "    inet 10.96.0.1/32 scope global kube-ipvs0\n"
)


def test_ipvs_is_named_with_what_to_run_instead(tmp_path, capsys) -> None:
    write_folder(tmp_path / "s", {**SMALL, "a/ip-address.txt": SMALL["a/ip-address.txt"] + IPVS})
    assert main(["trace", str(tmp_path / "s"), "--from", "a", "--to", "icmp:127.0.0.1"]) == 3
    said = capsys.readouterr().out
    assert "a has the device kube-ipvs0: IPVS" in said
    assert "it runs in IPVS mode: put what `ipvsadm -Sn` prints there into ipvsadm.txt" in said


@pytest.mark.parametrize(
    ("to", "says"),
    [
        ("tcp:10.0.0.1", "is none of ADDRESS:PORT"),
        ("icmp:10.0.0.1:80", "is none of ADDRESS:PORT"),
        ("sctp:10.0.0.1:80", "is none of ADDRESS:PORT"),
        ("tcp:10.0.0:80", "'10.0.0' is not an IPv4 address"),
        ("tcp:10.0.0.1:0", "'0' is not a port"),
        ("tcp:10.0.0.1:65536", "'65536' is not a port"),
        ("tcp:10.0.0.1:٣", "is not a port"),
    ],
)
def test_a_question_that_cannot_be_read(to: str, says: str) -> None:
    with pytest.raises(QuestionError, match=says):
        read_flow("a", to)


def test_questions() -> None:
    flow = read_flow("a", "udp:10.0.0.1:53", "10.0.0.2")
    assert (flow.proto, flow.dst, flow.dport, flow.src) == ("udp", IPv4Address("10.0.0.1"), 53, IPv4Address("10.0.0.2"))
    assert read_flow("a", "icmp:10.0.0.1").sport == 0
    assert read_listeners(["b:80"]) == (Listener("b", 80), Listener("b", 80, "udp", pinned=True))


@pytest.mark.parametrize(
    ("source", "src", "sport"),
    [("10.0.0.2", "10.0.0.2", 0), ("10.0.0.2:51234", "10.0.0.2", 51234), (":51234", None, 51234)],
)
def test_the_client_s_end_of_a_question(source: str, src: str | None, sport: int) -> None:
    flow = read_flow("a", "tcp:10.0.0.1:80", source)
    assert (flow.src and str(flow.src), flow.sport) == (src, sport)


@pytest.mark.parametrize(
    ("to", "source", "says"),
    [
        ("tcp:10.0.0.1:80", "10.0.0:1", "'10.0.0' is not an IPv4 address"),
        ("tcp:10.0.0.1:80", "10.0.0.2:0", "'0' is not a port"),
        ("tcp:10.0.0.1:80", "10.0.0.2:", "'' is not a port"),
        ("icmp:10.0.0.1", ":4000", "':4000' has a port, and ICMP has none"),
    ],
)
def test_a_client_s_end_that_cannot_be_read(to: str, source: str, says: str) -> None:
    with pytest.raises(QuestionError, match=says):
        read_flow("a", to, source)


def test_a_rule_that_asks_for_the_client_s_port_meets_it() -> None:
    world = do(base("routers"), "b", "iptables -A INPUT -p tcp --sport 51234 -j DROP")
    servers = read_listeners(["b:80"])
    asked = [Snapshot(world, servers).trace(read_flow("a", "tcp:10.0.2.2:80", one)) for one in ("", ":51234")]
    assert [trace.outcome.works for trace in asked] == [True, False]


def test_a_client_s_port_that_a_server_has_is_refused() -> None:
    servers = read_listeners(["a:40000"])
    with pytest.raises(QuestionError, match=r"0\.0\.0\.0:40000 has the client's port in a: name another one"):
        Snapshot(base("routers"), servers).trace(read_flow("a", "tcp:10.0.2.2:80", ":40000"))


def test_a_client_that_asks_for_no_port_gets_one_that_no_server_has() -> None:
    world, servers = base("routers"), read_listeners(["a:40000", "b:80"])
    trace = Snapshot(world, servers).trace(read_flow("a", "tcp:10.0.2.2:80"))
    assert trace.outcome.works and trace.journeys[0].packet.sport == 40001


def test_whether_a_rule_asks_for_the_drawn_port_of_a_client_is_chance() -> None:
    world = do(base("routers"), "b", "iptables -A INPUT -p tcp --sport 50000:65535 -j DROP")
    servers = read_listeners(["b:80"])
    said = [verdict(Snapshot(world, servers).trace(read_flow("a", "tcp:10.0.2.2:80", one))) for one in ("", ":49999")]
    assert said[0].startswith("it depends: works if the port drawn of 32768:60999 is in 32768:49999 (61.0 %)")
    assert said[1].startswith("connected")


def test_listeners_as_ss_prints_them() -> None:
    text = (
        "Netid State  Recv-Q Send-Q Local Address:Port  Peer Address:PortProcess\n"
        "udp   UNCONN 0      0      127.0.0.53%lo:53     0.0.0.0:*\n"
        "tcp   LISTEN 0      4096               *:80           *:*\n"
        "tcp   LISTEN 0      4096            [::]:443       [::]:*\n"
        "tcp   LISTEN 0      50     [::ffff:10.2.0.2]:90    *:*\n"
        "udp   ESTAB  0      0      10.2.0.2:5000     10.2.0.9:40000\n"
        "udp   ESTAB  0      0      [::ffff:10.2.0.2]:6000     [::ffff:10.2.0.9]:53\n"
        "udp   ESTAB  0      0      [fd00::2]:5000     [fd00::9]:40000\n"
        "tcp   ESTAB  0      0      10.2.0.2:80     10.2.0.9:40000\n"
        "tcp   TIME-WAIT  0      0      10.2.0.2:80     10.2.0.9:40001\n"
    )
    found = parse_listeners(text, "a")
    assert found == (
        Listener("a", 53, "udp", IPv4Address("127.0.0.53"), None, "lo"),
        Listener("a", 80),
        Listener("a", 90, "tcp", IPv4Address("10.2.0.2")),
        Listener("a", 5000, "udp", IPv4Address("10.2.0.2"), None, peer=(IPv4Address("10.2.0.9"), 40000)),
        Listener("a", 6000, "udp", IPv4Address("10.2.0.2"), None, peer=(IPv4Address("10.2.0.9"), 53)),
    )
    assert parse_listeners(print_listeners(found), "a") == found
    with pytest.raises(McniError, match=r"ss -ltun:1:28: 'x' is not an address"):
        parse_listeners("tcp   LISTEN 0      128    x 0.0.0.0:*\n", "a")


@pytest.mark.parametrize(
    ("more", "source", "answers"),
    [
        pytest.param("", ":4000", "udp ESTAB 10.0.2.2:80 10.0.1.2:4000", id="its peer"),
        pytest.param("", ":4001", "", id="another port of its peer's"),
        pytest.param("udp UNCONN 0 0 0.0.0.0:80 0.0.0.0:*\n", ":4001", "udp UNCONN 0.0.0.0:80", id="another socket is for all"),
        pytest.param("udp UNCONN 0 0 10.0.2.2:80 0.0.0.0:*\n", ":4000", "udp ESTAB 10.0.2.2:80 10.0.1.2:4000", id="the connected one is asked first"),
    ],
)  # fmt: skip
def test_a_connected_udp_socket_answers_its_peer(more: str, source: str, answers: str) -> None:
    servers = parse_listeners(f"{more}udp ESTAB 0 0 10.0.2.2:80 10.0.1.2:4000\n", "b")
    trace = Snapshot(base("routers"), servers).trace(read_flow("a", "udp:10.0.2.2:80", source))
    assert trace.outcome.works is bool(answers)
    assert answers in [step.evidence for step in trace.journeys[0].steps] or not answers


def test_a_datagram_to_one_s_own_port_comes_back() -> None:
    trace = Snapshot(base("routers")).trace(read_flow("a", "udp:10.0.1.2:4000", ":4000"))
    assert trace.outcome.works
    assert trace.outcome.step.action == "its own datagram, back at the client's socket"


@pytest.mark.parametrize(
    ("bound", "client", "verdict"),
    [
        ("0.0.0.0%eth0", "b", Verdict.CONNECTED),
        ("0.0.0.0%lo", "b", Verdict.REFUSED),
        ("0.0.0.0%eth0", "a", Verdict.CONNECTED),  # the device that has the address, although lo carries the packet
        ("0.0.0.0%lo", "a", Verdict.REFUSED),
        ("10.0.1.2%eth0", "b", Verdict.CONNECTED),
    ],
)
def test_a_socket_bound_to_a_device_hears_what_comes_from_there(bound: str, client: str, verdict: Verdict) -> None:
    servers = parse_listeners(f"tcp   LISTEN 0      128    {bound}:80    0.0.0.0:*\n", "a")
    flow = read_flow(client, "tcp:10.0.1.2:80")
    assert Snapshot(base("routers"), servers).trace(flow).outcome.verdict is verdict


def test_a_socket_bound_to_a_device_that_leads_elsewhere_is_unknown() -> None:
    """Linux sends the SYN-ACK by the socket's device whatever the routes say: that look-up is not modelled."""
    world = do(base("routers"), "b", "ip route add 10.0.1.2 dev lo")
    servers = parse_listeners("tcp   LISTEN 0      128    0.0.0.0%eth0:80    0.0.0.0:*\n", "b")
    outcome = Snapshot(world, servers).trace(read_flow("a", "tcp:10.0.2.2:80")).outcome
    assert outcome.verdict is Verdict.UNKNOWN
    assert "to which no route leads by eth0" in outcome.step.action


def test_a_server_whose_queue_was_full_is_unknown() -> None:
    """Linux drops SYNs to it (ListenOverflows in `nstat`), until the program accepts a connection."""
    servers = parse_listeners("tcp   LISTEN 6      5    0.0.0.0:80    0.0.0.0:*\n", "b")
    assert parse_listeners(print_listeners(servers), "b") == servers
    outcome = Snapshot(base("routers"), servers).trace(read_flow("a", "tcp:10.0.2.2:80")).outcome
    assert outcome.verdict is Verdict.UNKNOWN
    assert "the queue of tcp LISTEN 0.0.0.0:80 was full" in outcome.step.action
    enough = parse_listeners("tcp   LISTEN 5      5    0.0.0.0:80    0.0.0.0:*\n", "b")
    assert Snapshot(base("routers"), enough).trace(read_flow("a", "tcp:10.0.2.2:80")).outcome.works


@pytest.mark.parametrize("swapped", [False, True])
def test_of_two_sockets_the_one_bound_to_the_address_answers(swapped: bool) -> None:
    lines = [f"udp   UNCONN 0      0      {host}:80    0.0.0.0:*\n" for host in ("0.0.0.0", "10.0.2.22")]
    servers = parse_listeners("".join(lines[::-1] if swapped else lines), "b")
    trace = Snapshot(base("routers"), servers).trace(read_flow("a", "udp:10.0.2.22:80"))
    assert trace.outcome.verdict is Verdict.CONNECTED


@pytest.mark.parametrize(
    ("more", "verdict"), [((), Verdict.DEPENDS), (("b:80",), Verdict.CONNECTED)], ids=["listed", "also said"]
)
def test_a_datagram_to_the_address_the_route_would_not_choose(more: tuple[str, ...], verdict: Verdict) -> None:
    servers = parse_listeners("udp   UNCONN 0      0      0.0.0.0:80    0.0.0.0:*\n", "b")
    snapshot = Snapshot(base("routers"), servers)
    traces = [snapshot.trace(read_flow("a", f"udp:10.0.2.{host}:80"), read_listeners(more)) for host in (2, 22)]
    assert [trace.outcome.verdict for trace in traces] == [Verdict.CONNECTED, verdict]


def test_nobody_listens_unless_the_snapshot_or_the_question_says_so(tmp_path: Path) -> None:
    write_folder(tmp_path / "s", SMALL)
    snapshot = open_snapshot(tmp_path / "s")
    flow = read_flow("a", "tcp:127.0.0.1:80")
    assert snapshot.trace(flow).outcome.verdict.value == "connection refused"
    assert snapshot.trace(flow, read_listeners(["a:80"])).outcome.works
    with pytest.raises(KeyError, match="no network namespace 'b'"):
        snapshot.trace(flow, read_listeners(["b:80"]))


def test_a_folder_that_is_not_there(tmp_path: Path, capsys) -> None:
    assert main(["trace", str(tmp_path / "nowhere"), "--from", "a", "--to", "icmp:10.0.0.1"]) == 2
    assert "nowhere" in capsys.readouterr().err


STREAM = (
    "mcni-snapshot 1 n1\n@ n1\t\n> ip-rule.txt\n 0:\tfrom all lookup local\n =0\n> ipset.txt\n =1\n"
    "@ web\tweb\n> sysctl.txt\n net.ipv4.ip_forward = 1\n \n =255\n> passwords.txt\n secret\n =0\nend\n"
)


def test_what_the_script_prints_becomes_files() -> None:
    files = read_stream(STREAM)
    assert json.loads(files.pop("world.json"))["namespaces"] == [
        {"name": "n1", "node": "n1", "collected": True},
        {"name": "web", "node": "n1", "called": "web", "collected": True},
    ]
    assert files == {"n1/ip-rule.txt": "0:\tfrom all lookup local\n", "web/sysctl.txt": "net.ipv4.ip_forward = 1\n"}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("end\n", "", "the stream breaks off"),
        (" =0\n> ipset", "> ipset", "the exit status of 'ip-rule.txt' is missing"),
        ("@ web", "@ ../web", "'../web' cannot be the name"),
        ("mcni-snapshot", "snap", "stream:1:1: not the output of collect.sh"),
        ("snapshot 1", "snapshot 9", "format 9; this version reads format 1"),
        ("@ n1\t\n", "", "stream:2:1: expected `@ NAME`"),
        ("> ipset.txt", "ipset.txt", "stream:6:1: expected `@ NAME`"),
    ],
)
def test_a_broken_stream_is_an_error_that_says_where(old: str, new: str, says: str) -> None:
    with pytest.raises(McniError) as caught:
        read_stream(STREAM.replace(old, new))
    assert says in str(caught.value)


def test_snapshots_of_two_nodes_become_one(tmp_path: Path, capsys) -> None:
    one, two = tmp_path / "n1.txt", tmp_path / "n2.txt"
    one.write_text(STREAM)
    two.write_text(STREAM.replace("n1", "n2"))
    out = tmp_path / "both"
    assert main(["merge", str(one), str(two), str(out), "--segment", "lan=n1/eth0,n2/eth0"]) == 0
    found = json.loads((out / "world.json").read_text())
    assert found["namespaces"][2:] == [
        {"name": "n2", "node": "n2", "collected": True},
        {"name": "n2.web", "node": "n2", "called": "web", "collected": True},
    ]
    assert found["segments"] == [{"name": "lan", "reflects": False, "uplink": True, "ports": ["n1/eth0", "n2/eth0"]}]
    assert sorted(path.name for path in out.iterdir()) == ["n1", "n2", "n2.web", "web", "world.json"]
    assert main(["merge", str(one), str(two), str(tmp_path / "x"), "--segment", "lan=n3/eth0"]) == 2
    assert "no network namespace 'n3'; there are n1, n2" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


LO_AND_E0 = "1: lo: <LOOPBACK> mtu 65536\n 2: e0@if3: <BROADCAST> mtu 1500\n"
AS_JSON = """ [{"ifindex": 2, "ifname": "e0", "link_index": 3, "flags": [], "mtu": 1500, "link_type": "ether"}]\n"""


@pytest.mark.parametrize(
    ("file", "printed", "there"), [("ip-address.txt", LO_AND_E0, "lo, e0"), ("ip-address.json", AS_JSON, "e0")]
)
def test_a_segment_takes_devices_that_are_there(tmp_path: Path, capsys, file: str, printed: str, there: str) -> None:
    (tmp_path / "n1.txt").write_text(STREAM.replace("> ip-rule", f"> {file}\n {printed} =0\n> ip-rule"))
    for device, status in (("e0", 0), ("eth9", 2)):
        words = ["merge", str(tmp_path / "n1.txt"), str(tmp_path / device), "--segment", f"lan=n1/{device},web/any"]
        assert main(words) == status
    assert f"no device 'eth9' in n1; there are {there}\n" in capsys.readouterr().err
    assert not (tmp_path / "eth9").exists()


def test_an_error_in_one_of_several_snapshots_names_it(tmp_path: Path, capsys) -> None:
    for name in ("n1", "n2"):
        (tmp_path / name).write_text(
            STREAM.replace("n1", name).replace("0:\tfrom", "0:\tform" if name > "n1" else "0:\tfrom")
        )
    assert main(["trace", str(tmp_path / "n1"), str(tmp_path / "n2"), "--from", "n2", "--to", "icmp:10.0.0.1"]) == 3
    assert "\nnot looked at, in n2: n2/ip-rule.txt:1:4: from is missing: it cannot be read\n" in capsys.readouterr().out


def test_standard_input_is_a_snapshot_too(tmp_path: Path, capsys, monkeypatch) -> None:
    stdin = type("In", (), {"buffer": io.BytesIO(STREAM.encode())})()
    monkeypatch.setattr("sys.stdin", stdin)
    assert main(["trace", "-", "--from", "n1", "--to", "icmp:10.0.0.1"]) == 3
    assert "n1/ip-address.txt is not in the snapshot; collect `ip -d address show` in n1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--script", "here"], "--script prints the script and writes no folder"),
        (["--script", "--only", "web"], "MCNI_ONLY=web sh collect.sh"),
        (["--only", "a", "--only", "b", "--connections"], "MCNI_ONLY='a b' MCNI_CONNECTIONS=1 sh collect.sh"),
    ],
)
def test_what_changes_nothing_about_the_script_is_refused(capsys, words: list[str], says: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["collect", *words])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert says in said.err and not said.out


@pytest.mark.kernel
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="network namespaces take root")
@pytest.mark.parametrize("name", ["nosuch", "*", ".."])
def test_a_namespace_that_is_not_there_is_not_collected(tmp_path: Path, capsys, name: str) -> None:
    assert main(["collect", str(tmp_path / "here"), "--only", name]) == 2
    assert f"no network namespace '{name}'; there are " in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.kernel
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="network namespaces take root")
def test_this_machine_s_namespaces_are_collected_and_traced(tmp_path: Path, capsys) -> None:
    """A client, a router that masquerades and a server, in real namespaces without a word in a world.json."""
    names = [f"mcnisnap-{os.getpid()}-{end}" for end in "crs"]
    client, router, server = names
    commands = f"""
        ip -n {router} link add rc type veth peer name e0 netns {client}
        ip -n {router} link add rs type veth peer name e0 netns {server}
        ip -n {client} address add 10.1.0.2/24 dev e0
        ip -n {server} address add 10.2.0.2/24 dev e0
        ip -n {router} address add 10.1.0.1/24 dev rc
        ip -n {router} address add 10.2.0.1/24 dev rs
        ip -n {client} link set e0 up
        ip -n {server} link set e0 up
        ip -n {router} link set rc up
        ip -n {router} link set rs up
        ip -n {client} route add default via 10.1.0.1
        ip netns exec {router} sysctl -qw net.ipv4.ip_forward=1
        ip netns exec {router} iptables -t nat -A POSTROUTING -o rs -j MASQUERADE
    """
    try:
        for name in names:
            subprocess.run(["ip", "netns", "add", name], check=True)
        for line in commands.strip().splitlines():
            subprocess.run(line.split(), check=True)
        only = [word for name in names for word in ("--only", name)]
        assert main(["collect", str(tmp_path / "here"), *only]) == 0
        assert main(["collect", str(tmp_path / "part"), *only[:4]]) == 0
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False)
    ask = ["--from", client, "--to", "tcp:10.2.0.2:80", "--listen", f"{server}:80"]
    assert main(["trace", str(tmp_path / "here"), *ask]) == 0
    assert "the server sees the client as 10.2.0.1" in capsys.readouterr().out
    assert main(["trace", str(tmp_path / "part"), *ask[:4]]) == 3
    assert (
        f"the other end of rs of {router} was not collected; collect {server}, with its device"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize("letters", [12, 150, 255])
@pytest.mark.parametrize("what", ["segment", "namespace", "device", "nothing"])
def test_a_picture_takes_names_of_any_length(tmp_path: Path, what: str, letters: int) -> None:
    """`nothing`: the client's device is down, so that there is none to draw."""
    name = "W" * letters
    files = {path: text for path, text in SMALL.items() if path != "world.json"}
    eth = "2: eth0: <BROADCAST,UP,LOWER_UP> mtu 1500\n    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff\n    inet 10.0.0.1/24 scope global eth0\n"
    files["a/ip-address.txt"] = files.get("a/ip-address.txt", "") + ("" if what == "nothing" else eth)
    files["a/ip-route.txt"] = (
        "10.0.0.0/24 dev eth0 scope link\nlocal 10.0.0.1 dev eth0 table local proto kernel scope host src 10.0.0.1\n"
    )
    if what == "device":
        files = {path: text.replace("eth0", name) for path, text in files.items()}
    netns, dev = name if what == "namespace" else "a", name if what == "device" else "eth0"
    segment = {"name": name if what == "segment" else "lan", "ports": [f"{netns}/{dev}"]}
    files = {path.replace("a/", f"{netns}/"): text for path, text in files.items()}
    files["world.json"] = json.dumps({"namespaces": [netns], "segments": [] if what == "nothing" else [segment]})
    write_folder(tmp_path / "s", files)
    picture = tmp_path / "p.svg"
    asked = ["trace", str(tmp_path / "s"), "--from", netns, "--to", "tcp:10.0.0.2:80", "--picture", str(picture)]
    assert main(asked) in (1, 3)
    assert picture.read_text().startswith("<?xml")
