"""Matches on the transport header: ports, TCP flags, ICMP types.

Source: iptables-extensions(8); net/netfilter/{xt_tcpudp,xt_multiport}.c, net/ipv4/netfilter/ip_tables.c (Linux 6.18).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from mcnilib.errors import Unsupported
from mcnilib.linux.chance import Range
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.extension import Match, Test, bang, differs
from mcnilib.linux.netfilter.iptables.words import RuleWords, each_option, need
from mcnilib.linux.packet import ICMP_WORDS, Packet

FLAG_ORDER = ("FIN", "SYN", "RST", "PSH", "ACK", "URG")
"""The order iptables-save prints TCP flags in."""


def range_text(ports: Range) -> str:
    """Write a port or `low:high`."""
    return str(ports[0]) if ports[0] == ports[1] else f"{ports[0]}:{ports[1]}"


@dataclass(frozen=True, slots=True)
class Ports:
    """`-m tcp` or `-m udp` with --sport, --dport and, for TCP, --tcp-flags MASK SET and --tcp-option NUMBER.

    Which options a segment has is not modelled: one that comes as far as --tcp-option is refused.
    """

    proto: str
    sport: Range | None = None
    dport: Range | None = None
    flags: tuple[frozenset[str], frozenset[str]] | None = None
    not_sport: bool = False
    not_dport: bool = False
    not_flags: bool = False
    tcp_option: int | None = None
    not_option: bool = False

    def joined(self, more: Ports) -> Ports:
        """Return this match with the options another one has in addition."""
        names = ("sport", "not_sport", "dport", "not_dport", "flags", "not_flags", "not_option")
        found = {name: getattr(self, name) or getattr(more, name) for name in names}
        return replace(self, tcp_option=more.tcp_option if self.tcp_option is None else self.tcp_option, **found)

    def clash(self, other: Ports) -> str:
        """Name an option that both have; empty when there is none."""
        options = ("sport", "--sport"), ("dport", "--dport"), ("flags", "--tcp-flags")
        if self.tcp_option is not None and other.tcp_option is not None:
            return "--tcp-option"
        return next((option for name, option in options if getattr(self, name) and getattr(other, name)), "")

    def test(self) -> Test | None:
        """Compare ports and flags; `-m tcp` alone asks for the protocol only, which -p has asked already."""
        if self.dport and not (self.sport or self.flags or self.not_dport or self.tcp_option is not None):
            low, high, proto = *self.dport, self.proto
            return lambda packet, at: low <= packet.dport <= high and packet.proto == proto
        if self.sport or self.dport or self.flags or self.tcp_option is not None:
            return lambda packet, at: not self.why_not(packet, at)
        return None

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the first port or flag that is wrong; empty when all are right."""
        if packet.proto != self.proto:
            return differs("protocol", packet.proto, self.proto, False)
        for what, port, ports, negated in (
            ("source port", packet.sport, self.sport, self.not_sport),
            ("destination port", packet.dport, self.dport, self.not_dport),
        ):
            if ports and (ports[0] <= port <= ports[1]) is negated:
                return differs(what, port, range_text(ports), negated)
        if self.flags and packet.tcp and (packet.tcp.flags & self.flags[0] == self.flags[1]) is self.not_flags:
            return differs("TCP flags", packet.tcp, ",".join(_ordered(self.flags[1])) or "NONE", self.not_flags)
        if self.tcp_option is not None:
            raise Unsupported(f"match {str(self)[3:]} when a packet reaches it: TCP options are not modelled")
        return ""

    def __str__(self) -> str:
        words = [f"-m {self.proto}"]
        words += [f"{bang(self.not_sport)}--sport {range_text(self.sport)}"] if self.sport else []
        words += [f"{bang(self.not_dport)}--dport {range_text(self.dport)}"] if self.dport else []
        words += [f"{bang(self.not_option)}--tcp-option {self.tcp_option}"] if self.tcp_option is not None else []
        if self.flags:
            mask, set_ = (",".join(_ordered(names)) or "NONE" for names in self.flags)
            words.append(f"{bang(self.not_flags)}--tcp-flags {mask} {set_}")
        return " ".join(words)


def _ordered(names: frozenset[str]) -> list[str]:
    return [name for name in FLAG_ORDER if name in names]


@dataclass(frozen=True, slots=True)
class IcmpType:
    """`-m icmp --icmp-type TYPE[/CODE]`; code None: any code; type 255: any type."""

    type: int
    code: int | None = None
    negated: bool = False

    def test(self) -> Test:
        """Compare type and code."""
        return lambda packet, at: not self.why_not(packet, at)

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the type; empty when it is right."""
        if packet.icmp is None:
            return differs("protocol", packet.proto, "icmp", False)
        right = self.type == 255 or (packet.icmp.type == self.type and self.code in (None, packet.icmp.code))
        return differs("ICMP type", packet.icmp, self._words(), self.negated) if right is self.negated else ""

    def _words(self) -> str:
        if self.type == 255:
            return "any"
        return str(self.type) if self.code is None else f"{self.type}/{self.code}"

    def __str__(self) -> str:
        return f"-m icmp {bang(self.negated)}--icmp-type {self._words()}"


@dataclass(frozen=True, slots=True)
class Multiport:
    """`-m multiport --sports|--dports|--ports LIST`."""

    option: str  # sports, dports or ports
    ranges: tuple[Range, ...]
    negated: bool = False

    def test(self) -> Test:
        """Compare the ports with the list."""
        ranges, wanted, option = self.ranges, not self.negated, self.option
        return lambda packet, at: (
            any(low <= p <= high for p in _ports(packet, option) for low, high in ranges) is wanted
        )

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the ports."""
        found = ", ".join(map(str, _ports(packet, self.option)))
        return differs(self.option.rstrip("s"), found, self._words(), self.negated)

    def _words(self) -> str:
        return ",".join(map(range_text, self.ranges))

    def __str__(self) -> str:
        return f"-m multiport {bang(self.negated)}--{self.option} {self._words()}"


