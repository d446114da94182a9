"""TPROXY: hand a packet to a socket of this machine without changing it, and `-m socket`, which asks for such a socket.

A route of type local has to bring the packet to the socket; the mark is there for the rule that leads to it.
The program's option IP_TRANSPARENT is not listed anywhere: sockets on a port that a TPROXY rule names are taken to
have it. Not modelled: sockets in TIME_WAIT, and the marks of sockets.
Source: net/netfilter/xt_TPROXY.c, xt_socket.c, net/ipv4/netfilter/nf_tproxy_ipv4.c, nf_socket_ipv4.c (Linux 6.18);
Documentation/networking/tproxy.rst.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from mcnilib.errors import Unsupported
from mcnilib.language import mark, tr
from mcnilib.linux.netfilter.conntrack import ConnState
from mcnilib.linux.netfilter.context import Context, FoundSocket, SocketLookup
from mcnilib.linux.netfilter.hooks import NfVerdict
from mcnilib.linux.netfilter.iptables.extension import Match, MatchRecord, Purity, Target, TargetRecord, Test
from mcnilib.linux.netfilter.iptables.grammar import Grammar, OptionEntry, flag_option
from mcnilib.linux.netfilter.iptables.values import number, read_ip, read_mark
from mcnilib.linux.netfilter.iptables.words import RuleWords
from mcnilib.linux.packet import Packet
from mcnilib.linux.unmodelled import Gap

_ANY = IPv4Address(0)

_RESTORED = Gap(mark("the mark of a program's socket is not known"), refused=True)


def _address(words: RuleWords) -> IPv4Address:
    return read_ip(words, words.take("an address"))


def _lookup(at: Context, what: str) -> SocketLookup:
    if at.sockets is None:
        raise Unsupported(tr("{what} where there are no sockets to ask", what=what))
    return at.sockets


@dataclass(frozen=True, slots=True)
class Tproxy(Target):
    """TPROXY: the connection's own socket, else the one that listens at `address`:`port`; 0.0.0.0 is the first address
    of the device, port 0 the packet's. Without a transparent one the packet is dropped."""

    records = (
        TargetRecord("TPROXY", Grammar({
            "--on-port": OptionEntry(("port",), number(0, 65535), absent=...),
            "--on-ip": OptionEntry(("address",), _address, absent=...),
            "--tproxy-mark": OptionEntry(("value", "mask"), read_mark, "{:#x}/{:#x}".format, absent=...),
        }, needed=("--on-port",)), tracks=False, changes=True, tables=("mangle",), hooks=("PREROUTING",),
        protocols=("tcp", "udp"), samples=("--on-port 80 --on-ip 0.0.0.0 --tproxy-mark 0x1/0x1|0x0/0x0",)),
    )  # fmt: skip

    port: int
    address: IPv4Address = _ANY
    value: int = 0
    mask: int = 0

    @property
    def ends(self) -> NfVerdict:
        """The packet goes on to its socket; see `Context.verdict`."""
        return NfVerdict.ACCEPT

    def apply(self, packet: Packet, at: Context) -> Packet:
        """Return the packet with its mark, and leave the socket it belongs to from now on. Source: tproxy_tg4()."""
        lookup = _lookup(at, "TPROXY")
        to = self.address if self.address != _ANY else (at.first_address and at.first_address(at.iif)) or packet.dst
        meant = packet.but(dst=to, dport=self.port or packet.dport)
        found = lookup(packet, at.iif, False) or lookup(meant, at.iif, True)
        if found is None or not found.transparent:
            at.verdict = NfVerdict.DROP
            return packet
        at.socket = found
        return packet.but(mark=(packet.mark & ~self.mask) ^ self.value)


@dataclass(frozen=True, slots=True)
class SocketMatch(Match):
    """`-m socket`: is there a socket for the packet? One that listens on 0.0.0.0 counts only with --nowildcard."""

    records = (
        MatchRecord("socket", Grammar({
            "--transparent": flag_option("transparent"),
            "--nowildcard": flag_option("nowildcard"),
            "--restore-skmark": flag_option("restore_mark"),
        }), purity=Purity.UNDECIDED, tracks=False, hooks=("PREROUTING", "INPUT"), samples=(
            "[--transparent] [--nowildcard]",
        )),
    )  # fmt: skip

    transparent: bool = False
    nowildcard: bool = False
    restore_mark: bool = False

    def test(self) -> Test:
        """Look the socket up."""
        return self._holds

    def _holds(self, packet: Packet, at: Context) -> bool:
        found = at.socket or _found(packet, at, str(self))
        holds = found is not None and (found.bound or self.nowildcard) and (found.transparent or not self.transparent)
        if holds and self.restore_mark:
            _RESTORED.meet(tr("match socket --restore-skmark: "))
        return holds

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say which socket is missing."""
        return tr("no such socket for {dst}:{dport}", dst=packet.dst, dport=packet.dport)


def _found(packet: Packet, at: Context, what: str) -> FoundSocket | None:
    """Look up the socket of a packet as the program sees its addresses: SNAT is undone.

    An ICMP error is for the socket of the packet it quotes. Source: nf_sk_lookup_slow_v4(), extract_icmp4_fields().
    """
    replies = ConnState.RELATED if packet.icmp else ConnState.ESTABLISHED
    if packet.icmp and packet.icmp.quoted:
        sent = packet.icmp.quoted
        packet = Packet(sent.dst, sent.src, sent.proto, sent.dport, sent.sport, sent.tcp)
    if packet.proto not in ("tcp", "udp"):
        return None
    if at.entry and at.reply and at.ctstate is replies:
        packet = packet.but(dst=at.entry.original.src, dport=at.entry.original.sport)
    lookup = _lookup(at, what)
    return lookup(packet, at.iif, False) or lookup(packet, at.iif, True)
