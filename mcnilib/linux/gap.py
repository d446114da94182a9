"""What nobody knows of a namespace: it was not collected, is not modelled, or cannot be read."""

from __future__ import annotations

from typing import NamedTuple

from mcnilib.errors import McniError, StateSyntaxError

PROGRAMS = "BPF programs that only a bpftool since Linux 6.4 shows (tcx, netfilter, sk_lookup)"
TABLES = "tables and rules of nftables that iptables-save does not print"
QUEUES = "queueing disciplines and their filters"
SOCKETS, CONNECTIONS = "sockets", "connections that exist"
"""What may not have been looked at in a namespace though it may be there."""


class Gap(NamedTuple):
    """A part of a namespace's state that nobody knows: why, and what to collect.

    `rules`: only the netfilter rules are not known, which ARP does not ask; of these hooks, where some are named.
    `unreadable`: it was collected, but its text is none that the tools print, or has characters that hide what it says.
    """

    why: str
    collect: str = ""
    rules: bool = False
    hooks: tuple[str, ...] = ()
    unreadable: bool = False

    def at(self, hook: str) -> bool:
        """Tell whether a packet meets it at a hook."""
        return not self.hooks or hook in self.hooks


def unreadable(problem: McniError, *, rules: bool = False) -> Gap:
    """Return the gap that text leaves which cannot be read."""
    what = problem.head if isinstance(problem, StateSyntaxError) else str(problem)
    return Gap(f"{what}: it cannot be read", rules=rules, unreadable=True)
