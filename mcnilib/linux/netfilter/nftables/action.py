"""What a rule of nft does with a packet: marks, addresses, answers, connections left out, elements added to sets.

Source: nft(8) "STATEMENTS"; net/netfilter/nft_{meta,ct,nat,masq,redir,reject,dynset}.c (Linux 6.18).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from mcnilib.errors import Unsupported
from mcnilib.language import tr
from mcnilib.linux.netfilter.conntrack import ConnState
from mcnilib.linux.netfilter.iptables.target.nat import Dnat, Masquerade, Nat, Redirect, Snat
from mcnilib.linux.netfilter.iptables.target.verdict import Reject
from mcnilib.linux.netfilter.nftables.expression import Expression, Key
from mcnilib.linux.netfilter.nftables.sets import Element
from mcnilib.linux.netfilter.nftables.statement import CONTINUE, NftVerdict, Passage, Statement
from mcnilib.linux.packet import WITH_PORTS


@dataclass(frozen=True, slots=True)
class SetMark(Statement):
    """`meta mark set EXPRESSION`, `ct mark set EXPRESSION`."""

    what: str
    to: Expression

    def __str__(self) -> str:
        return f"{self.what} set {self.to}"

    @property
    def tracks(self) -> bool:  # type: ignore[override]
        """Tell whether it needs the connection."""
        return self.what == "ct mark" or self.to.tracks

    def act(self, passage: Passage) -> NftVerdict | None:
        """Write the mark; one of a connection only where there is one."""
        key = self.to.key(passage.sight())
        if key is None or isinstance(key[0], str):
            return None
        passage.words.append(str(self))
        if self.what == "meta mark":
            passage.packet = passage.packet.but(mark=key[0])
        elif passage.at.entry is not None:
            passage.at.entry = passage.at.entry._replace(mark=key[0])
        return CONTINUE


@dataclass(frozen=True, slots=True)
class NatStatement(Statement):
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

    def __str__(self) -> str:
        return self.text

    def act(self, passage: Passage) -> NftVerdict | None:
        """Say what the connection gets; the rule ends the chain."""
        written: NatStatement | None = self
        if self.to is not None:
            key = self.to.key(passage.sight())
            written = None if key is None else self._computed(key)
        if written is None or (written.port and passage.packet.proto not in WITH_PORTS):
            return None
        passage.target = written._target()
        return NftVerdict("accept")

    def _computed(self, key: Key) -> NatStatement:
        address = IPv4Address(key[0])
        port = int(key[1]) if len(key) > 1 else 0
        return replace(self, to=None, low=address, high=None, port=port or self.port)

    def _target(self) -> Nat:
        random, persistent = bool({"random", "fully-random"} & {*self.flags}), "persistent" in self.flags
        if self.verb == "masquerade":
            return Masquerade(random=random, port=self.port, last_port=self.last_port)
        if self.verb == "redirect":
            return Redirect(self.port, self.last_port, random)
        kind = Dnat if self.verb == "dnat" else Snat
        return kind(self.low, self.port, last=self.high, last_port=self.last_port, random=random, persistent=persistent)


@dataclass(frozen=True, slots=True)
class RejectStatement(Statement):
    """`reject`, `reject with icmp host-prohibited`, `reject with tcp reset`: the packet is lost, its sender is told."""

    text: str
    kind: str = "icmp-port-unreachable"

    def __str__(self) -> str:
        return self.text

    def act(self, passage: Passage) -> NftVerdict | None:
        """Answer so."""
        if self.kind == "tcp-reset" and passage.packet.proto != "tcp":
            return None
        passage.words.append(self.text)
        passage.target = Reject(self.kind)
        return NftVerdict("drop")


@dataclass(frozen=True, slots=True)
class NoTrack(Statement):
    """`notrack`: the packet's connection is not tracked; only before conntrack looks at it."""

    def __str__(self) -> str:
        return "notrack"

    def act(self, passage: Passage) -> NftVerdict:
        """Leave the packet out."""
        passage.words.append("notrack")
        if passage.at.fresh:
            passage.at.notrack, passage.at.ctstate = True, ConnState.UNTRACKED
        return CONTINUE


@dataclass(frozen=True, slots=True)
class AddElement(Statement):
    """`update @affinity { ip saddr }`: put the packet's value into a set; `delete` takes it out.

    A timeout is longer than the conversations of this model, or makes no difference to them.
    """

    verb: str
    table: str
    of: Expression
    options: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.table} {{ {self.of}{' ' + self.options if self.options else ''} }}"

    @property
    def tracks(self) -> bool:  # type: ignore[override]
        """Tell whether the value is one of the connection."""
        return self.of.tracks

    def act(self, passage: Passage) -> NftVerdict | None:
        """Add or take out."""
        key, named = self.of.key(passage.sight()), passage.set_called(self.table[1:])
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
