"""Where two runs part, as HTML: the first step that differs, and the lines of state that differ."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from html import escape

from mcnilib.show.html.style import code
from mcnilib.snapshots.files import save
from mcnilib.trace.explain import Difference, tell_step
from mcnilib.trace.trace import Step, Trace
from mcnilib.world.world import World

MOST = 12
"""Changed lines shown of one file; the rest is counted."""

Change = tuple[str, str]
"""(`-` or `+`, the line)."""


def changed_state(here: World, there: World) -> dict[str, tuple[Change, ...]]:
    """Return what differs between two states: files of the snapshot -> lines only here (`-`) and only there (`+`).

    Namespaces in which the same lines of the same file differ stand together: `iptables.txt of node1, node2`.
    """
    mine, theirs = save(here), save(there)
    groups: dict[tuple[str, tuple[Change, ...]], list[str]] = {}
    for path in sorted(mine.keys() | theirs.keys()):
        if changes := tuple(_changes(mine.get(path, ""), theirs.get(path, ""))):
            folder, _, file = path.rpartition("/")
            groups.setdefault((file, changes), []).append(folder)
    return {" of ".join(filter(None, (file, ", ".join(names)))): lines for (file, lines), names in groups.items()}


def _changes(mine: str, theirs: str) -> Iterator[Change]:
    if mine == theirs:
        return
    a, b = mine.splitlines(), theirs.splitlines()
    for tag, a1, a2, b1, b2 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag != "equal":
            yield from (("-", line.strip()) for line in a[a1:a2])
            yield from (("+", line.strip()) for line in b[b1:b2])


def parting_html(parted: Difference | None, names: tuple[str, str]) -> str:
    """Tell the first step in which two runs differ, once for each of them."""
    if parted is None:
        return "<p><b>No step differs:</b> every packet meets the same decisions in both.</p>"
    sides = zip(names, (parted.here, parted.there), strict=True)
    told = "".join(f"<dt><b>{escape(name)}</b></dt><dd>{_step(step)}</dd>" for name, step in sides)
    return f"<p><b>The first difference: packet {parted.journey}</b></p><dl>{told}</dl>"


def _step(step: Step | None) -> str:
    return code(tell_step(step)) if step else "nothing more happens to this packet"


def state_changes_html(here: World, there: World, parted: Difference | None) -> str:
    """List the lines of state that differ: `-` only the first has it, `+` only the second, ▶ it decided."""
    changed = changed_state(here, there)
    if not changed:
        return "<p><b>No line of state differs.</b></p>"
    steps = (parted.here, parted.there) if parted else ()
    decided = {step.evidence.strip() for step in steps if step}
    files = "".join(_file(name, lines, decided) for name, lines in changed.items())
    return f'<div class="mcni-state"><h4>lines of state that differ</h4>{files}</div>'


def _file(name: str, lines: tuple[Change, ...], decided: set[str]) -> str:
    shown = "".join(_line(*line, line[1] in decided) for line in lines[:MOST])
    more = f'<div class="line">… {len(lines) - MOST} more</div>' if len(lines) > MOST else ""
    return f"<details open><summary><code>{escape(name)}</code></summary>{shown}{more}</details>"


def _line(mark: str, text: str, decided: bool) -> str:
    attributes = ' class="line decided" aria-current="true"' if decided else ' class="line"'
    line = f"{'▶' if decided else ' '} {mark} {text.expandtabs(8)}"
    return f"<div{attributes}>{code(line)}</div>"


def first_step(trace: Trace, parted: Difference | None, step: Step | None) -> tuple[int, int] | None:
    """Return the place of one side's first differing step, as pictures highlight it; None where it has none."""
    journey = next((j for j in trace.journeys if parted and j.number == parted.journey), None)
    if journey is None or step is None:
        return None
    return next(((journey.number, i) for i, one in enumerate(journey.steps) if one is step), None)
