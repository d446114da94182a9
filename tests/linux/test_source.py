"""Source addresses: which one MASQUERADE takes, what addrtype and rpfilter see, and why a packet is not believed.

The kernel's half sends real frames into e0 of a fresh namespace and reads the counters of one rule per question.
"""

from __future__ import annotations

import re
import sys
from ipaddress import IPv4Address

import pytest
from ip_shell import START, model, real

from mcnilib.linux.packet import Packet
from mcnilib.linux.routing.source import rpfilter_passes, source_address, validate_source

TWO = """
address add 10.0.0.1/24 dev e0
address add 10.2.0.1/16 dev e2
sysctl net.ipv4.ip_forward 1
"""
POLICY = """
route add default via 10.0.0.9 dev e0
route add blackhole 10.66.0.0/16
route add 10.9.0.0/16 dev e2 table 100
route add 10.8.0.0/16 dev e2
route add 10.8.0.0/16 dev e0 table 101
rule add fwmark 0x1 lookup 100
rule add iif e2 lookup 101
rule add from 10.2.0.77 lookup 101
"""
OPTIONS = ("", "--loose", "--validmark", "--accept-local", "--loose --accept-local")

# State, mark, source and destination of a packet that comes in by e0, and for which options `-m rpfilter` holds.
RPFILTER = [
    (TWO, 0, "10.0.0.5 > 10.2.0.9", OPTIONS),
    (TWO, 0, "10.2.0.5 > 10.0.0.1", ("--loose", "--loose --accept-local")),
    (TWO, 0, "9.9.9.9 > 10.2.0.9", ()),  # no route back
    (TWO, 0, "10.0.0.1 > 10.2.0.9", ("--accept-local", "--loose --accept-local")),  # own address of this device
    (TWO, 0, "10.2.0.1 > 10.0.0.1", ("--loose --accept-local",)),  # own address of another
    (TWO, 0, "10.0.0.255 > 10.2.0.9", ()),  # a broadcast address
    (TWO + POLICY, 0, "9.9.9.9 > 10.2.0.9", OPTIONS),  # by the default route
    (TWO + POLICY, 0, "10.66.0.5 > 10.2.0.9", ()),  # a blackhole on the way back
    (TWO + POLICY, 1, "10.9.0.5 > 10.2.0.9", ("", "--loose", "--accept-local", "--loose --accept-local")),  # unmarked: by e0
    (TWO + POLICY, 0, "10.9.0.5 > 10.2.0.9", OPTIONS),
    (TWO + POLICY, 0, "10.8.0.5 > 10.2.0.9", ("--loose", "--loose --accept-local")),  # asks with iif lo, never with iif e2
    (TWO + POLICY, 0, "10.8.0.5 > 10.2.0.77", OPTIONS),  # rules see the addresses swapped
]  # fmt: skip

SEND = """
import socket, struct, sys
mac = bytes.fromhex(sys.stdin.read().strip().replace(":", ""))
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
link.bind(("e1", 0))
for port, pair in enumerate(sys.argv[1:], 1):
    src, dst = (socket.inet_aton(word) for word in pair.split(","))
    udp = struct.pack("!HHHH", 1000, port, 8, 0)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), port, 0, 64, 17, 0, src, dst)
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    check = 0xFFFF - ((total & 0xFFFF) + (total >> 16))
    header = header[:10] + struct.pack("!H", check) + header[12:]
    link.send(mac + b"\\x02\\0\\0\\0\\0\\x01" + b"\\x08\\0" + header + udp)
"""


def packet(text: str, mark: int = 0) -> Packet:
    src, dst = text.split(" > ")
    return Packet(IPv4Address(src), IPv4Address(dst), "udp", 1000, 1, mark=mark)


def sent(packets: list[str], rules: str, state: str, asked: list[str]) -> list[str]:
    """Load iptables rules, send the packets into e0, each to a port of its own, and return what the commands print."""
    pairs = " ".join(text.replace(" > ", ",") for text in packets)
    play = (
        f"iptables-restore <<'X'\n{rules}X\ncat > /dev/shm/send.py <<'X'\n{SEND}X\n"
        "ip -o link show e0 | sed 's/.*link.ether \\([^ ]*\\).*/\\1/' > /dev/shm/mac\n"
        f"{sys.executable} /dev/shm/send.py {pairs} < /dev/shm/mac"
    )
    before = "mount -t tmpfs none /dev/shm"
    return real(state, [play, *asked], before=before + START)[1:]


def counted(listing: str, comment: str) -> int:
    found = re.search(rf"^\[(\d+):\d+\] .*--comment {re.escape(comment)}(?: |$)", listing, re.M)
    assert found, (comment, listing)
    return int(found[1])


