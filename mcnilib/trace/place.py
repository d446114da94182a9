"""Where a packet stands between two verbs of the IP layer: at a device, about to leave, or at the sockets."""

from __future__ import annotations

from dataclasses import dataclass

from mcnilib.linux.device.link import Link
from mcnilib.trace.host import Skb


@dataclass(frozen=True, slots=True)
class Arrival:
    """The packet stands at the input of `link` in `netns`."""

    netns: str
    link: Link
    skb: Skb


@dataclass(frozen=True, slots=True)
class Departure:
    """The packet is about to leave `netns` as its own: OUTPUT comes next."""

    netns: str
    skb: Skb


@dataclass(frozen=True, slots=True)
class Delivery:
    """The packet reached the transport layer of `netns`."""

    netns: str
    skb: Skb
    iif: str


Place = Arrival | Departure | Delivery | None
