"""Matches on the type of frame and on helpers, and two that always hold: comments and counters.

Source: iptables-extensions(8); net/netfilter/xt_{pkttype,helper,comment,nfacct}.c (Linux 6.18).
"""

from __future__ import annotations

from dataclasses import dataclass

from mcnilib.errors import Unsupported
from mcnilib.language import tr
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.extension import Match, MatchRecord, Purity, Test, differs
from mcnilib.linux.netfilter.iptables.grammar import Grammar, OptionEntry
from mcnilib.linux.netfilter.iptables.values import any_word
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
class Helper(Match):
    """`-m helper --helper NAME`: connections a helper expected. There are no helpers here, so only `!` holds."""

    records = (
        MatchRecord("helper", Grammar({
            "--helper": OptionEntry(("name",), any_word("a helper"), _helper_text, "negated"),
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
            "--nfacct-name": OptionEntry(("name",), any_word("a name"), " {}".format),
        }, single=True), purity=Purity.PURE, tracks=False, samples=()),
    )  # fmt: skip

    name: str

    def test(self) -> None:
        """Counting is no condition."""

    def why_not(self, packet: Packet, at: Context) -> str:
        """Never asked: counting always succeeds."""
        return ""
