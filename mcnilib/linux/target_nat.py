"""The NAT targets: DNAT, SNAT, MASQUERADE, REDIRECT, NETMAP.

Source: iptables-extensions(8); extensions/libxt_NAT.c, libipt_NETMAP.c (iptables 1.8.9).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from mcnilib.linux.netfilter.nat import NatRange


def _flags(**flags: bool) -> str:
    return "".join(f" --{name.replace('_', '-')}" for name, on in flags.items() if on)


def _ports(port: int, last: int) -> str:
    return f"{port}-{last}" if last not in (0, port) else str(port)


def _ends(to: IPv4Address | None, last: IPv4Address | None, port: int, last_port: int) -> str:
    """Write `[A[-B]][:P[-Q]]`."""
    addresses = f"{to}-{last}" if last not in (None, to) else str(to or "")
    return f"{addresses}:{_ports(port, last_port)}" if port else addresses


@dataclass(frozen=True, slots=True)
class Dnat:
    """Rewrite the destination of a connection; port 0 keeps the port, no address keeps the address."""

    to: IPv4Address | None
    port: int = 0
    last: IPv4Address | None = None  # end of a range of addresses
    last_port: int = 0
    base_port: int = 0
    random: bool = False
    persistent: bool = False

    @property
    def span(self) -> NatRange:
        """What the target allows."""
        last, last_port = self.last or self.to, self.last_port or self.port
        return NatRange(self.to, last, self.port, last_port, self.base_port, self.random, self.persistent)

    def __str__(self) -> str:
        base = f"/{self.base_port}" if self.base_port else ""
        words = f"-j DNAT --to-destination {_ends(self.to, self.last, self.port, self.last_port)}{base}"
        return words + _flags(random=self.random, persistent=self.persistent)


@dataclass(frozen=True, slots=True)
class Snat:
    """Rewrite the source of a connection; port 0 keeps the port where it is free, no address keeps the address."""

    to: IPv4Address | None
    port: int = 0
    random_fully: bool = False
    last: IPv4Address | None = None  # end of a range of addresses
    last_port: int = 0
    random: bool = False
    persistent: bool = False

    @property
    def span(self) -> NatRange:
        """What the target allows; both ways to be random are one."""
        chance, last_port = self.random or self.random_fully, self.last_port or self.port
        return NatRange(self.to, self.last or self.to, self.port, last_port, 0, chance, self.persistent)

    def __str__(self) -> str:
        words = f"-j SNAT --to-source {_ends(self.to, self.last, self.port, self.last_port)}"
        return words + _flags(random=self.random, random_fully=self.random_fully, persistent=self.persistent)


@dataclass(frozen=True, slots=True)
class Masquerade:
    """Rewrite the source to an address of the outgoing device."""

    random_fully: bool = False
    random: bool = False
    port: int = 0
    last_port: int = 0

    def span(self, to: IPv4Address) -> NatRange:
        """What the target allows, given the device's address; both ways to be random are one."""
        chance, last_port = self.random or self.random_fully, self.last_port or self.port
        return NatRange(to, to, self.port, last_port, 0, chance)

    def __str__(self) -> str:
        words = f"-j MASQUERADE{f' --to-ports {_ports(self.port, self.last_port)}' if self.port else ''}"
        return words + _flags(random=self.random, random_fully=self.random_fully)


@dataclass(frozen=True, slots=True)
class Redirect:
    """Rewrite the destination to this machine: in OUTPUT to 127.0.0.1, else to the incoming device's first address."""

    port: int = 0
    last_port: int = 0
    random: bool = False

    def span(self, to: IPv4Address) -> NatRange:
        """What the target allows, given the address."""
        return NatRange(to, to, self.port, self.last_port or self.port, 0, self.random)

    def __str__(self) -> str:
        words = f"-j REDIRECT{f' --to-ports {_ports(self.port, self.last_port)}' if self.port else ''}"
        return words + _flags(random=self.random)


@dataclass(frozen=True, slots=True)
class Netmap:
    """Put the address into another network and keep its host bits: the source in INPUT and POSTROUTING, else the
    destination."""

    network: IPv4Network

    def span(self, ip: IPv4Address) -> NatRange:
        """What the target allows, given the address there was."""
        host = int(ip) & int(self.network.hostmask)
        to = IPv4Address(int(self.network.network_address) | host)
        return NatRange(to, to)

    def __str__(self) -> str:
        return f"-j NETMAP --to {self.network}"


Nat = Dnat | Snat | Masquerade | Redirect | Netmap
NATS = (Dnat, Snat, Masquerade, Redirect, Netmap)
"""The targets that rewrite the addresses of a connection."""
