"""State of real machines: JSON or text, other ends found by themselves, and what is missing said, never guessed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from kernel_worlds import bridged

from mcnilib.linux.device.base import LinkEnd
from mcnilib.linux.device.nic import UnmodelledDevice
from mcnilib.linux.routing.route import parse_route
from mcnilib.linux.routing.rule import parse_ip_rule
from mcnilib.snapshots.files import FILES, save
from mcnilib.snapshots.load import load_collected
from mcnilib.snapshots.merge import merged
from mcnilib.snapshots.question import read_flow, read_listeners
from mcnilib.snapshots.snapshot import snapshot_of
from mcnilib.trace.explain import tell, verdict
from mcnilib.trace.flow import Listener
from mcnilib.trace.run import run
from mcnilib.world.json_form import text_of
from mcnilib.world.listing import LISTINGS
from mcnilib.world.world import World

FORMS = {row.stem: row.json for row in LISTINGS if row.json}

LO = (
    "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000\n"
    "    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n"
    "    inet 127.0.0.1/8 scope host lo\n"
)
RULES = "0:\tfrom all lookup local\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n"
FORWARD = "net.ipv4.ip_forward = 1\nnet.ipv4.conf.all.forwarding = 1\nnet.ipv4.conf.default.forwarding = 1\n"


def veth(index: int, name: str, far: int, where: str, address: str, mac: int) -> str:
    """Print one end of a veth pair as `ip -d address` does."""
    return (
        f"{index}: {name}@if{far}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000\n"
        f"    link/ether 02:00:00:00:00:{mac:02x} brd ff:ff:ff:ff:ff:ff link-netnsid {where}\n    veth\n"
        f"    inet {address} scope global {name}\n"
    )


def nic(index: int, name: str, address: str, mac: int) -> str:
    """Print a NIC."""
    return (
        f"{index}: {name}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000\n"
        f"    link/ether 02:00:00:00:00:{mac:02x} brd ff:ff:ff:ff:ff:ff\n    inet {address} scope global {name}\n"
    )


def routes(*pairs: tuple[str, str], more: str = "") -> str:
    """Print the routes that follow from addresses, and some more."""
    lines = []
    for dev, address in pairs:
        ip, _, length = address.partition("/")
        net = ip.rpartition(".")[0] + ".0"
        lines += [f"{net}/{length} dev {dev} proto kernel scope link src {ip}"]
        lines += [f"local {ip} dev {dev} table local proto kernel scope host src {ip}"]
    return "\n".join([more, *lines, ""])


def cluster() -> dict[str, str]:
    """A pod behind a node, whose NIC leads to a second node that was not collected; ids without names."""
    empty = {f"{name}/{file}": "" for name in ("node", "pod") for file in FILES}
    return empty | {
        "world.json": json.dumps({"format": 1, "complete": False, "segments": [], "namespaces": ["node", "pod"]}),
        "node/ip-address.txt": LO + nic(2, "eth0", "192.168.0.1/24", 1) + veth(7, "v0", 3, "4", "10.0.0.1/24", 2),
        "node/ip-rule.txt": RULES,
        "node/ip-route.txt": routes(("eth0", "192.168.0.1/24"), ("v0", "10.0.0.1/24")),
        "node/sysctl.txt": FORWARD,
        "pod/ip-address.txt": LO + veth(3, "eth0", 7, "0", "10.0.0.2/24", 3),
        "pod/ip-rule.txt": RULES,
        "pod/ip-route.txt": routes(("eth0", "10.0.0.2/24"), more="default via 10.0.0.1 dev eth0"),
        "pod/sysctl.txt": "",
    }


def outcome(files: dict[str, str], to: str, source: str = "pod") -> str:
    """Return the verdict of a conversation with a server on port 80 of the node."""
    snapshot = snapshot_of(files)
    servers = [f"{netns.name}:80" for netns in snapshot.world if netns.name == "node"]
    return verdict(snapshot.trace(read_flow(source, to), read_listeners(servers)))


def test_the_ends_of_a_veth_pair_find_each_other() -> None:
    world = load_collected(cluster())
    assert world["node"].link("v0").kind.peer == LinkEnd("pod", 3)
    assert world["pod"].link("eth0").kind.peer == LinkEnd("node", 7)
    assert outcome(cluster(), "tcp:10.0.0.1:80") == "connected; the server sees the client as 10.0.0.2"


def gone(*names: str) -> dict[str, str]:
    """Return the cluster without some files."""
    return {name: text for name, text in cluster().items() if name not in names}


RULE = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{}COMMIT\n"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({}, "no collected machine answers ARP for 192.168.0.2, and the snapshot does not say where the cable of eth0 of node leads; collect the segment"),
        ({"node/iptables.txt": None}, "node/iptables.txt is not in the snapshot; collect `iptables-save` in node"),
        ({"node/ip-route.txt": None}, "node/ip-route.txt is not in the snapshot; collect `ip -4 route show table all` in node"),
        ({"pod/sysctl.txt": None}, "pod/sysctl.txt is not in the snapshot; collect `sysctl -a` in pod"),
        ({"node/iptables.txt": RULE.format("-A FORWARD -j X\n")}, "node/iptables.txt has no chain X in table filter"),
        ({"node/iptables.txt": RULE.format("-A FORWARD -m set --match-set s dst -j DROP\n")}, "set s does not exist; collect ipset save"),
        ({"node/iptables.txt": RULE.format("-A FORWARD -i v0 -m bpf --bytecode \"1,6 0 0 0\" -j DROP\n")}, "bpf"),
        ({"node/ip-route.txt": routes(("v0", "10.0.0.1/24")) + "192.168.0.0/24\n\tnexthop via 10.0.0.9 dev v0 weight 1\n\tnexthop via inet6 fe80::8 dev v0 weight 1\n"}, "node/ip-route.txt:4: 'nexthop' in a route, which 192.168.0.2 takes: 192.168.0.0/24 nexthop via 10.0.0.9"),
        ({"world.json": '{"format": 1, "namespaces": ["node", "pod"], "complete": false, "segments": [{"name": "lan", "ports": ["node/eth0"]}]}'}, "the frame leaves through the uplink of lan"),
        ({"world.json": '{"format": 1, "namespaces": ["node", "pod"], "complete": false, "segments": [{"name": "lan", "ports": ["node/eth0", "other/eth0"], "uplink": false}]}'}, "eth0 of other was not collected"),
        ({"world.json": '{"format": 1, "namespaces": ["pod"], "complete": false, "segments": []}'}, "the other end of eth0 of pod was not collected; collect the network namespace with id 0 there"),
    ],
)  # fmt: skip
def test_what_is_missing_ends_the_packet_s_way_and_is_named(changed: dict[str, str | None], says: str) -> None:
    files = {name: text for name, text in (cluster() | changed).items() if text is not None}
    said = outcome(files, "tcp:192.168.0.2:80")
    assert said.startswith("unknown beyond this point: ")
    assert says in said


@pytest.mark.parametrize(
    ("rule", "works"),
    [
        ('-A FORWARD -i other0 -m bpf --bytecode "1,6 0 0 0" -j DROP\n', True),  # its header rules it out
        ('-A INPUT -i v0 -m bpf --bytecode "1,6 0 0 0" -j DROP\n', False),
        ("-A FORWARD -j X\n", True),  # nothing is forwarded
    ],
)
def test_what_is_missing_but_not_needed_does_no_harm(rule: str, works: bool) -> None:
    files = cluster() | {"node/iptables.txt": RULE.format(rule)}
    assert outcome(files, "tcp:10.0.0.1:80").startswith("connected") is works


def test_a_device_that_is_not_modelled_is_a_gap_only_for_what_goes_there() -> None:
    strange = "9: nk0: <BROADCAST,UP,LOWER_UP> mtu 1420\n    link/none\n    netkit mode l3\n    inet 10.9.0.1/24 scope global nk0\n"
    files = cluster()
    files["node/ip-address.txt"] += strange
    files["node/ip-route.txt"] += routes(("nk0", "10.9.0.1/24"))
    assert isinstance(load_collected(files)["node"].link("nk0").kind, UnmodelledDevice)
    assert outcome(files, "tcp:10.0.0.1:80").startswith("connected")
    assert outcome(files, "tcp:10.9.0.1:80").startswith("connected")
    assert "the packet leaves through nk0" in outcome(files, "tcp:10.9.0.2:80")


def child(name: str, lower: str, mac: int) -> dict[str, str]:
    """The files of a namespace with a macvlan child that knows the one below by an id."""
    text = LO + (
        f"2: eth0@if{lower}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000\n"
        f"    link/ether 02:00:00:00:00:{mac:02x} brd ff:ff:ff:ff:ff:ff link-netnsid 5\n    macvlan mode bridge\n"
        f"    inet 192.168.0.{mac}/24 scope global eth0\n"
    )
    routed = routes(("eth0", f"192.168.0.{mac}/24"))
    files = dict.fromkeys(FILES, "") | {"ip-address.txt": text, "ip-rule.txt": RULES, "ip-route.txt": routed}
    return {f"{name}/{file}": content for file, content in files.items()}


def alone(*more: object) -> str:
    """`world.json` of node, pod and others of that machine, and of another machine at the other end of the cable."""
    places = [{"name": "node", "node": "m"}, {"name": "pod", "node": "m"}, {"name": "far", "node": "f"}]
    segments = [{"name": "lan", "ports": ["node/eth0", "far/eth0"], "uplink": False}]
    return json.dumps({"format": 1, "complete": False, "segments": segments, "namespaces": [*places, *more]})


def two_machines() -> dict[str, str]:
    """The cluster, and the other machine."""
    text, routed = LO + nic(2, "eth0", "192.168.0.5/24", 5), routes(("eth0", "192.168.0.5/24"))
    files = dict.fromkeys(FILES, "") | {"ip-address.txt": text, "ip-rule.txt": RULES, "ip-route.txt": routed}
    return cluster() | {f"far/{name}": content for name, content in files.items()} | {"world.json": alone()}


FDB = "33:33:00:00:00:01 dev eth0 self permanent\n02:00:00:00:00:{:02x} dev eth0 self permanent\n"


@pytest.mark.parametrize(
    ("files", "says"),
    [
        pytest.param({}, "unreachable (EHOSTUNREACH)", id="nobody else is there"),
        pytest.param({"node/bridge-fdb.txt": FDB.format(3)}, "unreachable (EHOSTUNREACH)", id="a MAC of a device that was collected"),
        pytest.param({"node/bridge-fdb.txt": FDB.format(9)}, "a device with the MAC address 02:00:00:00:00:09, which was not collected, stands on eth0 of node", id="a MAC of a device that was not"),
        pytest.param({"node/bridge-fdb.txt": FDB.format(9).replace("eth0", "v0")}, "unreachable (EHOSTUNREACH)", id="on another device"),
        pytest.param({"world.json": alone({"name": "web", "node": "m"})}, "web of that machine may have devices on eth0 of node; collect `ip -d address show` in web", id="a namespace that was left out"),
        pytest.param({"world.json": alone({"name": "web", "node": "other"})}, "unreachable (EHOSTUNREACH)", id="one of another machine was left out"),
        pytest.param({"world.json": alone(*({"name": f"w{i}", "node": "m"} for i in range(5)))}, "w0, w1, w2 and 2 more of that machine may have", id="many were left out"),
    ],
)  # fmt: skip
def test_nobody_answers_only_where_nobody_else_can(files: dict[str, str], says: str) -> None:
    assert says in outcome(two_machines() | files, "tcp:192.168.0.2:80", "far")


@pytest.mark.parametrize(
    ("lower", "says"),
    [
        pytest.param("2", "eth0 of web may stand on eth0 of node", id="on a device that has the index"),
        pytest.param("3", "unreachable (EHOSTUNREACH)", id="on a device that nobody collected"),
    ],
)
def test_a_child_that_fits_two_places_may_answer_in_either(lower: str, says: str) -> None:
    twin = {name.replace("node/", "twin/"): text for name, text in cluster().items() if name.startswith("node/")}
    files = two_machines() | twin | child("web", "2", 77)
    files["pod/ip-address.txt"] = files["pod/ip-address.txt"].replace("link-netnsid 0", "link-netns node")
    files = {name: text.replace("eth0@if2", f"eth0@if{lower}") for name, text in files.items()}
    others = ({"name": "web", "node": "m"}, {"name": "twin", "node": "m"})
    assert says in outcome(files | {"world.json": alone(*others)}, "tcp:192.168.0.77:80", "far")


def test_who_answers_is_certain_while_somebody_else_might_be_there() -> None:
    files = two_machines() | {"world.json": alone({"name": "web", "node": "m"}), "node/bridge-fdb.txt": FDB.format(9)}
    assert outcome(files, "tcp:192.168.0.1:80", "far").startswith("connected")


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        pytest.param("192.168.0.1 dev eth0 lladdr 02:00:00:00:00:01 {}", "connected", id="the MAC of the owner"),
        pytest.param("192.168.0.1 dev eth0 lladdr 02:00:00:00:00:09 router {}", "`ip neigh` of far has 192.168.0.1 at 02:00:00:00:00:09 ({}), and eth0 of node answers with 02:00:00:00:00:01; collect the snapshot again", id="another MAC"),
        pytest.param("192.168.0.1 dev eth1 lladdr 02:00:00:00:00:09 {}", "connected", id="another device"),
        pytest.param("192.168.0.9 dev eth0 lladdr 02:00:00:00:00:09 {}", "connected", id="another address"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("state", ["REACHABLE", "STALE", "DELAY", "PROBE"])
def test_what_arp_knew_is_used_and_must_be_true(entry: str, says: str, state: str) -> None:
    files = two_machines() | {"far/ip-neigh.txt": entry.format(state) + "\n"}
    assert says.format(state) in outcome(files, "tcp:192.168.0.1:80", "far")


def test_what_arp_knew_of_one_who_does_not_answer_is_unknown() -> None:
    files = two_machines() | {"far/ip-neigh.txt": "192.168.0.2 dev eth0 lladdr 02:00:00:00:00:01 STALE\n"}
    assert "at 02:00:00:00:00:01 (STALE), and no collected machine answers" in outcome(
        files, "tcp:192.168.0.2:80", "far"
    )
    assert outcome(two_machines(), "tcp:192.168.0.2:80", "far").startswith("unreachable")


@pytest.mark.parametrize("line", ["192.168.0.1 dev eth0  FAILED", "192.168.0.1 dev eth0  INCOMPLETE", ""])
def test_what_arp_did_not_know_is_asked(line: str) -> None:
    files = two_machines() | {
        "far/ip-neigh.txt": f"{line}\n",
        "node/ip-neigh.txt": "192.168.0.5 dev eth0 lladdr 02:00:00:00:00:66 STALE\n",
    }
    assert outcome(files, "tcp:192.168.0.1:80", "far").startswith("connected")  # the request tells the node


def test_one_that_need_not_ask_tells_nobody_who_it_is() -> None:
    files = two_machines() | {
        "far/ip-neigh.txt": "192.168.0.1 dev eth0 lladdr 02:00:00:00:00:01 REACHABLE\n",
        "node/ip-neigh.txt": "192.168.0.5 dev eth0 lladdr 02:00:00:00:00:66 STALE\n",
    }
    assert "`ip neigh` of node has 192.168.0.5 at 02:00:00:00:00:66 (STALE)" in outcome(
        files, "tcp:192.168.0.1:80", "far"
    )


@pytest.mark.parametrize(
    ("line", "works"),
    [
        pytest.param("net.ipv4.neigh.eth0.mcast_solicit = 0", False, id="ARP does not ask"),
        pytest.param("net.ipv4.neigh.eth0.app_solicit = 1", False, id="ARP asks a program"),
        pytest.param("net.ipv4.neigh.default.mcast_solicit = 0", True, id="on devices to come"),
        pytest.param("net.ipv4.neigh.eth0.mcast_solicit = 3", True, id="three times, as usual"),
    ],
)
def test_arp_asks_only_where_it_may(line: str, works: bool) -> None:
    files = two_machines() | {"far/sysctl.txt": f"{line}\n"}
    said = outcome(files, "tcp:192.168.0.1:80", "far")
    assert said.startswith("connected" if works else "unknown") and (works or f"{line} is not modelled" in said)


def test_what_one_snapshot_left_out_another_one_has() -> None:
    whole, parts = two_machines(), []
    for one in ("node", "pod", "far"):
        world = json.loads(alone())
        for place in world["namespaces"]:
            place["called"] = place["name"]
        files = {name: text for name, text in whole.items() if name.startswith(one)}
        parts.append(files | {"world.json": json.dumps(world)})
    files = merged(parts)
    assert [place["name"] for place in json.loads(files["world.json"])["namespaces"]] == ["node", "pod", "far"]
    assert outcome(files, "tcp:192.168.0.1:80", "far").startswith("connected")
    assert outcome(files, "tcp:192.168.0.2:80", "far").startswith("unreachable")


def test_two_namespaces_that_fit_are_none() -> None:
    files = cluster()
    files |= {name.replace("pod/", "twin/"): text for name, text in files.items() if name.startswith("pod/")}
    files["world.json"] = json.dumps({"complete": False, "segments": [], "namespaces": ["node", "pod", "twin"]})
    assert load_collected(files)["node"].link("v0").kind.peer == LinkEnd("/4", 3)
    assert "was not collected" in outcome(files, "tcp:10.0.0.2:80", "node")
    named = [{"name": "node", "ids": {"4": "pod"}}, "pod", "twin"]
    files["world.json"] = json.dumps({"complete": False, "segments": [], "namespaces": named})
    assert load_collected(files)["node"].link("v0").kind.peer == LinkEnd("pod", 3)


def test_the_same_numbers_on_two_machines_are_no_pair() -> None:
    files = cluster()
    apart = [{"name": "node", "node": "n1"}, {"name": "pod", "node": "n2"}]
    files["world.json"] = json.dumps({"complete": False, "segments": [], "namespaces": apart})
    assert load_collected(files)["node"].link("v0").kind.peer == LinkEnd("/4", 3)


def test_names_of_ids_come_from_the_tool() -> None:
    files = cluster()
    files["node/ip-netns.txt"] = "nsid 3 \nnsid 4 (iproute2 netns name: cni-1)\n"
    files["world.json"] = json.dumps(
        {"complete": False, "segments": [], "namespaces": ["node", {"name": "pod", "called": "cni-1"}]}
    )
    assert load_collected(files)["node"].link("v0").kind.peer == LinkEnd("pod", 3)


@pytest.mark.parametrize(
    ("stem", "entry", "line"),
    [
        ("ip-route", {"dst": "default", "gateway": "10.0.0.9", "dev": "e0", "prefsrc": "10.0.0.1", "metric": 5, "flags": ["onlink"]}, "default via 10.0.0.9 dev e0 src 10.0.0.1 metric 5 onlink "),
        ("ip-route", {"type": "local", "dst": "10.0.0.1", "dev": "e0", "table": "local", "protocol": "kernel", "scope": "host", "prefsrc": "10.0.0.1", "flags": []}, "local 10.0.0.1 dev e0 table local proto kernel scope host src 10.0.0.1 "),
        ("ip-route", {"dst": "10.81.0.0/16", "table": "78", "flags": ["linkdown"], "nexthops": [{"via": {"family": "inet6", "host": "fe80::2"}, "dev": "e1", "weight": 1, "flags": ["linkdown"]}, {"gateway": "10.2.0.9", "dev": "e1", "weight": 1, "flags": []}]}, "10.81.0.0/16 table 78 linkdown nexthop via inet6 fe80::2 dev e1 weight 1 linkdown nexthop via 10.2.0.9 dev e1 weight 1"),
        ("ip-route", {"dst": "10.72.0.0/16", "gateway": "10.2.0.8", "dev": "e1", "flags": [], "metrics": [{"mtu": 1300, "hoplimit": 7, "ecn": None, "quickack": 1, "congestion": "reno"}]}, "10.72.0.0/16 via 10.2.0.8 dev e1 mtu 1300 hoplimit 7 quickack 1 congctl reno features ecn"),
        ("ip-route", {"dst": "10.71.0.0/16", "gateway": "10.2.0.8", "dev": "e1", "flags": [], "metrics": [{"mtu": 1400, "advmss": 1000}]}, "10.71.0.0/16 via 10.2.0.8 dev e1 mtu 1400 advmss 1000"),
        ("ip-route", {"dst": "10.74.0.0/16", "gateway": "10.2.0.8", "dev": "e1", "flags": [], "flow": {"to": "5"}}, "10.74.0.0/16 via 10.2.0.8 dev e1 realm 5"),
        ("ip-route", {"dst": "10.74.1.0/24", "tos": "0x10", "nhid": 5, "via": {"family": "inet6", "host": "fe80::1"}, "dev": "e1", "flags": [], "flow": {"from": "3", "to": "5"}}, "10.74.1.0/24 tos 0x10 nhid 5 via inet6 fe80::1 dev e1 realms 3/5"),
        ("ip-route", {"type": "multicast", "dst": "239.0.0.0/8", "dev": "e1", "scope": "link", "flags": []}, "multicast 239.0.0.0/8 dev e1 scope link"),
        ("ip-rule", {"priority": 5, "src": "all", "iif": "zz", "iif_detached": None, "oif": "yy", "oif_detached": None, "table": "7"}, "5:\tfrom all iif zz [detached] oif yy [detached] lookup 7"),
        ("ip-rule", {"priority": 5, "src": "all", "l3mdev": None}, "5:\tfrom all lookup [l3mdev-table]"),
        ("ip-rule", {"priority": 5, "src": "all", "table": "7", "flow_from": "3", "flow_to": "5"}, "5:\tfrom all lookup 7 realms 3/5"),
        ("ip-rule", {"priority": 5, "src": "all", "tun_id": 5, "table": "7"}, "5:\tfrom all tun_id 5 lookup 7"),
        ("ip-rule", {"priority": 5, "src": "all", "goto": 40000, "unresolved": None}, "5:\tfrom all goto 40000 [unresolved]"),
        ("ip-rule", {"priority": 5, "src": "all", "nop": None}, "5:\tfrom all nop"),
        ("ip-rule", {"priority": 5, "src": "all", "tos": "0x10", "ipproto": "tcp", "sport_start": 10, "sport_end": 20, "dport": 80, "table": "7"}, "5:\tfrom all tos 0x10 ipproto tcp sport 10-20 dport 80 lookup 7"),
        ("ip-rule", {"priority": 5, "src": "all", "uid_start": 5, "uid_end": 10, "table": "wan1"}, "5:\tfrom all uidrange 5-10 lookup wan1"),
        ("ip-rule", {"priority": 5, "src": "all", "table": "main", "suppress_prefixlen": 0}, "5:\tfrom all lookup main suppress_prefixlength 0"),
        ("ip-rule", {"priority": 5, "src": "all", "table": "main", "suppress_ifgroup": "3"}, "5:\tfrom all lookup main suppress_ifgroup 3"),
        ("ip-rule", {"priority": 5, "src": "all", "fwmark": "0x1", "fwmask": "0xf", "iif": "e0", "table": "100"}, "5:\tfrom all fwmark 0x1/0xf iif e0 lookup 100"),
        ("ip-rule", {"priority": 4, "not": None, "src": "10.1.0.0", "srclen": 16, "action": "blackhole"}, "4:\tnot from 10.1.0.0/16 blackhole"),
    ],
)  # fmt: skip
def test_json_says_the_same_as_text(stem: str, entry: dict[str, object], line: str) -> None:
    (found,) = text_of(json.dumps([entry]), FORMS[stem], "x").splitlines()
    read = {"ip-route": parse_route, "ip-rule": parse_ip_rule}[stem]
    of_json, of_text = read(found, partial=True), read(line, partial=True)
    assert " ".join(str(of_json).split()) == " ".join(str(of_text).split())
    assert replace(of_json, text="") == replace(of_text, text="")
    assert bool(of_json.text) is bool(of_text.text)


def unreadable(found: World | dict[str, str]) -> str:
    """Return where the only text of the node stands that cannot be read, and why."""
    world = load_collected(found) if isinstance(found, dict) else found
    (gap,) = (gap for gap in world["node"].missing if gap.unreadable)
    return gap.why


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", "[[]]", '[{"dst": 1}]', "[" * 9999, '[{"priority": 1}]'])
@pytest.mark.parametrize("stem", FORMS)
def test_json_of_another_shape_cannot_be_read(stem: str, text: str) -> None:
    files = gone(f"node/{stem}.txt") | {f"node/{stem}.json": text}
    if stem == "bridge-fdb":
        return  # read only where a VXLAN device needs it
    assert re.match(rf"node/{stem}.json:\d+:\d+: ", unreadable(files))


def test_a_neighbour_half_collected_does_not_hide_one_who_answers() -> None:
    files = cluster() | {name.replace("pod/", "half/"): text for name, text in cluster().items() if "pod/" in name}
    files["world.json"] = json.dumps(
        {
            "complete": False,
            "namespaces": ["half", "node", "pod"],
            "segments": [{"name": "lan", "ports": ["half/eth0", "node/eth0", "pod/eth0"], "uplink": False}],
        }
    )
    files["node/ip-address.txt"] = LO + nic(2, "eth0", "10.0.0.1/24", 2)
    files["node/ip-route.txt"] = routes(("eth0", "10.0.0.1/24"))
    del files["half/iptables.txt"]
    files |= {
        name: text.replace("10.0.0.2", "10.0.0.3").replace("00:03", "00:09")
        for name, text in files.items()
        if "half/" in name
    }
    assert outcome(files, "tcp:10.0.0.1:80").startswith("connected")
    assert "half/iptables.txt is not in the snapshot" in outcome(files, "tcp:10.0.0.3:80", "node")


IPVLAN = (
    "9: ipv0@eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500\n    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff\n"
    "    ipvtap  mode l2 bridge\n"
)
LAN = '{"format": 1, "namespaces": ["node", "pod"], "complete": false, "segments": [{"name": "lan", "ports": ["node/eth0", "pod/eth0"], "uplink": false}]}'
REJECT = RULE.format("-A INPUT -s 10.9.9.9/32 -j DROP\n")


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("node/nft.txt", "table ip filter\ntable inet mesh\n", "node/nft.txt:2: of the nftables table inet mesh only the name was collected; collect the output of `nft list ruleset`"),
        ("node/nft.txt", "table ip kube-proxy\n", "of the nftables table ip kube-proxy only the name was collected"),
        ("node/nft.txt", "table ip filter\ntable ip6 nat\n", ""),
        ("node/tc.txt", "qdisc noqueue 0: dev lo root refcnt 2\nqdisc clsact ffff: dev v0 parent ffff:fff1\n", "v0 has a qdisc clsact"),
        ("node/tc.txt", "qdisc clsact ffff: dev eth0 parent ffff:fff1\n", ""),
        ("node/iptables-legacy.txt", REJECT, ""),
        ("node/nft.txt", "table bridge filter\n", ""),
        ("node/xfrm.txt", "\t SPD IN  0 OUT 1 FWD 0 (Sock: IN 0 OUT 0 FWD 0)\n", "node/xfrm.txt:1: the namespace has XFRM policies"),
        ("node/xfrm.txt", "\t SPD IN  0 OUT 0 FWD 0\n", ""),
        ("node/sysctl.txt", FORWARD + "net.netfilter.nf_conntrack_count = 262144\nnet.netfilter.nf_conntrack_max = 262144\n", "conntrack is full, nf_conntrack_count is 262144 of 262144"),
        ("node/sysctl.txt", FORWARD + "net.netfilter.nf_conntrack_count = 0\nnet.netfilter.nf_conntrack_max = 0\n", ""),
        ("node/sysctl.txt", FORWARD + "net.netfilter.nf_conntrack_count = 9\nnet.netfilter.nf_conntrack_max = 262144\n", ""),
        ("node/sysctl.txt", FORWARD + "net.ipv4.tcp_fwmark_accept = 1\n", "node/sysctl.txt:4: net.ipv4.tcp_fwmark_accept = 1 is not modelled"),
        ("node/sysctl.txt", FORWARD + "net.ipv4.conf.eth0.ignore_routes_with_linkdown = 1\n", "ignore_routes_with_linkdown = 1 is not modelled"),
        ("node/sysctl.txt", FORWARD + "net.ipv4.tcp_fwmark_accept = 0\nnet.ipv4.conf.all.medium_id = 0\n", ""),
        ("node/nft.txt", "table arp filter\n", "node/nft.txt:1: the nftables table arp filter is not modelled"),
        ("node/iptables.txt", f"# Table `filter' contains incompatible base-chains, use 'nft' tool to list them.\n{RULE.format('')}", "node/iptables.txt:1: table filter holds chains or rules of nftables"),
        ("node/iptables.txt", f"{RULE.format('')}# Table `nat' is incompatible, use 'nft' tool.\n", "node/iptables.txt:6: table nat holds chains or rules of nftables"),
        ("node/iptables.txt", RULE.format("-A INPUT -m recent --rcheck --name l --mask 255.255.255.255 --rsource -j DROP\n"), "the list l of recent addresses was not collected"),
        ("node/iptables.txt", RULE.format("-A INPUT -m recent --set --name l --mask 255.255.255.255 --rsource\n" * 300), ""),
        ("node/iptables.txt", RULE.format("-A INPUT -m recent ! --set --name l --mask 255.255.255.255 --rsource -j DROP\n"), ""),
        ("node/iptables.txt", RULE.format("-A INPUT -m quota --quota 900 -j ACCEPT\n"), "its quota of 900 a rule has left was not collected"),
        ("node/iptables.txt", RULE.format("-A INPUT -m statistic --mode nth --every 2 --packet 0 -j DROP\n"), "which packet of 2 the next one is was not collected"),
        ("node/iptables.txt", RULE.format("-A INPUT -m limit --limit 5/sec -j ACCEPT\n"), "it is unknown how many packets a bucket of 5 at 5/sec has left"),
        ("node/iptables.txt", RULE.format("-A INPUT -m limit --limit 5/min -j LOG\n"), ""),
    ],
    ids=["a table of inet", "kube-proxy's nftables mode", "what iptables-save prints", "a program on the way", "a program elsewhere", "legacy rules only",
         "a table of bridges without a bridge", "IPsec", "no IPsec", "conntrack full", "conntrack without limit", "conntrack with room", "marks of connections", "routes without carrier", "off", "a table of arp", "chains of nft in a table of iptables", "rules of nft in a table of iptables", "a list of addresses", "a list that is only filled", "never", "a quota", "a count", "a rate", "a rate of a log"],
)  # fmt: skip
def test_what_else_may_be_at_work(file: str, text: str, says: str) -> None:
    said = outcome({**cluster(), file: text}, "tcp:10.0.0.1:80")
    assert says in said
    assert said.startswith("unknown" if says else "connected")


@pytest.mark.parametrize(("to", "says"), [("tcp:10.0.7.3:80", "unknown"), ("tcp:10.0.7.2:80", "connected")])
def test_a_table_of_the_family_bridge_counts_for_frames_that_get_to_a_bridge(to: str, says: str) -> None:
    files = save(bridged()) | {"n/nft.txt": "table bridge filter\n"}
    trace = run(load_collected(files), read_flow("a", to), [Listener("a", 80), Listener("b", 80)])
    assert trace.outcome.verdict.value.startswith(says)
    assert ("n/nft.txt:1: the nftables table bridge filter" in "\n".join(tell(trace))) is (says == "unknown")


def test_rules_of_both_backends_are_met_in_either_order() -> None:
    """The twice-noted rule holds for nobody; a mark of one table that the other drops by depends on their order."""
    files = {**cluster(), "node/iptables-legacy.txt": REJECT, "node/iptables.txt": REJECT}
    assert "connected" in outcome(files, "tcp:10.0.0.1:80")
    marks = RULE.format("-A INPUT -j MARK --set-xmark 0x1/0x1\n")
    drops = RULE.format("-A INPUT -m mark --mark 0x1 -j DROP\n")
    said = outcome({**cluster(), "node/iptables-legacy.txt": marks, "node/iptables.txt": drops}, "tcp:10.0.0.1:80")
    assert said.startswith(
        "it depends: works if the table filter registered last at INPUT of node is that of iptables-nft"
    )
    drop = RULE.format("-A INPUT -j DROP\n")
    assert "by `-j DROP`" in outcome({**cluster(), "node/iptables-legacy.txt": drop}, "tcp:10.0.0.1:80")


@pytest.mark.parametrize(
    "holds", [REJECT, RULE.replace(":INPUT ACCEPT", ":INPUT DROP").format(""), REJECT.replace("-A", "[1:60] -A")]
)
def test_a_policy_that_drops_is_something_a_backend_holds(holds: str) -> None:
    for files in (
        {"iptables-legacy.txt": holds, "iptables.txt": REJECT},
        {"iptables-legacy.txt": REJECT, "iptables.txt": holds},
    ):
        world = load_collected({**cluster(), **{f"node/{name}": text for name, text in files.items()}})
        assert world["node"].ip4.tables and world["node"].ip4.legacy


def test_a_legacy_policy_that_drops_decides() -> None:
    files = {**cluster(), "node/iptables-legacy.txt": RULE.replace(":INPUT ACCEPT", ":INPUT DROP").format("")}
    assert ":INPUT DROP" in outcome(files, "tcp:10.0.0.1:80")


@pytest.mark.parametrize("file", ["nft.txt", "tc.txt", "xfrm.txt", "iptables-legacy.txt"])
@pytest.mark.parametrize("text", ["\nbash: not found\n", "\n{}\n"])
def test_text_the_tools_do_not_print_is_not_nothing(file: str, text: str) -> None:
    assert unreadable({**cluster(), f"node/{file}": text}).startswith(f"node/{file}:2:1: ")


def test_a_cluster_that_is_there_as_a_whole_remembers_nothing() -> None:
    rule = RULE.format("-A INPUT -m recent --rcheck --name l --mask 255.255.255.255 --rsource -j DROP\n")
    files = {**cluster(), "node/iptables.txt": rule}
    files["world.json"] = files["world.json"].replace("false", "true")
    assert outcome(files, "tcp:10.0.0.1:80").startswith("connected")


def test_a_device_below_one_that_is_not_modelled_may_hand_packets_to_it() -> None:
    files = {**cluster(), "world.json": LAN}
    files["pod/ip-address.txt"] = LO + nic(2, "eth0", "192.168.0.2/24", 9)
    files["pod/ip-route.txt"] = routes(("eth0", "192.168.0.2/24"))
    assert outcome(files, "tcp:192.168.0.1:80").startswith("connected")
    files["node/ip-address.txt"] += IPVLAN
    assert "ipv0 of node shares its device" in outcome(files, "tcp:192.168.0.1:80")
    assert "pod answers who has 192.168.0.2, and ipv0 of node shares" in outcome(files, "tcp:192.168.0.2:80", "node")
    files["node/ip-address.txt"] = files["node/ip-address.txt"].replace(
        "ipv0@eth0: <BROADCAST,MULTICAST,UP,", "ipv0@eth0: <BROADCAST,MULTICAST,"
    )
    assert outcome(files, "tcp:192.168.0.1:80").startswith("connected")


def test_a_bond_that_world_json_calls_a_port_is_a_nic() -> None:
    bond = nic(2, "bond0", "192.168.0.1/24", 1).rstrip("\n").split("\n")
    bond.insert(2, "    bond mode 802.3ad miimon 100")
    files = {**cluster(), "world.json": LAN.replace("node/eth0", "node/bond0")}
    files["node/ip-address.txt"] = LO + "\n".join(bond) + "\n"
    files["node/ip-route.txt"] = routes(("bond0", "192.168.0.1/24"))
    files["pod/ip-address.txt"] = LO + nic(2, "eth0", "192.168.0.2/24", 9)
    files["pod/ip-route.txt"] = routes(("eth0", "192.168.0.2/24"))
    assert outcome(files, "tcp:192.168.0.1:80").startswith("connected")
    files["world.json"] = LAN.replace("node/eth0", "node/eth9")
    assert outcome(files, "tcp:192.168.0.1:80").startswith("unknown")


def test_a_neighbour_entry_is_no_proof_that_somebody_takes_the_frame() -> None:
    files = cluster()
    files["node/ip-neigh.txt"] = "192.168.0.2 dev eth0 lladdr 02:00:00:00:00:77 PERMANENT\n"
    said = outcome(files, "tcp:192.168.0.2:80")
    assert said.startswith(
        "unknown beyond this point: packet 1 (SYN) got to node, but the snapshot does not say where the cable of eth0 of node leads"
    )
    files["world.json"] = (
        '{"namespaces": ["node", "pod"], "segments": [{"name": "lan", "ports": ["node/eth0"]}], "complete": false}'
    )
    assert "the machine with the MAC address 02:00:00:00:00:77" in outcome(files, "tcp:192.168.0.2:80")


ETHER = {"flags": ["BROADCAST", "MULTICAST"], "mtu": 1500, "link_type": "ether", "address": "02:00:00:00:00:70"}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"external": True, "id": 0, "port": 8472, "learning": False}, "'external' in a vxlan device"),
        ({"external": True, "port": 8472, "learning": False}, "'external' in a vxlan device"),
        ({"id": 7, "port": 4789, "learning": True}, "'learning' in a vxlan device"),
        ({"id": 7, "group": "239.1.1.1", "link": "eth1", "port": 4789, "learning": True}, "'group' in a vxlan device"),
        ({"id": 7, "port": 4789, "learning": False}, "without id, local, dev or nolearning"),
    ],
)
def test_a_vxlan_device_nobody_understands_is_kept(data: dict[str, object], says: str) -> None:
    tunnel = {"ifindex": 9, "ifname": "vx0", **ETHER, "linkinfo": {"info_kind": "vxlan", "info_data": data}}
    files = gone("node/ip-address.txt")
    shown = json.dumps([tunnel])
    text = text_of(shown, FORMS["ip-address"], "x")
    files["node/ip-address.txt"] = cluster()["node/ip-address.txt"] + text
    kind = load_collected(files)["node"].link("vx0").kind
    assert isinstance(kind, UnmodelledDevice) and says in kind.gap.why
    assert outcome(files, "tcp:10.0.0.1:80").startswith("connected")


@pytest.mark.parametrize("form", ["txt", "json"])
def test_an_address_with_a_peer_makes_only_its_own_device_unknown(form: str) -> None:
    told = {
        "family": "inet",
        "local": "10.8.0.1",
        "address": "10.8.0.2",
        "prefixlen": 32,
        "scope": "global",
        "label": "t0",
    }
    device = {"ifindex": 9, "ifname": "t0", **ETHER, "addr_info": [told]}
    files = cluster()
    files["node/ip-address.txt"] += (
        text_of(json.dumps([device]), FORMS["ip-address"], "x")
        if form == "json"
        else nic(9, "t0", "10.8.0.1 peer 10.8.0.2/32", 9)
    )
    found = load_collected(files)["node"].link("t0")
    assert isinstance(found.kind, UnmodelledDevice) and "a point-to-point address (peer)" in found.kind.gap.why
    assert [str(address.interface) for address in found.addresses] == ["10.8.0.1/32"]
    assert outcome(files, "tcp:10.0.0.1:80").startswith("connected")


@pytest.mark.parametrize("word", ["xdp/id:17", "xdpgeneric/id:17", "xdpoffload", "xdpmulti/id:0"])
@pytest.mark.parametrize("dev", ["v0", "eth0"])
def test_nobody_knows_what_a_program_lets_into_a_device(word: str, dev: str) -> None:
    files = {**cluster(), "world.json": LAN.replace(', "pod/eth0"', "")}
    plain, (before, _, after) = files["node/ip-address.txt"], files["node/ip-address.txt"].partition(f" {dev}")
    files["node/ip-address.txt"] = before + f" {dev}" + after.replace("mtu 1500", f"mtu 1500 {word}", 1)
    assert files["node/ip-address.txt"] != plain
    said = outcome(files, "tcp:10.0.0.1:80")
    assert said.startswith("connected") if dev == "eth0" else "v0 has an XDP program" in said
    assert isinstance(load_collected(files)["node"].link(dev).kind, UnmodelledDevice)


@pytest.mark.parametrize(
    "xdp", [{"mode": 2, "prog": {"id": 17}}, {"mode": 4, "attached": [{"mode": 1, "prog": {"id": 17}}]}]
)
def test_programs_in_json(xdp: dict[str, object]) -> None:
    device = {"ifindex": 9, "ifname": "t0", **ETHER, "xdp": xdp}
    assert " mtu 1500 xdp/id:17\n" in text_of(json.dumps([device]), FORMS["ip-address"], "x")


@pytest.mark.parametrize("where", ["link-netnsid abc", "link-netnsid -1", "link-netns /abc", "link-netns /"])
def test_where_a_link_leads_is_an_id_or_a_name(where: str) -> None:
    files = cluster()
    files["node/ip-address.txt"] = files["node/ip-address.txt"].replace("link-netnsid 4", where)
    assert re.match(r"node/ip-address\.txt:8:\d+: '.*' is not an? ", unreadable(files))


def test_an_id_that_is_not_known_leads_where_the_indexes_say() -> None:
    files = cluster()
    files["node/ip-address.txt"] = files["node/ip-address.txt"].replace("link-netnsid 4", "link-netnsid unknown")
    assert load_collected(files)["node"].link("v0").kind.peer == LinkEnd("pod", 3)


def stacked(count: int, first: int) -> str:
    """Print macvlan devices, each on the one before; the first hangs on device number `first`."""
    text = ""
    for index in range(9, 9 + count):
        lower = first if index == 9 else index - 1
        name = "v0" if lower == 7 else f"m{lower}"
        text += f"{index}: m{index}@{name}: <UP> mtu 1500\n    link/ether 02:00:00:00:99:01 brd ff:ff:ff:ff:ff:ff\n    macvlan mode bridge\n"
    return text


BRIDGE = "{0}: b{0}: <UP> mtu 1500 master b{1}\n    link/ether 02:00:00:00:99:0{0} brd ff:ff:ff:ff:ff:ff\n    bridge\n"


@pytest.mark.parametrize(
    ("devices", "dev"),
    [
        (stacked(1, 9), "m9"),
        (stacked(2, 10), "m10"),
        (stacked(3000, 3008), "m9"),
        (stacked(3000, 7), "m3008"),
        (BRIDGE.format(8, 8), "b8"),
        (BRIDGE.format(8, 9) + BRIDGE.format(9, 8), "b8"),
    ],
    ids=["on itself", "on each other", "in a circle of 3000", "3000 high", "its own port", "a port of its port"],
)
def test_devices_that_hang_on_each_other_end_somewhere(devices: str, dev: str) -> None:
    """Linux refuses circles, and more than eight storeys: net/core/dev.c, MAX_NEST_DEV."""
    files = cluster()
    files["node/ip-address.txt"] += devices
    files["node/ip-route.txt"] += f"10.9.0.2 dev {dev} scope link\n"
    assert outcome(files, "tcp:10.9.0.2:80", "node").startswith("un")


SETS = "create s hash:ip family inet hashsize 1024 maxelem 65536 comment\nadd s 10.0.0.1 comment "
COMMENT = '-A INPUT -m comment --comment "{}" -j ACCEPT\n'


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        pytest.param("ip-address.txt", lambda text: text.replace("v0@", "v\x1b0@"), "7:5: a control character, '\\x1b'", id="a device with an escape"),
        pytest.param("ip-address.txt", lambda text: text.replace("v0@", "v\udcff0@"), "7:5: not text in UTF-8, \\xff", id="a device with a byte"),
        pytest.param("ip-address.txt", lambda text: text.replace("v0@", "v\u202e0@"), "7:5: a control character, '\\u202e'", id="a device written from right to left"),
        pytest.param("ip-address.txt", lambda text: text.replace("v0@", "v@0@"), "7:4: 'v@0@if3:' is not a name with a colon", id="a veth with an @"),
        pytest.param("ip-address.txt", lambda text: text.replace("eth0:", "eth@0:"), "4:1: '0', which is no device here, is the end of a name", id="a NIC with an @"),
        pytest.param("ip-address.txt", lambda text: text.replace("v0@if3", "v0@lo").replace("veth", "bridge"), "9:5: v0@lo is a bridge, which has no other end", id="a bridge with an @"),
        pytest.param("ip-address.txt", lambda text: text + "    alias x\udcff\n", "11:12: not text in UTF-8, \\xff", id="an alias with a byte"),
        pytest.param("ip-address.txt", lambda text: text + "    alias x\n9: evil: <UP> mtu 1500\n", "12:23: the link/ether line is missing", id="an alias with a newline"),
        pytest.param("iptables.txt", lambda _: RULE.format(COMMENT.format("one\n-A INPUT -j DROP")), "5:", id="a comment with a newline"),
        pytest.param("iptables.txt", lambda _: RULE.format(COMMENT.format("one") + COMMENT.format("two\n-A INPUT -j DROP")), "6:", id="another comment with a newline"),
        pytest.param("iptables.txt", lambda _: RULE.format(COMMENT.format("one\r-A INPUT -j DROP")), "5:35: a control character, '\\r'", id="a comment with a carriage return"),
        pytest.param("iptables.txt", lambda _: RULE.format(COMMENT.format("\x1b[2J")), "5:32: a control character, '\\x1b'", id="a comment with an escape"),
        pytest.param("iptables.txt", lambda _: RULE.format(":INPUT - [0:0]\n"), "5:1: chain INPUT is declared twice", id="a chain of nft without a hook"),
        pytest.param("ipset.txt", lambda _: SETS + '"x\nadd s 10.0.0.2 comment y"\n', "2:", id="a comment of a set with a newline"),
        pytest.param("ipset.txt", lambda _: SETS + '"\udcff"\n', "2:25: not text in UTF-8, \\xff", id="a comment of a set with a byte"),
        pytest.param("tc.txt", lambda _: "qdisc noqueue 0: dev \udcff root refcnt 2\n", "1:22: not text in UTF-8", id="a qdisc of a device with a byte"),
        pytest.param("nft.txt", lambda _: "table ip \x1bx\n", "1:10: a control character", id="a table of nft with an escape"),
        pytest.param("ss.txt", lambda _: "tcp LISTEN 0 128 0.0.0.0%\x1b:80 0.0.0.0:*\n", "1:26: a control character", id="a socket of a device with an escape"),
        pytest.param("conntrack.txt", lambda _: "tcp 6 \udcff\n", "1:7: not text in UTF-8", id="a connection with a byte"),
        pytest.param("ip-netns.txt", lambda _: "nsid 3 (iproute2 netns name: \x1b)\n", "1:30: a control character", id="a name with an escape"),
    ],
)  # fmt: skip
def test_a_namespace_that_cannot_be_read_costs_that_namespace(file: str, text: Callable[[str], str], says: str) -> None:
    """All of it is what the tools print when somebody in that namespace wants it so."""
    files = cluster()
    path = f"node/{file}"
    files[path] = text(files.get(path, ""))
    works = "connected; the server sees the client as 10.0.0.2"
    assert f"{path}:{says}" in unreadable(snapshot_of(files).world)
    said = outcome(files, "tcp:10.0.0.1:80")
    assert said.startswith("unknown beyond this point: ") and said.isprintable()
    trace = snapshot_of(files).trace(read_flow("pod", "tcp:10.0.0.2:80"), read_listeners(["pod:80"]))
    assert verdict(trace) == works
    assert any(f"{path}:{says}" in note and note.isprintable() for note in trace.notes)


def test_of_two_namespaces_one_that_cannot_be_read_may_be_the_other_end() -> None:
    """The pod's indexes fit, but so may those that nobody could read."""
    files = cluster() | {name.replace("pod/", "twin/"): text for name, text in cluster().items() if "pod/" in name}
    files["world.json"] = json.dumps({"complete": False, "segments": [], "namespaces": ["node", "pod", "twin"]})
    files["twin/ip-address.txt"] = files["twin/ip-address.txt"].replace("eth0", "eth\x1b0")
    assert load_collected(files)["node"].link("v0").kind.peer == LinkEnd("/4", 3)
