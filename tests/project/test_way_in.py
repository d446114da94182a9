"""The first notebook tells the truth: its table has every lesson, with its title, its minutes and how it ends."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from mcnilib import listing
from mcnilib.scenarios import scenario
from mcnilib.scenarios.matrix import SHORT_VERDICTS

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
INDEX = nbformat.read(NOTEBOOKS / "00-index.ipynb", 4).cells
LESSONS = [path for path in sorted(NOTEBOOKS.glob("*.ipynb")) if path.name != "00-index.ipynb"]
ROW = re.compile(
    r"\| \[(?P<title>.+)\]\((?P<file>[\w-]+\.ipynb)\) \| (?P<question>.+\?) \| (?P<minutes>\d+) \| (?P<end>.*) ?\|"
)


def rows() -> list[re.Match[str]]:
    """Return the lines of the table of lessons."""
    (cell,) = (cell.source for cell in INDEX if "## The lessons" in cell.source)
    return [match for line in cell.splitlines() if (match := ROW.fullmatch(line))]


def code(path: Path) -> str:
    return "\n".join(cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code")


def test_every_lesson_has_its_line_in_order():
    assert [row["file"] for row in rows()] == [path.name for path in LESSONS]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["file"])
def test_a_line_has_the_title_and_the_minutes_of_its_lesson(row):
    first = nbformat.read(NOTEBOOKS / row["file"], 4).cells[0].source
    assert first.splitlines()[0] == f"# {row['title']}"
    assert re.search(r"(\d+) minutes", first)[1] == row["minutes"]


@pytest.mark.parametrize("row", [row for row in rows() if row["end"].strip()], ids=lambda row: row["file"])
def test_how_a_lesson_ends_is_hidden_and_is_what_its_first_panel_shows(row):
    shown = re.fullmatch(r"<details><summary>show</summary>(.+)</details>", row["end"].strip())
    named = re.search(r'scenario\("([\w-]+)"\)', code(NOTEBOOKS / row["file"]))
    story = scenario(named[1])
    assert shown[1] == SHORT_VERDICTS[story.outcome(story.start()).verdict]


def test_what_joins_the_two_networks_is_what_the_pods_and_their_node_have():
    conclusion = nbformat.read(NOTEBOOKS / "16-conclusion.ipynb", 4).cells
    (table,) = (cell.source for cell in conclusion if cell.source.startswith("## What joins the two networks"))
    flagship = scenario("macvlan-to-calico-across-nodes")
    world = flagship.world(flagship.start())
    tools = ("ip rule", "ip route show table all", "sysctl -a")
    shown = " ".join(
        " ".join(listing(world[name], tool).split()) for name in ("mac1", "mul1", "node1") for tool in tools
    )
    lines = [line for line in re.findall(r"`([^`]+)`", table) if " " in line]
    assert len(lines) == 12
    for line in lines:
        assert re.search(re.escape(line).replace(re.escape("..."), r"\w+"), shown), line
