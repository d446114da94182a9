"""Matches on the type of frame, bridge ports and helpers, and two that always hold: comments and counters.

Source: iptables-extensions(8); net/netfilter/xt_{pkttype,physdev,helper,comment,nfacct}.c (Linux 6.18).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mcnilib.errors import Unsupported
from mcnilib.language import mark, tr
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.extension import Match, MatchRecord, Purity, Test, differs
from mcnilib.linux.netfilter.iptables.grammar import Grammar, OptionEntry
from mcnilib.linux.netfilter.iptables.values import any_word, device
from mcnilib.linux.netfilter.iptables.words import RuleWords, quoted
from mcnilib.linux.packet import Packet

_PACKET_TYPES = {"unicast": "unicast", "host": "unicast", "broadcast": "broadcast", "bcast": "broadcast"}

_PACKET_TYPES |= {"multicast": "multicast", "mcast": "multicast"}
"""Types of frames, by all their names."""

COMMENT_LENGTH = 255
"""Longest comment the kernel keeps."""


def _kind(words: RuleWords) -> str:
    kind = words.take(tr("a type of frame")).lower()
    if kind not in _PACKET_TYPES:
        raise words.fail(tr("{kind!r} is not a type of frame", kind=kind), near=tuple(_PACKET_TYPES))
    return _PACKET_TYPES[kind]


def _helper_text(name: str) -> str:
    return quoted(name) if name else '""'


def _comment(words: RuleWords) -> str:
    text = words.take("the comment")
    if 4 * len(text) > COMMENT_LENGTH and len(text.encode()) > COMMENT_LENGTH:
        raise words.fail(tr("a comment has {comment_length} characters at most", comment_length=COMMENT_LENGTH))
    return text


@dataclass(frozen=True, slots=True)
class PacketType(Match):
    """`-m pkttype --pkt-type unicast|broadcast|multicast`; only unicast frames are modelled."""

    records = (
        MatchRecord("pkttype", Grammar({
            "--pkt-type": OptionEntry(("kind",), _kind, negated="negated"),
        }, single=True), purity=Purity.REFUSES, tracks=False, samples=("[!] --pkt-type unicast",)),
    )  # fmt: skip

    kind: str
    negated: bool = False

    def test(self) -> Test:
        """Hold for unicast; a packet that would travel in another frame is refused."""
        return lambda packet, at: (self._kind(packet, at) == self.kind) is not self.negated

    def _kind(self, packet: Packet, at: Context) -> str:
        if packet.dst.is_multicast or (at.address_type and at.address_type(packet.dst, "") == "BROADCAST"):
            raise Unsupported(
                tr("match pkttype for a packet to {dst}: only unicast frames are modelled", dst=packet.dst)
            )
        return "unicast"

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the kind of frame."""
        return differs("type of frame", "unicast", self.kind, self.negated)


