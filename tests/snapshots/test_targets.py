"""Targets as people type them: bare addresses, URLs, names of pods and services; what is ambiguous is refused."""

from __future__ import annotations

import pytest

from mcnilib import scenario
from mcnilib.cli import main
from mcnilib.errors import McniError, NotThere
from mcnilib.snapshots.folder import read_folder, write_folder
from mcnilib.snapshots.merge import merged
from mcnilib.snapshots.snapshot import Snapshot, open_files, snapshot_of
from mcnilib.snapshots.targets.flow_target import QuestionError, read_flow_target
from mcnilib.snapshots.targets.names import read_names

STORY = scenario("4")
SAVED = Snapshot(STORY.world(STORY.start()), STORY.listeners(STORY.start())).files()

PODS = """\
NAMESPACE     NAME        READY   STATUS      RESTARTS      AGE   IP              NODE     NOMINATED NODE   READINESS GATES
default       web-0       1/1     Running     1 (3h ago)    9d    172.16.100.3    node1    <none>           <none>
default       db-0        1/1     Running     0             9d    10.233.101.7    node2    <none>           <none>
shop          db-0        1/1     Running     0             9d    10.233.101.8    node2    <none>           <none>
kube-system   pending     0/1     Pending     0             9d    <none>          <none>   <none>           <none>
kube-system   six         1/1     Running     0             9d    fd00::7         node1    <none>           <none>
"""
SERVICES = """\
NAMESPACE     NAME       TYPE        CLUSTER-IP     EXTERNAL-IP   PORT(S)                         AGE
default       web        NodePort    10.96.0.5      <none>        80:30080/TCP                    9d
default       headless   ClusterIP   None           <none>        80/TCP                          9d
kube-system   dns        ClusterIP   10.96.0.10     <none>        53/UDP,53/TCP,9153/TCP          9d
shop          web-0      ClusterIP   10.96.0.6      <none>        8080/TCP                        9d
"""
KNOWN = snapshot_of(SAVED | {"pods.txt": PODS, "services.txt": SERVICES})


@pytest.mark.parametrize(
    ("typed", "means"),
    [
        ("10.233.101.2:80", "tcp:10.233.101.2:80"),
        ("10.233.101.2", "icmp:10.233.101.2"),
        (" 10.233.101.2:80 ", "tcp:10.233.101.2:80"),
        ("http://10.233.101.2", "tcp:10.233.101.2:80"),
        ("http://10.233.101.2/a/b?c=d:1#e", "tcp:10.233.101.2:80"),
        ("https://10.233.101.2/", "tcp:10.233.101.2:443"),
        ("https://user:word@10.233.101.2:8443", "tcp:10.233.101.2:8443"),
        ("tcp:10.233.101.2:80", "tcp:10.233.101.2:80"),
        ("UDP:10.233.101.2:53", "udp:10.233.101.2:53"),
        ("icmp:10.233.101.2", "icmp:10.233.101.2"),
        ("default/web-0:8080", "tcp:172.16.100.3:8080"),
        ("default/web-0", "icmp:172.16.100.3"),
        ("udp:default/web-0:53", "udp:172.16.100.3:53"),
        ("http://db-0.shop/", None),  # a pod has no such name in DNS
        ("shop/db-0", "icmp:10.233.101.8"),
        ("web", "tcp:10.96.0.5:80"),  # a service with one port
        ("web:80", "tcp:10.96.0.5:80"),
        ("http://web.default.svc.cluster.local/", "tcp:10.96.0.5:80"),
        ("web.default", "tcp:10.96.0.5:80"),
        ("icmp:web", "icmp:10.96.0.5"),
        ("udp:dns", "udp:10.96.0.10:53"),
        ("dns:9153", "tcp:10.96.0.10:9153"),
        ("cal2:80", "tcp:10.233.101.2:80"),  # a namespace of the snapshot
    ],
)
def test_what_is_typed_is_understood(typed: str, means: str | None) -> None:
    if means is None:
        with pytest.raises(NotThere):
            KNOWN.flow("cal1", typed)
        return
    flow = KNOWN.flow("cal1", typed)
    assert f"{flow.proto}:{flow.dst}" + (f":{flow.dport}" if flow.dport else "") == means


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("db-0", "may mean icmp:10.233.101.7 (pod default/db-0), icmp:10.233.101.8 (pod shop/db-0); name one of them"),
        ("web-0:8080", "may mean tcp:172.16.100.3:8080 (pod default/web-0), tcp:10.96.0.6:8080 (service shop/web-0)"),
        ("dns", "may mean udp:10.96.0.10:53 (service kube-system/dns), tcp:10.96.0.10:53"),
        ("gateway:80", "may mean tcp:1.1.1.254:80 (network namespace gateway), tcp:172.16.0.1:80"),
        ("web:81", "is no port of that service; service default/web has tcp:80"),
        ("udp:web", "is no port of that service; service default/web has tcp:80"),
        ("tcp:default/web-0", "tcp:default/web-0 lacks a port, as in tcp:default/web-0:80"),
        ("weeb", "no pod, service or namespace 'weeb'"),
        ("pending", "no pod, service or namespace 'pending'"),
        ("headless", "no pod, service or namespace 'headless'"),
        ("ftp://10.233.101.2", "is not http://HOST or https://HOST"),
        ("http://[fd00::1]/", "is an IPv6 address"),
        ("http://", "is not http://HOST or https://HOST"),
        ("fd00::1", "is an IPv6 address"),
        ("", "is none of ADDRESS:PORT"),
        (":80", "is none of ADDRESS:PORT"),
        ("10.233.101.2:http", "'http' is not a port"),
        ("10.233.101", "'10.233.101' is not an IPv4 address"),
    ],
)
def test_what_is_ambiguous_or_wrong_is_refused_with_what_may_be_meant(typed: str, says: str) -> None:
    with pytest.raises(McniError) as problem:
        KNOWN.flow("cal1", typed)
    assert says in str(problem.value)


