"""What would help a conversation that fails, and what would it break: found by trying, one row per fact."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest
from mtu_worlds import NARROW, NO_ICMP, between, poor_underlay, with_df, with_mtu

from mcnilib.cli import main
from mcnilib.cli.fix import on_two_cores
from mcnilib.repair.advice import Advice, RepairReport, advise
from mcnilib.repair.case import ScenarioCase
from mcnilib.repair.repair import Repair, carried_out
from mcnilib.repair.report import how_many_help
from mcnilib.repair.search import attempts, pairs_left, remedies
from mcnilib.repair.snapshot_case import SnapshotCase
from mcnilib.scenarios import all_scenarios, scenario
from mcnilib.snapshots.folder import write_folder
from mcnilib.snapshots.snapshot import Snapshot, open_snapshot
from mcnilib.trace.flow import Listener

FLAGSHIP = "macvlan-to-calico-across-nodes"
VETH = "veth0d9c208d4c7"
BACK = "node2: ip route add 172.16.100.2 via 172.16.1.2 dev en0"
RULE = "node1: iptables -D KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP"
EXCEPTION = "node1: iptables -I FORWARD -s 172.16.100.2/32 -d 10.233.101.2/32 -j ACCEPT"
UNTRACKED = f"node1: iptables -t raw -I PREROUTING -i {VETH} -j CT --notrack"


@cache
def found(name: str, **changed: object) -> RepairReport:
    story = scenario(name)
    settings = story.start().but(**changed)
    return advise(ScenarioCase(story, settings), story.run(settings))


def with_command(name: str, command: str) -> Advice:
    return next(one for one in found(name).advice if [*map(str, one.commands)] == [command])


@pytest.mark.parametrize(
    ("name", "command"),
    [
        (FLAGSHIP, BACK),  # the reply comes back through the pod's own node
        (FLAGSHIP, RULE),
        (FLAGSHIP, UNTRACKED),
        (FLAGSHIP, EXCEPTION),
        (FLAGSHIP, "node1: iptables -t nat -I POSTROUTING -s 172.16.100.2/32 -d 10.233.101.2/32 -j MASQUERADE"),
        ("macvlan-to-clusterip-macvlan", "mac4: ip route add 172.17.1.100 via 172.17.1.1 dev eth0 src 172.17.1.200"),
        ("nodeport-to-macvlan", "mac3: ip route add 1.1.1.1 via 172.17.1.1 dev veth0"),
        ("macvlan-to-calico-across-subnets", "node2: ip route add 172.17.1.100 via 10.233.102.0 dev vxlan.calico onlink"),
        ("calico-to-multi-nic-underlay", "gateway: ip route add 10.233.101.2 via 172.16.1.3 dev lan16"),
    ],
)  # fmt: skip
def test_a_command_that_helps(name: str, command: str) -> None:
    assert with_command(name, command).remedy.trace.outcome.works


@pytest.mark.parametrize(
    ("name", "title"),
    [
        # the guide's cure is three changes together; the nearest version is named, not the last
        (FLAGSHIP, "set kube-proxy version to '1.29', nf_conntrack_tcp_be_liberal to '1', kube-proxy restarted since to 'yes'"),
        # without a version that knows nftables mode there are no services: that is no repair
        (FLAGSHIP, "set kube-proxy mode to 'ipvs'"),
        (FLAGSHIP, "set kube-proxy version to '1.30', kube-proxy mode to 'nftables'"),
        (FLAGSHIP, "set workaround to 'host route back'"),
        (FLAGSHIP, "dial 10.233.0.100:80, a service in front of cal2"),
        ("nodeport-to-macvlan", "set externalTrafficPolicy to 'Cluster'"),
        ("macvlan-to-own-node", "set Spiderpool coordinator to 'on'"),
    ],
)  # fmt: skip
def test_a_setting_or_an_address_that_helps(name: str, title: str) -> None:
    assert title in [one.title for one in found(name).advice]


@pytest.mark.parametrize(
    ("command", "breaks", "mends"),
    [
        # node2 answers mac1 itself by way of node1 then, which never saw the question
        (BACK, ("mac1 to node2",), "Macvlan Pod to Calico + Macvlan Multi-NIC Pod, across nodes"),
        (EXCEPTION, (), ""),
        (UNTRACKED, ("Macvlan Pod to Service for Calico Pod, across nodes",), ""),
    ],
)
def test_what_a_command_breaks_and_mends(command: str, breaks: tuple[str, ...], mends: str) -> None:
    remedy = with_command(FLAGSHIP, command).remedy
    assert {*breaks} <= {*remedy.breaks}
    assert bool(breaks) is bool(remedy.breaks)
    assert mends in (*remedy.mends, "")


@pytest.mark.parametrize(
    ("enough", "most", "last", "tries"),
    [(1000, 1000, -1, True), (0, 1000, 0, False), (1000, 3, 2, True), (1000, 3, 3, False)],
)
def test_pairs_of_changes_that_each_changed_something_are_tried(
    monkeypatch: pytest.MonkeyPatch, enough: int, most: int, last: int, tries: bool
) -> None:
    """The cheapest first, until enough helps, and so many at most."""
    monkeypatch.setattr("mcnilib.repair.search._ENOUGH", enough)
    monkeypatch.setattr("mcnilib.repair.search._together", lambda *given: ())
    case = ScenarioCase(scenario(FLAGSHIP), scenario(FLAGSHIP).start())
    monkeypatch.setattr("mcnilib.repair.search._MOST_PAIRS", 0)
    pair = pairs_left(case, [*attempts(case)])[last]
    monkeypatch.setattr("mcnilib.repair.search._MOST_PAIRS", most)
    assert (pair in [attempt.repair for attempt in attempts(case)]) is tries


def test_the_cheapest_pairs_come_first_and_what_is_left_out_is_said() -> None:
    story = scenario(FLAGSHIP)
    case = ScenarioCase(story, story.start())
    left = pairs_left(case, [*attempts(case)])
    assert [pair.cost for pair in left] == sorted(pair.cost for pair in left)
    assert found(FLAGSHIP).left_out == len(left) > 0
    assert how_many_help(found(FLAGSHIP)).endswith(f" {len(left)} pairs of changes were not tried.")


def test_untracked_packets_break_services() -> None:
    """What conntrack does not see it cannot translate: nobody says so, services fail when they are tried."""
    assert any("Service" in name for name in with_command(FLAGSHIP, UNTRACKED).remedy.breaks)


@pytest.mark.parametrize(
    ("where", "command"),
    [
        ("kubectl", "kubectl -n kube-system set image daemonset/kube-proxy kube-proxy=registry.k8s.io/kube-proxy:v1.29.0"),
        ("each node", "sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=1"),
        ("kubectl", "kubectl -n kube-system rollout restart daemonset/kube-proxy"),
        ("node2", "ip route add 172.16.100.2 via 172.16.1.2 dev en0"),
        ("node1", "iptables -t nat -I POSTROUTING 1 -s 172.16.100.2/32 -d 10.233.64.0/18 -j MASQUERADE"),
    ],
)  # fmt: skip
def test_settings_are_told_as_commands(where: str, command: str) -> None:
    commands = [one for advice in found(FLAGSHIP).advice if advice.settings for one in advice.commands]
    assert (where, command) in [(one.netns, one.text) for one in commands]


def test_another_mode_is_no_repair_where_kube_proxy_does_not_know_it() -> None:
    assert "set kube-proxy mode to 'nftables'" not in [one.title for one in found(FLAGSHIP).advice]


@pytest.mark.parametrize(
    ("mode", "ends"),
    [
        ("ipvs", "without Felix's own INVALID drop: translated all the same and delivered to cal1"),
        ("nftables", "without Felix's own INVALID drop: it reaches cal1 untranslated, whose RST ends the connection"),
    ],
)
def test_of_a_mode_is_said_what_it_does_to_the_packets_the_drop_was_written_for(mode: str, ends: str) -> None:
    (one,) = [one for one in found(FLAGSHIP).advice if f"kube-proxy mode to '{mode}'" in one.title]
    (note,) = [note for note in one.notes if note.startswith("a late segment of a service")]
    assert "dropped on node2 by `-A cali-fw-" in note
    assert note.endswith(ends)


def test_a_command_in_a_pod_is_gone_with_it() -> None:
    """It costs more than the same on a node, and it is said."""
    inside = next(one for one in found(FLAGSHIP).advice if one.title == "add a route on mac1")
    assert "it is gone when the pod is created anew" in inside.notes
    assert "it is gone when the pod is created anew" not in with_command(FLAGSHIP, BACK).notes
    assert inside.remedy.repair.cost > with_command(FLAGSHIP, BACK).remedy.repair.cost


def test_what_is_preferred_breaks_nothing_and_stays() -> None:
    first, *others = found(FLAGSHIP).advice
    assert first.title == 'set workaround to "SNAT on the pod\'s node"'
    assert first.remedy.breaks == ()
    assert found(FLAGSHIP).why_first == "breaks nothing else, no program takes it back"
    assert "kube-proxy 1.28 wrote the line and will write it again" in with_command(FLAGSHIP, RULE).notes
    assert [len(one.remedy.breaks) for one in others] == sorted(len(one.remedy.breaks) for one in others)


def test_the_commands_of_a_workaround_make_the_cluster_that_the_setting_makes() -> None:
    story = scenario(FLAGSHIP)
    for advice in found(FLAGSHIP).advice:
        if advice.settings and advice.settings[0].startswith("workaround"):
            made = carried_out(story.world(story.start()), advice.commands)
            meant = story.world(story.start().but(**dict(advice.remedy.repair.settings)))
            assert [[*map(str, netns.ip4.routes)] for netns in made] == [[*map(str, n.ip4.routes)] for n in meant]
            assert [netns.ip4.tables for netns in made] == [netns.ip4.tables for netns in meant]


@pytest.mark.slow
@pytest.mark.parametrize("story", all_scenarios(), ids=lambda story: story.name)
def test_every_conversation_that_fails_can_be_repaired(story) -> None:
    report = found(story.name)
    assert report.start.outcome.works or report.advice
    assert all(one.commands or one.settings or one.remedy.repair.dial for one in report.advice)


def test_what_works_needs_no_repair(capsys) -> None:
    assert main(["fix", "1"]) == 0
    assert "There is nothing to repair." in capsys.readouterr().out


def test_the_verb_says_what_to_do_and_why(capsys) -> None:
    assert main(["fix", "7"]) == 0
    said = capsys.readouterr().out
    assert '1. Set workaround to "SNAT on the pod\'s node" (recommended: breaks nothing else' in said
    assert f"     {BACK}\n" in said
    assert "first change: packet 2: from node2 it leaves through en0, arrives at en0 of node1" in said
    assert re.search(r"\n   It breaks 1 of \d+: mac1 to node2\. It also mends 1: Macvlan Pod to", said)


@pytest.mark.parametrize("ended", [False, True])
def test_two_processes_find_what_one_finds(monkeypatch: pytest.MonkeyPatch, ended: bool) -> None:
    """Also where the other process is ended before it answers."""
    monkeypatch.setattr("mcnilib.cli.fix.active_count", lambda: 1)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1}, raising=False)
    if ended:
        monkeypatch.setattr("mcnilib.cli.fix._send_held", lambda *given: None)
    story = scenario(FLAGSHIP)
    case = ScenarioCase(story, story.start())
    helping = [attempt for attempt in attempts(case) if attempt.works][:5]
    assert on_two_cores(case, helping) == [*remedies(case, helping)]


def test_the_same_as_json(capsys) -> None:
    assert main(["fix", "7", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [{"where": "node2", "command": BACK.removeprefix("node2: ")}] in [one["commands"] for one in said["repairs"]]
    assert said["scenario"] == FLAGSHIP
    assert said["tried"] > 200


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("fixed") / "cluster"
    assert main(["save", "7", str(folder)]) == 0
    return str(folder)


def snapshot_case(folder: str) -> SnapshotCase:
    snapshot = open_snapshot(folder)
    return SnapshotCase(snapshot, snapshot.flow("mac1", "tcp:10.233.101.2:80"))


@cache
def in_snapshot(folder: str) -> dict[str, Advice]:
    """Return what helps in a snapshot, by its only command."""
    case = snapshot_case(folder)
    report = advise(case, case.snapshot.trace(case.flow))
    return {str(one.commands[0]): one for one in report.advice if len(one.commands) == 1}


TO_CAL2 = ("--from", "mac1", "--to", "tcp:10.233.101.2:80")


def test_a_snapshot_is_repaired_by_commands(capsys, cluster: str) -> None:
    assert main(["trace", cluster, *TO_CAL2, "--fix", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    commands = {f"{one['where']}: {one['command']}": one for repair in said["repairs"] for one in repair["commands"]}
    assert {BACK, EXCEPTION, RULE, UNTRACKED} <= commands.keys()
    back = next(repair for repair in said["repairs"] if repair["commands"][0]["command"] == BACK[7:])
    assert back["breaks"] == ["ping from mac1 to node2"]
    assert said["repairs"][0]["breaks"] == []


@pytest.mark.parametrize(
    ("command", "broken"),
    [
        (UNTRACKED, "mac1 to service demo/web:http"),  # what is not tracked is not translated
        (UNTRACKED, "ping from mac1 to cal1"),
        ("node2: ip route add 172.16.100.2 via 172.16.1.2 dev en0", "ping from mac1 to node2"),
    ],
)
def test_a_repair_of_a_snapshot_is_held_against_what_its_world_may_say(cluster: str, command: str, broken: str) -> None:
    assert broken in in_snapshot(cluster)[command].remedy.breaks


def test_conversations_of_all_sorts_are_held(cluster: str) -> None:
    case = snapshot_case(cluster)
    names = [other.name for other in case.others(Repair(()))]
    assert len(names) == len({*names})
    told = " ; ".join(names)
    for said in ("ping from node3 to mac1", "ping from mul1 to cal1", "mul1 to service demo/web:http"):
        assert said in told
    assert f"mac1 to tcp:{case.flow.dst}:80" not in names  # it is the one to be repaired


def test_what_nobody_knows_of_is_not_held(tmp_path: Path) -> None:
    """Of node2 nothing but its devices was collected: whoever goes through it is left out."""
    story = scenario(FLAGSHIP)
    files = Snapshot(story.world(story.start()), story.listeners(story.start())).files()
    write_folder(tmp_path / "some", {name: text for name, text in files.items() if name != "node2/ip-route.txt"})
    held = [other.name for other in snapshot_case(str(tmp_path / "some")).others(Repair(()))]
    assert "ping from mac1 to node1" in held
    assert "ping from mac1 to node2" not in held


def test_what_was_tried_before_counts(capsys, cluster: str) -> None:
    assert main(["trace", cluster, *TO_CAL2, "--try", RULE, "--fix"]) == 0
    assert "There is nothing to repair." in capsys.readouterr().out


def test_where_nobody_knows_nothing_is_promised(capsys, cluster: str) -> None:
    assert main(["trace", cluster, "--from", "mac1", "--to", "tcp:9.9.9.9:80", "--fix"]) == 1
    assert re.search(r"None of the \d+ changes that were tried on the model helps\.", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["run", "7"],
            f"What would help on node1, tried on the model:\n  {EXCEPTION.partition(': ')[2]}\nIt breaks none",
        ),
        (["run", "7", "--kube-proxy", "1.30"], f"`mcni fix {FLAGSHIP} --kube-proxy 1.30` lists all that helps."),
        (["run", "macvlan-to-own-node"], "No single command helps. `mcni fix macvlan-to-own-node` tries more."),
    ],
)
def test_a_verdict_names_what_would_help(capsys, words: list[str], says: str) -> None:
    """The command it names breaks nothing; the route back, which is cheaper, does."""
    main(words)
    assert says in capsys.readouterr().out


def test_the_json_of_a_run_names_it_too(capsys) -> None:
    main(["run", "7", "--json"])
    repair = json.loads(capsys.readouterr().out)["repair"]
    assert [f"{one['where']}: {one['command']}" for one in repair["commands"]] == [EXCEPTION]


@pytest.mark.parametrize("words", [["run", "1"], ["run", "7", "--protocol", "udp"], ["run", "7", "--json"]])
def test_where_it_works_nothing_is_offered(capsys, words: list[str]) -> None:
    main(words)
    assert "What would help" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("to", "says"),
    [
        (
            "10.233.101.2:80",
            f"""What would help on node1, tried on the model:
  {EXCEPTION.removeprefix("node1: ")}
