"""Netfilter's netlink messages, as far as the lab reads them: rule traces, rule handles, connection events.

Sockets subscribe at once and lose nothing (an overflow raises), so no program has to be started and waited for.
Source: linux/netlink.h, linux/netfilter/{nfnetlink,nf_tables,nfnetlink_conntrack}.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from mcnilib.linux.netfilter.conntrack import ConnTuple, Entry, Zone
from mcnilib.linux.netfilter.conntrack_tcp import TcpConntrack, TcpTrack
from mcnilib.linux.packet import PROTOCOL_NAMES

NETLINK_NETFILTER, SOL_NETLINK, ADD_MEMBERSHIP, SO_RCVBUFFORCE = 12, 270, 1, 33

GROUPS = {"connections": (1,), "trace": (9,)}

CONNTRACK, ACCOUNTING, NFTABLES = 1, 7, 10

GETRULE, NEWRULE, TRACE = 7, 6, 17

GET_CONNECTION, NESTED = 1, 0x8000

CTA_ZONE, CTA_TUPLE_ZONE = 18, 3
"""The zone of a connection; one that only a direction has is part of its tuple."""

REQUEST_DUMP, REQUEST_CREATE = 0x1 | 0x300, 0x1 | 0x4 | 0x400

VERDICTS = {0: "DROP", 1: "ACCEPT", 2: "STOLEN", -1: "CONTINUE", -2: "BREAK", -3: "JUMP", -4: "GOTO", -5: "RETURN"}

_TYPES = {1: "policy", 2: "return", 3: "rule"}

Attributes = dict[int, bytes]


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """One line of `nft monitor trace`: a rule that matched or a chain's policy. `network`, `transport`: headers."""

    packet: int
    table: str
    chain: str
    type: str
    handle: int
    verdict: str
    iif: int
    oif: int
    mark: int
    network: bytes
    transport: bytes


def listen(what: str) -> socket.socket:
    """Open a socket in the current namespace that receives `trace` or `connections` events from now on."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, NETLINK_NETFILTER)
    widen(sock)
    sock.bind((0, 0))
    for group in GROUPS[what]:
        sock.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, group)
    return sock


def widen(sock: socket.socket) -> None:
    """Give a socket as large a receive buffer as it may have: 8 MB for root, else the limit of the system."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)


def messages(sock: socket.socket) -> Iterator[tuple[int, bytes]]:
    """Yield (message type, body) of everything that has arrived. Raises: OSError ENOBUFS when something was lost."""
    while True:
        try:
            data = sock.recv(1 << 18)
        except BlockingIOError:
            return
        yield from _split(data)


def _split(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, offset)
        yield kind, data[offset + 16 : offset + length]
        offset += (length + 3) & ~3


def attributes(data: bytes) -> Attributes:
    """Read type-length-value attributes; of several with one type the last stays."""
    by_type: Attributes = {}
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        by_type[kind & 0x3FFF] = data[offset + 4 : offset + length]
        offset += (max(length, 4) + 3) & ~3
    return by_type


def big_endian(data: bytes | None) -> int:
    """Read a big-endian number of any width; 0 when it is absent."""
    return int.from_bytes(data or b"", "big")


def c_string(data: bytes | None) -> str:
    """Read a zero-terminated string."""
    return (data or b"").split(b"\0")[0].decode()


def trace_events(sock: socket.socket) -> Iterator[TraceEvent]:
    """Yield the rule traces that have arrived, in the order the kernel made them."""
    for kind, body in messages(sock):
        if kind == NFTABLES << 8 | TRACE:
            yield _trace_event(body[0], attributes(body[4:]))


INET = 1
"""The family of tables that see IPv4 and IPv6 (NFPROTO_INET)."""


def _table_name(family: int, data: bytes | None) -> str:
    """Return the name of a table; of the family inet with the family before it, as `nft list table` has it."""
    return f"inet {c_string(data)}" if family == INET else c_string(data)


def _trace_event(family: int, attrs: Attributes) -> TraceEvent:
    verdict = attributes(attrs[5]) if 5 in attrs else {}
    code = struct.unpack("!i", verdict.get(1) or attrs.get(16) or b"\xff\xff\xff\xff")[0]
    return TraceEvent(
        packet=big_endian(attrs.get(6)),
        table=_table_name(family, attrs.get(1)),
        chain=c_string(attrs.get(2)),
        type=_TYPES.get(big_endian(attrs.get(4)), "?"),
        handle=big_endian(attrs.get(3)),
        verdict=VERDICTS.get(code if code < 0 else code & 0xFF, str(code)),
        iif=big_endian(attrs.get(10)),
        oif=big_endian(attrs.get(12)),
        mark=big_endian(attrs.get(14)),
        network=attrs.get(8, b""),
        transport=attrs.get(9, b""),
    )


