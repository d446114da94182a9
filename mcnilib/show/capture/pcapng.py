"""A capture file in the format pcapng: four kinds of blocks, and their options.

Written here because no library fits: python-pcapng has had no release since 2022, scapy is licensed under the GPL and
many times larger than this package, and neither writes the comment of a section with the names of its interfaces.
Source: draft-ietf-opsawg-pcapng (blocks: sections 4.1, 4.2, 4.3, 4.5).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address
from typing import NamedTuple

from mcnilib.errors import printable
from mcnilib.linux.device.base import NO_MAC
from mcnilib.linux.device.link import Link
from mcnilib.show.capture.octets import mac_octets

ETHERNET, RAW = 1, 101
"""Types of link layers: LINKTYPE_ETHERNET, and LINKTYPE_RAW, where the packet has no frame around it."""

_SECTION, _INTERFACE, _NAMES, _PACKET = 0x0A0D0D0A, 1, 4, 6
_COMMENT, _PROGRAM = 1, 4
_IF_NAME, _IF_DESCRIPTION, _IF_ADDRESS, _IF_MAC, _IF_RESOLUTION = 2, 3, 4, 6, 9
_EPB_FLAGS, _INBOUND, _OUTBOUND, _UNICAST, _BROADCAST = 2, 1, 2, 1 << 2, 3 << 2
_LONGEST = 0xFFFF
"""Bytes of an option."""


class CapturedFrame(NamedTuple):
    """A frame as a device of a namespace saw it. `time` is in nanoseconds; `comments` may still grow."""

    device: str
    outbound: bool
    time: int
    data: bytes
    comments: list[str]
    to_all: bool = False


_Option = tuple[int, bytes]


def capture_file(
    at: str,
    links: Sequence[Link],
    frames: Iterable[CapturedFrame],
    comments: Iterable[str],
    names: Mapping[IPv4Address, str],
) -> bytes:
    """Return the capture of the namespace `at`: one section with its devices and the frames they saw, in order.

    `names` are those of addresses; Wireshark shows them where it resolves network addresses.
    """
    number = {link.name: index for index, link in enumerate(links)}
    blocks = [_section(comments), *(_interface(link, at) for link in links)]
    blocks += [_name_resolution(names)] if names else []
    blocks += (_packet(frame, number[frame.device]) for frame in frames)
    return b"".join(blocks)


def _section(comments: Iterable[str]) -> bytes:
    options = [*map(_comment, comments), (_PROGRAM, b"mcnilib")]
    return _block(_SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1), options)


def _interface(link: Link, at: str) -> bytes:
    """Describe a device: of which kind and where it is, so that it is told apart where files are merged."""
    described = f"{link.name} of {at}" + (f", {link.kind.word}" if link.kind.word else "")
    options = [(_IF_NAME, _text(link.name)), (_IF_DESCRIPTION, _text(described))]
    options += [(_IF_ADDRESS, address.ip.packed + address.interface.netmask.packed) for address in link.addresses]
    options += [(_IF_MAC, mac_octets(link.mac))] if link.kind.has_mac and link.mac != NO_MAC else []
    kind = ETHERNET if link.kind.has_mac else RAW
    return _block(_INTERFACE, struct.pack("<HHI", kind, 0, 0), [*options, (_IF_RESOLUTION, b"\x09")])


def _name_resolution(names: Mapping[IPv4Address, str]) -> bytes:
    records = ((1, ip.packed + _text(name) + b"\0") for ip, name in names.items())
    return _block(_NAMES, _options(records), [])


def _packet(frame: CapturedFrame, interface: int) -> bytes:
    size = len(frame.data)
    head = struct.pack("<IIIII", interface, frame.time >> 32, frame.time & 0xFFFFFFFF, size, size)
    flags = (_OUTBOUND if frame.outbound else _INBOUND) | (_BROADCAST if frame.to_all else _UNICAST)
    options = [*map(_comment, frame.comments), (_EPB_FLAGS, struct.pack("<I", flags))]
    return _block(_PACKET, head + _padded(frame.data), options)


def _block(kind: int, body: bytes, options: Iterable[_Option]) -> bytes:
    """Return a block, whose length stands at both ends."""
    written = _options(options)
    length = struct.pack("<I", 12 + len(body) + len(written))
    return struct.pack("<I", kind) + length + body + written + length


def _options(options: Iterable[_Option]) -> bytes:
    """Return options or name records, and the end of them (code and length 0); nothing where there are none."""
    written = b"".join(struct.pack("<HH", code, len(value)) + _padded(value) for code, value in options)
    return written + bytes(4) if written else b""


def _comment(text: str) -> _Option:
    return _COMMENT, _text(text)


def _text(text: str) -> bytes:
    return printable(text).encode()[:_LONGEST].decode(errors="ignore").encode()


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
