"""What every iptables match can do, and the matches on a packet's header: -s, -d, -i, -o, -p.

One small frozen class per match with its words, its text and its condition. `test` compiles the condition for the
walk; `why_not` says in words which condition did not hold. Read `match_state` and `match_ports` next.
Source: iptables(8).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.iptables.extension import Test, bang, differs
from mcnilib.linux.packet import Packet


@dataclass(frozen=True, slots=True)
class Source:
    """`-s NETWORK`."""

    network: IPv4Network
    negated: bool = False

    def test(self) -> Test:
        """Compare the masked source address."""
        net, mask, wanted = int(self.network.network_address), int(self.network.netmask), not self.negated
        return lambda packet, at: (int(packet.src) & mask == net) is wanted

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the source."""
        return differs("source", packet.src, self.network, self.negated)

    def __str__(self) -> str:
        return f"{bang(self.negated)}-s {self.network}"


@dataclass(frozen=True, slots=True)
class Destination:
    """`-d NETWORK`."""

    network: IPv4Network
    negated: bool = False

    def test(self) -> Test:
        """Compare the masked destination address."""
        net, mask, wanted = int(self.network.network_address), int(self.network.netmask), not self.negated
        return lambda packet, at: (int(packet.dst) & mask == net) is wanted

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the destination."""
        return differs("destination", packet.dst, self.network, self.negated)

    def __str__(self) -> str:
        return f"{bang(self.negated)}-d {self.network}"


def device_matches(pattern: str, device: str) -> bool:
    """Compare a device with a name from a rule; a trailing `+` stands for any ending."""
    return device.startswith(pattern[:-1]) if pattern.endswith("+") else device == pattern


@dataclass(frozen=True, slots=True)
class InInterface:
    """`-i DEVICE`, where a trailing `+` stands for any ending."""

    name: str
    negated: bool = False

    def test(self) -> Test:
        """Compare the device the packet came in by."""
        name, wanted = self.name, not self.negated
        return lambda packet, at: device_matches(name, at.iif) is wanted

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the device."""
        return differs("incoming device", at.iif or "none", self.name, self.negated)

    def __str__(self) -> str:
        return f"{bang(self.negated)}-i {self.name}"


@dataclass(frozen=True, slots=True)
class OutInterface:
    """`-o DEVICE`, where a trailing `+` stands for any ending."""

    name: str
    negated: bool = False

    def test(self) -> Test:
        """Compare the device the packet leaves by."""
        name, wanted = self.name, not self.negated
        return lambda packet, at: device_matches(name, at.oif) is wanted

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the device."""
        return differs("outgoing device", at.oif or "none", self.name, self.negated)

    def __str__(self) -> str:
        return f"{bang(self.negated)}-o {self.name}"


@dataclass(frozen=True, slots=True)
class Protocol:
    """`-p PROTOCOL`, by the name /etc/protocols gives it."""

    name: str
    negated: bool = False

    def test(self) -> Test:
        """Compare the protocol."""
        name, wanted = self.name, not self.negated
        return lambda packet, at: (packet.proto == name) is wanted

    def why_not(self, packet: Packet, at: Context) -> str:
        """Name the protocol."""
        return differs("protocol", packet.proto, self.name, self.negated)

    def __str__(self) -> str:
        return f"{bang(self.negated)}-p {self.name}"