def rule_handles() -> dict[tuple[str, str], list[int]]:
    """Return the handles of all rules of the current namespace for IPv4, per (table, chain) and in order."""
    handles: dict[tuple[str, str], list[int]] = {}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as sock:
        body = struct.pack("!BBH", socket.AF_UNSPEC, 0, 0)
        sock.send(struct.pack("=IHHII", 16 + len(body), NFTABLES << 8 | GETRULE, REQUEST_DUMP, 1, 0) + body)
        for kind, data in _until_done(sock):
            if kind == NFTABLES << 8 | NEWRULE and data[0] in (INET, socket.AF_INET):
                attrs = attributes(data[4:])
                handles.setdefault((_table_name(data[0], attrs[1]), c_string(attrs[2])), []).append(
                    big_endian(attrs[3])
                )
    return handles


def add_counter(name: str) -> None:
    """Create an accounting object in the current namespace, as `nfacct add NAME` does; one that is there stays."""
    body = struct.pack("!BBH", socket.AF_UNSPEC, 0, 0) + _attribute(1, name.encode() + b"\0")
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as sock:
        sock.send(struct.pack("=IHHII", 16 + len(body), ACCOUNTING << 8, REQUEST_CREATE, 1, 0) + body)
        code = -struct.unpack_from("=i", sock.recv(4096), 16)[0]
    if code not in (0, errno.EBUSY, errno.EEXIST):
        raise OSError(code, os.strerror(code))


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _until_done(sock: socket.socket) -> Iterator[tuple[int, bytes]]:
    while True:
        for kind, data in _split(sock.recv(1 << 18)):
            if kind == 3:  # NLMSG_DONE
                return
            if kind == 2:  # NLMSG_ERROR
                code = -struct.unpack_from("=i", data)[0]
                raise OSError(code, os.strerror(code))
            yield kind, data


def new_connections(sock: socket.socket) -> Iterator[bytes]:
    """Yield the original tuple and the zone, as one asks netlink with, of each connection that was stored."""
    for kind, body in messages(sock):
        if kind == CONNTRACK << 8 and body[0] == socket.AF_INET:
            attrs = attributes(body[4:])
            zone = _attribute(CTA_ZONE, attrs[CTA_ZONE]) if CTA_ZONE in attrs else b""
            yield _attribute(1 | NESTED, attrs[1]) + zone


def connections(asked: Iterable[bytes]) -> Iterator[Entry]:
    """Ask the current namespace for these connections; those that are gone are left out.

    Events would not do: what a packet changed is told with the next one if the packet is dropped on its way.
    Source: nf_ct_deliver_cached_events().
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as sock:
        for wanted in asked:
            body = struct.pack("!BBH", socket.AF_INET, 0, 0) + wanted
            sock.send(struct.pack("=IHHII", 16 + len(body), CONNTRACK << 8 | GET_CONNECTION, 0x1, 1, 0) + body)
            for kind, data in _split(sock.recv(1 << 16)):
                if kind == CONNTRACK << 8:
                    yield _entry(attributes(data[4:]))


def _entry(attrs: Attributes) -> Entry:
    status, protocol = big_endian(attrs.get(3)), attributes(attributes(attrs.get(4, b"")).get(1, b""))
    original = _tuple(attrs[1])
    state = tuple(TcpConntrack)[big_endian(protocol.get(1))] if 4 in attrs and original.proto == "tcp" else None
    return Entry(
        original=original,
        reply=_tuple(attrs[2]),
        tcp=TcpTrack(state) if state else None,
        seen_reply=bool(status & 2),
        assured=bool(status & 4),
        confirmed=True,
        mark=big_endian(attrs.get(8)),
        snat=bool(status & 16),
        dnat=bool(status & 32),
        expires=float(big_endian(attrs.get(7))),
        zone=Zone(*(big_endian(attrs.get(CTA_ZONE) or attributes(attrs[way]).get(CTA_TUPLE_ZONE)) for way in (1, 2))),
    )


def _tuple(data: bytes) -> ConnTuple:
    both = attributes(data)
    ip, proto = attributes(both[1]), attributes(both[2])
    name = PROTOCOL_NAMES.get(big_endian(proto[1]), str(big_endian(proto[1])))
    src, dst = IPv4Address(ip[1]), IPv4Address(ip[2])
    if name == "icmp":
        ident = big_endian(proto.get(4))
        return ConnTuple(name, src, dst, ident, ident, (big_endian(proto.get(5)), big_endian(proto.get(6))))
    return ConnTuple(name, src, dst, big_endian(proto.get(2)), big_endian(proto.get(3)))
