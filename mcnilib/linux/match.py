"""iptables matches: one small frozen class each, with its words, its text and its condition.

`holds` answers for a packet at a hook; `why_not` says in words which condition did not hold. A match that is not modelled
raises `Unsupported` when it is parsed. Source: iptables(8), iptables-extensions(8).
"""

from __future__ import annotations

from typing import Protocol

from mcnilib.linux.context import Context
from mcnilib.linux.packet import Packet


class Match(Protocol):
    """What every match can do. `str(match)` is exactly what iptables-save prints for it."""

    def holds(self, packet: Packet, at: Context) -> bool:
        """Tell whether the packet satisfies the condition at this hook."""
        ...

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say which condition did not hold, for example `mark is 0x0, not 0x4000/0x4000`."""
        ...
