"""What is said beside a verdict: what was not looked at, and what nobody gave."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from kernel_worlds import DROP_INVALID, bridged, chains, marking, two_ways_out
from small_worlds import talk
from test_collected import LO, cluster, nic, veth

from mcnilib.linux.sysctl import print_settings
from mcnilib.snapshots.files import save
from mcnilib.snapshots.question import read_flow, read_listeners
from mcnilib.snapshots.snapshot import snapshot_of
from mcnilib.trace.explain import tell, verdict
from mcnilib.trace.export import trace_to_json
from mcnilib.trace.notes import notes_on
from mcnilib.trace.trace import Trace


def asked(files: Mapping[str, str], to: str = "tcp:10.0.0.1:80", source: str = "pod", listen: str = "node:80") -> Trace:
    """Put a question to a snapshot."""
    return snapshot_of(files).trace(read_flow(source, to), read_listeners([listen]))


def with_mtus(pod: int, node: int, route: str = "") -> dict[str, str]:
    """The pod behind a node, with the MTUs of both ends of its veth pair, and words for the node's route to it."""
    files = cluster()
    for name, mtu in (("pod", pod), ("node", node)):
        files[f"{name}/ip-address.txt"] = files[f"{name}/ip-address.txt"].replace("mtu 1500", f"mtu {mtu}")
    files["node/ip-route.txt"] = files["node/ip-route.txt"].replace("link src 10.0.0.1", f"link src 10.0.0.1{route}")
    return files


@pytest.mark.parametrize(
    ("files", "said"),
    [
        pytest.param(with_mtus(1500, 1500), "", id="all the same"),
        pytest.param(with_mtus(1500, 1400), "MTU 1400 at node.v0", id="the far end takes less than the near one"),
        pytest.param(with_mtus(1400, 1500), "MTU 1400 at pod.eth0", id="the answer meets less than its sender has"),
        pytest.param(with_mtus(1500, 1500, " mtu 1300"), "", id="a sender knows the MTU of its own route"),
    ],
)
def test_an_mtu_on_the_way_that_is_smaller_than_the_sender_s_is_named(files: dict[str, str], said: str) -> None:
    expected = [f"small packets: connected; {said} was not considered: --size asks about long ones"] if said else []
    assert [note for note in asked(files, "udp:10.0.0.1:80").notes if "MTU" in note] == expected
    assert not [note for note in asked(files).notes if "MTU" in note]  # TCP: both ends announce an MSS that fits


def test_an_mtu_does_not_matter_where_nothing_gets_through() -> None:
    files = with_mtus(1500, 1400) | {"pod/ip-route.txt": "default dev eth0 scope link\n"}
    assert not [note for note in asked(files).notes if "MTU" in note]


def test_a_size_that_was_asked_about_needs_no_note() -> None:
    flow = replace(read_flow("pod", "tcp:10.0.0.1:80"), request=300, answer=300)
    trace = snapshot_of(with_mtus(1500, 1400)).trace(flow, read_listeners(["node:80"]))
    assert trace.outcome.works
    assert not [note for note in trace.notes if "MTU" in note]


def test_notes_stand_in_the_tale_and_in_the_json() -> None:
    trace = asked(with_mtus(1500, 1400), "udp:10.0.0.1:80")
    assert trace.notes
    assert set(trace.notes) <= set(tell(trace, "outcome"))
    assert trace_to_json(trace)["notes"] == list(trace.notes)


def routed(typed: str) -> dict[str, str]:
    """A pod that asks the node for another network, which the node has on its NIC; `typed` are the node's sysctls."""
    files = cluster() | {"node/sysctl.txt": typed}
    whole = {"complete": True, "namespaces": ["node", "pod"], "segments": []}
    return files | {"world.json": json.dumps(whole)}


STRICT = "net.ipv4.conf.all.rp_filter = 1\n"
OFF = "net.ipv4.ip_forward = 0\n"


@pytest.mark.parametrize(
    ("typed", "to", "source", "said"),
    [
        pytest.param("", "tcp:10.0.0.1:80", "pod", [], id="nothing is given, nothing matters"),
        pytest.param(OFF, "tcp:192.168.0.2:80", "pod", [], id="given as the default"),
        pytest.param("", "tcp:192.168.0.2:80", "pod", ["ip_forward = 0 on node"], id="a router that does not route"),
        pytest.param("", "tcp:192.168.0.1:80", "pod", [], id="another address of the router"),
        pytest.param("", "icmp:10.0.0.1", "pod", ["icmp_echo_ignore_all = 0 on node"], id="a ping is answered"),
        pytest.param("net.ipv4.icmp_echo_ignore_all = 0\n", "icmp:10.0.0.1", "pod", [], id="a ping, and that is given"),
    ],
)
def test_a_default_that_decided_is_listed_where_nobody_gave_it(
    typed: str, to: str, source: str, said: list[str]
) -> None:
    notes = asked(routed(typed), to, source).notes
    assert [note for note in notes if note.startswith("assumed")] == [f"assumed: {one}, not given" for one in said]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param("", ["assumed: arp_ignore = 0 on node, not given"], id="nobody gave it"),
        pytest.param("net.ipv4.conf.all.arp_ignore = 0\nnet.ipv4.conf.default.arp_ignore = 0\n", [], id="given for all"),
        pytest.param("net.ipv4.conf.all.arp_ignore = 0\nnet.ipv4.conf.v0.arp_ignore = 0\n", [], id="given for the device"),
        pytest.param("net.ipv4.conf.v0.arp_ignore = 0\n", ["assumed: arp_ignore = 0 on node, not given"], id="the larger of two is not"),
    ],
)  # fmt: skip
def test_a_device_that_answers_for_the_address_of_another(given: str, said: list[str]) -> None:
    files = routed(given)
    files["pod/ip-route.txt"] += "192.168.0.0/24 dev eth0 scope link\n"
    trace = asked(files, "tcp:192.168.0.1:80")
    assert trace.outcome.works
    assert [note for note in trace.notes if note.startswith("assumed")] == said


