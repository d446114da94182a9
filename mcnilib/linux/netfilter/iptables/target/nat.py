"""The NAT targets: DNAT, SNAT, MASQUERADE, REDIRECT, NETMAP.

Source: iptables-extensions(8); extensions/libxt_NAT.c, libipt_NETMAP.c (iptables 1.8.9).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from mcnilib.linux.netfilter.iptables.words import RuleWords, each_option, has_holes, need_plain
from mcnilib.linux.netfilter.nat import NatPoint, NatRange

_LOCALHOST = IPv4Address("127.0.0.1")


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

    def nat_range(self, at: NatPoint) -> NatRange:
        """Return what the target allows."""
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

    def nat_range(self, at: NatPoint) -> NatRange:
        """Return what the target allows; both ways to be random are one."""
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

    def nat_range(self, at: NatPoint) -> NatRange | None:
        """Return what the target allows; both ways to be random are one. Source: nf_nat_masquerade_ipv4()."""
        to, chance, last_port = at.own_address(), self.random or self.random_fully, self.last_port or self.port
        return NatRange(to, to, self.port, last_port, 0, chance, masquerade_oif=at.oif) if to else None

    def __str__(self) -> str:
        words = f"-j MASQUERADE{f' --to-ports {_ports(self.port, self.last_port)}' if self.port else ''}"
        return words + _flags(random=self.random, random_fully=self.random_fully)


@dataclass(frozen=True, slots=True)
class Redirect:
    """Rewrite the destination to this machine: in OUTPUT to 127.0.0.1, else to the incoming device's first address."""

    port: int = 0
    last_port: int = 0
    random: bool = False

    def nat_range(self, at: NatPoint) -> NatRange | None:
        """Return what the target allows. Source: nf_nat_redirect_ipv4()."""
        to = _LOCALHOST if at.hook == "OUTPUT" else at.own_address()
        return NatRange(to, to, self.port, self.last_port or self.port, 0, self.random) if to else None

    def __str__(self) -> str:
        words = f"-j REDIRECT{f' --to-ports {_ports(self.port, self.last_port)}' if self.port else ''}"
        return words + _flags(random=self.random)


@dataclass(frozen=True, slots=True)
class Netmap:
    """Put the address into another network and keep its host bits: the source in INPUT and POSTROUTING, else the
    destination."""

    network: IPv4Network

    def nat_range(self, at: NatPoint) -> NatRange:
        """Return the one address the connection's own becomes."""
        host = int(at.current.src if at.source else at.current.dst) & int(self.network.hostmask)
        to = IPv4Address(int(self.network.network_address) | host)
        return NatRange(to, to)

    def __str__(self) -> str:
        return f"-j NETMAP --to {self.network}"


Nat = Dnat | Snat | Masquerade | Redirect | Netmap

NATS = (Dnat, Snat, Masquerade, Redirect, Netmap)
"""The targets that rewrite the addresses of a connection."""

Ends = tuple[IPv4Address | None, IPv4Address | None]

Ports = tuple[int, int]


def _addresses(words: RuleWords, text: str) -> Ends:
    """Turn `A`, `A-B` or nothing into the ends of a range."""
    if not text:
        return None, None
    low, dash, high = text.partition("-")
    try:
        first = IPv4Address(low)
        last = IPv4Address(high) if dash else first
    except ValueError:
        raise words.fail(f"{text!r} is not an IPv4 address or a range, with or without ports") from None
    return first, None if last == first else last


def _read_ports(words: RuleWords, text: str) -> Ports:
    """Turn `P` or `P-Q` into the ends of a range; a range that is one port has no second end."""
    low, dash, high = text.partition("-")
    first = words.as_number(low, "a port", 1, 65535)
    last = words.as_number(high, "a port", first, 65535) if dash else first
    return first, 0 if last == first else last


def read_dnat(words: RuleWords) -> Dnat:
    """Read DNAT."""
    known = {"--to-destination": "to", "--to": "to", "--random": "random", "--persistent": "persistent"}
    found, to, base = set(), "", ""
    for name, _ in each_option(words, "DNAT", known, plain=known.values()):
        found.add(name)
        if name == "to":
            to, _, base = words.take("an address").partition("/")
    if "to" not in found:
        need_plain(words, "--to-destination")
    addresses, colon, ports = to.partition(":")
    first, last = _addresses(words, addresses)
    port, last_port = _read_ports(words, ports) if colon else (0, 0)
    if base and not last_port:
        raise words.fail("a base port needs a range of ports")
    shift = words.as_number(base, "a port", 1, 65535) if base else 0
    return Dnat(first, port, last, last_port, shift, "random" in found, "persistent" in found)


def read_snat(words: RuleWords) -> Snat:
    """Read SNAT."""
    known = {"--to-source": "to", "--to": "to", "--random": "random", "--random-fully": "fully"}
    known |= {"--persistent": "persistent"}
    found, to = set(), ""
    for name, _ in each_option(words, "SNAT", known, plain=known.values()):
        found.add(name)
        if name == "to":
            to = words.take("an address")
    if "to" not in found:
        need_plain(words, "--to-source")
    addresses, colon, ports = to.partition(":")
    first, last = _addresses(words, addresses)
    port, last_port = _read_ports(words, ports) if colon else (0, 0)
    return Snat(first, port, "fully" in found, last, last_port, "random" in found, "persistent" in found)


def read_masquerade(words: RuleWords) -> Masquerade:
    """Read MASQUERADE."""
    known = {"--random-fully": "fully", "--random": "random", "--to-ports": "ports"}
    found, ports = set(), (0, 0)
    for name, _ in each_option(words, "MASQUERADE", known, plain=known.values()):
        found.add(name)
        if name == "ports":
            ports = _read_ports(words, words.take("ports"))
    return Masquerade("fully" in found, "random" in found, *ports)


def read_redirect(words: RuleWords) -> Redirect:
    """Read REDIRECT."""
    known = {"--to-ports": "ports", "--to-port": "ports", "--random": "random"}
    found, ports = set(), (0, 0)
    for name, _ in each_option(words, "REDIRECT", known, plain=known.values()):
        found.add(name)
        if name == "ports":
            ports = _read_ports(words, words.take("ports"))
    return Redirect(*ports, "random" in found)


def read_netmap(words: RuleWords) -> Netmap:
    """Read NETMAP; host bits of its network are cleared."""
    need_plain(words, "--to")
    word = words.take("a network")
    if has_holes(word.partition("/")[2]):
        raise words.fail(f"{word!r}: a mask with holes")
    try:
        return Netmap(IPv4Network(word, strict=False))
    except ValueError:
        raise words.fail(f"{word!r} is not an IPv4 address or prefix") from None
