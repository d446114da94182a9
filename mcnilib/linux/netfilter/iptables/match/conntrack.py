"""`-m conntrack` and its elder form `-m state`: what a rule may ask about a packet's connection.

One small class per option; `ConntrackIs` holds those of one `-m conntrack`.
Source: iptables-extensions(8); conntrack_mt() in net/netfilter/xt_conntrack.c (Linux 6.18).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from typing import ClassVar

from mcnilib.errors import Unsupported
from mcnilib.linux.netfilter.conntrack import Entry
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.extension import Match, Test, bang, differs
from mcnilib.linux.netfilter.iptables.words import RuleWords, each_option, has_holes, need
from mcnilib.linux.packet import ALL_PROTOCOLS, PROTOCOL_NUMBERS, USUAL, Packet, protocol_name

STATE_ORDER = ("INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED", "SNAT", "DNAT")
"""The order iptables-save prints the words of --ctstate in."""

PLAIN_STATES = STATE_ORDER[:5]
"""The states `-m state` knows."""

STATUS_ORDER = ("NONE", "EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED")
"""The order iptables-save prints the words of --ctstatus in; NONE stands alone."""

SIDES = {
    "ctorigsrc": "original source",
    "ctorigdst": "original destination",
    "ctreplsrc": "source of the reply",
    "ctrepldst": "destination of the reply",
}
"""The four ends of a connection, by the option that asks for one."""

CT_ORDER = ("ctstate", "ctproto", *SIDES, *(f"{side}port" for side in SIDES), "ctstatus", "ctexpire", "ctdir")
"""The order iptables-save prints the options in."""


def ordered(words: frozenset[str], order: tuple[str, ...]) -> str:
    """Join words with commas, in the order iptables-save prints them."""
    return ",".join(word for word in order if word in words)


@dataclass(frozen=True, slots=True)
class CtState:
    """`--ctstate STATES`, or `--state STATES` of `-m state`."""

    states: frozenset[str]
    negated: bool = False
    option: str = "ctstate"  # or state

    def test(self) -> Test:
        """Compare the packet's state, and whether its connection is translated."""
        states, wanted = self.states, not self.negated
        if states.isdisjoint(("SNAT", "DNAT")):
            return lambda packet, at: (at.ctstate in states) is wanted
        return lambda packet, at: (at.ctstate in states or not states.isdisjoint(_translations(at.entry))) is wanted

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the state."""
        found = ",".join((at.ctstate, *_translations(at.entry)))
        return differs("ctstate", found, ordered(self.states, STATE_ORDER), self.negated)

    def __str__(self) -> str:
        return f"{bang(self.negated)}--{self.option} {ordered(self.states, STATE_ORDER)}"


def _translations(entry: Entry | None) -> tuple[str, ...]:
    if entry is None:
        return ()
    return (("SNAT",) if entry.snat else ()) + (("DNAT",) if entry.dnat else ())


@dataclass(frozen=True, slots=True)
class CtProtocol:
    """`--ctproto NUMBER`."""

    option: ClassVar[str] = "ctproto"
    number: int
    negated: bool = False

    def test(self) -> Test:
        """Compare the connection's protocol."""
        return lambda packet, at: (_number(at.entry) == self.number) is not self.negated

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the protocol's number."""
        return differs("protocol of the connection", _number(at.entry), self.number, self.negated)

    def __str__(self) -> str:
        return f"{bang(self.negated)}--ctproto {self.number}"


def _number(entry: Entry | None) -> int:
    name = entry.original.proto if entry else "0"
    return int(name) if name.isdecimal() else PROTOCOL_NUMBERS[name]


