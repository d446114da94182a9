"""What a rule of nft says: comparisons first, then what is done with the packet.

Statements are carried out one after the other; one that does not hold ends the rule, what was done before stays done.
Source: nft(8) "STATEMENTS"; net/netfilter/nf_tables_core.c (nft_do_chain), nft_{cmp,bitwise,range,lookup,meta,ct,nat,
masq,redir,reject,dynset}.c (Linux 6.18).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from mcnilib.errors import Unsupported
from mcnilib.language import tr
from mcnilib.linux.chance import Range
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.nat import NatTarget
from mcnilib.linux.netfilter.nftables.datatype import KeyValues
from mcnilib.linux.netfilter.nftables.sets import Element, NftSet
from mcnilib.linux.packet import Packet


@dataclass(frozen=True, slots=True)
class NftVerdict:
    """What ends a rule: accept, drop, continue, return, queue, or jump and goto into a chain."""

    name: str
    chain: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.chain}" if self.chain else self.name


CONTINUE: Final = NftVerdict("continue")
"""The rule matched, and the next rule of the chain is asked."""


@dataclass(slots=True)
class ChainPassage:
    """A packet on its way through the chains of a table, as it is now, and what was decided about it."""

    packet: Packet
    at: Context
    sets: dict[str, NftSet]
    nat: NatTarget | None = None  # how its connection's address is rewritten
    rejected: str = ""  # how its sender is told, in the words of REJECT
    words: list[str] = field(default_factory=list)  # what the rule at hand did

    def finder(self, name: str) -> WithAdded | NftSet:
        """Return a set of the table, with what rules added to it in this run."""
        named = self.set_called(name)
        added = (self.at.memory or {}).get(("nft set", id(named)))
        return WithAdded(named, added[1]) if added else named

    def set_called(self, name: str) -> NftSet:
        """Return a set of the table. Raises: Unsupported for one of a type that is not modelled."""
        named = self.sets.get(name)
        if named is None or named.gap:
            raise Unsupported(named.gap if named else tr("no set {name} in the table", name=name))
        return named

    def added(self, named: NftSet) -> dict[KeyValues, Element]:
        """Return what rules added to a set in this run. Raises: Unsupported where there is no run."""
        if self.at.memory is None:
            raise Unsupported(tr("set {name} outside a run: rules add elements to it", name=named.name))
        return self.at.memory.setdefault(("nft set", id(named)), (named, {}))[1]  # type: ignore[no-any-return]


class WithAdded(NamedTuple):
    """A set, and what rules added to it."""

    named: NftSet
    added: dict[KeyValues, Element]

    def find(self, key: KeyValues) -> Element | None:
        """Return the element a key has."""
        return self.added.get(key) or self.named.find(key)


class NftStatement:
    """A part of a rule. `str()` is what nft prints for it."""

    __slots__ = ()
    tracks = False  # makes the kernel track connections
    silent = False  # nothing comes of it for the packet
    compares = False  # it only tells whether the rule goes on
    rewrites = False  # it decides what becomes of an address
    remembers = False  # what it does depends on the packets before
    rejects = False  # it answers the packet that is dropped

    @property
    def port_ranges(self) -> Iterable[Range]:
        """The ranges of ports it tells apart; most statements none."""
        return ()

    def running(self, only_tells: bool) -> NftStatement:
        """Return the statement of a rule that packets have met; one that remembers them may have forgotten how many,
        which decides nothing where the rule only tells of packets."""
        return self

    def act(self, passage: ChainPassage) -> NftVerdict | None:
        """Carry it out; None when it does not hold. Raises: Unsupported for what is not modelled."""
        raise NotImplementedError

    def why_not(self, passage: ChainPassage) -> str:
        """Say why it does not hold for a packet; empty when it does, or when it compares nothing."""
        return ""


@dataclass(frozen=True, slots=True)
class Decide(NftStatement):
    """`accept`, `drop`, `return`, `jump CHAIN`, `goto CHAIN`, `continue`."""

    verdict: NftVerdict

    def __str__(self) -> str:
        return str(self.verdict)

    def act(self, passage: ChainPassage) -> NftVerdict:
        """End the rule so."""
        passage.words.append(str(self))
        return self.verdict


@dataclass(frozen=True, slots=True)
class Silent(NftStatement):
    """`counter`, `log`, `meta nftrace set 1`: nothing comes of it for the packet."""

    text: str
    silent = True

    def __str__(self) -> str:
        return self.text

    def act(self, passage: ChainPassage) -> NftVerdict:
        """Go on."""
        return CONTINUE


@dataclass(frozen=True, slots=True)
class OtherFamily(NftStatement):
    """`ip6 saddr ...`, `reject with icmpv6 ...` and what follows in the rule: never holds for a packet of IPv4.

    nft puts a comparison of the family before it. Source: payload_gen_dependency() in src/payload.c (nftables 1.0.6).
    """

    text: str

    compares = True

    def __str__(self) -> str:
        return self.text

    def act(self, passage: ChainPassage) -> None:
        """Not hold."""

    def why_not(self, passage: ChainPassage) -> str:
        """Say what the packet is."""
        return tr("the packet is of IPv4")


@dataclass(frozen=True, slots=True)
class Opaque(NftStatement):
    """A statement that is not modelled: a packet that meets it is unknown from there."""

    text: str
    why: str

    def __str__(self) -> str:
        return self.text

    def act(self, passage: ChainPassage) -> NftVerdict:
        """Refuse. Raises: Unsupported."""
        raise Unsupported(self.why)

    def why_not(self, passage: ChainPassage) -> str:
        """Say that this is not known."""
        return self.why


def tracking(statements: Sequence[NftStatement]) -> bool:
    """Tell whether a statement makes the kernel track the connections of its namespace."""
    return any(statement.tracks for statement in statements)
