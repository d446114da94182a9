"""The notebooks as slides: a slide for each heading, with the pictures that are stored in them."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbconvert import SlidesExporter

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_heading_begins_a_slide(path):
    notebook = nbformat.read(path, 4)
    headings = [c for c in notebook.cells if c.cell_type == "markdown" and c.source.startswith(("# ", "## ", "### "))]
    html, _ = SlidesExporter().from_notebook_node(notebook)
    assert html.count("<section>") + html.count("<section ") > len(headings) // 2
    assert [c.source.splitlines()[0] for c in headings if "slideshow" not in c.metadata] == []
    assert "data:image/png" in html or "<svg" in html
