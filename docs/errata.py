"""The text of docs/errata.md: what Spiderpool's guide says and Linux does not do. `mcni record errata` writes it.

The first table is computed: every story is run, and each statement a run contradicts is listed with the line of state
that decided. The second part collects the tables of the notebooks. The third, slips.md, has what no
run can show.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from mcnilib.scenarios.errata import disagreements

ROOT = Path(__file__).resolve().parents[1]
SLIPS = ROOT / "docs" / "slips.md"
HEADING = "## What Spiderpool's guide says, and what Linux does"

INTRODUCTION = """\
# Errata: what Spiderpool's guide says, and what Linux does

The guide is *Calico + Macvlan Multi-CNI Data Forwarding Process* in Spiderpool's documentation, in the edition of v1.0.
Everything here was found by running its scenarios, and every run agrees, hop by hop, with a real Linux kernel
(`mcni verify`).
"""


def page() -> str:
    """Return the text of the page."""
    return "\n".join([INTRODUCTION, *_computed(), *_collected(), SLIPS.read_text(encoding="utf-8")])


def _computed() -> Iterator[str]:
    yield "## Statements that a run contradicts\n"
    yield "One run for each statement: a scenario as it starts, or with one setting changed.\n"
    yield "| lesson | the guide says | Linux: the outcome and the line that decided | see it |\n|---|---|---|---|"
    for one in disagreements():
        promise = "works" if one.claim.works else "fails"
        says = f"{one.claim.section}: {one.claim.says} ({promise})"
        command = one.story.command(one.settings)
        yield f"| {one.story.number} | {_cell(says)} | {_cell(one.says)} | `{command}` |"
    yield ""


def _collected() -> Iterator[str]:
    yield "## From the notebooks\n"
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        cells = ["".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
        title = cells[0].splitlines()[0].lstrip("# ")
        tables = [cell.partition(HEADING)[2] for cell in cells if HEADING in cell]
        lines = [line for text in tables for line in text.splitlines() if line.startswith("|")]
        if lines:
            yield f"### [{title}](../notebooks/{path.name})\n"
            yield "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
