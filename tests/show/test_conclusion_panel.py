"""The conclusion as a reader sees it: 18 buttons, what each of them opens, and the guide's table beside the computed one."""

from __future__ import annotations

import asyncio
import re
import shlex
from html import unescape
from pathlib import Path

import pytest

from mcnilib.cluster.settings import Placement, Settings, options
from mcnilib.notebook import conclusion
from mcnilib.scenarios import scenario
from mcnilib.scenarios.conclusion import (
    COLUMNS,
    MACVLAN,
    TABLE_ROWS,
    TO_CALICO,
    TO_MULTI,
    TOGGLES,
    conclude,
    conclusion_text,
    difference_lines,
    toggles,
)
from mcnilib.scenarios.link import parse_link
from mcnilib.show.widgets import conclusion as conclusion_panel

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"

CURE = {"kube_proxy": "1.30", "be_liberal": True, "restarted": True}
EVERYWHERE = [(placement, source, target) for placement in Placement for source in TABLE_ROWS for target in COLUMNS]


def words(panel) -> dict:
    return {key: button.description for key, button in panel.table.buttons.items()}


def test_the_table_has_a_button_for_each_cell_with_a_glyph_and_a_word() -> None:
    panel = conclusion()
    shown = words(panel)
    assert len(shown) == 18
    assert all(re.fullmatch(r"✓ works|✗ hangs(\n≠ guide)?", text) for text in shown.values())
    assert shown[MACVLAN, TO_CALICO] == "✗ hangs"
    assert shown[MACVLAN, TO_MULTI] == "✗ hangs\n≠ guide"
    assert [text for text in shown.values() if text.startswith("✗")] == ["✗ hangs", "✗ hangs\n≠ guide"]


@pytest.mark.parametrize(
    ("clicks", "summary", "cells"),
    [
        ({}, "same node: 16 of 16 pairs reach each other, across nodes: 16 of 18 .* wrong in 1", 2),
        ({"kube_proxy": "1.30", "be_liberal": True}, "across nodes: 16 of 18 .* wrong in 1", 2),
        (CURE, "across nodes: 18 of 18 pairs reach each other. Spiderpool's guide agrees.", 0),
        ({"nat_outgoing": False}, "across nodes: 13 of 18 .* wrong in 4", 5),
        ({"tuning": "not tuned"}, "same node: 15 of 16", 3),
        ({"nat_outgoing": False, "placement": Placement.SAME_NODE}, "same node: 16 of 16", 0),
    ],
)
def test_a_click_on_a_setting_computes_the_table_again(clicks: dict, summary: str, cells: int) -> None:
    panel = conclusion()
    for name, value in clicks.items():
        widget = panel.controls[name]
        widget.value = next(v for text, v in widget.options if value in (v, text))
    assert re.search(summary, panel.summary.value.replace("&#x27;", "'"))
    assert 'role="status"' in panel.summary.value
    assert len([text for text in words(panel).values() if text.startswith("✗")]) == cells


@pytest.mark.slow
@pytest.mark.parametrize(("placement", "source", "target"), EVERYWHERE)
def test_a_click_on_a_cell_shows_the_conversation_behind_it(placement, source, target) -> None:
    panel = conclusion(placement=placement)
    button = panel.table.buttons[source, target]
    button.click()
    one = conclude(panel.settings, placement)[TABLE_ROWS.index(source)][COLUMNS.index(target)]
    assert "chosen" in button._dom_classes
    assert [b for b in panel.table.buttons.values() if "chosen" in b._dom_classes] == [button]
    if one.story is None:
        assert button.disabled and "no such pods" in button.description
        assert "no such pods" in panel.verdict.value and panel.picture.value == ""
        return
    assert ("✓" if one.outcome.works else "✗") == button.description[0]
    assert f"{button.description[0]} conn" in panel.verdict.value
    assert f"<code>{one.story.name}</code>" in panel.facts.value and one.story.notebook in panel.facts.value
    assert "mcni run " + one.story.name in panel.facts.value
    assert "<svg" in panel.picture.value and "mcni-claim" in panel.reasons.value


@pytest.mark.parametrize(
    "changes",
    [
        *({}, CURE, {"nat_outgoing": False}, {"nat_outgoing": False, "masquerade_all": True}, {"coordinator": False}),
        *(
            {"workaround": "host route back", "nat_outgoing": False},
            {"macvlan_mode": "private"},
            {"cluster_cidr": False},
        ),
        {"tuning": "not tuned", "felix_invalid": False, **CURE},
    ],
    ids=str,
)
def test_the_command_of_a_cell_leads_to_the_same_outcome(changes: dict) -> None:
    table = [row for placement in Placement for row in conclude(Settings().but(**changes), placement)]
    for one in (cell for row in table for cell in row if cell.story):
        name, *typed = shlex.split(one.link.removeprefix("mcni run "))
        story = scenario(name)
        attributes = {option.name: option.attribute for option in options()}
        texts = {attributes[key.removeprefix("--")]: value for key, value in zip(typed[::2], typed[1::2], strict=True)}
        assert story.run(story.start().but(**texts)).outcome.verdict is one.outcome.verdict, one.link


