"""Devices of which nothing but their name is said: `lo`, NICs, dummies, and those of a kind that is not modelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mcnilib.language import mark
from mcnilib.linux.device.base import NO_MAC, DeviceRole, Kind, KindLine, LinkEnd
from mcnilib.linux.unmodelled import Gap


@dataclass(frozen=True, slots=True)
class Loopback(Kind):
    """`lo`: what is sent arrives in the same namespace."""

    role: ClassVar[DeviceRole] = DeviceRole.LOOPBACK
    layer: ClassVar[str] = "loopback"
    flags: ClassVar[str] = "LOOPBACK"
    state: ClassVar[str] = "UNKNOWN"

    @property
    def has_arp(self) -> bool:
        """Tell whether neighbours are resolved on it: they are not."""
        return False

    def link_layer(self, mac: str) -> str:
        """Return the words of the line `link/loopback`."""
        return f"link/loopback {mac} brd {NO_MAC}"


@dataclass(frozen=True, slots=True)
class Physical(Kind):
    """A NIC; the world's segments say which switch it is plugged into."""

    role: ClassVar[DeviceRole] = DeviceRole.NIC
    qdisc: ClassVar[str] = "pfifo_fast"


@dataclass(frozen=True, slots=True)
class Dummy(Kind):
    """A device for addresses: it loses whatever is sent on it. Source: dummy_xmit() in drivers/net/dummy.c."""

    word: ClassVar[str] = "dummy"
    probe: ClassVar[str] = "link add p15 type dummy"
    role: ClassVar[DeviceRole] = DeviceRole.SINK
    line: ClassVar[KindLine] = KindLine(mark("a dummy"))
    flags: ClassVar[str] = "BROADCAST,NOARP"
    state: ClassVar[str] = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class UnmodelledDevice(Kind):
    """A device of a kind that is not modelled; `gap` names it. Nobody knows what becomes of a packet sent there.

    `lower` is the device below it, when that one hands its packets over.
    """

    role: ClassVar[DeviceRole] = DeviceRole.UNMODELLED
    end_field: ClassVar[str] = "lower"

    gap: Gap
    lower: LinkEnd | None = None

    @property
    def unmodelled(self) -> Gap:
        """What nobody knows of it."""
        return self.gap

    def __str__(self) -> str:
        return self.gap.why.replace("\n", " ")
