"""Matches on what Linux knows beside the header: marks, address types, chance, the reverse path.

Connection state is in `match_conntrack`, sets are in `match_set`.
Source: iptables-extensions(8); net/netfilter/xt_{mark,connmark,addrtype,statistic,nfacct}.c,
net/ipv4/netfilter/ipt_rpfilter.c (Linux 6.18).
"""

from __future__ import annotations

from dataclasses import dataclass

from mcnilib.errors import Unsupported
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.extension import Match, Test, bang, differs
from mcnilib.linux.netfilter.iptables.words import RuleWords, each_option
from mcnilib.linux.packet import Packet

ADDRESS_TYPES = (
    "UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST",
    "BLACKHOLE", "UNREACHABLE", "PROHIBIT", "THROW", "NAT", "XRESOLVE",
)  # fmt: skip
"""The order iptables-save prints types of addresses in."""


@dataclass(frozen=True, slots=True)
class AddrType:
    """`-m addrtype [!] --src-type TYPES [!] --dst-type TYPES --limit-iface-in|out`."""

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
            raise Unsupported("addrtype where there are no routing tables to ask")
        for side, ip, types, negated in sides:
            if types:
                found = at.address_type(ip, device)
                if (found in types) is negated:
                    return differs(f"type of {side} {ip}", found, ",".join(types), negated)
        return ""

    def __str__(self) -> str:
        words = ["-m addrtype"]
        words += [f"{bang(self.src_negated)}--src-type {','.join(self.src)}"] if self.src else []
        words += [f"{bang(self.dst_negated)}--dst-type {','.join(self.dst)}"] if self.dst else []
        return " ".join([*words, *([f"--limit-iface-{self.limit}"] if self.limit else [])])


@dataclass(frozen=True, slots=True)
class RpFilter:
    """`-m rpfilter`: would the answer leave by the device the packet came in by?"""

    loose: bool = False
    validmark: bool = False
    accept_local: bool = False
    invert: bool = False

    def test(self) -> Test:
        """Look the way back up; packets on loopback always pass."""
        return lambda packet, at: self._passes(packet, at) is not self.invert

    def _passes(self, packet: Packet, at: Context) -> bool:
        if at.reverse_path is None:
            raise Unsupported("rpfilter where there are no routing tables to ask")
        return at.iif == "lo" or at.reverse_path(packet, at.iif, self.loose, self.validmark, self.accept_local)

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say what the way back to the source is like."""
        return f"the way back to {packet.src} {'is' if self.invert else 'is not'} by {at.iif}"

    def __str__(self) -> str:
        flags = ("loose", self.loose), ("validmark", self.validmark), ("accept-local", self.accept_local)
        words = [f"--{name}" for name, on in (*flags, ("invert", self.invert)) if on]
        return " ".join(["-m rpfilter", *words])


ADDRTYPE = {"--src-type": "src", "--dst-type": "dst", "--limit-iface-in": "limit", "--limit-iface-out": "limit"}


def _addrtype(words: RuleWords) -> Match:
    found: dict[str, tuple[tuple[str, ...], bool]] = {}
    limit = ""
    for name, negated in each_option(words, "addrtype", ADDRTYPE, plain=("limit",)):
        if name == "limit":
            limit = words.last.rpartition("-")[2]
        else:
            types = words.listed("an address type", ADDRESS_TYPES)
            found[name] = (tuple(sorted(set(types), key=ADDRESS_TYPES.index)), negated)
    if not found:
        raise words.fail("addrtype needs --src-type or --dst-type")
    src, dst = found.get("src", ((), False)), found.get("dst", ((), False))
    return AddrType(src[0], dst[0], src[1], dst[1], limit)


RPFILTER = {f"--{name}": name for name in ("loose", "validmark", "accept-local", "invert")}


def _rpfilter(words: RuleWords) -> Match:
    found = {name for name, _ in each_option(words, "rpfilter", RPFILTER, plain=RPFILTER.values())}
    return RpFilter(*(name in found for name in RPFILTER.values()))
