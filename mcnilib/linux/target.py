"""iptables targets: what a rule does with a packet its matches selected.

Verdicts end a chain or a table; MARK, CONNMARK and the NAT targets change the packet or its connection.
Source: iptables(8), iptables-extensions(8).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from mcnilib.linux.kept import KeptTarget
from mcnilib.linux.rule_words import quoted

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
class Dnat:
    """Rewrite the destination of a connection; port 0 keeps the port."""

    to: IPv4Address
    port: int = 0

    def __str__(self) -> str:
        return f"-j DNAT --to-destination {self.to}{f':{self.port}' if self.port else ''}"


@dataclass(frozen=True, slots=True)
class Snat:
    """Rewrite the source of a connection to a fixed address; port 0 keeps the port where it is free."""

    to: IPv4Address
    port: int = 0
    random_fully: bool = False

    def __str__(self) -> str:
        words = f"-j SNAT --to-source {self.to}{f':{self.port}' if self.port else ''}"
        return f"{words} --random-fully" if self.random_fully else words


@dataclass(frozen=True, slots=True)
class Masquerade:
    """Rewrite the source to an address of the outgoing device."""

    random_fully: bool = False

    def __str__(self) -> str:
        return "-j MASQUERADE --random-fully" if self.random_fully else "-j MASQUERADE"


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


Target = Verdict | Jump | Reject | Mark | Connmark | Dnat | Snat | Masquerade | Notrack | Log | KeptTarget

ACCEPT, DROP, RETURN = Verdict("ACCEPT"), Verdict("DROP"), Verdict("RETURN")