It breaks none of """,
        ),
        ("9.9.9.9:80", "No single command helps. The same command with --fix tries more."),
    ],
)
def test_the_verdict_of_a_snapshot_names_the_first_repair(capsys, cluster: str, to: str, says: str) -> None:
    assert main(["trace", cluster, "--from", "mac1", "--to", to]) == 1
    assert says in capsys.readouterr().out


@pytest.mark.parametrize("more", [["--to", "udp:10.233.101.2:80"], ["--to", "10.233.101.2:80", "--try", RULE]])
def test_where_a_snapshot_works_nothing_is_named(capsys, cluster: str, more: list[str]) -> None:
    main(["trace", cluster, "--from", "mac1", *more])
    assert "What would help" not in capsys.readouterr().out
    main(["trace", cluster, "--from", "mac1", *more, "--json"])
    assert "repair" not in json.loads(capsys.readouterr().out)


def test_the_first_repair_of_a_snapshot_as_json(capsys, cluster: str) -> None:
    main(["trace", cluster, *TO_CAL2, "--json"])
    said = json.loads(capsys.readouterr().out)
    assert [f"{one['where']}: {one['command']}" for one in said["repair"]["commands"]] == [EXCEPTION]
    assert said["repair"]["verdict"].startswith("connected")
    assert said["repair"]["breaks"] == []
    assert said["repair_left_out"] == 0


@pytest.mark.parametrize(
    ("limit", "most", "says"),
    [
        (
            "MOST_TRIED",
            0,
            r"No command that was tried helps. \d+ more commands were not tried: the same command with --fix",
        ),
        ("MOST_HELD", 1, r"What would help on node2, (.|\n)*It breaks 1 of \d+: (.|\n)* more commands were not tried"),
    ],
)
def test_what_was_not_tried_is_said(
    capsys, cluster: str, monkeypatch: pytest.MonkeyPatch, limit: str, most: int, says: str
) -> None:
    """The search beside a verdict is bounded by an amount of work, never by a clock."""
    monkeypatch.setattr(f"mcnilib.repair.advice.{limit}", most)
    main(["trace", cluster, *TO_CAL2])
    assert re.search(says, capsys.readouterr().out)


def test_of_commands_that_all_break_something_the_one_that_breaks_least_is_named(capsys) -> None:
    main(["run", "macvlan-to-calico-across-subnets"])
    said = r"on node2, .*:\n  ip route add .*\nIt breaks 1 of \d+: mac3 to node2\. 7 more commands were not tried: `mcni fix"
    assert re.search(said, capsys.readouterr().out)


def test_the_readme_shows_what_is_printed(capsys, cluster: str) -> None:
    main(["trace", cluster, "--from", "mac1", "--to", "10.233.101.2:80"])
    readme = Path(__file__).parents[2].joinpath("README.md").read_text(encoding="utf-8")
    assert f"--to 10.233.101.2:80\n{capsys.readouterr().out}```" in readme


TO_SYNS = "iptables -t mangle -I FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS"


def test_a_black_hole_is_repaired_by_an_exception_a_lower_mss_or_a_lower_mtu() -> None:
    snapshot = Snapshot(with_mtu(between(NO_ICMP), NARROW))
    case = SnapshotCase(snapshot, snapshot.flow("a", "tcp:10.0.3.2:80"), (Listener("b", 80),))
    report = advise(case, snapshot.trace(case.flow, case.listeners))
    assert {
        "r: iptables -I OUTPUT -s 10.0.1.1/32 -d 10.0.1.2/32 -j ACCEPT",
        f"r: {TO_SYNS} --clamp-mss-to-pmtu",
        f"r: {TO_SYNS} --set-mss 1260",
        "a: ip route add 10.0.3.2 via 10.0.1.1 dev eth0 mtu 1300",
    } <= {str(one.commands[0]) for one in report.advice if len(one.commands) == 1}
    assert all(one.remedy.trace.outcome.works for one in report.advice)


def test_in_a_tunnel_the_mss_is_lowered_where_the_segments_are_outside_of_it() -> None:
    snapshot = Snapshot(with_df(poor_underlay(), "set"))
    case = SnapshotCase(snapshot, snapshot.flow("a", "tcp:10.9.2.5:80"), (Listener("b", 80),))
    report = advise(case, snapshot.trace(case.flow, case.listeners))
    assert [*map(str, report.advice[0].commands)] == [f"m: {TO_SYNS} --set-mss 1310"]  # 1400 - 50 - 40
