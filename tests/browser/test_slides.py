"""The slides of docs/teaching.md for a room without a network: its commands, and a browser that reaches nobody."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from browser.conftest import NOTEBOOKS

TEACHING = (NOTEBOOKS.parent / "docs" / "teaching.md").read_text(encoding="utf-8")
COMMANDS = [
    line.strip()
    for line in TEACHING.splitlines()
    if (line.startswith("    ") and "node_modules" in line) or "--prefix" in line
]
SLIDES = "07-macvlan-to-calico-across-nodes.slides.html"


@pytest.fixture(scope="module")
def deck(tmp_path_factory):
    """Carry out what the page says."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm: apt install npm")
    bring, write = COMMANDS[0], COMMANDS[1].replace("notebooks/07", f"{NOTEBOOKS}/07")
    folder = tmp_path_factory.mktemp("deck")
    done = subprocess.run([*shlex.split(bring), "--silent"], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"npm brings no reveal.js: {done.stderr.strip()}")
    words = shlex.split(write.removeprefix("uv run --extra notebooks jupyter nbconvert"))
    subprocess.run([sys.executable, "-m", "nbconvert", *words], cwd=folder, check=True, capture_output=True)
    return folder / "slides" / SLIDES


def test_slides_need_no_network(deck, browser) -> None:
    page = browser.new_page()
    page.route("http*://**", lambda route: route.abort())
    page.goto(deck.as_uri())
    expect(page.locator(".reveal.ready")).to_have_count(1)
    before = page.locator("section.present").first.inner_text()
    page.keyboard.press("ArrowRight")
    expect(page.locator("section.present").first).not_to_have_text(before)
    page.close()
