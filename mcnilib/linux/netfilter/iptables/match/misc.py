"""Readers of matches on the IPv4 header, on length and frame, and of those that remember packets.

Source: iptables-extensions(8); extensions/lib{xt,ipt}_*.c (iptables 1.8.9).
"""

from __future__ import annotations

from dataclasses import dataclass

from mcnilib.errors import Unsupported
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.extension import Match, Test, bang, differs
from mcnilib.linux.netfilter.iptables.words import RuleWords, need, need_plain, quoted
from mcnilib.linux.packet import Packet

KINDS = {"unicast": "unicast", "host": "unicast", "broadcast": "broadcast", "bcast": "broadcast"}


def _pkttype(words: RuleWords) -> Match:
    _, negated = need(words, "--pkt-type")
    kind = words.take("a type of frame").lower()
    if kind not in KINDS:
        raise words.fail(f"{kind!r} is not a type of frame", near=tuple(KINDS))
    return PacketType(KINDS[kind], negated)


def _helper(words: RuleWords) -> Match:
    _, negated = need(words, "--helper")
    return Helper(words.take("a helper"), negated)


@dataclass(frozen=True, slots=True)
class PacketType:
    """`-m pkttype --pkt-type unicast|broadcast|multicast`; only unicast frames are modelled."""

    kind: str
    negated: bool = False

    def test(self) -> Test:
        """Hold for unicast; a packet that would travel in another frame is refused."""
        return lambda packet, at: (self._kind(packet, at) == self.kind) is not self.negated

    def _kind(self, packet: Packet, at: Context) -> str:
        if packet.dst.is_multicast or (at.address_type and at.address_type(packet.dst, "") == "BROADCAST"):
            raise Unsupported(f"match pkttype for a packet to {packet.dst}: only unicast frames are modelled")
        return "unicast"

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the kind of frame."""
        return differs("type of frame", "unicast", self.kind, self.negated)

    def __str__(self) -> str:
        return f"-m pkttype {bang(self.negated)}--pkt-type {self.kind}"


@dataclass(frozen=True, slots=True)
class Helper:
    """`-m helper --helper NAME`: connections a helper expected. There are no helpers here, so only `!` holds."""

    name: str
    negated: bool = False

    def test(self) -> Test | None:
        """Hold for the negated form only."""
        return None if self.negated else lambda packet, at: False

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say that no helper expected the connection."""
        return "" if self.negated else "no helper expected this connection"

    def __str__(self) -> str:
        name = quoted(self.name) if self.name else '""'
        return f"-m helper {bang(self.negated)}--helper {name}"


@dataclass(frozen=True, slots=True)
class Comment:
    """`-m comment --comment TEXT`: always holds."""

    text: str

    def test(self) -> None:
        """A comment is no condition."""

    def why_not(self, packet: Packet, at: Context) -> str:
        """Never asked: a comment always holds."""
        return ""

    def __str__(self) -> str:
        return f"-m comment --comment {quoted(self.text)}"


@dataclass(frozen=True, slots=True)
class NfAcct:
    """`-m nfacct --nfacct-name NAME`: counts, always holds. iptables-save prints two blanks before the name."""

    name: str

    def test(self) -> None:
        """Counting is no condition."""

    def why_not(self, packet: Packet, at: Context) -> str:
        """Never asked: counting always succeeds."""
        return ""

    def __str__(self) -> str:
        return f"-m nfacct --nfacct-name  {self.name}"


COMMENT_LENGTH = 255
"""Longest comment the kernel keeps."""


def _comment(words: RuleWords) -> Match:
    need_plain(words, "--comment")
    text = words.take("the comment")
    if len(text.encode()) > COMMENT_LENGTH:
        raise words.fail(f"a comment has {COMMENT_LENGTH} characters at most")
    return Comment(text)


def _nfacct(words: RuleWords) -> Match:
    need_plain(words, "--nfacct-name")
    return NfAcct(words.take("a name"))
