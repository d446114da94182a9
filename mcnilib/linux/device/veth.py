"""Virtual Ethernet pairs. Source: drivers/net/veth.c (Linux 6.18)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mcnilib.language import mark
from mcnilib.linux.device.base import DeviceRole, Kind, KindLine, LinkEnd


@dataclass(frozen=True, slots=True)
class Veth(Kind):
    """One end of a pair; a frame sent here arrives at the peer."""

    word: ClassVar[str] = "veth"
    probe: ClassVar[str] = "link add p1 type veth peer name p2"
    role: ClassVar[DeviceRole] = DeviceRole.PAIR
    line: ClassVar[KindLine] = KindLine(mark("a veth"))
    end_field: ClassVar[str] = "peer"

    peer: LinkEnd
