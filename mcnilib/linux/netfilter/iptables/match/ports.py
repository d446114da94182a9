"""Matches on the transport header: ports, TCP flags, ICMP types.

Source: iptables-extensions(8); net/netfilter/{xt_tcpudp,xt_multiport}.c, net/ipv4/netfilter/ip_tables.c (Linux 6.18).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mcnilib.errors import Unsupported
from mcnilib.language import mark, tr
from mcnilib.linux.chance import Range
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.extension import Match, MatchRecord, Purity, Test, differs
from mcnilib.linux.netfilter.iptables.grammar import Grammar, OptionEntry
from mcnilib.linux.netfilter.iptables.values import number, range_text
from mcnilib.linux.netfilter.iptables.words import RuleWords
from mcnilib.linux.packet import ICMP_WORDS, WITH_PORTS, Packet

FLAG_ORDER = ("FIN", "SYN", "RST", "PSH", "ACK", "URG")
"""The order iptables-save prints TCP flags in."""


Flags = tuple[frozenset[str], frozenset[str]]


def _range(words: RuleWords) -> Range | None:
    """Read `80` or `1000:2000` as a range of ports; None stands for all ports."""
    word = words.take("a port")
    low, colon, high = word.partition(":")
    first = words.as_number(low or "0", "a port", 0, 65535)
    last = words.as_number(high or "65535", "a port", 0, 65535) if colon else first
    if last < first:
        raise words.fail(tr("{word!r} is an empty range of ports", word=word))
    return None if (first, last) == (0, 65535) else (first, last)


def _flags(words: RuleWords) -> Flags | None:
    """Read the flags to look at and those that must be set; None when there is nothing to look at."""
    if words.last == "--syn":
        return frozenset({"FIN", "SYN", "RST", "ACK"}), frozenset({"SYN"})
    mask, wanted = _flag_set(words), _flag_set(words)
    if wanted and not mask:
        raise words.fail(tr("flags that are not looked at cannot be set: this would match nothing"))
    return (mask, wanted) if mask else None


def _flag_set(words: RuleWords) -> frozenset[str]:
    if words.next.upper() in ("ALL", "NONE"):
        return frozenset(FLAG_ORDER if words.take().upper() == "ALL" else ())
    return frozenset(words.listed(tr("a TCP flag"), FLAG_ORDER))


def _icmp_type(words: RuleWords) -> tuple[int, int | None]:
    """Read `TYPE[/CODE]`, by number or name."""
    word = words.take(tr("an ICMP type"))
    if word.lower() in ICMP_WORDS:
        return ICMP_WORDS[word.lower()]
    kind, slash, code = word.partition("/")
    if not kind[:1].isdecimal():
        raise words.fail(tr("{word!r} is not an ICMP type", word=word), near=tuple(ICMP_WORDS))
    number = words.as_number(kind, tr("an ICMP type"), 0, 255)
    code_number = words.as_number(code, tr("an ICMP code"), 0, 255) if slash else None
    return number, None if number == 255 else code_number


def _icmp_text(kind: int, code: int | None) -> str:
    if kind == 255:
        return "any"
    return str(kind) if code is None else f"{kind}/{code}"


def _port_list(words: RuleWords) -> tuple[Range, ...]:
    """Read up to 15 ports; a range counts as two."""
    parts = words.take("ports").split(",")
    ranges = tuple(_exact_range(words, part) for part in parts)
    if len(parts) + sum(":" in part for part in parts) > 15:
        raise words.fail(tr("multiport takes 15 ports at most, a range counts as two"))
    return ranges


def _list_text(ranges: tuple[Range, ...]) -> str:
    return ",".join(map(range_text, ranges))


def _exact_range(words: RuleWords, word: str) -> Range:
    low, colon, high = word.partition(":")
    first = words.as_number(low, "a port", 0, 65535)
    last = words.as_number(high, "a port", 0, 65535) if colon else first
    if colon and last <= first:
        raise words.fail(tr("{word!r} is not a range of ports", word=word))
    return first, last


def _flags_text(flags: Flags) -> str:
    return " ".join(",".join(_ordered(names)) or "NONE" for names in flags)


def _ordered(names: frozenset[str]) -> list[str]:
    return [name for name in FLAG_ORDER if name in names]


PORT_LISTS = {"sports": ("--source-ports",), "dports": ("--destination-ports",), "ports": ()}

PORT = "[!] --dport|--sport 80|8080|1024:65535|443"

UDP = Grammar(
    {
        "--sport": OptionEntry(("sport",), _range, range_text, "not_sport", aliases=("--source-port",)),
        "--dport": OptionEntry(("dport",), _range, range_text, "not_dport", aliases=("--destination-port",)),
    }
)

TCP = Grammar(
    {
        **UDP.options,
        "--tcp-option": OptionEntry(("tcp_option",), number(1, 255, mark("a TCP option")), negated="not_option"),
        "--tcp-flags": OptionEntry(("flags",), _flags, _flags_text, "not_flags", aliases=("--syn",)),
    }
)


@dataclass(frozen=True, slots=True)
class Ports(Match):
    """`-m tcp` or `-m udp` with --sport, --dport and, for TCP, --tcp-flags MASK SET and --tcp-option NUMBER.

    Which options a segment has is not modelled: one that comes as far as --tcp-option is refused.
    """

    records = (
        MatchRecord("tcp", TCP, purity=Purity.PURE, tracks=False, protocols=("tcp",), implied=True, samples=(
            PORT, PORT, "[!] --tcp-flags FIN,SYN,RST,ACK SYN", "[!] --tcp-flags SYN,ACK SYN,ACK",
            "[!] --tcp-flags FIN FIN", "[!] --tcp-flags RST RST", "[!] --tcp-flags ACK ACK",
        )),
        MatchRecord("udp", UDP, purity=Purity.PURE, tracks=False, protocols=("udp",), implied=True, samples=(PORT,)),
    )  # fmt: skip

    named = "proto"
    proto: str
    sport: Range | None = None
    dport: Range | None = None
    flags: tuple[frozenset[str], frozenset[str]] | None = None
    not_sport: bool = False
    not_dport: bool = False
    not_flags: bool = False
    tcp_option: int | None = None
    not_option: bool = False

    @property
    def exact(self) -> tuple[str, int] | None:
        """The destination port, when there is one only."""
        low, high = self.dport or (0, 1)
        return ("dport", low) if low == high and not self.not_dport else None

    @property
    def asked_ports(self) -> tuple[Range, ...]:
        """The ranges of ports it tells apart."""
        return tuple(ports for ports in (self.sport, self.dport) if ports)

    def joined(self, more: Ports) -> Ports:
        """Return this match with the options another one has in addition."""
        names = ("sport", "not_sport", "dport", "not_dport", "flags", "not_flags", "not_option")
        either = {name: getattr(self, name) or getattr(more, name) for name in names}
        return replace(self, tcp_option=more.tcp_option if self.tcp_option is None else self.tcp_option, **either)

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
            raise Unsupported(
                tr("match {match} when a packet reaches it: TCP options are not modelled", match=str(self)[3:])
            )
        return ""


@dataclass(frozen=True, slots=True)
class IcmpType(Match):
    """`-m icmp --icmp-type TYPE[/CODE]`; code None: any code; type 255: any type."""

    records = (
        MatchRecord("icmp", Grammar({
            "--icmp-type": OptionEntry(("type", "code"), _icmp_type, _icmp_text, "negated"),
        }, single=True), purity=Purity.PURE, tracks=False, protocols=("icmp",), implied=True, samples=(
            "--icmp-type 8|0",
        )),
    )  # fmt: skip

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
        return (
            differs("ICMP type", packet.icmp, _icmp_text(self.type, self.code), self.negated)
            if right is self.negated
            else ""
        )


@dataclass(frozen=True, slots=True)
class Multiport(Match):
    """`-m multiport --sports|--dports|--ports LIST`."""

    records = (
        MatchRecord(
            "multiport",
            Grammar(
                {
                    f"--{name}": OptionEntry(
                        ("ranges",), _port_list, _list_text, "negated", aliases=aliases, constants={"option": name}
                    )
                    for name, aliases in PORT_LISTS.items()
                },
                single=True,
            ),
            purity=Purity.PURE,
            tracks=False,
            protocols=WITH_PORTS,
            samples=("--dports|--sports|--ports 80,443",),
        ),
    )

    option: str  # sports, dports or ports
    ranges: tuple[Range, ...]
    negated: bool = False

    @property
    def asked_ports(self) -> tuple[Range, ...]:
        """The ranges of ports it tells apart."""
        return self.ranges

    def test(self) -> Test:
        """Compare the ports with the list."""
        ranges, wanted, option = self.ranges, not self.negated, self.option
        return lambda packet, at: (
            any(low <= p <= high for p in _ports(packet, option) for low, high in ranges) is wanted
        )

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the ports."""
        asked = ", ".join(map(str, _ports(packet, self.option)))
        return differs(self.option.rstrip("s"), asked, _list_text(self.ranges), self.negated)


def _ports(packet: Packet, option: str) -> tuple[int, ...]:
    return {"sports": (packet.sport,), "dports": (packet.dport,)}.get(option, (packet.sport, packet.dport))
