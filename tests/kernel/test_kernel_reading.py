"""What the kernel lab reads and writes, without a kernel: captured bytes, commands, the order of creation, comparison."""

from __future__ import annotations

import struct
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_worlds import CASES, macvlans, tunnelled

from mcnilib.cluster.build import build
from mcnilib.cluster.settings import Settings
from mcnilib.errors import Unsupported
from mcnilib.kernel.compare.compare import compare_traces
from mcnilib.kernel.lab import commands, devices
from mcnilib.kernel.lab.readback import as_in_the_world
from mcnilib.kernel.observe.decode import decode
from mcnilib.kernel.observe.netlink import attributes
from mcnilib.linux.device.base import LinkEnd
from mcnilib.linux.device.bridge import Bridge
from mcnilib.linux.device.link import Link
from mcnilib.linux.device.macvlan import Macvlan
from mcnilib.linux.device.tunnel.ipip import Ipip
from mcnilib.linux.device.veth import Veth
from mcnilib.linux.netns import Netns
from mcnilib.linux.packet import checksum
from mcnilib.linux.routing.route import parse_route
from mcnilib.linux.routing.rule import parse_ip_rule
from mcnilib.trace.run import run
from mcnilib.world.world import World

A, B = IPv4Address("10.0.1.2").packed, IPv4Address("10.0.2.2").packed


def ip(proto: int, payload: bytes, ident: int = 7) -> bytes:
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), ident, 0x4000, 64, proto, 0, A, B) + payload


def tcp(flags: int, data: bytes = b"", options: bytes = b"") -> bytes:
    return struct.pack("!HHIIBBHHH", 40000, 80, 1, 2, (20 + len(options)) << 2, flags, 512, 0, 0) + options + data


def test_a_rule_trace_shows_of_an_ipip_packet_its_own_header_only() -> None:
    whole = ip(4, ip(6, tcp(2)))
    captured, traced = decode(whole), decode(whole[:20], whole[20:40])
    assert (traced.mark, traced.inner) == (captured.mark, None)
    assert captured.inner is not None
    assert captured.inner.packet.dport == 80


@pytest.mark.parametrize("proto", [1, 4, 6, 17, 47])
def test_a_fragment_that_is_not_the_first_has_no_ports(proto: int) -> None:
    first = ip(proto, b"xy")
    later = decode(first[:6] + struct.pack("!H", 172) + first[8:])
    assert (later.packet.sport, later.packet.dport, later.packet.tcp, later.packet.icmp) == (0, 0, None, None)


def udp(data: bytes, dport: int = 80) -> bytes:
    return struct.pack("!HHHH", 40000, dport, 8 + len(data), 0) + data


VXLAN = udp(struct.pack("!BBHI", 8, 0, 0, 4096 << 8) + bytes.fromhex("660000000002") + bytes(8) + ip(6, tcp(2)), 4789)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (ip(6, tcp(0x02)), "tcp 10.0.1.2:40000 > 10.0.2.2:80 SYN"),
        (ip(6, tcp(0x18, b"ping\n")), "tcp 10.0.1.2:40000 > 10.0.2.2:80 ACK,PSH data"),
        (ip(17, udp(b"ping\n")), "udp 10.0.1.2:40000 > 10.0.2.2:80 UDP"),
        (ip(1, struct.pack("!BBHHH", 8, 0, 0, 5, 1)), "icmp 10.0.1.2 > 10.0.2.2 echo request"),
        (ip(1, struct.pack("!BBHI", 3, 3, 0, 0) + ip(17, udp(b""))), "icmp 10.0.1.2 > 10.0.2.2 port unreachable"),
        (ip(4, ip(6, tcp(2))), "ipencap 10.0.1.2 > 10.0.2.2 IPENCAP"),
    ],
)
def test_captured_bytes_are_packets(data: bytes, text: str) -> None:
    assert str(decode(data).packet) == text