def test_a_line_that_nobody_gave_has_no_writer() -> None:
    assert verdict(asked(routed(""), "tcp:192.168.0.2:80")).endswith("by `net.ipv4.ip_forward = 0`")


ETH0, V0 = nic(2, "eth0", "192.168.0.1/24", 1), veth(7, "v0", 3, "4", "10.0.0.1/24", 2)


def whole(**changed: str) -> dict[str, str]:
    """The pod and the node as the script collects them: every sysctl has its line."""
    files = cluster()
    devices = {"node": ["lo", "eth0", "v0"], "pod": ["lo", "eth0"]}
    files |= {f"{name}/sysctl.txt": print_settings((), dev) for name, dev in devices.items()}
    names = [{"name": name, "collected": True} for name in devices]
    world = {"complete": False, "namespaces": names, "segments": []}
    return files | {"world.json": json.dumps(world)} | {f"{name}/sysctl.txt": text for name, text in changed.items()}


def without(*lines: str, of: str = "node") -> dict[str, str]:
    """What was collected, without the lines in which one of these words stands."""
    text = whole()[f"{of}/sysctl.txt"].splitlines(keepends=True)
    return whole(**{of: "".join(line for line in text if not any(word in line for word in lines))})


@pytest.mark.parametrize(
    ("files", "to", "says"),
    [
        pytest.param(whole(), "tcp:10.0.0.1:80", "connected", id="every line is there"),
        pytest.param(without("arp_ignore"), "tcp:10.0.0.1:80", "node/sysctl.txt has no line net.ipv4.conf.v0.arp_ignore", id="arp_ignore"),
        pytest.param(without("forward"), "tcp:192.168.0.2:80", "node/sysctl.txt has no line net.ipv4.conf.v0.forwarding", id="forwarding"),
        pytest.param(without("forward"), "tcp:10.0.0.1:80", "connected", id="forwarding, and nothing is forwarded"),
        pytest.param(without("rp_filter", of="pod"), "tcp:10.0.0.1:80", "pod/sysctl.txt has no line net.ipv4.conf.eth0.rp_filter", id="rp_filter"),
        pytest.param(whole(pod=""), "tcp:10.0.0.1:80", "pod/sysctl.txt has no line", id="no line at all"),
        pytest.param(without("netfilter", "net.bridge"), "tcp:10.0.0.1:80", "connected", id="conntrack and br_netfilter are not loaded"),
        pytest.param(without("tcp_ignore_invalid_rst"), "tcp:10.0.0.1:80", "connected", id="a kernel before 5.14"),
        pytest.param(whole() | {"node/ip-address.txt": LO + V0}, "tcp:10.0.0.1:80", "node/ip-address has no device eth0, and node/ip-route names it", id="a device that routes name"),
        pytest.param(whole() | {"node/ip-address.txt": LO + ETH0 + V0.replace("    inet 10.0.0.1/24 scope global v0\n", "")}, "tcp:10.0.0.1:80", "node/ip-address has no 10.0.0.1 on v0", id="an address that routes name"),
        pytest.param(without("ip_default_ttl", of="pod"), "tcp:10.0.0.1:80", "has no line net.ipv4.ip_default_ttl", id="time to live"),
    ],
)  # fmt: skip
def test_a_line_missing_from_what_was_collected_is_unknown_where_it_decides(
    files: dict[str, str], to: str, says: str
) -> None:
    trace = asked(files, to)
    assert says in verdict(trace)
    assert trace.outcome.works is (says == "connected")
    assert not [note for note in trace.notes if note.startswith("assumed")]


NAT = "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n-A PREROUTING -d 10.0.0.1/32 -p udp -m udp --dport 53 -j REDIRECT --to-ports 80\nCOMMIT\n"  # fmt: skip


LOOKED = {
    f"{netns}/{file}": "" for netns in ("node", "pod") for file in ("nft.json", "tc.txt", "ss.txt", "conntrack.txt")
}
NO_PROGRAMS = "BPF programs that only a bpftool since Linux 6.4 shows (tcx, netfilter, sk_lookup)"


