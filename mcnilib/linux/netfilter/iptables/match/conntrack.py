"""`-m conntrack` and its elder form `-m state`: what a rule may ask about a packet's connection.

One small class per option; `ConntrackIs` holds those of one `-m conntrack`.
Source: iptables-extensions(8); conntrack_mt() in net/netfilter/xt_conntrack.c (Linux 6.18).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from mcnilib.errors import Unsupported
from mcnilib.language import mark, tr
from mcnilib.linux.chance import Range
from mcnilib.linux.netfilter.conntrack import Entry
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.extension import Match, MatchRecord, Purity, Test, differs
from mcnilib.linux.netfilter.iptables.grammar import Grammar, PartEntry
from mcnilib.linux.netfilter.iptables.values import bounds, range_text, read_protocol
from mcnilib.linux.netfilter.iptables.words import RuleWords, bang, has_holes
from mcnilib.linux.packet import PROTOCOL_NUMBERS, Packet

STATE_ORDER = ("INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED", "SNAT", "DNAT")
"""The order iptables-save prints the words of --ctstate in."""

PLAIN_STATES = STATE_ORDER[:5]
"""The states `-m state` knows."""

STATUS_ORDER = ("NONE", "EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED")
"""The order iptables-save prints the words of --ctstatus in; NONE stands alone."""

SIDES = {
    "--ctorigsrc": "original source",
    "--ctorigdst": "original destination",
    "--ctreplsrc": mark("source of the reply"),
    "--ctrepldst": mark("destination of the reply"),
}
"""The four ends of a connection, by the option that asks for one."""


def ordered(words: frozenset[str], order: tuple[str, ...]) -> str:
    """Join words with commas, in the order iptables-save prints them."""
    return ",".join(word for word in order if word in words)


@dataclass(frozen=True, slots=True)
class CtOption:
    """One option of `-m conntrack` or `-m state`."""

    option: str  # with its dashes
    value: Any
    negated: bool = False

    @property
    def wanted(self) -> str:
        """What the rule asks for, as iptables-save prints it."""
        return str(self.value)

    @abstractmethod
    def test(self) -> Test:
        """Compare what it asks for."""

    @abstractmethod
    def actual(self, at: Context) -> tuple[str, object]:
        """Return what it asks for, in words, and what that is."""

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name what it asks for."""
        return differs(*self.actual(at), self.wanted, self.negated)

    def __str__(self) -> str:
        return f"{bang(self.negated)}{self.option} {self.wanted}"


class CtState(CtOption):
    """`--ctstate STATES`, or `--state STATES` of `-m state`."""

    __slots__ = ()

    @property
    def wanted(self) -> str:
        """The states."""
        return ordered(self.value, STATE_ORDER)

    def test(self) -> Test:
        """Compare the packet's state, and whether its connection is translated."""
        states, wanted = self.value, not self.negated
        if states.isdisjoint(("SNAT", "DNAT")):
            return lambda packet, at: (at.ctstate in states) is wanted
        return lambda packet, at: (at.ctstate in states or not states.isdisjoint(_translations(at.entry))) is wanted

    def actual(self, at: Context) -> tuple[str, str]:
        """Name the state."""
        return "ctstate", ",".join((at.ctstate, *_translations(at.entry)))


def _translations(entry: Entry | None) -> tuple[str, ...]:
    if entry is None:
        return ()
    return (("SNAT",) if entry.snat else ()) + (("DNAT",) if entry.dnat else ())


class CtProtocol(CtOption):
    """`--ctproto NUMBER`."""

    __slots__ = ()

    def test(self) -> Test:
        """Compare the connection's protocol."""
        return lambda packet, at: (_number(at.entry) == self.value) is not self.negated

    def actual(self, at: Context) -> tuple[str, int]:
        """Name the protocol's number."""
        return tr("protocol of the connection"), _number(at.entry)


def _number(entry: Entry | None) -> int:
    return _protocol_number(entry.original.proto if entry else "0")


def _protocol_number(name: str) -> int:
    return int(name) if name.isdecimal() else PROTOCOL_NUMBERS[name]


