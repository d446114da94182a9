"""What a rule of nft does with a packet: marks, addresses, answers, connections left out, elements added to sets.

Source: nft(8) "STATEMENTS"; net/netfilter/nft_{meta,ct,nat,masq,redir,reject,dynset}.c (Linux 6.18).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from mcnilib.errors import Unsupported
from mcnilib.language import tr
from mcnilib.linux.chance import Range
from mcnilib.linux.netfilter.conntrack import ConnState
from mcnilib.linux.netfilter.nat import NatPoint, NatRange
from mcnilib.linux.netfilter.nftables.datatype import KeyValues
from mcnilib.linux.netfilter.nftables.expression import Expression
from mcnilib.linux.netfilter.nftables.sets import Element, asked_ports
from mcnilib.linux.netfilter.nftables.statement import CONTINUE, ChainPassage, NftStatement, NftVerdict
from mcnilib.linux.packet import WITH_PORTS

_LOCALHOST = IPv4Address("127.0.0.1")


@dataclass(frozen=True, slots=True)
class SetMark(NftStatement):
    """`meta mark set EXPRESSION`, `ct mark set EXPRESSION`."""

    what: str
    to: Expression

    @property
    def port_ranges(self) -> Iterator[Range]:
        """The ranges of ports that the new mark is computed from."""
        return asked_ports(self.to)

    def __str__(self) -> str:
        return f"{self.what} set {self.to}"

    @property
    def tracks(self) -> bool:  # type: ignore[override]
        """Tell whether it needs the connection."""
        return self.what == "ct mark" or self.to.tracks

    def act(self, passage: ChainPassage) -> NftVerdict | None:
        """Write the mark; one of a connection only where there is one."""
        key = self.to.key(passage)
        if key is None or isinstance(key[0], str):
            return None
        passage.words.append(str(self))
        if self.what == "meta mark":
            passage.packet = passage.packet.but(mark=key[0])
        elif passage.at.entry is not None:
            passage.at.entry = passage.at.entry._replace(mark=key[0])
        return CONTINUE


@dataclass(frozen=True, slots=True)
class NatStatement(NftStatement):
    """`dnat to 10.0.0.1:80`, `snat ip to ...`, `masquerade fully-random`, `redirect to :8080`.

    `to` is what the address and port are computed from, `low` to `last_port` where they are written down.
    """

    verb: str
    text: str  # as printed
    to: Expression | None = None
    low: IPv4Address | None = None
    high: IPv4Address | None = None
    port: int = 0
    last_port: int = 0
    flags: tuple[str, ...] = ()

    tracks = True
    rewrites = True

    @property
    def port_ranges(self) -> Iterable[Range]:
        """The ranges of ports that the address is computed from."""
        return asked_ports(self.to) if self.to else ()

    def __str__(self) -> str:
        return self.text

    def act(self, passage: ChainPassage) -> NftVerdict | None:
        """Say what the connection gets; the rule ends the chain."""
        written: NatStatement | None = self
        if self.to is not None:
            key = self.to.key(passage)
            written = None if key is None else self._computed(key)
        if written is None or (written.port and passage.packet.proto not in WITH_PORTS):
            return None
        passage.nat = written
        return NftVerdict("accept")

    def _computed(self, key: KeyValues) -> NatStatement:
        address = IPv4Address(key[0])
        port = int(key[1]) if len(key) > 1 else 0
        return replace(self, to=None, low=address, high=None, port=port or self.port)

    def nat_range(self, at: NatPoint) -> NatRange | None:
        """Return what the statement allows for a connection; None where a device has no address.

        Source: nft_nat_eval(), nft_masq_eval(), nft_redir_eval(), nf_nat_masquerade_ipv4(), nf_nat_redirect_ipv4().
        """
        low, high, oif = self.low, self.high or self.low, ""
        if self.verb == "masquerade" or (self.verb == "redirect" and at.hook != "OUTPUT"):
            low = high = at.own_address()
            oif = at.oif if self.verb == "masquerade" else ""
        elif self.verb == "redirect":
            low = high = _LOCALHOST
        if low is None and self.verb in ("masquerade", "redirect"):
            return None
        random, persistent = bool({"random", "fully-random"} & {*self.flags}), "persistent" in self.flags
        return NatRange(low, high, self.port, self.last_port or self.port, 0, random, persistent, oif)


@dataclass(frozen=True, slots=True)
class RejectStatement(NftStatement):
    """`reject`, `reject with icmp host-prohibited`, `reject with tcp reset`: the packet is lost, its sender is told."""

    text: str
    kind: str = "icmp-port-unreachable"

    rejects = True

    def __str__(self) -> str:
        return self.text

    def act(self, passage: ChainPassage) -> NftVerdict | None:
        """Answer so."""
        if self.kind == "tcp-reset" and passage.packet.proto != "tcp":
            return None
        passage.words.append(self.text)
        passage.rejected = self.kind
        return NftVerdict("drop")


@dataclass(frozen=True, slots=True)
class NoTrack(NftStatement):
    """`notrack`: the packet's connection is not tracked; only before conntrack looks at it."""

    def __str__(self) -> str:
        return "notrack"

    def act(self, passage: ChainPassage) -> NftVerdict:
        """Leave the packet out."""
        passage.words.append("notrack")
        if passage.at.fresh:
            passage.at.notrack, passage.at.ctstate = True, ConnState.UNTRACKED
        return CONTINUE


@dataclass(frozen=True, slots=True)
class AddElement(NftStatement):
    """`update @affinity { ip saddr }`: put the packet's value into a set; `delete` takes it out.

    A timeout is longer than the conversations of this model, or makes no difference to them.
    """

    verb: str
    table: str
    of: Expression
    options: str = ""

    remembers = True

    @property
    def port_ranges(self) -> Iterator[Range]:
        """The ranges of ports that its value is computed from."""
        return asked_ports(self.of)

    def __str__(self) -> str:
        return f"{self.verb} {self.table} {{ {self.of}{' ' + self.options if self.options else ''} }}"

    @property
    def tracks(self) -> bool:  # type: ignore[override]
        """Tell whether the value is one of the connection."""
        return self.of.tracks

    def act(self, passage: ChainPassage) -> NftVerdict | None:
        """Add or take out."""
        key, named = self.of.key(passage), passage.set_called(self.table[1:])
        if key is None:
            return None
        added = passage.added(named)
        if self.verb == "delete":
            if added.pop(key, None) is None and named.find(key):
                raise Unsupported(tr("{statement}: taking out an element that was there before", statement=self))
            return CONTINUE
        added[key] = Element(tuple((value, value) for value in key), kinds=self.of.types)
        passage.words.append(str(self))
        return CONTINUE
