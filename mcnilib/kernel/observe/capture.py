"""See everything that happens in one namespace: frames on every device, rules that matched, connections, counters.

Three sockets per namespace, opened once; `drain` collects what has arrived. A private nftables table, `mcni`, asks
the kernel to trace every packet and shows the connection state of each; it accepts everything and goes with the
namespace.
Source: packet(7), nft(8) "MONITOR", Documentation/networking/timestamping.rst.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field
from pathlib import Path

from mcnilib.errors import McniError
from mcnilib.kernel.observe.decode import Decoded, decode
from mcnilib.kernel.observe.netlink import TraceEvent, listen, new_connections, trace_events, widen
from mcnilib.linux.netfilter.conntrack import ConnState
from mcnilib.linux.netfilter.iptables.rule import ChainRule
from mcnilib.linux.netfilter.nftables.rule import NftChain, NftRule

ETH_P_ALL, ETH_P_IP, ETH_P_ARP = 3, 0x0800, 0x0806

SO_TIMESTAMPNS = 35

SOL_PACKET, PACKET_STATISTICS = 263, 6

PACKET_OTHERHOST, PACKET_OUTGOING = 3, 4

ARP_REQUEST, ARP_REPLY = 1, 2


@dataclass(frozen=True, slots=True)
class Captured:
    """One IPv4 packet or ARP message seen on one device. `out`: sent by it; otherwise received."""

    time: int  # nanoseconds
    netns: str
    dev: str
    out: bool
    other: bool  # addressed to another MAC
    seen: Decoded | None
    mac: str = ""  # destination MAC
    arp: tuple[int, str] = (0, "")  # operation, target address


Matched = ChainRule | NftRule | str
"""A rule of iptables, one of nftables, or what a probe's rule stands for."""


@dataclass(slots=True)
class Watch:
    """The open sockets of one namespace, and what they have told so far."""

    netns: str
    capture: socket.socket
    trace: socket.socket
    connections: socket.socket
    devices: dict[int, str] = field(default_factory=dict)
    frames: list[Captured] = field(default_factory=list)
    events: list[TraceEvent] = field(default_factory=list)
    tuples: dict[bytes, None] = field(default_factory=dict)  # connections that were stored, in order
    rules: dict[tuple[str, str, int], Matched] = field(default_factory=dict)  # by (table, chain, handle)
    bases: dict[tuple[str, str], tuple[str, NftChain]] = field(
        default_factory=dict
    )  # native: (family and table, chain)

    def drain(self) -> None:
        """Collect what has arrived since the last call. Raises: McniError when something was lost."""
        self.frames += _frames(self)
        _, lost = struct.unpack("=II", self.capture.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        if lost:
            raise McniError(f"{lost} frames were not captured in {self.netns}: the machine is too busy")
        self.events += trace_events(self.trace)
        self.tuples.update(dict.fromkeys(new_connections(self.connections)))

    def forget(self, *, connections: bool = True) -> None:
        """Throw away everything seen so far; the connections there are only if asked."""
        self.drain()
        self.frames.clear()
        self.events.clear()
        if connections:
            self.tuples.clear()

    def close(self) -> None:
        """Close the sockets."""
        for sock in (self.capture, self.trace, self.connections):
            sock.close()


def open_watch(netns: str) -> Watch:
    """Open the sockets in the current namespace."""
    capture = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(ETH_P_ALL))
    widen(capture)
    capture.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    return Watch(netns, capture, listen("trace"), listen("connections"), dict(socket.if_nameindex()))


def _frames(watch: Watch) -> list[Captured]:
    frames: list[Captured] = []
    while True:
        try:
            data, control, _, address = watch.capture.recvmsg(2048, 64)
        except BlockingIOError:
            return frames
        frame = _frame(watch, data, control, address)
        if frame:
            frames.append(frame)


def _frame(
    watch: Watch, data: bytes, control: list[tuple[int, int, bytes]], address: tuple[str, int, int, int, bytes]
) -> Captured | None:
    dev, protocol, kind = address[0], address[1], address[2]
    body, mac = (data[14:], data[:6].hex(":")) if address[3] in (1, 772) else (data, "")
    out, otherhost = kind == PACKET_OUTGOING, kind == PACKET_OTHERHOST
    time = _time(control)
    if protocol == ETH_P_IP:
        return Captured(time, watch.netns, dev, out, otherhost, decode(body), mac)
    if protocol == ETH_P_ARP:
        target = ".".join(map(str, body[24:28]))
        return Captured(time, watch.netns, dev, out, otherhost, None, mac, (body[7], target))
    return None


def _time(control: list[tuple[int, int, bytes]]) -> int:
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("=qq", data)
            return int(seconds * 1_000_000_000 + nanoseconds)
    return 0


def probe_table(*, tracked: bool) -> str:
    """Return the private table as nft text: trace everything; where conntrack is in use, show each packet's state."""
    chains = [
        "chain probe_pre { type filter hook prerouting priority -450; meta nftrace set 1; }",
        "chain probe_dnat { type filter hook prerouting priority 2000; }",
        "chain probe_out { type filter hook output priority -450; meta nftrace set 1; }",
        "chain probe_fwd { type filter hook forward priority 2000; }",
        "chain probe_in { type filter hook input priority 2000; }",
        "chain probe_post { type filter hook postrouting priority 2000; }",
    ]
    if tracked:
        rules = " ".join(f"ct state {state.lower()} continue;" for state in ConnState)
        chains.append(f"chain probe_ctpre {{ type filter hook prerouting priority -199; {rules} }}")
        chains.append(f"chain probe_ctout {{ type filter hook output priority -199; {rules} }}")
    return "table ip mcni\ndelete table ip mcni\ntable ip mcni {\n" + "\n".join(chains) + "\n}\n"


def read_ip_counters() -> dict[str, int]:
    """Read the IP counters of the current namespace, as `nstat -az` prints them, and one of connection tracking's."""
    counters: dict[str, int] = {}
    for path in ("/proc/thread-self/net/snmp", "/proc/thread-self/net/netstat"):
        lines = Path(path).read_text().splitlines()
        for names, values in zip(lines[::2], lines[1::2], strict=True):
            prefix = names.split(":")[0].removesuffix("Ext")
            counters |= {f"{prefix}{n}": int(v) for n, v in zip(names.split()[1:], values.split()[1:], strict=True)}
    return counters | {INSERT_FAILED: _failed_inserts()}


INSERT_FAILED = "insert_failed"
"""Packets dropped because their connection could not be stored, as `conntrack -S` prints them."""


def _failed_inserts() -> int:
    """Sum what the CPUs count. Source: ct_cpu_seq_show() in net/netfilter/nf_conntrack_standalone.c."""
    path = Path("/proc/thread-self/net/stat/nf_conntrack")
    if not path.exists():
        return 0
    names, *lines = (line.split() for line in path.read_text().splitlines())
    return sum(int(line[names.index(INSERT_FAILED)], 16) for line in lines)