@pytest.mark.parametrize(("state", "mark", "text", "holds"), RPFILTER)
def test_what_rpfilter_lets_pass(state: str, mark: int, text: str, holds: tuple[str, ...]) -> None:
    netns, one = model(state), packet(text, mark)
    passing = [
        options
        for options in OPTIONS
        if rpfilter_passes(netns, one, "e0", "loose" in options, "validmark" in options, "accept-local" in options)
    ]
    assert passing == [options for options in OPTIONS if options in holds]


@pytest.mark.kernel
@pytest.mark.parametrize(("state", "mark", "text", "holds"), RPFILTER)
def test_the_kernel_lets_the_same_pass(state: str, mark: int, text: str, holds: tuple[str, ...]) -> None:
    lines = [f"-A PREROUTING -i e0 -j MARK --set-mark {mark}"]
    lines += [f"-A PREROUTING -i e0 -m rpfilter {o} -m comment --comment o{n}" for n, o in enumerate(OPTIONS)]
    rules = "*mangle\n" + "\n".join(lines) + "\nCOMMIT\n"
    (listing,) = sent([text], rules, state, ["iptables-save -c -t mangle"])
    assert [o for n, o in enumerate(OPTIONS) if counted(listing, f"o{n}")] == [o for o in OPTIONS if o in holds]


TYPES = "UNSPEC UNICAST LOCAL BROADCAST ANYCAST MULTICAST BLACKHOLE UNREACHABLE PROHIBIT THROW".split()  # noqa: SIM905
LOCAL_NET = "\nroute add local 10.55.0.0/16 dev lo\nroute add 10.55.5.0/24 dev e2\n"

# State, address, its type; then its type when asked about e0 only.
ADDRTYPE = [
    (TWO, "10.0.0.1", "LOCAL", "LOCAL"),
    (TWO, "10.2.0.1", "LOCAL", "UNICAST"),  # of another device
    (TWO, "10.0.0.9", "UNICAST", "UNICAST"),
    (TWO, "9.9.9.9", "UNICAST", "UNICAST"),  # no route at all
    (TWO, "10.0.0.255", "BROADCAST", "BROADCAST"),
    (TWO, "10.2.255.255", "BROADCAST", "UNICAST"),
    (TWO, "127.0.0.9", "LOCAL", "UNICAST"),
    (TWO, "224.0.0.9", "MULTICAST", "MULTICAST"),
    (TWO, "0.0.0.0", "BROADCAST", "BROADCAST"),
    (TWO, "0.0.0.9", "UNICAST", "UNICAST"),
    (TWO, "255.255.255.255", "BROADCAST", "BROADCAST"),
    (TWO + POLICY, "10.66.0.1", "UNICAST", "UNICAST"),  # a rejecting route never shows
    (TWO + "route add blackhole 10.66.0.0/16", "10.66.0.1", "UNICAST", "UNICAST"),
    (TWO + LOCAL_NET, "10.55.0.1", "LOCAL", "UNICAST"),
    (TWO + LOCAL_NET, "10.55.5.1", "UNICAST", "UNICAST"),  # local and main are one table
    (TWO + LOCAL_NET + "rule add fwmark 0x7 lookup 7", "10.55.5.1", "LOCAL", "UNICAST"),  # and no longer
]  # fmt: skip


@pytest.mark.parametrize(("state", "address", "kind", "on_e0"), ADDRTYPE)
def test_what_addrtype_sees(state: str, address: str, kind: str, on_e0: str) -> None:
    netns, ip = model(state), IPv4Address(address)
    assert (netns.fib.address_type(ip), netns.fib.address_type(ip, "e0")) == (kind, on_e0)


@pytest.mark.kernel
@pytest.mark.parametrize("state", dict.fromkeys(row[0] for row in ADDRTYPE))
def test_addrtype_in_the_kernel(state: str) -> None:
    rows = [row for row in ADDRTYPE if row[0] == state]
    lines = []
    for number, _ in enumerate(rows, 1):
        for kind in TYPES:
            for word, option in (("all", ""), ("e0", " --limit-iface-in")):
                tail = f"-m comment --comment {word}-{number}-{kind}"
                lines.append(
                    f"-A PREROUTING -i e0 -p udp --dport {number} -m addrtype --src-type {kind}{option} {tail}"
                )
    rules = "*raw\n" + "\n".join(lines) + "\nCOMMIT\n"
    (listing,) = sent([f"{row[1]} > 10.0.0.1" for row in rows], rules, state, ["iptables-save -c -t raw"])
    for number, (_, address, kind, on_e0) in enumerate(rows, 1):
        found = [[t for t in TYPES if counted(listing, f"{word}-{number}-{t}")] for word in ("all", "e0")]
        assert (address, found) == (address, [[kind], [on_e0]])


SEVERAL = """
address add 10.0.0.1/24 dev e0
address add 192.168.7.1/24 dev e2 scope link
address add 10.2.0.1/16 dev e2
address add 10.2.0.2/16 dev e2
address add 10.7.0.1/24 dev e2
sysctl net.ipv4.ip_forward 1
route add 10.11.0.0/16 via 10.7.0.9 dev e2
route add 10.12.0.0/16 dev e3
route add 10.13.0.0/16 dev e2 src 10.0.0.1
"""

