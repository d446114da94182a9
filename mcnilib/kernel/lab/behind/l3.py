"""What stands behind devices of packets in the lab: the program of a tun device, the peers of a WireGuard device.

The program carries packets from one tun device of a segment to the other. The keys of WireGuard are made here; a World
names a peer by its place, `NETNS/DEVICE`. Source: Documentation/networking/tuntap.rst, wg(8).
"""

from __future__ import annotations

import os
import select
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from fcntl import ioctl

from mcnilib.errors import Unsupported
from mcnilib.linux.device.base import DeviceRole
from mcnilib.linux.device.l3.kinds import WireGuard, wireguard_of
from mcnilib.world.world import Port, Segment, World

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000

_LONGEST = 65535

RunTool = Callable[..., str]
"""Runs a program in a namespace: its name, the words of the command, `text` for its input; returns what it prints."""


def peer_commands(world: World, run: RunTool) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Yield for each WireGuard device the namespace, the command that configures it, and that command's input.

    Raises: Unsupported for a peer that is no device of the world.
    """
    devices = {
        f"{n.name}/{x.name}": (n.name, x.name, kind) for n in world for x in n.links if (kind := wireguard_of(x.kind))
    }
    private = {place: run(netns, "wg", "genkey") for place, (netns, _, _) in devices.items()}
    public = {place: run(devices[place][0], "wg", "pubkey", text=key).strip() for place, key in private.items()}
    for place, (netns, device, kind) in devices.items():
        yield netns, ("wg", "set", device, *_words(kind, public)), private[place]


def _words(kind: WireGuard, public: Mapping[str, str]) -> Iterator[str]:
    yield from ("private-key", "/proc/self/fd/0", "listen-port", str(kind.port), "fwmark", hex(kind.mark))
    for peer in kind.peers or ():
        if peer.key not in public:
            raise Unsupported(f"a peer {peer.key!r} that is no WireGuard device of this world")
        yield from ("peer", public[peer.key], "allowed-ips", ",".join(map(str, peer.allowed)))
        if peer.endpoint:
            yield from ("endpoint", f"{peer.endpoint[0]}:{peer.endpoint[1]}")


def carried(world: World) -> Iterator[tuple[Port, Port]]:
    """Yield the pairs of tun devices between which a program carries packets."""
    for segment in world.segments:
        programs = _programs(world, segment)
        if len(programs) == 2:
            yield programs[0], programs[1]


def _programs(world: World, segment: Segment) -> list[Port]:
    return [port for port in segment.ports if world[port.netns].link(port.link).kind.role is DeviceRole.PROGRAM]


def opened(device: str) -> int:
    """Open a tun device of the namespace this thread is in, as its program."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
    return descriptor


class Carrier:
    """The programs of a lab: what one tun device hands over is written to the other, until `close`."""

    def __init__(self, pairs: list[tuple[int, int]]) -> None:
        """Begin to carry between open devices."""
        self._to = dict(pairs) | {second: first for first, second in pairs}
        self._end, self._ended = os.pipe()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def _carry(self) -> None:
        while True:
            ready, _, _ = select.select([*self._to, self._end], [], [])
            if self._end in ready:
                return
            for descriptor in ready:
                try:
                    os.write(self._to[descriptor], os.read(descriptor, _LONGEST))
                except OSError:
                    continue  # the other device is down: the packet is lost

    def close(self) -> None:
        """End the programs."""
        os.close(self._ended)
        self._thread.join()
        for descriptor in (*self._to, self._end):
            os.close(descriptor)
