"""Matches and targets that are read, kept and printed, but not modelled: a packet that needs one is refused by name.

Whole rulesets of real machines can so be read and compared; only a packet that comes to such a rule cannot go on.
Source: iptables-extensions(8) (iptables 1.8.9).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from mcnilib.errors import Unsupported
from mcnilib.linux.context import Context
from mcnilib.linux.match import Test
from mcnilib.linux.packet import Packet


@dataclass(frozen=True, slots=True)
class KeptMatch:
    """`-m NAME OPTIONS`, kept as iptables-save prints it; `why` says what the model lacks."""

    name: str
    words: str = ""
    why: str = field(default="", compare=False)

    def test(self) -> Test:
        """Refuse every packet that reaches the match."""
        return self._refuse

    def _refuse(self, packet: Packet, at: Context) -> NoReturn:
        raise Unsupported(f"match {self._text()} when a packet reaches it: {self.why or 'it is not modelled'}")

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say that the match decides, and why the model cannot."""
        return f"match {self.name} decides; {self.why or 'it is not modelled'}"

    def _text(self) -> str:
        return f"{self.name} ({self.words})" if self.words else self.name

    def __str__(self) -> str:
        return f"-m {self.name} {self.words}".rstrip()


@dataclass(frozen=True, slots=True)
class KeptTarget:
    """`-j NAME OPTIONS`, kept as iptables-save prints it.

    With an empty `why` the target changes nothing a packet meets on its way (an audit record, a timer, a blinking
    light), and the walk goes on; otherwise a packet that reaches it is refused.
    """

    name: str
    words: str = ""
    why: str = field(default="", compare=False)

    def refuse(self) -> None:
        """Raise Unsupported, unless the target has no effect on the walk."""
        if self.why:
            words = f" ({self.words})" if self.words else ""
            raise Unsupported(f"target {self.name}{words} when a packet reaches it: {self.why}")

    def __str__(self) -> str:
        return f"-j {self.name} {self.words}".rstrip()
