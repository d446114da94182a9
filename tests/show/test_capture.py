"""Packet captures: the bytes of frames, who sees which frame, what the comments say; read back by a reader of our own and by tshark."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import NamedTuple

import pytest
from kernel_worlds import bridged, chains, ipip_tunnels, macvlan_on_bridge, macvlans, passthru_port, tunnelled
from small_worlds import mac, namespace, plug, routed, talk

from mcnilib.linux.packet import Icmp, Inner, Packet, Tcp, checksum
from mcnilib.scenarios import all_scenarios
from mcnilib.show.capture.capture import MADE_UP, capture_files
from mcnilib.show.capture.octets import arp, ethernet, ipv4
from mcnilib.trace.trace import Trace
from mcnilib.world.world import World

A, B = IPv4Address("10.0.1.2"), IPv4Address("10.0.2.2")


def segment(*flags: str, **more: object) -> Packet:
    return Packet(A, B, "tcp", 40000, 80, Tcp(frozenset(flags), 1000, **more))  # type: ignore[arg-type]


ICMP_A = Packet(A, B, "icmp", icmp=Icmp(8, ident=0x1234, seq=1), length=4)

FIELDS = {
    "SYN with window scale": (
        ipv4(segment("SYN", scale=7), 3),
        "45 00 002c 0003 4000 40 06 23c6 0a000102 0a000202",
        "9c40 0050 000003e8 00000000 60 02 faf0 e967 0000 01 03 03 07",
    ),
    "ACK that NAT and a router changed": (
        ipv4(segment("ACK", ack=5001).but(dst=A, src=B, ttl=63, tos=0x10), 4),
        "45 10 0028 0004 4000 3f 06 24b9 0a000202 0a000102",
        "9c40 0050 000003e8 00001389 50 10 faf0 e9de 0000",
    ),
    "all flags": (
        ipv4(segment("SYN", "ACK", "PSH", "FIN", "RST", "URG", "ECE", "CWR")),
        "45 00 0028 0000 4000 40 06 23cd 0a000102 0a000202",
        "9c40 0050 000003e8 00000000 50 ff faf0 fc78 0000",
    ),
    "UDP with an odd number of bytes": (
        ipv4(Packet(A, B, "udp", 40000, 53, length=3), 1),
        "45 00 001f 0001 4000 40 11 23ca 0a000102 0a000202",
        "9c40 0035 000b 4c5f 000000",
    ),
    "echo request": (
        ipv4(ICMP_A, 2),
        "45 00 0020 0002 4000 40 01 23d8 0a000102 0a000202",
        "08 00 e5ca 1234 0001 00000000",
    ),
    "error with the packet it is about": (
        ipv4(Packet(B, A, "icmp", icmp=Icmp(3, 3, quoted=Packet(A, B, "udp", 40000, 53, length=3)))),
        "45 00 003b 0000 4000 40 01 23bf 0a000202 0a000102",
        "03 03 141d 0000 0000 45 00 001f 0000 4000 40 11 23cb 0a000102 0a000202 9c40 0035 000b 4c5f 000000",
    ),
    "a protocol without ports": (
        ipv4(Packet(A, B, "gre", length=2)),
        "45 00 0016 0000 4000 40 2f 23b6 0a000102 0a000202",
        "0000",
    ),
    "a protocol without a name": (
        ipv4(Packet(A, B, "253")),
        "45 00 0014 0000 4000 40 fd 22ea 0a000102 0a000202",
        "",
    ),
    "IPIP": (
        ipv4(Packet(B, A, "ipencap", inner=Inner(ICMP_A)), 2, ("",)),
        "45 00 0034 0002 4000 40 04 23c1 0a000202 0a000102",
        "45 00 0020 0002 4000 40 01 23d8 0a000102 0a000202 08 00 e5ca 1234 0001 00000000",
    ),
    "VXLAN without outer checksum": (
        ipv4(
            Packet(B, A, "udp", 50000, 4789, inner=Inner(ICMP_A, 4096, "66:00:00:00:00:02")), 2, ("66:00:00:00:00:01",)
        ),
        "45 00 0052 0002 4000 40 11 2396 0a000202 0a000102",
        "c350 12b5 003e 0000 08000000 001000 00 660000000002 660000000001 0800"
        "45 00 0020 0002 4000 40 01 23d8 0a000102 0a000202 08 00 e5ca 1234 0001 00000000",
    ),
    "ARP request": (
        ethernet(
            mac("a", 2), "ff:ff:ff:ff:ff:ff", arp((mac("a", 2), A), ("00:00:00:00:00:00", B), reply=False), 0x0806
        ),
        "ffffffffffff 02612d2d2d02 0806",
        "0001 0800 06 04 0001 02612d2d2d02 0a000102 000000000000 0a000202",
    ),
}
"""Bytes of a packet, field by field: the head, then what it carries."""


@pytest.mark.parametrize(("data", "head", "payload"), FIELDS.values(), ids=FIELDS)
def test_bytes(data: bytes, head: str, payload: str) -> None:
    assert data.hex(" ") == bytes.fromhex(head + payload).hex(" ")


@pytest.mark.parametrize("length", range(1400, 1404))
@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_checksums_are_those_a_receiver_computes(proto: str, length: int) -> None:
    packet = segment("ACK") if proto == "tcp" else Packet(A, B, "udp", 1, 2)
    data = ipv4(packet.but(length=length))
    pseudo = data[12:20] + struct.pack("!HH", data[9], len(data) - 20)
    assert checksum(data[:20]) == checksum(pseudo + data[20:]) == 0


def test_a_udp_checksum_that_would_be_zero_says_that_there_is_one() -> None:
    zero = next(
        packet
        for port in range(1, 65536)
        if ipv4(packet := Packet(A, B, "udp", port, 53))[26:28] in (b"\0\0", b"\xff\xff")
    )
    assert ipv4(zero)[26:28] == b"\xff\xff"


# --- who sees what ---------------------------------------------------------------------------------------------------


class Seen(NamedTuple):
    """A packet of a file."""

    device: str
    outbound: bool
    time: int
    data: bytes
    comments: list[str]

    @property
    def ip(self) -> bytes:
        return self.data if self.data[0] == 0x45 else self.data[14:]

    @property
    def ends(self) -> str:
        return f"{IPv4Address(self.ip[12:16])} > {IPv4Address(self.ip[16:20])}"


class File(NamedTuple):
    """What a capture file holds."""

    comments: list[str]
    devices: dict[str, dict[int, bytes]]
    packets: list[Seen]
    names: bytes


def options(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        code, length = struct.unpack_from("<HH", data, at)
        if code == 0:
            assert (length, at + 4) == (0, len(data))
            return
        yield code, data[at + 4 : at + 4 + length]
        at += 4 + length + -length % 4


def blocks(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        assert length % 4 == 0
        assert struct.unpack_from("<I", data, at + length - 4) == (length,)
        yield kind, data[at + 8 : at + length - 4]
        at += length


def comments_in(data: bytes) -> list[str]:
    return [value.decode() for code, value in options(data) if code == 1]


def read(data: bytes) -> File:
    file = File([], {}, [], b"")
    for kind, body in blocks(data):
        if kind == 0x0A0D0D0A:
            assert body[:8] == bytes.fromhex("4d3c2b1a 0100 0000")
            file.comments.extend(comments_in(body[16:]))
        elif kind == 1:
            found = dict(options(body[8:]))
            file.devices[found[2].decode()] = found | {-1: body[:2]}
        elif kind == 4:
            file = file._replace(names=body)
        else:
            assert kind == 6
            interface, high, low, size, whole = struct.unpack_from("<IIIII", body)
            assert size == whole
            rest = body[20 + size + -size % 4 :]
            flags = int.from_bytes(dict(options(rest))[2], "little")
            assert flags & 3 in (1, 2)
            seen = Seen(
                [*file.devices][interface], flags & 3 == 2, high << 32 | low, body[20 : 20 + size], comments_in(rest)
            )
            file.packets.append(seen)
    return file


def captured(world: World, trace: Trace) -> dict[str, File]:
    return {name.removesuffix(".pcapng"): read(data) for name, data in capture_files(world, trace, "a test").items()}


def way(files: dict[str, File], number: int = 1, kind: int = 0x0800) -> str:
    """Where packet `number` is seen, in order of time: `<` comes in, `>` leaves. ARP: all of it."""
    sights = sorted(
        (seen.time, f"{name}.{seen.device}{'>' if seen.outbound else '<'}")
        for name, file in files.items()
        for seen in file.packets
        if (kind == 0x0806) == (seen.data[12:14] == b"\x08\x06")
        if kind == 0x0806 or seen.ip[4:6] == number.to_bytes(2, "big")
    )
    return " ".join(text for _, text in sights)


def loop() -> World:
    return plug(namespace("a", "eth0 10.0.1.2/24"))


WAYS = {
    "router": (routed(), "tcp:10.0.2.2:80", "a.eth0> r.e1< r.e2> b.eth0<"),
    "siblings: their master sees it come in": (macvlans(), "tcp:10.0.1.12:80", "a.eth0> n.en0< p.eth0<"),
    "the switch sends it back": (
        macvlans("vepa", reflects=True),
        "tcp:10.0.1.12:80",
        "a.eth0> n.en0> n.en0< p.eth0<",
    ),
    "other node": (macvlans(), "tcp:10.0.1.13:80", "a.eth0> n.en0> m.en0< b.eth0<"),
    "bridge": (bridged(), "tcp:10.0.7.3:80", "a.eth0> n.va< n.vb> b.eth0<"),
    "out of a bridge by a macvlan device in mode passthru": (
        passthru_port(),
        "udp:10.0.7.2:80",
        "b.eth0> m.vb< m.mv> n.en0> a.eth0<",
    ),
    "VXLAN: packed and plain": (
        tunnelled(),
        "tcp:10.9.2.5:80",
        "a.eth0> n.cali0< n.vxlan.0> n.en0> m.en0< m.vxlan.0< m.cali0> b.eth0<",
    ),
    "IPIP": (ipip_tunnels(), "tcp:10.9.2.1:80", "a.t> a.en0> b.en0< b.t<"),
}


@pytest.mark.parametrize(("world", "to", "expected"), WAYS.values(), ids=WAYS)
def test_a_packet_is_seen_at_each_device_it_crosses(world: World, to: str, expected: str) -> None:
    assert way(captured(world, talk(world, to, client=expected[0], server="p"))) == expected


def test_loopback_sees_a_packet_once() -> None:
    world = loop()
    files = captured(world, talk(world, "tcp:10.0.1.2:80", server="a"))
    assert way(files) == "a.lo<"
    assert files["a"].packets[0].data[:12] == bytes(12)


BRIDGE = {
    "from a child of the bridge to a port": ("c", "10.0.7.3", "c.eth0> n.br0> n.vb> b.eth0<"),
    "from a port to a child of the bridge": ("a", "10.0.7.4", "a.eth0> n.va< n.br0< c.eth0<"),
    "to the bridge's own IP layer": ("a", "10.0.7.1", "a.eth0> n.va< n.br0<"),
    "from there": ("n", "10.0.7.2", "n.br0> n.va> a.eth0<"),
}


@pytest.mark.parametrize(("client", "to", "expected"), BRIDGE.values(), ids=BRIDGE)
def test_a_bridge_as_a_device_sees_what_its_own_ip_layer_takes(client: str, to: str, expected: str) -> None:
    world = macvlan_on_bridge()
    assert way(captured(world, talk(world, f"udp:{to}:80", client=client))) == expected


REQUESTS = {
    "router": (routed(), "tcp:10.0.2.2:80", "a.eth0> r.e1< r.e1> a.eth0< r.e2> b.eth0< b.eth0> r.e2<"),
    "siblings: their master sees a request leave, and the answer come in": (
        macvlans(),
        "tcp:10.0.1.12:80",
        "a.eth0> p.eth0< n.en0> p.eth0> n.en0< a.eth0<",
    ),
}


@pytest.mark.parametrize(("world", "to", "expected"), REQUESTS.values(), ids=REQUESTS)
def test_arp_is_seen_by_those_the_conversation_crosses(world: World, to: str, expected: str) -> None:
    assert way(captured(world, talk(world, to)), kind=0x0806) == expected


def test_arp_says_who_asks_and_who_answers() -> None:
    world = routed()
    request, answer = captured(world, talk(world, "tcp:10.0.2.2:80"))["a"].packets[:2]
    own, router = bytes.fromhex(mac("a", 2).replace(":", "")), bytes.fromhex(mac("r", 2).replace(":", ""))
    asked = bytes(6) + IPv4Address("10.0.1.1").packed
    assert request.data == b"\xff" * 6 + own + bytes.fromhex("0806 00010800 0604 0001") + own + A.packed + asked
    told = router + IPv4Address("10.0.1.1").packed + own + A.packed
    assert answer.data == own + router + bytes.fromhex("0806 00010800 0604 0002") + told


def test_nat_shows_before_and_after() -> None:
    tables = chains(
        "nat",
        "PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 10.0.2.2:80",
        "POSTROUTING -o e2 -j SNAT --to-source 10.0.2.1",
    )
    world = routed(tables)
    router = captured(world, talk(world, "tcp:10.0.1.1:8080"))["r"]
    before, after = [seen for seen in router.packets if seen.data[12:14] == b"\x08\x00"][:2]
    assert (before.device, before.ends, before.ip[8]) == ("e1", "10.0.1.2 > 10.0.1.1", 64)
    assert (after.device, after.ends, after.ip[8]) == ("e2", "10.0.2.1 > 10.0.2.2", 63)
    assert [seen.ip[22:24] for seen in (before, after)] == [struct.pack("!H", 8080), struct.pack("!H", 80)]
    assert before.comments == ["packet 1 (SYN)"]
    assert any("-j DNAT --to-destination 10.0.2.2:80" in text for text in after.comments)
    assert any("-j SNAT --to-source 10.0.2.1" in text for text in after.comments)


DROP = "FORWARD -p tcp -j DROP"


def test_where_it_was_decided_the_packet_says_verdict_and_line() -> None:
    world = routed(chains("filter", DROP))
    files = captured(world, talk(world, "tcp:10.0.2.2:80"))
    [last] = [seen for seen in files["r"].packets if f"deciding line: -A {DROP}" in seen.comments]
    verdict = (
        "verdict: connect times out (ETIMEDOUT): packet 1 (SYN) is dropped on r in filter FORWARD by `-p tcp -j DROP`"
    )
    assert (last.device, last.outbound, last.ip[5]) == ("e1", False, 1)
    assert last.comments[-2] == verdict
    assert all(verdict in file.comments for file in files.values())
    assert "b" not in files


def test_what_no_device_saw_is_told_in_the_comment_of_the_file() -> None:
    line = "OUTPUT -p tcp -j DROP"
    a = namespace("a", "eth0 10.0.1.2/24", tables=chains("filter", line))
    world = plug(a, namespace("b", "eth0 10.0.1.3/24"), lan="a.eth0 b.eth0")
    [(name, file)] = captured(world, talk(world, "tcp:10.0.1.3:80")).items()
    assert (name, file.packets, file.devices) == ("a", [], {})
    [told] = [text for text in file.comments if text.startswith("seen by no device here: packet 1 (SYN): ")]
    assert f"deciding line: -A {line}" in told


def test_a_packet_nobody_answers_for_is_told_at_the_question() -> None:
    world = plug(namespace("a", "eth0 10.0.1.2/24"), namespace("b", "eth0 10.0.1.3/24"), lan="a.eth0 b.eth0")
    file = captured(world, talk(world, "tcp:10.0.1.9:80"))["a"]
    assert (file.packets[0].device, file.packets[0].outbound, file.packets[0].data[12:14]) == (
        "eth0",
        True,
        b"\x08\x06",
    )
    assert any(text.startswith("verdict: unreachable") for text in file.packets[0].comments)


def test_a_frame_that_passes_below_the_ip_layer_says_so() -> None:
    world = macvlans()
    node = captured(world, talk(world, "tcp:10.0.1.12:80", server="p"))["n"]
    assert "passes en0 below the IP layer of n" in node.packets[-1].comments


def test_what_was_not_collected_ends_in_words() -> None:
    world = replace(routed(), complete=False, segments=())
    file = captured(world, talk(world, "tcp:10.0.2.2:80"))["a"]
    assert any("unknown beyond this point" in text for text in file.comments)


def test_a_file_names_its_devices_and_says_what_is_made_up() -> None:
    world = ipip_tunnels()
    file = captured(world, talk(world, "tcp:10.9.2.1:80"))["a"]
    assert file.comments[:2] == ["namespace a", "a test"]
    assert set(MADE_UP) <= set(file.comments)
    nic, tunnel = file.devices["en0"], file.devices["t"]
    assert (nic[-1], tunnel[-1]) == (struct.pack("<H", 1), struct.pack("<H", 101))
    assert nic[6] == bytes.fromhex(mac("a", 2).replace(":", ""))
    assert 6 not in tunnel
    assert nic[3] == b"en0 of a"
    assert tunnel[3] == b"t of a, ipip"
    assert nic[4] == bytes((10, 0, 1, 1, 255, 255, 255, 0))
    assert nic[9] == b"\x09"
    assert b"\x0a\x09\x02\x01b\0" in file.names


def test_times_go_on_and_begin_with_the_client() -> None:
    world = routed(chains("filter", DROP))
    files = captured(world, talk(world, "tcp:10.0.2.2:80"))
    times = sorted(seen.time for file in files.values() for seen in file.packets)
    assert times[0] == 0
    assert len(set(times)) == len(times)
    second = next(
        seen for seen in files["a"].packets if seen.ip[4:6] == b"\0\2" and seen.data[12] == 8 and not seen.data[13]
    )
    assert second.time == 1_000_000_000


def test_bytes_from_outside_do_no_harm() -> None:
    world = routed()
    data = capture_files(world, talk(world, "tcp:10.0.2.2:80"), "ends\x1b[2J \udcff " + "é" * 40000)["a.pcapng"]
    title = read(data).comments[1]
    assert title.startswith("ends\\x1b[2J \\xff é")
    assert len(title.encode()) in (65534, 65535)


def test_a_conversation_is_written_the_same_each_time() -> None:
    story = all_scenarios()[0]
    settings = story.start()
    first, second = (capture_files(story.world(settings), story.run(settings), "") for _ in range(2))
    assert first == second


# --- read back by others -----------------------------------------------------------------------------------------------

WRONG = "_ws.malformed or _ws.expert.severity >= error or ip.checksum.status == 0"
WRONG += " or tcp.checksum.status == 0 or udp.checksum.status == 0 or icmp.checksum.status == 0"
CHECKED = [word for proto in ("ip", "tcp", "udp") for word in ("-o", f"{proto}.check_checksum:TRUE")]
CHECKED += ["--disable-protocol", "dns"]  # what the conversations say to port 53 is zeros, no question


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The captures of all scenarios as they start and with each encapsulation, in a folder."""
    if not all(map(shutil.which, ("tshark", "capinfos", "mergecap"))):
        pytest.skip("tshark is not installed (Debian: apt install tshark)")
    folder = tmp_path_factory.mktemp("captures")
    for story in all_scenarios():
        for option in (None, "VXLAN", "IPIP"):
            if option and "encapsulation" not in [x.name for x in story.options()]:
                continue
            settings = story.start().but(encapsulation=option) if option else story.start()
            files = capture_files(story.world(settings), story.run(settings), story.title)
            for name, data in files.items():
                (folder / f"{story.name}-{option}-{name}").write_bytes(data)
    return folder