# State, destination, device it leaves by, next hop, the source MASQUERADE gives.
MASQUERADE = [
    (SEVERAL, "10.2.5.5", "e2", "10.2.5.5", "10.2.0.1"),  # the first of the two in that subnet
    (SEVERAL, "10.7.0.5", "e2", "10.7.0.5", "10.7.0.1"),  # the one whose subnet holds the next hop
    (SEVERAL, "10.11.0.5", "e2", "10.7.0.9", "10.7.0.1"),  # the next hop is the gateway
    (SEVERAL, "10.13.0.5", "e2", "10.13.0.5", "10.2.0.1"),  # the route's src does not matter
    (SEVERAL, "192.168.7.5", "e2", "192.168.7.5", "10.2.0.1"),  # scope link does not reach far enough
    (SEVERAL, "10.12.0.5", "e3", "10.12.0.5", "10.0.0.1"),  # without address: the first device that has one
    (SEVERAL + "address add 10.99.0.1/32 dev lo", "10.12.0.5", "e3", "10.12.0.5", "10.99.0.1"),  # lo is the first
]  # fmt: skip


@pytest.mark.parametrize(("state", "dst", "dev", "next_hop", "source"), MASQUERADE)
def test_which_address_masquerade_takes(state: str, dst: str, dev: str, next_hop: str, source: str) -> None:
    assert str(source_address(model(state), dev, IPv4Address(next_hop))) == source


@pytest.mark.kernel
@pytest.mark.parametrize(("state", "dst", "dev", "next_hop", "source"), MASQUERADE)
def test_masquerade_in_the_kernel(state: str, dst: str, dev: str, next_hop: str, source: str) -> None:
    rules = f"*nat\n-A POSTROUTING -o {dev} -j MASQUERADE\nCOMMIT\n"
    (table,) = sent([f"10.0.0.5 > {dst}"], rules, state, ["conntrack -L 2>/dev/null"])
    found = re.search(rf"src=10.0.0.5 dst={re.escape(dst)} .* src={re.escape(dst)} dst=(\S+) ", table)
    assert found, table
    assert found[1] == source


def test_a_namespace_without_address_has_no_source() -> None:
    assert source_address(model(""), "e0", IPv4Address("10.0.0.9")) is None


@pytest.mark.parametrize(
    ("state", "text", "iif", "why", "line"),
    [
        (TWO + "sysctl net.ipv4.conf.all.rp_filter 1", "10.2.0.5 > 10.0.0.1", "e0",
         "the way back to 10.2.0.5 is by e2, not e0", "net.ipv4.conf.all.rp_filter = 1"),
        (TWO + "sysctl net.ipv4.conf.e1.rp_filter 2", "10.0.0.5 > 10.0.0.1", "e1",
         "the way back to 10.0.0.5 is by e0, not e1, which has no address", "net.ipv4.conf.e1.rp_filter = 2"),
        (TWO + "sysctl net.ipv4.conf.e0.rp_filter 2", "9.9.9.9 > 10.0.0.1", "e0",
         "there is no way back to 9.9.9.9: no route to 9.9.9.9 from 10.0.0.1", "net.ipv4.conf.e0.rp_filter = 2"),
        (TWO, "10.2.0.1 > 10.0.0.1", "e0", "10.2.0.1 is an address of this namespace", "net.ipv4.conf.e0.accept_local = 0"),
        (TWO + "rule add iif lo lookup 100\nroute add local 9.9.9.0/24 dev lo table 100", "9.9.9.9 > 10.0.0.1", "e0",
         "9.9.9.9 is local here by 9.9.9.0/24 of table 100", "net.ipv4.conf.e0.accept_local = 0"),
        (TWO, "127.0.0.1 > 10.0.0.1", "e0", "127.0.0.1 came in by e0", "net.ipv4.conf.e0.route_localnet = 0"),
        (TWO, "224.0.0.1 > 10.0.0.1", "e0", "no host has the address 224.0.0.1", "None"),
    ],
)  # fmt: skip
def test_why_a_packet_is_not_believed(state: str, text: str, iif: str, why: str, line: str) -> None:
    wrong = validate_source(model(state), packet(text), iif)
    assert wrong is not None
    assert (wrong.why, str(wrong.line)) == (why, line)


def test_the_way_back_is_kept_as_evidence() -> None:
    wrong = validate_source(model(TWO + "sysctl net.ipv4.conf.all.rp_filter 1"), packet("10.2.0.5 > 10.0.0.1"), "e0")
    assert wrong is not None
    assert str(wrong.way_back) == "10.2.0.0/16 dev e2 proto kernel scope link src 10.2.0.1 "
