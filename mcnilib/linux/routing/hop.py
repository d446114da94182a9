"""The next hops of a route that has several: `nexthop via 10.0.0.1 dev eth0 weight 1`, of which each packet takes one.

Not modelled: gateways of IPv6, encapsulations. Which one is taken a namespace decides at run time
(`mcnilib.trace.stack.host`). Source: print_rta_multipath() in ip/iproute.c (iproute2 6.1), ip-route(8).
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address
from typing import NamedTuple

HOP_FLAGS = ("onlink", "linkdown", "dead")
"""The first is asked for; the others say what the device is like."""


class Hop(NamedTuple):
    """One of several next hops of a route."""

    dev: str
    via: IPv4Address | None = None
    weight: int = 1  # from 1 to 256
    flags: tuple[str, ...] = ()

    def __str__(self) -> str:
        via = f"via {self.via} " if self.via else ""
        return " ".join((f"nexthop {via}dev {self.dev} weight {self.weight}", *self.flags))


def read_hops(text: str) -> tuple[Hop, ...]:
    """Read `via ADDRESS dev DEVICE weight NUMBER FLAGS nexthop ...`; empty where a word is not modelled."""
    hops = [_read_hop(part.split()) for part in re.split(r"(?:^|\s)nexthop\s", text)]
    return tuple(hop for hop in hops if hop) if all(hops) else ()


def _read_hop(words: list[str]) -> Hop | None:
    flags = tuple(word for word in words if word in HOP_FLAGS)
    rest = [word for word in words if word not in HOP_FLAGS]
    said = dict(zip(rest[::2], rest[1::2], strict=False))
    if len(rest) != 2 * len(said) or not {"dev"} <= said.keys() <= {"via", "dev", "weight"}:
        return None
    try:
        via = IPv4Address(said["via"]) if "via" in said else None
        weight = int(said.get("weight", "1"))
    except ValueError:  # another family's address
        return None
    return Hop(said["dev"], via, weight, flags) if 1 <= weight <= 256 else None
