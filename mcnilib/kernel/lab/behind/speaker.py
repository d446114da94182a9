"""Programs that answer ARP for an address in the lab, from a raw socket, as the speakers of MetalLB do.

They answer requests that come in by their device, whatever the kernel says, with the MAC of that device.
Source: internal/layer2/arp.go of MetalLB 0.14; RFC 826, packet(7).
"""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
from collections.abc import Mapping
from ipaddress import IPv4Address

from mcnilib.world.world import Speaker

_ARP, _REQUEST, _ANSWER = 0x0806, 1, 2

_MESSAGE = struct.Struct("!HHBBH6s4s6s4s")
"""Ethernet and IPv4: kinds and lengths of addresses, what it is, then MAC and address of the sender and the target."""


def listening(device: str) -> socket.socket:
    """Open a socket that gets the ARP requests of a device in the namespace this thread is in."""
    heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ARP))
    heard.bind((device, _ARP))
    return heard


class Speakers:
    """The programs of a lab, until `close`."""

    def __init__(self, sockets: Mapping[Speaker, socket.socket]) -> None:
        """Begin to answer on sockets that are open."""
        self._addresses = {heard: speaker.address for speaker, heard in sockets.items()}
        self._end, self._ended = os.pipe()
        self._thread = threading.Thread(target=self._speak, daemon=True)
        self._thread.start()

    def _speak(self) -> None:
        while True:
            descriptors = {heard.fileno(): heard for heard in self._addresses}
            ready, _, _ = select.select([*descriptors, self._end], [], [])
            if self._end in ready:
                return
            for heard in (descriptors[number] for number in ready):
                self._answer(heard, heard.recv(64), self._addresses[heard])

    def _answer(self, heard: socket.socket, frame: bytes, address: IPv4Address) -> None:
        mac: bytes = heard.getsockname()[4]
        *_, kind, asker, sender, _, target = _MESSAGE.unpack(frame[14:42])
        if kind != _REQUEST or target != address.packed or asker == mac:
            return
        message = frame[14:20] + struct.pack("!H", _ANSWER) + mac + target + asker + sender
        heard.send(asker + mac + struct.pack("!H", _ARP) + message)

    def close(self) -> None:
        """End the programs."""
        os.close(self._ended)
        self._thread.join()
        os.close(self._end)
        for heard in self._addresses:
            heard.close()
