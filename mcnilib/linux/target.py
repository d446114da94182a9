"""iptables targets: what a rule does with a packet its matches selected.

Verdicts end a chain or a table; MARK, CONNMARK, TTL, TOS and DSCP change the packet or its connection. The NAT targets
are in `target_nat`.
Source: iptables(8), iptables-extensions(8).
"""

from __future__ import annotations

from dataclasses import dataclass

from mcnilib.linux.netfilter.iptables.extension import KeptTarget
from mcnilib.linux.netfilter.iptables.words import quoted
from mcnilib.linux.packet import Packet
from mcnilib.linux.target_nat import Dnat, Masquerade, Netmap, Redirect, Snat

REJECT_KINDS = (
    "icmp-net-unreachable",
    "icmp-host-unreachable",
    "icmp-proto-unreachable",
    "icmp-port-unreachable",
    "icmp-net-prohibited",
    "icmp-host-prohibited",
    "icmp-admin-prohibited",
    "tcp-reset",
)
"""What REJECT can answer with."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """ACCEPT, DROP or RETURN."""

    name: str

    def __str__(self) -> str:
        return f"-j {self.name}"


@dataclass(frozen=True, slots=True)
class Jump:
    """Go on in a user chain: `-j` comes back here, `-g` (goto) comes back to where this chain was called from."""

    chain: str
    goto: bool = False

    def __str__(self) -> str:
        return f"{'-g' if self.goto else '-j'} {self.chain}"


@dataclass(frozen=True, slots=True)
class Reject:
    """Drop, and answer with an ICMP error or a TCP RST; `kind` is the word after --reject-with."""

    kind: str = "icmp-port-unreachable"

    def __str__(self) -> str:
        return f"-j REJECT --reject-with {self.kind}"


@dataclass(frozen=True, slots=True)
class Mark:
    """MARK --set-xmark value/mask: clear the mask's bits, then XOR the value."""

    value: int
    mask: int = 0xFFFFFFFF

    def __str__(self) -> str:
        return f"-j MARK --set-xmark {self.value:#x}/{self.mask:#x}"


@dataclass(frozen=True, slots=True)
class Connmark:
    """CONNMARK: save the packet's mark on the connection, restore it, or set the connection's mark."""

    action: str  # save, restore, set
    value: int = 0
    nfmask: int = 0xFFFFFFFF
    ctmask: int = 0xFFFFFFFF

    def __str__(self) -> str:
        if self.action == "set":
            return f"-j CONNMARK --set-xmark {self.value:#x}/{self.ctmask:#x}"
        return f"-j CONNMARK --{self.action}-mark --nfmask {self.nfmask:#x} --ctmask {self.ctmask:#x}"


@dataclass(frozen=True, slots=True)
class SetTtl:
    """TTL: set, raise or lower the packet's time to live; it stays within 0 to 255."""

    change: str  # set, inc or dec
    value: int

    def apply(self, packet: Packet) -> Packet:
        """Return the packet with its new TTL. Source: ttl_tg() in net/netfilter/xt_HL.c."""
        ttl = {"set": self.value, "inc": packet.ttl + self.value, "dec": packet.ttl - self.value}[self.change]
        return packet.but(ttl=max(0, min(255, ttl)))

    def __str__(self) -> str:
        return f"-j TTL --ttl-{self.change} {self.value}"


@dataclass(frozen=True, slots=True)
class SetTos:
    """TOS --set-tos value/mask: clear the mask's bits, then XOR the value."""

    value: int
    mask: int = 0xFF

    def apply(self, packet: Packet) -> Packet:
        """Return the packet with its new TOS byte. Source: tos_tg() in net/netfilter/xt_DSCP.c."""
        return packet.but(tos=(packet.tos & ~self.mask) ^ self.value)

    def __str__(self) -> str:
        return f"-j TOS --set-tos {self.value:#04x}/{self.mask:#04x}"


@dataclass(frozen=True, slots=True)
class SetDscp:
    """DSCP --set-dscp: set the upper six bits of the TOS byte."""

    value: int

    def apply(self, packet: Packet) -> Packet:
        """Return the packet with its new DSCP; the ECN bits stay. Source: dscp_tg() in net/netfilter/xt_DSCP.c."""
        return packet.but(tos=self.value << 2 | packet.tos & 3)

    def __str__(self) -> str:
        return f"-j DSCP --set-dscp {self.value:#04x}"


@dataclass(frozen=True, slots=True)
class Notrack:
    """Leave the packet out of connection tracking (raw table only); printed as the tool that saved it spells it."""

    spelling: str = "NOTRACK"  # or `CT --notrack`

    def __str__(self) -> str:
        return f"-j {self.spelling}"


@dataclass(frozen=True, slots=True)
class Log:
    """LOG, NFLOG or TRACE: tells somebody and goes on."""

    name: str
    options: tuple[tuple[str, str], ...] = ()  # (option, value); flags such as --log-uid have an empty value

    def __str__(self) -> str:
        words = (f"{name} {quoted(value)}" if value else name for name, value in self.options)
        return " ".join([f"-j {self.name}", *words])


Rewriting = SetTtl | SetTos | SetDscp
Target = (
    Verdict | Jump | Reject | Mark | Connmark | Rewriting | Dnat | Snat | Masquerade | Redirect | Netmap | Notrack | Log
    | KeptTarget
)  # fmt: skip

CHANGING = (Mark, Connmark, SetTtl, SetTos, SetDscp, KeptTarget)
"""Targets that change the packet or its connection and go on, or that refuse."""

ACCEPT, DROP, RETURN = Verdict("ACCEPT"), Verdict("DROP"), Verdict("RETURN")
