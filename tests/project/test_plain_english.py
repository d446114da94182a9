"""User-visible text is plain English: what lessons, documents, help and verdicts may not say, and what to say instead."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcnilib import all_scenarios
from mcnilib.cli import command_line
from mcnilib.scenarios.exercise import exercises
from mcnilib.trace.explain import because, verdict

ROOT = Path(__file__).resolve().parents[2]

BETTER = {
    r"\bstands? (below|behind|beside|in the way)|\b(below|above|behind|beside)\b[^.:]{0,20} stands?\b": "Below: ...",
    r"\b(by|By) (way of|`?(eth0|veth0|net1|en0|vxlan\.calico)\b)": "through",
    r"\b[Bb]y which (way|NIC|device)\b": "through which NIC; which path",
    r"\bstands? (in|on|at|there|here|first|what)\b": "is in; Below: ...",
    r"\b(came|comes|come) in by\b|\bout by (en|eth)": "through",
    r"\bgoes nowhere\b": "stops",
    r"\bis content\b": "has nothing to drop",
    r"\b(nobody|somebody|Nobody|Somebody) (answers|asks|hears|tells|knows|remembers|deleted|typed|tuned|collects)\b": (
        "nothing answers; a colleague; the machine's name"
    ),
    r"\bhas a memory\b": "keeps state (conntrack or NAT)",
    r"\bwould decide\b": "the deciding state is missing",
    r"\bthis very\b": "this",
    r"\b(for ever|lest|nevertheless|[Aa]t last|on your desk)\b": "forever; so that ... not; but; finally; your machine",
    r"\b(source document|[Tt]he document (says|knows|prints|does)|[Tt]he document's)\b": "Spiderpool's guide",
    r"\bonly net1\b": "v0.8.6",
    r"\bdifferent ways\b|\bthe way (back|out)\b": "different paths; the return path",
}
"""Words and patterns that readers stumbled over, and what to say."""


def prose(text: str) -> str:
    """Return a page without its code blocks and without what it quotes."""
    return re.sub(r'"[^"\n]*"|“[^”]*”', "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def texts() -> Iterator[tuple[str, str]]:
    """Yield what readers see, each with where it is."""
    for page in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))):
        yield page.name, prose(page.read_text(encoding="utf-8"))
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        for cell in cells:
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown" or "predict(" in source:
                yield f"{notebook.name} {cell['id']}", prose(source) if cell["cell_type"] == "markdown" else source
    for story in all_scenarios():
        trace = story.run(story.start())
        yield story.name, "\n".join([story.question, verdict(trace), *because(trace)])
    for verb, parser in next(a for a in command_line()._actions if a.dest == "verb" or a.choices).choices.items():
        yield f"mcni {verb} --help", parser.format_help()
    for one in exercises():
        yield f"exercise {one.scenario}.{one.number}", f"{one.task}\n{one.hint}"


SAID = [*texts()]


@pytest.mark.parametrize(("pattern", "better"), BETTER.items())
def test_what_readers_stumbled_over_is_said_plainly(pattern: str, better: str) -> None:
    found = [f"{place}: {match[0]!r}" for place, text in SAID for match in re.finditer(pattern, text)]
    assert not found, f"better: {better}"