@dataclass(frozen=True, slots=True)
class PhysDev(Match):
    """`-m physdev`: the port a packet came in by, the one it leaves by, whether it is bridged; any may be negated.

    A packet that is routed has no port it leaves by and is not bridged; one that came in by no port, or where
    br_netfilter is off, has none at all. Then only negated options hold.
    """

    records = (
        MatchRecord("physdev", Grammar({
            "--physdev-is-in": OptionEntry(("is_in",), sign=True),
            "--physdev-in": OptionEntry(("came_by",), device, negated="came_not", absent=""),
            "--physdev-is-out": OptionEntry(("is_out",), sign=True),
            "--physdev-out": OptionEntry(("leaves_by",), device, negated="leaves_not", absent=""),
            "--physdev-is-bridged": OptionEntry(("is_bridged",), sign=True),
        }, some=True), purity=Purity.PURE, tracks=False, samples=(
            "[!] --physdev-is-bridged", "[!] --physdev-is-in", "[!] --physdev-in va|vb|v+|en0",
            "--physdev-is-bridged [!] --physdev-out va|vb|v+|en0", "! --physdev-is-in ! --physdev-is-bridged",
        )),
    )  # fmt: skip

    is_in: bool | None = None
    came_by: str = ""
    is_out: bool | None = None
    leaves_by: str = ""
    is_bridged: bool | None = None
    came_not: bool = False
    leaves_not: bool = False

    def misplaced(self, table: str, chain: str, hooks: frozenset[str]) -> str:
        """Say that it asks for the port a packet leaves by where none is known. Source: physdev_mt_check()."""
        asks = self.is_out is not None or self.leaves_by
        if asks and not self.is_bridged and "OUTPUT" in hooks:
            return tr("has no place in {wrong}", wrong="OUTPUT")
        return Match.misplaced(self, table, chain, hooks)

    def test(self) -> Test:
        """Compare the ports; what is asked of a packet without any holds when all of it is negated."""
        return lambda packet, at: not any(self._wrong(at))

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the first port that is another one, or that the packet has none."""
        return next(self._wrong(at), "")

    def _wrong(self, at: Context) -> Iterator[str]:
        """Yield what is not as the rule asks. Source: physdev_mt()."""
        came, leaves = (at.ports.physin, at.ports.physout) if at.ports else ("", "")
        if self.is_bridged not in (None, bool(leaves)):
            yield tr("the packet is bridged") if leaves else tr("the packet is routed, not bridged")
        if self.is_in not in (None, bool(came)):
            yield tr("it came in by a bridge port") if came else tr("it came in by no bridge port")
        if self.is_out not in (None, bool(leaves)):
            yield tr("it leaves by a bridge port") if leaves else tr("it leaves by no bridge port")
        if self.came_by and _is(came, self.came_by) is self.came_not:
            yield differs(tr("the bridge port it came in by"), came or tr("none"), self.came_by, self.came_not)
        unknown = at.ports and not leaves  # one that is routed: nothing holds, negated or not
        if self.leaves_by and (unknown or _is(leaves, self.leaves_by) is self.leaves_not):
            yield differs(tr("the bridge port it leaves by"), leaves or tr("none"), self.leaves_by, self.leaves_not)


def _is(port: str, name: str) -> bool:
    """Tell whether a port has a name; one that ends in + is the beginning of names."""
    return bool(port) and (port.startswith(name[:-1]) if name.endswith("+") else port == name)


@dataclass(frozen=True, slots=True)
class Helper(Match):
    """`-m helper --helper NAME`: connections a helper expected. There are no helpers here, so only `!` holds."""

    records = (
        MatchRecord("helper", Grammar({
            "--helper": OptionEntry(("name",), any_word(mark("a helper")), _helper_text, "negated"),
        }, single=True), purity=Purity.PURE, tracks=True, samples=("[!] --helper ftp",)),
    )  # fmt: skip

    name: str
    negated: bool = False

    def test(self) -> Test | None:
        """Hold for the negated form only."""
        return None if self.negated else lambda packet, at: False

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say that no helper expected the connection."""
        return "" if self.negated else tr("no helper expected this connection")


@dataclass(frozen=True, slots=True)
class Comment(Match):
    """`-m comment --comment TEXT`: always holds."""

    records = (
        MatchRecord("comment", Grammar({
            "--comment": OptionEntry(("text",), _comment, quoted),
        }, single=True), purity=Purity.PURE, tracks=False, samples=("--comment x",)),
    )  # fmt: skip

    text: str

    def test(self) -> None:
        """A comment is no condition."""

    def why_not(self, packet: Packet, at: Context) -> str:
        """Never asked: a comment always holds."""
        return ""


@dataclass(frozen=True, slots=True)
class NfAcct(Match):
    """`-m nfacct --nfacct-name NAME`: counts, always holds. iptables-save prints two blanks before the name."""

    records = (
        MatchRecord("nfacct", Grammar({
            "--nfacct-name": OptionEntry(("name",), any_word(mark("a name")), " {}".format),
        }, single=True), purity=Purity.PURE, tracks=False, samples=()),
    )  # fmt: skip

    name: str

    def test(self) -> None:
        """Counting is no condition."""

    def why_not(self, packet: Packet, at: Context) -> str:
        """Never asked: counting always succeeds."""
        return ""
