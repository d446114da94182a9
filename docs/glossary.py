"""Write docs/glossary.md, and link each of its words where a notebook first uses it: `python docs/glossary.py`.

A word is linked in prose only: not in headings, tables, code or links, and not in the first cell of a notebook, which
the site shows elsewhere too.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from mcnilib.scenarios.glossary import GLOSSARY, Term, glossary_head, glossary_table

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "glossary.md"

NO_PROSE = re.compile(r"`[^`]*`|\[[^\]]*\]\([^)]*\)|<[^>]*>|\*\*\d")
"""What is no prose in a line of Markdown: code, links, tags."""


def first_use(term: Term, text: str) -> tuple[int, int] | None:
    """Return where a text in Markdown first uses a term in prose, from and to; None where it does not.

    Headings, tables, blocks of code and what is folded are no prose.
    """
    words = "|".join(re.escape(word) for word in (term.word, term.also) if word)
    pattern, at = re.compile(rf"(?<![\w./-])(?:{words})(?![\w/-])"), 0
    code = hidden = False
    for line in text.splitlines(keepends=True):
        code ^= line.startswith("```")
        hidden = (hidden or line.startswith("<details")) and "</details>" not in line
        if not (code or hidden or line.startswith(("#", "|", "    ", "```", "<"))):
            shown = NO_PROSE.sub(lambda part: " " * len(part[0]), line)
            if found := pattern.search(shown):
                return at + found.start(), at + found.end()
        at += len(line)
    return None


def page() -> str:
    """Return the text of docs/glossary.md."""
    return f"{glossary_head()}\n{glossary_table()}\n"


def link_to(term: Term) -> str:
    """Return the end of a link to a term, from a notebook."""
    return f"](../docs/glossary.md#{term.anchor})"


def unlinked(path: Path) -> list[tuple[Term, int, tuple[int, int]]]:
    """Return the terms a notebook does not link, each with the number of the cell that first uses it, and where.

    A term counts as linked when a cell up to that one has the link.
    """
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) if cell["cell_type"] == "markdown" else "" for cell in cells]
    left = []
    for term in GLOSSARY:
        uses = ((number, first_use(term, text)) for number, text in enumerate(texts) if number)
        number, at = next(((number, at) for number, at in uses if at), (0, None))
        if at and not any(link_to(term) in text for text in texts[: number + 1]):
            left.append((term, number, at))
    return left


def link(path: Path) -> None:
    """Link each term where a notebook first uses it."""
    while left := unlinked(path):
        term, number, (start, end) = left[0]
        notebook = json.loads(path.read_text(encoding="utf-8"))
        text = "".join(notebook["cells"][number]["source"])
        text = f"{text[:start]}[{text[start:end]}{link_to(term)}{text[end:]}"
        notebook["cells"][number]["source"] = text.splitlines(keepends=True)
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        link(notebook)
