"""Matches that ask the routing tables: the types of addresses, and the way back to the source.

Source: iptables-extensions(8); net/netfilter/xt_addrtype.c, net/ipv4/netfilter/ipt_rpfilter.c (Linux 6.18).
"""

from __future__ import annotations

from dataclasses import dataclass

from mcnilib.errors import Unsupported
from mcnilib.language import tr
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.extension import Match, MatchRecord, Purity, Test, differs
from mcnilib.linux.netfilter.iptables.grammar import Grammar, OptionEntry, flag_option
from mcnilib.linux.netfilter.iptables.words import RuleWords
from mcnilib.linux.packet import Packet

ADDRESS_TYPES = (
    "UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST",
    "BLACKHOLE", "UNREACHABLE", "PROHIBIT", "THROW", "NAT", "XRESOLVE",
)  # fmt: skip
"""The order iptables-save prints types of addresses in."""

NO_DEVICE = {"in": ("POSTROUTING", "OUTPUT"), "out": ("PREROUTING", "INPUT")}
"""Built-in chains that refuse `addrtype --limit-iface-...`."""


def _types(words: RuleWords) -> tuple[str, ...]:
    types = words.listed(tr("an address type"), ADDRESS_TYPES)
    return tuple(sorted(set(types), key=ADDRESS_TYPES.index))


@dataclass(frozen=True, slots=True)
class AddrType(Match):
    """`-m addrtype [!] --src-type TYPES [!] --dst-type TYPES --limit-iface-in|out`."""

    records = (
        MatchRecord("addrtype", Grammar({
            "--src-type": OptionEntry(("src",), _types, ",".join, "src_negated", ()),
            "--dst-type": OptionEntry(("dst",), _types, ",".join, "dst_negated", ()),
            "--limit-iface-in": OptionEntry(constants={"limit": "in"}),
            "--limit-iface-out": OptionEntry(constants={"limit": "out"}),
        }, one_of=("--src-type", "--dst-type")), purity=Purity.REFUSES, tracks=False, samples=(
            "[!] --src-type LOCAL|UNICAST", "[!] --dst-type LOCAL|UNICAST|BROADCAST",
            "[!] --dst-type LOCAL --limit-iface-in",
        )),
    )  # fmt: skip

    src: tuple[str, ...] = ()
    dst: tuple[str, ...] = ()
    src_negated: bool = False
    dst_negated: bool = False
    limit: str = ""  # in or out: only addresses of that device count

    def test(self) -> Test:
        """Look both addresses up in the routing tables."""
        return lambda packet, at: not self.why_not(packet, at)

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the type of the address that is wrong; empty when both are right."""
        device = {"in": at.iif, "out": at.oif}.get(self.limit, "")
        sides = (
            ("source", packet.src, self.src, self.src_negated),
            ("destination", packet.dst, self.dst, self.dst_negated),
        )
        if at.address_type is None:
            raise Unsupported(tr("addrtype where there are no routing tables to ask"))
        for side, ip, types, negated in sides:
            if types:
                type_there = at.address_type(ip, device)
                if (type_there in types) is negated:
                    return differs(f"type of {side} {ip}", type_there, ",".join(types), negated)
        return ""

    def misplaced(self, table: str, chain: str, hooks: frozenset[str]) -> str:
        """Say why it has no place in a chain; a built-in one may lack the device asked for."""
        if reason := Match.misplaced(self, table, chain, hooks):
            return reason
        return (
            tr("asks for a device packets in {chain} do not have", chain=chain)
            if chain in NO_DEVICE.get(self.limit, ())
            else ""
        )


@dataclass(frozen=True, slots=True)
class RpFilter(Match):
    """`-m rpfilter`: would the answer leave by the device the packet came in by?"""

    records = (
        MatchRecord("rpfilter", Grammar({
            "--loose": flag_option("loose"),
            "--validmark": flag_option("validmark"),
            "--accept-local": flag_option("accept_local"),
            "--invert": flag_option("invert"),
        }), purity=Purity.REFUSES, tracks=False, tables=("raw", "mangle"), hooks=("PREROUTING",), samples=(
            "[--loose|--validmark] [--invert]",
        )),
    )  # fmt: skip

    loose: bool = False
    validmark: bool = False
    accept_local: bool = False
    invert: bool = False

    def test(self) -> Test:
        """Look the way back up; packets on loopback always pass."""
        return lambda packet, at: self._passes(packet, at) is not self.invert

    def _passes(self, packet: Packet, at: Context) -> bool:
        if at.reverse_path is None:
            raise Unsupported(tr("rpfilter where there are no routing tables to ask"))
        return at.iif == "lo" or at.reverse_path(packet, at.iif, self.loose, self.validmark, self.accept_local)

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say what the way back to the source is like."""
        if self.invert:
            return tr("the way back to {address} is by {device}", address=packet.src, device=at.iif)
        return tr("the way back to {address} is not by {device}", address=packet.src, device=at.iif)
