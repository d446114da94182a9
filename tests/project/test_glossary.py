"""The glossary: one table, on its page and on the site, and each of its words is linked where a notebook first uses it."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from mcnilib.scenarios.glossary import GLOSSARY

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SPEC = importlib.util.spec_from_file_location("glossary_page", ROOT / "docs" / "glossary.py")
glossary_page = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(glossary_page)
RENEW = "renew it: python docs/glossary.py"


def test_the_page_is_written_from_the_table():
    assert (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8") == glossary_page.page(), RENEW


def test_each_word_is_there_once_in_order_and_in_one_sentence():
    assert [term.word for term in GLOSSARY] == sorted((term.word for term in GLOSSARY), key=str.lower)
    assert len({term.anchor for term in GLOSSARY}) == len(GLOSSARY)
    assert not [term.word for term in GLOSSARY if ". " in term.meaning or len(term.meaning) > 120]
    assert all(term.address.startswith("https://") and term.source for term in GLOSSARY)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_links_each_word_where_it_first_uses_it(path):
    assert [(term.word, cell) for term, cell, _ in glossary_page.unlinked(path)] == [], RENEW


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_link_leads_to_a_word(path):
    anchors = re.findall(r"docs/glossary\.md#([\w-]+)", path.read_text(encoding="utf-8"))
    assert set(anchors) <= {term.anchor for term in GLOSSARY}


@pytest.mark.parametrize(
    ("text", "linked"),
    [
        ("It asks by ARP.\n", "ARP"),
        ("# ARP\n| ARP |\n`ARP` [ARP](x) and ARP\n", "ARP"),
        ("```\nARP\n```\n", ""),
        ("A GARP, /ARP/x and ARP-like\n", ""),
    ],
)
def test_only_prose_is_linked(text, linked):
    arp = next(term for term in GLOSSARY if term.word == "ARP")
    at = glossary_page.first_use(arp, text)
    assert (text[at[0] : at[1]] if at else "") == linked
    assert not at or text[: at[0]].endswith(("by ", "and "))


def test_the_site_has_the_same_table_and_lessons_link_it():
    from mcnilib.site.lessons import markdown
    from mcnilib.site.page import glossary

    assert re.findall('<a id="([^"]+)">', glossary().main) == [term.anchor for term in GLOSSARY]
    assert 'href="../glossary.html#arp"' in markdown("[ARP](../docs/glossary.md#arp)")
