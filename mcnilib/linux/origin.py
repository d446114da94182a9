"""Who wrote a line of state, and why: carried beside the line, never part of its text or its equality."""

from __future__ import annotations

from dataclasses import dataclass

from mcnilib.language import mark, tr


@dataclass(frozen=True, slots=True)
class Origin:
    """The program that wrote a line, as an administrator would name it, and its reason in one line.

    Both are marked sentences (`mcnilib.language.mark`): who shows them says `tr(...)`.
    """

    writer: str
    why: str
    inferred: bool = False  # nobody noted the writer; `why` names the sign

    def __str__(self) -> str:
        return f"{tr(self.writer)}: {tr(self.why)}"


KERNEL = Origin(mark("the kernel"), mark("exists in every network namespace"))