@dataclass(frozen=True, slots=True)
class CtAddress:
    """`--ctorigsrc`, `--ctorigdst`, `--ctreplsrc` or `--ctrepldst` with an address or prefix, printed as written."""

    option: str
    network: IPv4Interface
    negated: bool = False

    def test(self) -> Test:
        """Compare the masked address."""
        option, mask, wanted = self.option, int(self.network.netmask), not self.negated
        net = int(self.network.ip) & mask
        return lambda packet, at: (int(_end(at.entry, option)[0]) & mask == net) is wanted

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the address."""
        return differs(SIDES[self.option], _end(at.entry, self.option)[0], self._words(), self.negated)

    def _words(self) -> str:
        return str(self.network.ip) if self.network.network.prefixlen == 32 else str(self.network)

    def __str__(self) -> str:
        return f"{bang(self.negated)}--{self.option} {self._words()}"


@dataclass(frozen=True, slots=True)
class CtPorts:
    """`--ctorigsrcport` and its three likes with a port or a range; a range that runs backwards never matches."""

    option: str
    ports: tuple[int, int]
    negated: bool = False

    def test(self) -> Test:
        """Compare the port; for ICMP it is the identifier, or type and code in two bytes."""
        side, (low, high), wanted = self.option.removesuffix("port"), self.ports, not self.negated
        return lambda packet, at: (low <= _end(at.entry, side)[1] <= high) is wanted

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the port."""
        side = self.option.removesuffix("port")
        return differs(f"port of the {SIDES[side]}", _end(at.entry, side)[1], self._words(), self.negated)

    def _words(self) -> str:
        low, high = self.ports
        return str(low) if low == high else f"{low}:{high}"

    def __str__(self) -> str:
        return f"{bang(self.negated)}--{self.option} {self._words()}"


def _end(entry: Entry | None, side: str) -> tuple[IPv4Address, int]:
    """Return address and port of one end of a connection."""
    if entry is None:
        raise ValueError("the packet has no connection")
    flow = entry.original if side.startswith("ctorig") else entry.reply
    if side.endswith("src"):
        return flow.src, flow.sport
    return flow.dst, flow.dport if flow.icmp is None else flow.icmp[0] << 8 | flow.icmp[1]


@dataclass(frozen=True, slots=True)
class CtStatus:
    """`--ctstatus WORDS`; NONE is no bit at all, so nothing has it."""

    option: ClassVar[str] = "ctstatus"
    words: frozenset[str]
    negated: bool = False

    def test(self) -> Test:
        """Compare the connection's status bits."""
        words, wanted = self.words, not self.negated
        return lambda packet, at: (not words.isdisjoint(_status(at.entry))) is wanted

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the status."""
        found = ",".join(_status(at.entry)) or "none"
        return differs("status of the connection", found, ordered(self.words, STATUS_ORDER), self.negated)

    def __str__(self) -> str:
        return f"{bang(self.negated)}--ctstatus {ordered(self.words, STATUS_ORDER)}"


def _status(entry: Entry | None) -> tuple[str, ...]:
    if entry is None:
        return ()
    bits = ("SEEN_REPLY", entry.seen_reply), ("ASSURED", entry.assured), ("CONFIRMED", entry.confirmed)
    return tuple(name for name, on in bits if on)


@dataclass(frozen=True, slots=True)
class CtDirection:
    """`--ctdir ORIGINAL|REPLY`."""

    option: ClassVar[str] = "ctdir"
    reply: bool

    def test(self) -> Test:
        """Compare the packet's direction."""
        return lambda packet, at: at.reply is self.reply

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the direction."""
        return differs("direction", _direction(at.reply), _direction(self.reply), False)

    def __str__(self) -> str:
        return f"--ctdir {_direction(self.reply)}"


def _direction(reply: bool) -> str:
    return "REPLY" if reply else "ORIGINAL"


@dataclass(frozen=True, slots=True)
class CtExpire:
    """`--ctexpire SECONDS[:SECONDS]`: how long the connection would stay without another packet, in whole seconds.

    What the kernel compares for a connection it has not stored yet depends on how long the machine is up.
    """

    option: ClassVar[str] = "ctexpire"
    seconds: tuple[int, int]
    negated: bool = False

    def test(self) -> Test:
        """Compare the time; a packet of a connection not stored yet is refused."""
        (low, high), wanted = self.seconds, not self.negated
        return lambda packet, at: (low <= self._left(at) <= high) is wanted

    def _left(self, at: Context) -> int:
        if at.entry is None or not at.entry.confirmed:
            raise Unsupported(f"match conntrack {self} for a connection that is not stored yet")
        return max(0, int(at.entry.expires - at.now + 1e-9))

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the time that is left."""
        return differs("time left", f"{self._left(at)} s", self._words(), self.negated)

    def _words(self) -> str:
        return str(self.seconds[0]) if self.seconds[0] == self.seconds[1] else f"{self.seconds[0]}:{self.seconds[1]}"

    def __str__(self) -> str:
        return f"{bang(self.negated)}--ctexpire {self._words()}"