@pytest.mark.parametrize(
    ("changes", "words"),
    [({}, "in this state"), (CURE, "in this state"), ({"macvlan_mode": "private"}, "as it starts")],
    ids=str,
)
def test_a_cell_links_to_its_notebook(changes: dict, words: str) -> None:
    panel = conclusion(**changes)
    href, shown, rest = re.search(r'<a href="\./([^"]+)"[^>]*>([^<]+)</a> \(([^,]+),', panel.facts.value).groups()
    assert (shown, rest) == ("07-macvlan-to-calico-across-nodes.ipynb", words)
    assert (NOTEBOOKS / href.partition("?")[0]).is_file()
    if rest == "in this state":
        story, settings = parse_link(unescape(href))
        assert story.run(settings).outcome.verdict is panel._cell(panel.chosen).outcome.verdict


@pytest.mark.slow
def test_every_toggle_changes_some_cell() -> None:
    bases = [{}, CURE, {"nat_outgoing": False}, {"cluster_cidr": False}, {"tuning": "not tuned", **CURE}]
    table = {}

    def works(settings: Settings) -> tuple:
        if settings not in table:
            rows = [row for placement in Placement for row in conclude(settings, placement)]
            table[settings] = tuple(bool(cell.outcome and cell.outcome.works) for row in rows for cell in row)
        return table[settings]

    for toggle in toggles()[:-1]:
        changed = [(Settings().but(**b), v) for b in bases for v in toggle.values]
        assert any(works(base) != works(base.but(**{toggle.attribute: value})) for base, value in changed), toggle.name
    assert [one.attribute for one in toggles()] == [*TOGGLES, "placement"]


def test_the_documents_own_table_is_there_with_its_differences_marked() -> None:
    panel = conclusion(nat_outgoing=False)
    html = panel.document.value
    assert html.count("<td") == 18 and html.count('class="wrong"') == 4
    assert html.count("✓") == 17 and "requires kube-proxy version greater than v1.29." in html
    assert html.count("≠ ✗ times out, across nodes") == 3 and html.count("≠ ✗ hangs, across nodes") == 1
    panel.controls["nat_outgoing"].value = True
    assert panel.document.value.count('class="wrong"') == 1


def test_the_table_in_words() -> None:
    assert difference_lines(Settings()) == [
        "Macvlan Pod to Calico + Macvlan Multi-NIC Pod, across nodes: the guide says '✓'; Linux: hangs"
    ]
    lines = conclusion_text(Settings()).splitlines()
    assert [line.split("  ")[0] for line in lines if "hangs" in line and "guide" not in line] == ["Macvlan Pod"]
    assert conclusion_text(Settings().but(**CURE)).endswith("the guide's table is right in every cell")


def test_a_viewer_without_a_kernel_gets_both_tables_as_text() -> None:
    bundle = conclusion()._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert data["text/plain"] == conclusion_text(Settings())


def test_while_it_computes_the_reader_sees_how_far_it_is(monkeypatch) -> None:
    monkeypatch.setattr(conclusion_panel, "COMPUTE", 0.0)
    monkeypatch.setattr("mcnilib.show.widgets.prefetch.IDLE_DELAY", 60.0)
    seen: list[str] = []

    async def click() -> dict:
        panel = conclusion(**CURE)
        panel.summary.observe(lambda change: seen.append(re.sub("<[^>]*>", "", change["new"])), names="value")
        waiting = [text for text in words(panel).values() if text == "… computing"]
        assert len(waiting) > 10  # nothing old stands in a cell that is not known yet
        while "computing" in panel.summary.value:
            await asyncio.sleep(0)
        return words(panel)

    shown = asyncio.run(click())
    told = [int(text.split()[1]) for text in seen if text.startswith("computing")]
    assert told == sorted(told) and len(told) > 10
    assert set(shown.values()) == {"✓ works"}


def test_a_further_click_does_not_wait_for_the_table_before(monkeypatch) -> None:
    monkeypatch.setattr(conclusion_panel, "COMPUTE", 0.0)
    monkeypatch.setattr("mcnilib.show.widgets.prefetch.IDLE_DELAY", 60.0)

    async def clicks() -> dict:
        panel = conclusion()
        panel.controls["protocol"].value = panel.controls["protocol"].options[1][1]
        while "computing" in panel.summary.value:
            await asyncio.sleep(0)
        return words(panel)

    assert set(asyncio.run(clicks()).values()) == {"✓ works", "✓ works\n≠ guide"}


def test_what_a_click_may_bring_is_prepared(monkeypatch) -> None:
    panel = conclusion()
    ran: list[str] = []
    ahead = panel._likely()
    for _ in range(18):
        assert next(ahead)
    monkeypatch.setattr("mcnilib.show.picture.svg._painted", lambda *_: ran.append("painted") or "")
    monkeypatch.setattr("mcnilib.show.picture.story_picture.lay_out", lambda *_: ran.append("laid out"))
    for button in panel.table.buttons.values():
        button.click()
    assert ran == []