class CtAddress(CtOption):
    """`--ctorigsrc`, `--ctorigdst`, `--ctreplsrc` or `--ctrepldst` with an address or prefix, printed as written."""

    __slots__ = ()

    @property
    def wanted(self) -> str:
        """The address or prefix."""
        return str(self.value).removesuffix("/32")

    def test(self) -> Test:
        """Compare the masked address."""
        option, mask, wanted = self.option, int(self.value.netmask), not self.negated
        net = int(self.value.ip) & mask
        return lambda packet, at: (int(_end(at.entry, option)[0]) & mask == net) is wanted

    def actual(self, at: Context) -> tuple[str, IPv4Address]:
        """Name the address."""
        return SIDES[self.option], _end(at.entry, self.option)[0]


class CtPorts(CtOption):
    """`--ctorigsrcport` and its three likes with a port or a range; a range that runs backwards never matches."""

    __slots__ = ()

    @property
    def wanted(self) -> str:
        """The range."""
        return range_text(self.value)

    def test(self) -> Test:
        """Compare the port; for ICMP it is the identifier, or type and code in two bytes."""
        side, (low, high), wanted = self.option.removesuffix("port"), self.value, not self.negated
        return lambda packet, at: (low <= _end(at.entry, side)[1] <= high) is wanted

    def actual(self, at: Context) -> tuple[str, int]:
        """Name the port."""
        side = self.option.removesuffix("port")
        return tr("port of the {sides}", sides=SIDES[side]), _end(at.entry, side)[1]


def _end(entry: Entry | None, side: str) -> tuple[IPv4Address, int]:
    """Return address and port of one end of a connection."""
    if entry is None:
        raise ValueError(tr("the packet has no connection"))
    flow = entry.original if side.startswith("--ctorig") else entry.reply
    if side.endswith("src"):
        return flow.src, flow.sport
    return flow.dst, flow.dport if flow.icmp is None else flow.icmp[0] << 8 | flow.icmp[1]


class CtStatus(CtOption):
    """`--ctstatus WORDS`; NONE is no bit at all, so nothing has it."""

    __slots__ = ()

    @property
    def wanted(self) -> str:
        """The bits."""
        return ordered(self.value, STATUS_ORDER)

    def test(self) -> Test:
        """Compare the connection's status bits."""
        statuses, wanted = self.value, not self.negated
        return lambda packet, at: (not statuses.isdisjoint(_status(at.entry))) is wanted

    def actual(self, at: Context) -> tuple[str, str]:
        """Name the status."""
        return tr("status of the connection"), ",".join(_status(at.entry)) or "none"


def _status(entry: Entry | None) -> tuple[str, ...]:
    if entry is None:
        return ()
    bits = ("SEEN_REPLY", entry.seen_reply), ("ASSURED", entry.assured), ("CONFIRMED", entry.confirmed)
    return tuple(name for name, on in bits if on)


class CtDirection(CtOption):
    """`--ctdir ORIGINAL|REPLY`."""

    __slots__ = ()

    def test(self) -> Test:
        """Compare the packet's direction."""
        reply = self.value == "REPLY"
        return lambda packet, at: at.reply is reply

    def actual(self, at: Context) -> tuple[str, str]:
        """Name the direction."""
        return "direction", "REPLY" if at.reply else "ORIGINAL"


class CtExpire(CtOption):
    """`--ctexpire SECONDS[:SECONDS]`: how long the connection would stay without another packet, in whole seconds.

    What the kernel compares for a connection it has not stored yet depends on how long the machine is up.
    """

    __slots__ = ()

    @property
    def wanted(self) -> str:
        """The range."""
        return range_text(self.value)

    def test(self) -> Test:
        """Compare the time; a packet of a connection not stored yet is refused."""
        (low, high), wanted = self.value, not self.negated
        return lambda packet, at: (low <= self._left(at) <= high) is wanted

    def _left(self, at: Context) -> int:
        if at.entry is None or not at.entry.confirmed:
            raise Unsupported(tr("match conntrack {option} for a connection that is not stored yet", option=self))
        return max(0, int(at.entry.expires - at.now + 1e-9))

    def actual(self, at: Context) -> tuple[str, str]:
        """Name the time that is left."""
        return "time left", f"{self._left(at)} s"


def _address(words: RuleWords) -> IPv4Interface:
    word = words.take("an address")
    try:
        if has_holes(word.partition("/")[2]):
            raise words.unsupported(tr("{word}: a mask with holes", word=word))
        return IPv4Interface(word)
    except ValueError:
        raise words.fail(tr("{word!r} is not an IPv4 address or prefix", word=word)) from None


