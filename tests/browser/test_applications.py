"""What holds in whichever application a notebook is opened: it runs, a click changes it, saving changes only outputs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from browser.conftest import NOTEBOOKS
from browser.lab_page import LabPage, new_page
from browser.server import lab_server

FLAGSHIP = "07-macvlan-to-calico-across-nodes.ipynb"
SAVE = "() => window.jupyterapp.commands.execute('docmanager:save')"


@pytest.fixture(scope="module", params=["jupyterlab", "notebook"])
def opened(request, browser, tmp_path_factory):
    """Open the flagship as it is committed."""
    pytest.importorskip(request.param)
    root = tmp_path_factory.mktemp("notebooks")
    shutil.copy(NOTEBOOKS / FLAGSHIP, root)
    with (
        lab_server(root, tmp_path_factory.mktemp("jupyter"), request.param) as server,
        new_page(browser, server) as lab,
    ):
        lab.open(FLAGSHIP)
        if request.param == "notebook":
            lab.errors.clear()  # it complains about a setting of its own while it loads
        yield lab


def without_outputs(path: Path) -> list[str]:
    """Return the lines of a notebook as they are tracked, but for outputs and their numbers."""
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return json.dumps(notebook, indent=1, ensure_ascii=False).splitlines()


def saved(lab: LabPage) -> list[str]:
    lab.page.evaluate(SAVE)
    return without_outputs(lab.server.root / FLAGSHIP)


def test_opened_and_saved_it_is_the_same(opened) -> None:
    before = (NOTEBOOKS / FLAGSHIP).read_bytes()
    opened.page.evaluate(SAVE)
    assert (opened.server.root / FLAGSHIP).read_bytes() == before


def test_it_runs_a_click_changes_it_and_the_link_opens_it_here(opened) -> None:
    panel = opened.run_all().page.locator(".mcni-panel:has(.mcni-stepper)").first
    before = panel.locator("svg[role=img]").inner_html()
    opened.press("UDP", "Enter")
    expect(panel.locator(".mcni-verdict")).to_contain_text("✓ connected")
    assert panel.locator("svg[role=img]").inner_html() != before
    folder = {"jupyterlab": "lab/tree", "notebook": "notebooks"}[opened.server.app]
    link = panel.get_by_label("link to this state; paste another one to open it").input_value()
    assert link.startswith(f"http://127.0.0.1:{opened.server.port}/{folder}/{FLAGSHIP}?mcni=")
    assert opened.errors == []


def test_run_and_saved_only_its_outputs_are_others(opened) -> None:
    assert saved(opened) == without_outputs(NOTEBOOKS / FLAGSHIP)


def test_a_link_opens_its_state(opened) -> None:
    opened.open(FLAGSHIP, "mcni=macvlan-to-calico-across-nodes&protocol=UDP").run_all()
    expect(opened.page.locator(".mcni-verdict").first).to_contain_text("✓ connected")
