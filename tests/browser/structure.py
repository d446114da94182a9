"""The structure of a picture on the screen: every text and where it stands, in units of the picture.

Renewed, after looking at the pictures, by `mcni record structures`.
"""

from __future__ import annotations

import json
from pathlib import Path

from playwright.sync_api import Locator

from mcnilib.writing import write_file

DATA = Path(__file__).resolve().parents[1] / "data" / "structure"
SLACK = 3.0  # units of the picture: fonts of another machine are a little wider

PLACES = """svg => [...svg.querySelectorAll('text')].map(node => {
  const box = node.getBBox(), to = svg.getScreenCTM().inverse().multiply(node.getScreenCTM());
  const at = new DOMPoint(box.x + box.width / 2, box.y + box.height / 2).matrixTransform(to);
  return [node.textContent, Math.round(at.x), Math.round(at.y)];
})"""

Place = tuple[str, float, float]
"""A text and its middle."""


def structure(svg: Locator) -> list[Place]:
    """List the texts of a picture and where they stand."""
    return [tuple(place) for place in svg.evaluate(PLACES)]


def known(name: str) -> list[Place]:
    """Return the structure as it was when somebody last looked at it."""
    return [tuple(place) for place in json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))]


def keep(name: str, seen: list[Place]) -> None:
    """Write a structure down."""
    DATA.mkdir(exist_ok=True)
    lines = ",\n ".join(json.dumps(place, ensure_ascii=False) for place in seen)
    write_file(DATA / f"{name}.json", f"[{lines}]\n")


def moved(seen: list[Place], before: list[Place]) -> list[tuple[Place, Place]]:
    """Return the texts that stand somewhere else than before."""
    pairs = zip(seen, before, strict=True)
    return [(a, b) for a, b in pairs if max(abs(a[1] - b[1]), abs(a[2] - b[2])) > SLACK]
