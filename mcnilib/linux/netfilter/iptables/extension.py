"""Matches and targets that are read, kept and printed, but not modelled: a packet that needs one is refused by name.

Whole rulesets of real machines can so be read and compared; only a packet that comes to such a rule cannot go on.
Source: iptables-extensions(8) (iptables 1.8.9).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn
from typing import Protocol as Structural

from mcnilib.errors import Unsupported
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.packet import Packet

Test = Callable[[Packet, Context], bool]


class Match(Structural):
    """A condition of a rule. `str(match)` is exactly what iptables-save prints for it."""

    def test(self) -> Test | None:
        """Return the compiled condition; None when it always holds."""
        ...

    def why_not(self, packet: Packet, at: Context) -> str:
        """Say what the packet is and what the rule asks for, for example `mark is 0x0, not 0x4000/0x4000`."""
        ...


def holds(match: Match, packet: Packet, at: Context) -> bool:
    """Tell whether the packet satisfies the condition at this hook."""
    test = match.test()
    return test is None or test(packet, at)


def bang(negated: bool) -> str:
    """Return the `! ` in front of a negated option."""
    return "! " if negated else ""


def differs(what: str, found: object, wanted: object, negated: bool) -> str:
    """Phrase the answer of `why_not`: `src is A, not B`, or for a negated option `src is A, which the rule
    excludes`."""
    return f"{what} is {found}, which the rule excludes" if negated else f"{what} is {found}, not {wanted}"


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