@pytest.mark.parametrize(
    ("more", "without", "to", "said"),
    [
        pytest.param({}, "", "tcp:10.0.0.1:80", [], id="everything was looked at"),
        pytest.param({}, "nft.json", "tcp:10.0.0.1:80", ["pod, node: tables and rules of nftables that iptables-save does not print"], id="no nft"),
        pytest.param({}, "tc.txt", "tcp:10.0.0.1:80", ["pod, node: queueing disciplines and their filters"], id="no tc"),
        pytest.param({}, "ss.txt", "tcp:10.0.0.1:80", [], id="no ss, and somebody listens all the same"),
        pytest.param({}, "ss.txt", "tcp:10.0.0.1:81", ["node: sockets"], id="no ss, and nobody is known to listen"),
        pytest.param({"node/uname.txt": "6.8.0"}, "", "tcp:10.0.0.1:80", [f"node: {NO_PROGRAMS}"], id="no bpftool"),
        pytest.param({"node/uname.txt": "5.4.0"}, "", "tcp:10.0.0.1:80", [], id="no bpftool, and nothing to show"),
        pytest.param({"node/iptables.txt": NAT}, "conntrack.txt", "udp:10.0.0.1:53", ["node: connections that exist"], id="a NAT rule decided about UDP"),
        pytest.param({"node/iptables.txt": NAT}, "conntrack.txt", "udp:10.0.0.1:80", [], id="no NAT rule decided"),
        pytest.param({"node/iptables.txt": NAT}, "conntrack.txt", "tcp:10.0.0.1:53", [], id="TCP takes another port each time"),
    ],
)  # fmt: skip
def test_what_was_not_looked_at_is_said_where_a_packet_may_meet_it(
    more: dict[str, str], without: str, to: str, said: list[str]
) -> None:
    files = whole() | {name: text for name, text in LOOKED.items() if not without or not name.endswith(without)} | more
    assert sorted(asked(files, to).notes) == sorted(f"not collected on {one}" for one in said)


def test_what_crosses_a_bridge_whose_entries_were_not_collected_is_unknown() -> None:
    files = save(bridged()) | {
        "n/sysctl.txt": print_settings(bridged()["n"].sysctls, [x.name for x in bridged()["n"].links])
    }
    del files["n/bridge-fdb.txt"]
    names = [{"name": netns.name, "collected": netns.name == "n"} for netns in bridged()]
    world = json.loads(files["world.json"]) | {"namespaces": names}
    said = verdict(asked(files | {"world.json": json.dumps(world)}, "tcp:10.0.7.3:80", "a", "b:80"))
    assert said.startswith("unknown beyond this point") and "bridge-fdb.txt is not in the snapshot" in said


def test_rules_of_both_backends_are_said() -> None:
    files = whole(**{}) | LOOKED
    rule = NAT.replace("10.0.0.1/32", "10.9.9.9/32")
    both = files | {"node/iptables.txt": rule, "node/iptables-legacy.txt": rule}
    said = [note for note in asked(both).notes if "iptables-legacy" in note]
    assert said and said[0].startswith("node: both iptables-nft and iptables-legacy have rules")
    assert not [note for note in asked(files).notes if "iptables-legacy" in note]


LATE = (
    "the request leaves a through eth0 and gets to b: {table} sets the mark 0x1 when the route is chosen already, by "
    "`-A OUTPUT -d 10.0.0.0/8 -j MARK --set-xmark 0x1/0xffffffff`; only mangle and DNAT in OUTPUT make Linux look it up "
    "again, and with the mark it would find `default via 10.0.3.1 dev eth1` in table 5"
)
TOS = chains("mangle", "OUTPUT -j TOS --set-tos 0x10/0xff")


@pytest.mark.parametrize(
    ("tables", "late"),
    [
        pytest.param([marking("mangle")], "", id="mangle looks the route up again"),
        pytest.param([marking("filter")], "filter", id="filter does not"),
        pytest.param([marking("security")], "security", id="nor does security"),
        pytest.param([marking("nat"), DROP_INVALID], "nat", id="nor nat without DNAT"),
        pytest.param([marking("raw")], "raw", id="nor raw, though it comes first"),
        pytest.param([marking("raw"), TOS], "", id="unless mangle changes something later"),
        pytest.param([marking("filter", mark=2)], "", id="no rule asks for the mark"),
        pytest.param([marking("mangle"), marking("filter", mark=0)], "filter", id="a mark is cleared too late"),
    ],
)
def test_a_mark_that_comes_after_the_route_was_chosen_is_named(tables: list[str], late: str) -> None:
    world = two_ways_out(*tables)
    said = [note for note in notes_on(world, talk(world, "tcp:10.0.2.2:80")) if "the request leaves" in note]
    if late and "0x0" in "".join(tables):
        assert said and "leaves a through eth1" in said[0] and "sets the mark 0x0" in said[0]
    else:
        assert said == ([LATE.format(table=late)] if late else [])
