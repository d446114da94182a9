"""Neighbour entries as `ip neigh` prints them.

Only permanent entries are state; what ARP learns during a run belongs to the run (`mcnilib.trace.arp`).
Source: ip-neighbour(8), arp(7).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address

from mcnilib.linux.origin import Origin


@dataclass(frozen=True, slots=True)
class Neigh:
    """One line of `ip neigh`: a permanent address-to-MAC entry on a device."""

    ip: IPv4Address
    dev: str
    mac: str
    state: str = "PERMANENT"
    by: Origin | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.ip} dev {self.dev} lladdr {self.mac} {self.state} "