def test_services_are_read_from_rules_where_nobody_listed_them() -> None:
    flow = snapshot_of(SAVED).flow("cal1", "http://web.demo/")
    assert (str(flow.dst), flow.dport) == ("10.233.0.100", 80)
    with pytest.raises(NotThere, match="did you mean 'demo/web'"):
        snapshot_of(SAVED).flow("cal1", "demo/wep")


def test_without_a_snapshot_no_name_is_known() -> None:
    with pytest.raises(QuestionError, match="'web' is not an IPv4 address"):
        read_flow_target("web")


def test_a_pod_may_ask() -> None:
    assert KNOWN.namespace("default/web-0") == "mac2"
    with pytest.raises(NotThere, match=r"pod default/db-0, pod shop/db-0 are called 'db-0'"):
        KNOWN.namespace("db-0")


def test_names_survive_a_folder_an_archive_and_a_merge(tmp_path) -> None:
    files = SAVED | {"pods.txt": PODS, "services.txt": SERVICES}
    write_folder(tmp_path / "s", files)
    assert read_names(read_folder(tmp_path / "s")) == KNOWN.names
    dropped = {f"s/{name}": text.encode() for name, text in files.items()}
    assert open_files(dropped).names == KNOWN.names
    assert read_names(merged([files, SAVED])) == read_names(merged([files, files])) == KNOWN.names


@pytest.mark.parametrize("to", ["10.233.101.2:80", "http://10.233.101.2/", "cal2:80"])
def test_the_command_line_understands_them(to: str, tmp_path, capsys) -> None:
    story = scenario("7")
    write_folder(tmp_path / "s", Snapshot(story.world(story.start()), story.listeners(story.start())).files())
    assert main(["trace", str(tmp_path / "s"), "--from", "mac1", "--to", to]) == 1
    bare = capsys.readouterr().out
    main(["trace", str(tmp_path / "s"), "--from", "mac1", "--to", "tcp:10.233.101.2:80"])
    assert capsys.readouterr().out == bare


@pytest.mark.parametrize(
    ("netns", "to", "source"),
    [
        ("mac1", "fd00::1", ""),
        ("mac1", "[fd00::1]:80", ""),
        ("mac1", "tcp:[fd00::1]:80", ""),
        ("mac1", "icmp:fd00::1", ""),
        ("mac1", "http://[fd00::1]:8080/x", ""),
        ("mac1", "tcp:[fd00::1]:80@outside", ""),
        ("fd00::1", "icmp:10.233.101.2", ""),
        ("outside:fd00::1@lan-172.16", "icmp:10.233.101.2", ""),
        ("mac1", "udp:10.233.101.2:53", "[fd00::1]:53"),
    ],
)
def test_an_address_of_ipv6_is_refused_by_name(netns: str, to: str, source: str) -> None:
    def ask() -> None:
        start, client, target = KNOWN.placed(netns, to)
        start.trace(start.flow(client, target, source))

    with pytest.raises(QuestionError, match=r"^fd00::1 is an IPv6 address; only IPv4 is modelled$"):
        ask()


def test_lines_of_ipv6_are_counted_below_the_verdict() -> None:
    six = {
        "mac1/ip-route.txt": "fe80::/64 dev eth0 proto kernel metric 256 pref medium\n",
        "mac1/ip-neigh.txt": "fe80::1 dev eth0 lladdr 00:11:22:33:44:55 router STALE\n",
    }
    start = snapshot_of(SAVED | {name: SAVED[name] + text for name, text in six.items()})
    notes = start.trace(start.flow("mac1", "icmp:172.16.0.1")).notes
    assert "passed over: 2 lines of IPv6 in mac1/ip-route.txt, mac1/ip-neigh.txt" in notes
    assert not start.trace(start.flow("node3", "icmp:172.17.0.1")).notes