def _protocol(words: RuleWords) -> int:
    return _protocol_number(read_protocol(words) or "0")


def _status_bits(words: RuleWords) -> frozenset[str]:
    """Read the status bits; NONE adds none to others."""
    bits = frozenset(words.listed("a status", STATUS_ORDER))
    return bits - {"NONE"} or bits


def _seconds(words: RuleWords) -> tuple[int, int]:
    low, colon, high = words.take("a time").partition(":")
    first = words.as_number(low or "0", "a time")
    return first, words.as_number(high or "0xffffffff", "a time", first) if colon else first


def _states(words: RuleWords) -> frozenset[str]:
    return frozenset(words.listed("a state", STATE_ORDER))


def _plain_states(words: RuleWords) -> frozenset[str]:
    return frozenset(words.listed("a state", PLAIN_STATES))


def _direction(words: RuleWords) -> str:
    return words.one_of(tr("ORIGINAL or REPLY"), ("ORIGINAL", "REPLY"))


CT_OPTIONS = Grammar(
    {
        "--ctstate": PartEntry(CtState, _states),
        "--ctproto": PartEntry(CtProtocol, _protocol),
        **dict.fromkeys(SIDES, PartEntry(CtAddress, _address)),
        **dict.fromkeys((f"{side}port" for side in SIDES), PartEntry(CtPorts, bounds(mark("a port")))),
        "--ctstatus": PartEntry(CtStatus, _status_bits),
        "--ctexpire": PartEntry(CtExpire, _seconds),
        "--ctdir": PartEntry(CtDirection, _direction, negatable=False),
    },
    some=True,
)


@dataclass(frozen=True, slots=True)
class ConntrackIs(Match):
    """`-m conntrack` with its options in the order of `CT_OPTIONS`, or `-m state`.

    A packet without connection (INVALID, UNTRACKED) is asked for its state only: with --ctstate the other options do
    not count, without it nothing matches.
    """

    records = (
        MatchRecord(
            "conntrack",
            CT_OPTIONS,
            purity=Purity.PURE,
            tracks=True,
            samples=(
                *["[!] --ctstate INVALID|UNTRACKED|SNAT|DNAT", "[!] --ctstate NEW|ESTABLISHED|RELATED,ESTABLISHED"] * 3,
                "--ctdir ORIGINAL|REPLY",
                "[!] --ctstatus SEEN_REPLY|ASSURED|CONFIRMED|NONE",
                "[!] --ctproto 1|6|17",
                "[!] --ctorigdstport|--ctreplsrcport 80|8080|1:100",
                "[!] --ctorigsrc|--ctorigdst|--ctreplsrc|--ctrepldst {address}|{network}",
            ),
        ),
        MatchRecord(
            "state",
            Grammar({"--state": PartEntry(CtState, _plain_states)}, single=True),
            purity=Purity.PURE,
            tracks=True,
            samples=("[!] --state INVALID|NEW|ESTABLISHED|RELATED|UNTRACKED",),
        ),
    )

    options: tuple[CtOption, ...]

    @property
    def record(self) -> MatchRecord:
        """What is declared of the form it was written in."""
        return self.records[self.options[0].option == "--state"]

    @property
    def purity(self) -> Purity:
        """Pure, unless an option refuses some packets."""
        return Purity.REFUSES if any(isinstance(option, CtExpire) for option in self.options) else Purity.PURE

    @property
    def asked_ports(self) -> tuple[Range, ...]:
        """The ranges of ports it tells apart."""
        return tuple(option.value for option in self.options if isinstance(option, CtPorts))

    def test(self) -> Test:
        """Ask all options; the state first."""
        tests = [option.test() for option in self.options]
        if not isinstance(self.options[0], CtState):
            return lambda packet, at: at.entry is not None and all(test(packet, at) for test in tests)
        first, rest = tests[0], tests[1:]
        if not rest:
            return first
        return lambda packet, at: first(packet, at) and (at.entry is None or all(test(packet, at) for test in rest))

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the first option that does not hold; empty when all hold."""
        stateful = isinstance(self.options[0], CtState)
        if at.entry is None and not stateful:
            return tr("the packet belongs to no connection, its ctstate is {ctstate}", ctstate=at.ctstate)
        asked = self.options if at.entry else self.options[:1]
        return next((option.why_not(packet, at) for option in asked if not option.test()(packet, at)), "")