def test_an_error_quotes_the_packet_it_is_about() -> None:
    icmp = decode(ip(1, struct.pack("!BBHI", 3, 3, 0, 0) + ip(17, udp(b"")))).packet.icmp
    assert icmp and str(icmp.quoted) == "udp 10.0.1.2:40000 > 10.0.2.2:80 UDP"


def test_a_tunnel_header_carries_a_packet_with_its_own_mark() -> None:
    seen = decode(ip(17, VXLAN, ident=9))
    assert seen.inner and seen.packet.inner
    assert (seen.packet.inner.vni, seen.packet.inner.mac) == (4096, "66:00:00:00:00:02")
    assert (seen.inner.mark.proto, seen.inner.mark.ident, seen.mark.proto, seen.mark.ident) == ("tcp", 7, "udp", 9)


def test_the_mark_survives_nat_and_tells_retransmissions_apart() -> None:
    sent, changed = ip(6, tcp(2)), bytearray(ip(6, tcp(2)))
    changed[12:16], changed[20:22] = IPv4Address("10.9.9.9").packed, struct.pack("!H", 1024)
    assert decode(bytes(changed)).mark == decode(sent).mark
    assert decode(ip(6, tcp(2), ident=8)).mark != decode(sent).mark


def test_the_window_scale_stands_among_the_options_of_a_syn() -> None:
    packet = decode(ip(6, tcp(2, options=bytes([2, 4, 5, 180, 1, 3, 3, 7])))).packet
    assert packet.tcp and packet.tcp.scale == 7


@given(st.binary(max_size=200))
def test_no_bytes_stop_the_reading_of_attributes(data: bytes) -> None:
    attributes(data)


@given(st.binary(min_size=2, max_size=100).filter(lambda data: len(data) % 2 == 0))
def test_a_message_with_its_checksum_sums_to_zero(data: bytes) -> None:
    whole = b"\0\0" + data
    assert checksum(struct.pack("!H", checksum(whole)) + data) == 0


@pytest.mark.parametrize(
    "line",
    [
        "default via 172.16.0.1 dev en0 ",
        "10.233.101.0/26 via 172.16.1.3 dev en0 proto bird ",
        "blackhole 10.233.100.0/26 proto bird ",
    ],
)
def test_a_route_is_added_in_the_words_it_is_printed_in(line: str) -> None:
    assert commands.route_words(parse_route(line, "500")).replace(" table 500", "") == line.strip()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1000:\tfrom all lookup 500", "pref 1000 from all lookup 500"),
        ("900:\tfrom all fwmark 0x1 lookup 100", "pref 900 from all fwmark 0x1 lookup 100"),
    ],
)
def test_a_rule_is_added_in_the_words_it_is_printed_in(line: str, words: str) -> None:
    assert " ".join(commands.rule_words(parse_ip_rule(line)).split()) == words


@pytest.mark.parametrize("world", [macvlans(), tunnelled(), build(Settings())], ids=["macvlan", "VXLAN", "cluster"])
def test_devices_are_created_in_the_order_of_their_indexes(world: World) -> None:
    made = {making.command: making.ends for making in devices.makings(world, str)}
    last: dict[str, int] = {}
    for _, level in devices.in_order(devices.makings(world, str)):
        for netns, index in (end for command in level for end in made[command] if end[0] != devices.SWITCH):
            assert index > last.get(netns, 0)
            last[netns] = index


def test_indexes_that_contradict_each_other_are_refused() -> None:
    a = Netns("a", (Link(2, "x", Veth(LinkEnd("b", 3))), Link(3, "y", Veth(LinkEnd("b", 2)))))
    b = Netns("b", (Link(2, "y", Veth(LinkEnd("a", 3))), Link(3, "x", Veth(LinkEnd("a", 2)))))
    with pytest.raises(Unsupported, match="no order of creation"):
        devices.in_order(devices.makings(World((a, b)), str))