CtOption = CtState | CtProtocol | CtAddress | CtPorts | CtStatus | CtExpire | CtDirection


@dataclass(frozen=True, slots=True)
class ConntrackIs:
    """`-m conntrack` with its options in the order of `CT_ORDER`, or `-m state`.

    A packet without connection (INVALID, UNTRACKED) is asked for its state only: with --ctstate the other options do
    not count, without it nothing matches.
    """

    options: tuple[CtOption, ...]

    @property
    def may_fail(self) -> bool:
        """Tell whether an option refuses some packets."""
        return any(isinstance(option, CtExpire) for option in self.options)

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
            return f"the packet belongs to no connection, its ctstate is {at.ctstate}"
        asked = self.options if at.entry else self.options[:1]
        return next((one.why_not(packet, at) for one in asked if not one.test()(packet, at)), "")

    def __str__(self) -> str:
        name = "state" if self.options[0].option == "state" else "conntrack"
        return f"-m {name} {' '.join(map(str, self.options))}"


OPTIONS = {f"--{name}": name for name in CT_ORDER}


def read_conntrack(words: RuleWords) -> Match:
    """Read the options of `-m conntrack`; they may stand in any order."""
    found = [
        _option(words, name, negated) for name, negated in each_option(words, "conntrack", OPTIONS, (), ("ctdir",))
    ]
    if not found:
        need(words, *OPTIONS)
    return ConntrackIs(tuple(sorted(found, key=lambda option: CT_ORDER.index(option.option))))


def _option(words: RuleWords, name: str, negated: bool) -> CtOption:
    if name in SIDES:
        return CtAddress(name, _address(words), negated)
    match name:
        case "ctstate":
            return CtState(frozenset(words.listed("a state", STATE_ORDER)), negated)
        case "ctproto":
            return CtProtocol(_protocol(words), negated)
        case "ctstatus":
            return CtStatus(_read_status(words), negated)
        case "ctexpire":
            return CtExpire(_seconds(words), negated)
        case "ctdir":
            return CtDirection(words.one_of("ORIGINAL or REPLY", ("ORIGINAL", "REPLY")) == "REPLY")
    return CtPorts(name, _ports(words), negated)


def _address(words: RuleWords) -> IPv4Interface:
    word = words.take("an address")
    try:
        if has_holes(word.partition("/")[2]):
            raise words.unsupported(f"{word}: a mask with holes")
        return IPv4Interface(word)
    except ValueError:
        raise words.fail(f"{word!r} is not an IPv4 address or prefix") from None


def _protocol(words: RuleWords) -> int:
    word = words.take("a protocol")
    if word.lower() in ALL_PROTOCOLS:
        return 0
    name = protocol_name(word)
    if name is None:
        raise words.fail(f"{word!r} is not a protocol", near=USUAL)
    return int(name) if name.isdecimal() else PROTOCOL_NUMBERS[name]


def _read_status(words: RuleWords) -> frozenset[str]:
    """Read the status bits; NONE adds none to others."""
    found = frozenset(words.listed("a status", STATUS_ORDER))
    return found - {"NONE"} or found


def _seconds(words: RuleWords) -> tuple[int, int]:
    low, colon, high = words.take("a time").partition(":")
    first = words.as_number(low or "0", "a time")
    return first, words.as_number(high or "0xffffffff", "a time", first) if colon else first


def _ports(words: RuleWords) -> tuple[int, int]:
    word = words.take("a port")
    low, colon, high = word.partition(":")
    first = words.as_number(low or "0", "a port", 0, 65535)
    return first, words.as_number(high or "65535", "a port", 0, 65535) if colon else first


def read_state(words: RuleWords) -> Match:
    """Read the option of `-m state`, which iptables-save prints as it was given."""
    _, negated = need(words, "--state")
    return ConntrackIs((CtState(frozenset(words.listed("a state", PLAIN_STATES)), negated, "state"),))
