"""iptables targets: what a rule does with a packet its matches selected.

Verdicts end a chain or a table; MARK, CONNMARK, TTL, TOS and DSCP change the packet or its connection. The NAT targets
are in `target_nat`.
Source: iptables(8), iptables-extensions(8).
"""

from __future__ import annotations

from dataclasses import dataclass

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

REJECT_SHORT = {kind.removeprefix("icmp-").replace("hibited", "hib").replace("able", ""): kind for kind in REJECT_KINDS}


def _reject(words: RuleWords) -> Reject:
    if not words.accept("--reject-with"):
        return Reject()
    word = words.take("a type")
    kind = REJECT_SHORT.get(word, word)
    if kind not in REJECT_KINDS:
        raise words.fail(f"{word!r} is not a type of rejection", near=REJECT_KINDS)
    return Reject(kind)


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


ACCEPT, DROP, RETURN = Verdict("ACCEPT"), Verdict("DROP"), Verdict("RETURN")
