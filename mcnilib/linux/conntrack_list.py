"""Connections there are already, as `conntrack -L` prints them.

Such an entry knows addresses, state, NAT and age, but not the TCP windows: a TCP segment of that very connection meets
something unknown. Protocols other than TCP, UDP and ICMP, and other zones than 0, are passed over.
Source: conntrack(8) (conntrack-tools 1.4.7), libnetfilter_conntrack src/conntrack/snprintf_default.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address

from mcnilib.errors import StateSyntaxError
from mcnilib.linux.conntrack import Entry, Flow
from mcnilib.linux.tcp_track import STATES, TcpTrack

FIELD = re.compile(r"(src|dst|sport|dport|type|code|id)=(\S+)")
HEAD = re.compile(r"(\w+) +(\d{1,3}) +(\d{1,10}) +", re.ASCII)
ZONE = re.compile(r" zone(?:-orig|-reply)?=")
PROTOCOLS = ("tcp", "udp", "icmp")


def parse_connections(text: str, source: str = "conntrack -L") -> tuple[Entry, ...]:
    """Read the output of `conntrack -L`. Raises: StateSyntaxError for text it does not print."""
    return tuple(entry for number, line in enumerate(text.splitlines(), 1) for entry in _entry(line, source, number))


def _entry(line: str, source: str, number: int) -> Iterator[Entry]:
    head = HEAD.match(line)
    if not line.strip() or line.startswith("conntrack v") or ZONE.search(line):
        return
    if not head:
        raise _wrong("not `PROTOCOL NUMBER SECONDS ...`", source, number, 1, line)
    if head[1] not in PROTOCOLS:
        return
    state = line[head.end() :].partition(" ")[0] if head[1] == "tcp" else ""
    if state and state not in STATES:
        raise _wrong(f"{state!r} is no TCP state", source, number, head.end() + 1, line)
    yield _read(line, state, float(head[3]), *_flows(head[1], line, source, number))


def _read(line: str, state: str, seconds: float, original: Flow, reply: Flow) -> Entry:
    mark = re.search(r" mark=(\d{1,10})\b", line, re.ASCII)
    return Entry(
        original,
        reply,
        TcpTrack(state) if state else None,
        seen_reply="[UNREPLIED]" not in line,
        assured="[ASSURED]" in line,
        confirmed=True,
        mark=int(mark[1]) if mark else 0,
        snat=(original.src, original.sport) != (reply.dst, reply.dport),
        dnat=(original.dst, original.dport) != (reply.src, reply.sport),
        src_done=True,
        dst_done=True,
        expires=seconds,
        listed=True,
    )


def _flows(proto: str, line: str, source: str, number: int) -> tuple[Flow, Flow]:
    """Read the two directions: each begins with `src=`."""
    found = list(FIELD.finditer(line))
    starts = [place for place, field in enumerate(found) if field[1] == "src"]
    if len(starts) != 2:
        raise _wrong("not two directions, each beginning with src=", source, number, 1, line)
    parts = found[starts[0] : starts[1]], found[starts[1] :]
    one, two = (_flow(proto, {field[1]: field for field in part}, source, number, line) for part in parts)
    return one, two


def _flow(proto: str, fields: dict[str, re.Match[str]], source: str, number: int, line: str) -> Flow:
    def value(name: str, limit: int) -> int:
        field = fields.get(name)
        if field is None or not re.fullmatch(r"\d{1,5}", field[2], re.ASCII) or int(field[2]) > limit:
            column = field.start() + 1 if field else len(line) + 1
            raise _wrong(f"{name}= must be a number up to {limit}", source, number, column, line)
        return int(field[2])

    def address(name: str) -> IPv4Address:
        try:
            return IPv4Address(fields[name][2])
        except (KeyError, AddressValueError):
            column = fields[name].start() + 1 if name in fields else len(line) + 1
            raise _wrong(f"{name}= must be an IPv4 address", source, number, column, line) from None

    src, dst = address("src"), address("dst")
    if proto == "icmp":
        ident = value("id", 65535)
        return Flow(proto, src, dst, ident, ident, (value("type", 255), value("code", 255)))
    return Flow(proto, src, dst, value("sport", 65535), value("dport", 65535))


def _wrong(what: str, source: str, number: int, column: int, line: str) -> StateSyntaxError:
    return StateSyntaxError(what, source=source, line=number, column=column, text=line)
