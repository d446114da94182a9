"""The page of the conclusion: each cell says what the table says, and leads to that very conversation."""

from __future__ import annotations

import re
from html import unescape

import pytest

from mcnilib.cluster.settings import Placement, Settings
from mcnilib.scenarios.conclusion import Cell, conclude, said
from mcnilib.scenarios.link import parse_link
from mcnilib.show.html.conclusion_table import fate_text
from mcnilib.site.summary import conclusion_page
from mcnilib.trace.explain import difference

PAGE = conclusion_page()
CELLS = [cell for placement in Placement for row in conclude(Settings(), placement) for cell in row]
TABLE = str(PAGE.main).partition("</table>")[0]
LINK = re.compile(r'<a href="([^"]*)" class="fate (works|fails)">([^<]*) <b>([^<]*)</b></a>')


def links(html: str) -> list[tuple[str, str, str, str]]:
    return [tuple(map(unescape, found)) for found in LINK.findall(html)]


def by_rows(cells: list[Cell]) -> list[Cell]:
    """Return the cells as they stand in the table: in each the same node first."""
    half = len(cells) // 2
    return [cell for pair in zip(cells[:half], cells[half:], strict=True) for cell in pair]


def test_each_cell_leads_to_the_conversation_it_tells_of():
    there = [cell for cell in by_rows(CELLS) if cell.story]
    for cell, (address, kind, placement, text) in zip(there, links(TABLE), strict=True):
        story, settings = parse_link(address)
        assert difference(story.run(settings), cell.trace()) is None, address
        assert address.endswith(f"#{story.name}")  # where a browser without scripts looks
        assert placement == cell.placement.value
        assert kind == ("works" if cell.outcome.works else "fails")
        assert text == fate_text(cell) + (" ≠" if said(cell).endswith("≠") else "")


def test_what_the_cluster_has_no_pods_for_is_no_link():
    assert TABLE.count("– no such pods") == sum(cell.story is None for cell in CELLS) == 2


def test_the_page_counts_as_the_panel_does():
    assert "across nodes: 16 of 18 pairs reach each other. The guide&#x27;s table is wrong in 1 of them" in PAGE.main


@pytest.mark.parametrize(
    ("head", "says"),
    [
        ("natOutgoing: off", "✗ times out ≠"),
        ("workaround: host route back", "✓ works ≠"),
        ("protocol: UDP", "✓ works"),
    ],
)
def test_a_change_that_matters_is_told_with_the_conversations_it_changes(head, says):
    told = str(PAGE.main).partition(f"<dt>{head}</dt>")[2].partition("</div>")[0]
    for address, _, _, text in links(told):
        story, settings = parse_link(address)
        assert text.startswith("✓") == story.run(settings).outcome.works, address
    assert links(told)
    assert says in [text for *_, text in links(told)]


def test_the_documents_condition_is_met_by_three_settings_together():
    address, *_, text = links(str(PAGE.main))[-1]
    story, settings = parse_link(address)
    assert story.changed(settings) == {"kube-proxy": "1.30", "be-liberal": "1", "restarted": "yes"}
    assert text == "✓ works"


def test_nothing_on_the_page_needs_a_script():
    assert not PAGE.script
    assert not re.search("<(button|input|select|script)", PAGE.main)