@pytest.mark.parametrize("world", [macvlans(), tunnelled(), build(Settings())], ids=["macvlan", "VXLAN", "cluster"])
def test_the_kernel_chooses_the_indexes(world: World) -> None:
    assert not [making.command for making in devices.makings(world, str) if " index " in making.command]


@pytest.mark.parametrize(
    ("names", "standing", "renamed", "made"),
    [
        pytest.param("tunl0", "", [], "link add name tunl0 mtu 1480 type ipip", id="no module: the tunnel is made"),
        pytest.param("tunl0", "tunl0 gre0", [], "link set dev tunl0 name tunl0\nlink set dev tunl0 mtu 1480", id="it is there"),
        pytest.param("t", "tunl0", [], "link set dev tunl0 name t\nlink set dev t mtu 1480", id="under another name"),
        pytest.param("t gre0", "gre0 tunl0", ["link set dev gre0 name mcni0"], "link set dev tunl0 name t\nlink set dev t mtu 1480", id="a name that is taken"),
    ],
)  # fmt: skip
def test_the_fallback_of_ipip_is_used_and_other_fallbacks_make_way(
    names: str, standing: str, renamed: list[str], made: str
) -> None:
    links = [
        Link(number, name, Ipip() if number == 2 else Bridge(), mtu=1480)
        for number, name in enumerate(names.split(), 2)
    ]
    netns = Netns("a", tuple(links))
    assert devices.out_of_the_way(netns, standing.split()) == renamed
    makings = devices.makings(World((netns,)), str, {"a": standing.split()})
    assert next(one.command for one in makings if one.ends == (("a", 2),)) == made


def test_a_fallback_is_not_part_of_what_is_read_back() -> None:
    text = "".join(
        f"{index}: {name}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP\n    link/ether 02:00:00:00:00:01\n"
        for index, name in ((7, "eth0@if3"), (2, "gretap0@NONE"), (9, "stray"))
    )
    netns = Netns("a", (Link(2, "eth0"),))
    lines = [line.split(" <")[0] for line in as_in_the_world(netns, text).splitlines() if not line.startswith(" ")]
    assert lines == ["2: eth0@if3:", "9: stray:"]


def test_a_macvlan_child_is_made_where_its_lower_device_is() -> None:
    child = next(m for m in devices.makings(macvlans(), str) if "macvlan" in m.command and "netns p " in m.command)
    assert child.homes == ("n",)
    assert isinstance(macvlans()["p"].link("eth0").kind, Macvlan)


@pytest.mark.parametrize(
    ("name", "netns", "tracked"),
    [
        ("through a router", "r", False),
        ("NAT both ways", "r", True),
        ("the flagship in small", "r", True),
        ("NAT both ways", "a", False),
    ],
)
def test_connections_are_tracked_where_a_rule_or_nat_asks_for_it(name: str, netns: str, tracked: bool) -> None:
    assert CASES[name].world[netns].ip4.tracks is tracked


@pytest.mark.parametrize(
    "name", ["through a router", "NAT both ways", "VXLAN", "no route at the router", "the flagship in small"]
)
def test_a_trace_agrees_with_itself(name: str) -> None:
    case = CASES[name]
    trace = run(case.world, case.flow, case.listeners)
    assert str(compare_traces(trace, trace, case.flow, case.listeners)) == f"agree on {len(trace.journeys)} packets"


def test_a_difference_is_told_with_packet_place_and_both_sides() -> None:
    good, bad = CASES["through a router"], CASES["a chain's policy"]
    flow = replace(good.flow, patience=0.7, sport=40000)
    traces = [run(case.world, flow, good.listeners) for case in (good, bad)]
    assert str(compare_traces(*traces, flow, good.listeners)).splitlines()[:4] == [
        "part here:",
        "  request SYN, devices and addresses:",
        "    model:  r e2 > b eth0: tcp 10.0.1.2:40000 > 10.0.2.2:80",
        "    kernel: (nothing)",
    ]
