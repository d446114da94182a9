"""What `wg show all allowed-ips`, `endpoints`, `listen-port` and `fwmark` print, one behind the other.

They name peers by their public keys, and print no private and no preshared key. `wg show all dump` prints both: a text
with such lines is refused. Source: wg(8), ugly_print() in show.c of wireguard-tools 1.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError

from mcnilib.errors import StateSyntaxError
from mcnilib.language import tr
from mcnilib.linux.device.l3.kinds import Peer, PeerEndpoint, WireGuard
from mcnilib.linux.device.link import Link

_NONE, _OFF = "(none)", "off"

_ENDPOINT6 = re.compile(r"\[[0-9a-f:.%\w]+\]:\d{1,5}")


@dataclass
class _Device:
    """What the lines say of one device."""

    peers: dict[str, Peer] = field(default_factory=dict)
    port: int = 0
    mark: int = 0


def with_peers(links: tuple[Link, ...], text: str, source: str = "wg show all") -> tuple[Link, ...]:
    """Return the devices with their peers; those the text does not name have none.

    Raises: StateSyntaxError for other text, also for that of `wg show all dump`.
    """
    devices: dict[str, _Device] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            name, *rest = line.split(None, 2)
            try:
                _read(devices.setdefault(name, _Device()), rest)
            except (AddressValueError, NetmaskValueError, ValueError):
                what = tr("not a line of `wg show all allowed-ips`, `endpoints`, `listen-port` or `fwmark`")
                raise StateSyntaxError(what, source=source, line=number, column=1, text=name) from None
    return tuple(_with(link, devices.get(link.name, _Device())) for link in links)


def _with(link: Link, device: _Device) -> Link:
    if not isinstance(link.kind, WireGuard):
        return link
    kind = replace(link.kind, peers=tuple(device.peers.values()), port=device.port, mark=device.mark)
    return replace(link, kind=kind)


def _read(device: _Device, words: list[str]) -> None:
    """Read what follows a device's name. Raises: ValueError; the text of the line is in no message: it may be a key."""
    match words:
        case [value] if value == _OFF or value.startswith("0x"):
            device.mark = 0 if value == _OFF else int(value, 16)
        case [value] if value.isdecimal() and int(value) <= 0xFFFF:
            device.port = int(value)
        case [key, value]:
            peer = device.peers.get(key, Peer(key))
            device.peers[key] = _peer(peer, value)
        case _:
            raise ValueError(len(words))


def _peer(peer: Peer, value: str) -> Peer:
    if value == _NONE:
        return peer
    if "/" in value:
        allowed = (IPv4Network(word) for word in value.split() if ":" not in word)
        return replace(peer, allowed=tuple(allowed))
    if _ENDPOINT6.fullmatch(value):
        return replace(peer, endpoint6=value)
    address, _, port = value.rpartition(":")
    return replace(peer, endpoint=(IPv4Address(address), int(port)))


def print_peers(links: Iterable[Link]) -> str:
    """Print the peers of the devices of which they are known."""
    known = [
        (link.name, link.kind) for link in links if isinstance(link.kind, WireGuard) and link.kind.peers is not None
    ]
    peers = [(name, peer) for name, kind in known for peer in kind.peers or ()]
    lines = [
        *(f"{name}\t{peer.key}\t{' '.join(map(str, peer.allowed)) or _NONE}" for name, peer in peers),
        *(f"{name}\t{peer.key}\t{peer.endpoint6 or _endpoint_text(peer.endpoint)}" for name, peer in peers),
        *(f"{name}\t{kind.port}" for name, kind in known),
        *(f"{name}\t{hex(kind.mark) if kind.mark else _OFF}" for name, kind in known),
    ]
    return "".join(f"{line}\n" for line in lines)


def _endpoint_text(endpoint: PeerEndpoint | None) -> str:
    return f"{endpoint[0]}:{endpoint[1]}" if endpoint else _NONE