def run(*words: str | Path) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=300).stdout


def test_tshark_finds_nothing_wrong(everything: Path) -> None:
    files = sorted(everything.glob("*.pcapng"))
    merged = everything / "merged"
    run("mergecap", "-w", merged, *files)
    assert run("tshark", "-r", merged, *CHECKED, "-Y", WRONG) == ""
    layers = {
        line.split()[0] for line in run("tshark", "-r", merged, "-q", "-z", "io,phs").splitlines() if "frames:" in line
    }
    assert layers >= {"eth", "arp", "raw", "ip", "tcp", "udp", "vxlan", "icmp"}


def test_tshark_finds_what_is_wrong(tmp_path: Path, everything: Path) -> None:
    data = bytearray(next(everything.glob("macvlan-to-calico-across-nodes-None-mac1.pcapng")).read_bytes())
    at = data.index(bytes.fromhex("45000028")) + 10
    data[at] ^= 1
    (tmp_path / "one").write_bytes(data)
    assert run("tshark", "-r", tmp_path / "one", *CHECKED, "-Y", WRONG)


def test_tshark_shows_devices_directions_and_comments(everything: Path) -> None:
    file = everything / "macvlan-to-calico-across-nodes-None-node1.pcapng"
    names = ("frame.interface_name", "frame.packet_flags_direction", "ip.id", "frame.comment")
    words = [word for name in names for word in ("-e", name)]
    shown = run("tshark", "-r", file, "-Y", 'frame.comment contains "deciding line"', "-T", "fields", *words)
    device, direction, ident, comment = shown.rstrip("\n").split("\t")
    assert (device[:4], int(direction, 16), int(ident, 16)) == ("veth", 1, 3)
    assert comment.endswith("deciding line: -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP")
    assert "Strict time order:   True" in run("capinfos", file)


def test_capinfos_takes_a_file_without_packets(tmp_path: Path, everything: Path) -> None:
    world = plug(namespace("a", "eth0 10.0.1.2/24", tables=chains("filter", "OUTPUT -j DROP")), lan="a.eth0")
    [data] = capture_files(world, talk(world, "tcp:10.0.1.3:80", server="a"), "").values()
    (tmp_path / "one").write_bytes(data)
    assert "Number of packets:   0" in run("capinfos", tmp_path / "one")
