"""The NAT targets: DNAT, SNAT, MASQUERADE, REDIRECT, NETMAP.

Source: iptables-extensions(8); extensions/libxt_NAT.c, libipt_NETMAP.c (iptables 1.8.9).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv4Network

from mcnilib.language import tr
from mcnilib.linux.netfilter.hooks import BUILT_IN, NfVerdict
from mcnilib.linux.netfilter.iptables.extension import Target, TargetRecord
from mcnilib.linux.netfilter.iptables.grammar import Grammar, OptionEntry, flag_option
from mcnilib.linux.netfilter.iptables.words import RuleWords, has_holes
from mcnilib.linux.netfilter.nat import NatPoint, NatRange
from mcnilib.linux.packet import WITH_PORTS

_LOCALHOST = IPv4Address("127.0.0.1")


def _ports_text(port: int, last: int) -> str:
    return f"{port}-{last}" if last not in (0, port) else str(port)


def _ends_text(to: IPv4Address | None, port: int, last: IPv4Address | None, last_port: int, base_port: int = 0) -> str:
    """Write `[A[-B]][:P[-Q]][/BASE]`."""
    addresses = f"{to}-{last}" if last not in (None, to) else str(to or "")
    base = f"/{base_port}" if base_port else ""
    return f"{addresses}:{_ports_text(port, last_port)}{base}" if port else f"{addresses}{base}"


Span = tuple[IPv4Address | None, IPv4Address | None]


def _addresses(words: RuleWords, text: str) -> Span:
    """Turn `A`, `A-B` or nothing into the ends of a range."""
    if not text:
        return None, None
    low, dash, high = text.partition("-")
    try:
        first = IPv4Address(low)
        last = IPv4Address(high) if dash else first
    except ValueError:
        raise words.fail(tr("{text!r} is not an IPv4 address or a range, with or without ports", text=text)) from None
    return first, None if last == first else last


def _ports(words: RuleWords, text: str) -> tuple[int, int]:
    """Turn `P` or `P-Q` into the ends of a range; a range that is one port has no second end."""
    low, dash, high = text.partition("-")
    first = words.as_number(low, "a port", 1, 65535)
    last = words.as_number(high, "a port", first, 65535) if dash else first
    return first, 0 if last == first else last


def _ends(words: RuleWords, text: str) -> tuple[IPv4Address | None, int, IPv4Address | None, int]:
    """Turn `[A[-B]][:P[-Q]]` into an address, a port, and the ends of both ranges."""
    addresses, colon, ports = text.partition(":")
    first, last = _addresses(words, addresses)
    port, last_port = _ports(words, ports) if colon else (0, 0)
    return first, port, last, last_port


def _destination(words: RuleWords) -> tuple[IPv4Address | None, int, IPv4Address | None, int, int]:
    to, _, base = words.take("an address").partition("/")
    first, port, last, last_port = _ends(words, to)
    if base and not last_port:
        raise words.fail(tr("a base port needs a range of ports"))
    return first, port, last, last_port, words.as_number(base, "a port", 1, 65535) if base else 0


def _source(words: RuleWords) -> tuple[IPv4Address | None, int, IPv4Address | None, int]:
    return _ends(words, words.take("an address"))


def _to_ports(words: RuleWords) -> tuple[int, int]:
    return _ports(words, words.take("ports"))


def _network(words: RuleWords) -> IPv4Network:
    """Read a network; its host bits are cleared."""
    word = words.take("a network")
    if has_holes(word.partition("/")[2]):
        raise words.fail(tr("{word!r}: a mask with holes", word=word))
    try:
        return IPv4Network(word, strict=False)
    except ValueError:
        raise words.fail(tr("{word!r} is not an IPv4 address or prefix", word=word)) from None


_nat = partial(TargetRecord, tracks=True, changes=False, tables=("nat",))


class Nat(Target):
    """A target that rewrites the addresses of a connection, and ends its table."""

    __slots__ = ()
    port = 0

    @property
    def protocols(self) -> tuple[str, ...]:
        """Those that have ports, when it asks for one."""
        return WITH_PORTS if self.port else ()

    @property
    def ends(self) -> NfVerdict:
        """The packet goes on, rewritten."""
        return NfVerdict.ACCEPT

    @abstractmethod
    def nat_range(self, at: NatPoint) -> NatRange | None:
        """Return what the target allows for a connection; None where a device has no address."""


@dataclass(frozen=True, slots=True)
class Dnat(Nat):
    """Rewrite the destination of a connection; port 0 keeps the port, no address keeps the address."""

    records = (
        _nat("DNAT", Grammar({
            "--to-destination": OptionEntry(
                ("to", "port", "last", "last_port", "base_port"), _destination, _ends_text, absent=...,
                aliases=("--to",)
            ),
            "--random": flag_option("random"),
            "--persistent": flag_option("persistent"),
        }, needed=("--to-destination",)), hooks=("PREROUTING", "OUTPUT"), samples=(
            *["--to-destination {address}{port}"] * 3, "--to-destination {address}-{last}{port}",
        )),
    )  # fmt: skip

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


@dataclass(frozen=True, slots=True)
class Snat(Nat):
    """Rewrite the source of a connection; port 0 keeps the port where it is free, no address keeps the address."""

    records = (
        _nat("SNAT", Grammar({
            "--to-source": OptionEntry(
                ("to", "port", "last", "last_port"), _source, _ends_text, absent=..., aliases=("--to",)
            ),
            "--random": flag_option("random"),
            "--random-fully": flag_option("random_fully"),
            "--persistent": flag_option("persistent"),
        }, needed=("--to-source",)), hooks=("INPUT", "POSTROUTING"), samples=("--to-source {own}",)),
    )  # fmt: skip

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


@dataclass(frozen=True, slots=True)
class Masquerade(Nat):
    """Rewrite the source to an address of the outgoing device."""

    records = (
        _nat("MASQUERADE", Grammar({
            "--to-ports": OptionEntry(("port", "last_port"), _to_ports, _ports_text, absent=0),
            "--random": flag_option("random"),
            "--random-fully": flag_option("random_fully"),
        }), hooks=("POSTROUTING",), samples=("[--random-fully]",)),
    )  # fmt: skip

    random_fully: bool = False
    random: bool = False
    port: int = 0
    last_port: int = 0

    def nat_range(self, at: NatPoint) -> NatRange | None:
        """Return what the target allows; both ways to be random are one. Source: nf_nat_masquerade_ipv4()."""
        to, chance, last_port = at.own_address(), self.random or self.random_fully, self.last_port or self.port
        return NatRange(to, to, self.port, last_port, 0, chance, masquerade_oif=at.oif) if to else None


@dataclass(frozen=True, slots=True)
class Redirect(Nat):
    """Rewrite the destination to this machine: in OUTPUT to 127.0.0.1, else to the incoming device's first address."""

    records = (
        _nat("REDIRECT", Grammar({
            "--to-ports": OptionEntry(("port", "last_port"), _to_ports, _ports_text, absent=0, aliases=("--to-port",)),
            "--random": flag_option("random"),
        }), hooks=("PREROUTING", "OUTPUT"), samples=("", "--to-ports 80|8080")),
    )  # fmt: skip

    port: int = 0
    last_port: int = 0
    random: bool = False

    def nat_range(self, at: NatPoint) -> NatRange | None:
        """Return what the target allows. Source: nf_nat_redirect_ipv4()."""
        to = _LOCALHOST if at.hook == "OUTPUT" else at.own_address()
        return NatRange(to, to, self.port, self.last_port or self.port, 0, self.random) if to else None


@dataclass(frozen=True, slots=True)
class Netmap(Nat):
    """Put the address into another network and keep its host bits: the source in INPUT and POSTROUTING, else the
    destination."""

    records = (
        _nat(
            "NETMAP", Grammar({"--to": OptionEntry(("network",), _network)}, single=True), hooks=BUILT_IN["nat"],
            samples=("--to {network}|{address}/28",),
        ),
    )  # fmt: skip

    network: IPv4Network

    def nat_range(self, at: NatPoint) -> NatRange:
        """Return the one address the connection's own becomes."""
        host = int(at.current.src if at.source else at.current.dst) & int(self.network.hostmask)
        to = IPv4Address(int(self.network.network_address) | host)
        return NatRange(to, to)
