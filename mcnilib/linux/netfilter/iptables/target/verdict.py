"""Targets that end a chain or a table: ACCEPT, DROP, RETURN, REJECT, and the jump into another chain.

Source: iptables(8), iptables-extensions(8).
"""

from __future__ import annotations

from dataclasses import dataclass

from mcnilib.language import tr
from mcnilib.linux.netfilter.hooks import NfVerdict
from mcnilib.linux.netfilter.iptables.extension import Target, TargetRecord
from mcnilib.linux.netfilter.iptables.grammar import Grammar, OptionEntry
from mcnilib.linux.netfilter.iptables.words import RuleWords

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

SHORT_KINDS = {kind.removeprefix("icmp-").replace("hibited", "hib").replace("able", ""): kind for kind in REJECT_KINDS}
SHORT_KINDS |= {"tcp-rst": "tcp-reset"}
"""`net-unreach`, `admin-prohib`, ... to the words iptables-save prints."""


def _reject_kind(words: RuleWords) -> str:
    word = words.take("a type")
    kind = SHORT_KINDS.get(word, word)
    if kind not in REJECT_KINDS:
        raise words.fail(tr("{word!r} is not a type of rejection", word=word), near=REJECT_KINDS)
    return kind


@dataclass(frozen=True, slots=True)
class StandardTarget(Target):
    """ACCEPT, DROP or RETURN."""

    records = (
        TargetRecord("ACCEPT", Grammar(), tracks=False, changes=False, samples=("",)),
        TargetRecord("DROP", Grammar(), tracks=False, changes=False, samples=("",)),
        TargetRecord("RETURN", Grammar(), tracks=False, changes=False, samples=("",)),
    )  # fmt: skip

    named = "name"
    name: str

    @property
    def ends(self) -> NfVerdict | None:
        """The verdict itself; RETURN goes on in the chain that called."""
        return None if self.returns else NfVerdict(self.name)

    @property
    def returns(self) -> bool:
        """Tell whether it is RETURN."""
        return self.name == "RETURN"

    def misplaced(self, table: str, chain: str, hooks: frozenset[str]) -> str:
        """Say that table nat is no place to filter in."""
        return tr("would filter in table nat") if table == "nat" and self.name == "DROP" else ""


@dataclass(frozen=True, slots=True)
class Jump(Target):
    """Go on in a user chain: `-j` comes back here, `-g` (goto) comes back to where this chain was called from."""

    records = (TargetRecord("", Grammar(), tracks=False, changes=False, samples=()),)

    chain: str
    goto: bool = False

    @property
    def jumps_to(self) -> str:
        """The chain."""
        return self.chain

    def __str__(self) -> str:
        return f"{'-g' if self.goto else '-j'} {self.chain}"


@dataclass(frozen=True, slots=True)
class Reject(Target):
    """Drop, and answer with an ICMP error or a TCP RST; `kind` is the word after --reject-with."""

    records = (
        TargetRecord("REJECT", Grammar({
            "--reject-with": OptionEntry(("kind",), _reject_kind),
        }), tracks=False, changes=False, tables=("filter",), hooks=("INPUT", "FORWARD", "OUTPUT"), samples=(
            "--reject-with icmp-port-unreachable|icmp-host-prohibited|icmp-net-unreachable|tcp-reset",
        )),
    )  # fmt: skip

    kind: str = "icmp-port-unreachable"

    @property
    def protocols(self) -> tuple[str, ...]:
        """TCP, for its RST."""
        return ("tcp",) if self.kind == "tcp-reset" else ()

    @property
    def ends(self) -> NfVerdict:
        """The packet is lost."""
        return NfVerdict.DROP


ACCEPT, DROP, RETURN = StandardTarget("ACCEPT"), StandardTarget("DROP"), StandardTarget("RETURN")
