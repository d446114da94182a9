"""What nobody knows of a namespace's state: it was not collected, is not modelled, or cannot be read.

Never guess: such a part is kept as a `Gap` where it was found, by the rule, route or device that has it, and a packet
that meets it ends there. A reader that may keep nothing refuses the first one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, NoReturn

from mcnilib.errors import McniError, StateSyntaxError, Unknown, Unsupported
from mcnilib.language import mark, tr, translated


class Unseen(StrEnum):
    """What may be in a namespace though nobody looked: it seldom decides, and is said with a verdict."""

    PROGRAMS = mark("BPF programs that only a bpftool since Linux 6.4 shows (tcx, netfilter, sk_lookup)")
    TABLES = mark("tables and rules of nftables that iptables-save does not print")
    QUEUES = mark("queueing disciplines and their filters")
    SOCKETS = "sockets"
    CONNECTIONS = mark("connections that exist")
    KINDS = mark("kinds and settings of devices (`ip -d address show`)")
    ROUTES = mark("routes of other tables than main (`ip -4 route show table all`)")


class Gap(NamedTuple):
    """A part of a namespace's state that nobody knows: what it is, where it stands, and what to collect.

    `refused`: everything that decides is there, and the model lacks it.
    `rules`: only the netfilter rules are not known, which ARP does not ask; of these hooks, where some are named.
    `unreadable`: it was collected, but its text is none that the tools print, or has characters that hide what it says.
    """

    what: str
    where: str = ""  # FILE or FILE:LINE; empty when `what` says it, or nothing was collected
    collect: str = ""
    refused: bool = False
    rules: bool = False
    hooks: tuple[str, ...] = ()
    unreadable: bool = False

    @property
    def why(self) -> str:
        """Where it stands and what it is, as a sentence says it."""
        what = translated(self.what)
        return f"{self.where}: {what}" if self.where else what

    def at(self, hook: str) -> bool:
        """Tell whether a packet meets it at a hook."""
        return not self.hooks or hook in self.hooks

    def meet(self, before: str = "", after: str = "", *, netns: str = "") -> NoReturn:
        """End a packet's way here; the other words of the sentence say how it got here.

        Raises: Unsupported for what is `refused`, else Unknown; see `unknown`.
        """
        if self.refused:
            raise Unsupported(f"{before}{self.why}{after}")
        raise self.unknown(before, after, netns=netns)

    def unknown(self, before: str = "", after: str = "", *, netns: str = "") -> Unknown:
        """Build the error that ends a packet here; `netns` where it met this, if that is not where it is."""
        return Unknown(f"{before}{self.why}{after}", collect=self.collect, netns=netns)


def unreadable(problem: McniError, *, rules: bool = False) -> Gap:
    """Return the gap that text leaves which cannot be read."""
    what = problem.head if isinstance(problem, StateSyntaxError) else str(problem)
    return Gap(tr("{what}: it cannot be read", what=what), rules=rules, unreadable=True)