def _ports(packet: Packet, option: str) -> tuple[int, ...]:
    return {"sports": (packet.sport,), "dports": (packet.dport,)}.get(option, (packet.sport, packet.dport))


Flags = tuple[frozenset[str], frozenset[str]]

PORTS = {"--sport": "sport", "--source-port": "sport", "--dport": "dport", "--destination-port": "dport"}

TCP = PORTS | {"--tcp-flags": "flags", "--syn": "flags", "--tcp-option": "option"}

IMPLIED = {"tcp": tuple(TCP), "udp": tuple(PORTS), "icmp": ("--icmp-type",)}
"""Options that may follow `-p NAME` without `-m NAME`."""


def read_ports(proto: str) -> Callable[[RuleWords], Match]:
    """Return the reader of `-m tcp` or `-m udp`."""

    def read(words: RuleWords) -> Match:
        ports: dict[str, tuple[Range | None, bool]] = {}
        flags: tuple[Flags | None, bool] = (None, False)
        known = TCP if proto == "tcp" else PORTS
        option: tuple[int | None, bool] = (None, False)
        for name, negated in each_option(words, proto, known):
            if name == "option":
                option = words.number("a TCP option", 1, 255), negated
                continue
            if name == "flags":
                flags = _flags(words), negated
            else:
                ports[name] = _range(words, words.take("a port")), negated
            if negated and not (ports[name][0] if name in ports else flags[0]):
                raise words.fail("this would match nothing")
        sport, dport = ports.get("sport", (None, False)), ports.get("dport", (None, False))
        return Ports(proto, sport[0], dport[0], flags[0], sport[1], dport[1], flags[1], *option)

    return read


def _range(words: RuleWords, word: str) -> Range | None:
    """Turn `80` or `1000:2000` into a range of ports; None stands for all ports."""
    low, colon, high = word.partition(":")
    first = words.as_number(low or "0", "a port", 0, 65535)
    last = words.as_number(high or "65535", "a port", 0, 65535) if colon else first
    if last < first:
        raise words.fail(f"{word!r} is an empty range of ports")
    return None if (first, last) == (0, 65535) else (first, last)


def _flags(words: RuleWords) -> Flags | None:
    """Read the flags to look at and those that must be set; None when there is nothing to look at."""
    if words.last == "--syn":
        return frozenset({"FIN", "SYN", "RST", "ACK"}), frozenset({"SYN"})
    mask, wanted = _flag_set(words), _flag_set(words)
    if wanted and not mask:
        raise words.fail("flags that are not looked at cannot be set: this would match nothing")
    return (mask, wanted) if mask else None


def _flag_set(words: RuleWords) -> frozenset[str]:
    if words.peek().upper() in ("ALL", "NONE"):
        return frozenset(FLAG_ORDER if words.take().upper() == "ALL" else ())
    return frozenset(words.listed("a TCP flag", FLAG_ORDER))


def read_icmp(words: RuleWords) -> Match:
    """Read `--icmp-type TYPE[/CODE]`, by number or name."""
    _, negated = need(words, "--icmp-type")
    word = words.take("an ICMP type")
    if word.lower() in ICMP_WORDS:
        return IcmpType(*ICMP_WORDS[word.lower()], negated)
    kind, slash, code = word.partition("/")
    if not kind[:1].isdecimal():
        raise words.fail(f"{word!r} is not an ICMP type", near=tuple(ICMP_WORDS))
    number = words.as_number(kind, "an ICMP type", 0, 255)
    found = words.as_number(code, "an ICMP code", 0, 255) if slash else None
    return IcmpType(number, None if number == 255 else found, negated)


MULTIPORT = {"--sports": "sports", "--source-ports": "sports", "--dports": "dports", "--destination-ports": "dports"}

MULTIPORT |= {"--ports": "ports"}


def read_multiport(words: RuleWords) -> Match:
    """Read `--sports`, `--dports` or `--ports` with up to 15 ports; a range counts as two."""
    option, negated = need(words, *MULTIPORT)
    parts = words.take("ports").split(",")
    ranges = tuple(_exact_range(words, part) for part in parts)
    if len(parts) + sum(":" in part for part in parts) > 15:
        raise words.fail("multiport takes 15 ports at most, a range counts as two")
    return Multiport(MULTIPORT[option], ranges, negated)


def _exact_range(words: RuleWords, word: str) -> Range:
    low, colon, high = word.partition(":")
    first = words.as_number(low, "a port", 0, 65535)
    last = words.as_number(high, "a port", 0, 65535) if colon else first
    if colon and last <= first:
        raise words.fail(f"{word!r} is not a range of ports")
    return first, last
