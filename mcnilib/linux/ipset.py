"""IP sets as `ipset save` prints them: named collections a rule can test addresses against.

Modelled types: hash:ip, hash:net. Any other raises `Unsupported`. Source: ipset(8).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from mcnilib.linux.origin import Origin


@dataclass(frozen=True)
class IpSet:
    """One set: its name, type and members; `options` are the remaining words of its `create` line."""

    name: str
    type: str = "hash:net"
    members: tuple[IPv4Network, ...] = ()
    options: str = "family inet hashsize 1024 maxelem 65536"
    by: Origin | None = field(default=None, compare=False)

    def has(self, ip: IPv4Address) -> bool:
        """Tell whether the address is in the set."""
        return any(ip in member for member in self.members)
