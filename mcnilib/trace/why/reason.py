"""What did not decide, and tells why a step came out as it did."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from mcnilib.language import tr
from mcnilib.linux.origin import Origin
from mcnilib.trace.trace import Listing
from mcnilib.world.listing import evidence_command


class Lack(Enum):
    """What was missing."""

    TRANSLATION = auto()  # a rule that would have translated an address did not match
    ROUTE = auto()  # a routing table was asked and had no route
    NONE = auto()  # nothing: it only explains


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a step came out so. `journey` and `index` say beside which step it is told, `line` which line of state it is
    about, with its netfilter table."""

    journey: int  # number of the packet
    index: int
    netns: str  # empty: it is about none in particular
    said: str  # a clause
    line: object = None
    table: str = ""
    lack: Lack = Lack.NONE
    decides: bool = False  # without it the conversation would have come out otherwise
    origin: Origin | None = None  # who wrote the line, and why
    command: str = ""  # what prints the line, where its kind does not tell
    cure: str = ""  # a command that gives it what it lacked
    aside: bool = False  # told beside its step only, unless it decides

    @property
    def evidence(self) -> str:
        """The line as the tool prints it; empty where there is none."""
        return "" if self.line is None else str(self.line)

    @property
    def listing(self) -> Listing | None:
        """The printed state the line is found in."""
        return (
            None if self.line is None else Listing(self.netns, self.command or evidence_command(self.line, self.table))
        )


def written_by(origin: Origin | None) -> str:
    """Name who wrote a line, behind it; nothing where nobody knows."""
    return tr(", written by {writer}", writer=tr(origin.writer)) if origin else ""
