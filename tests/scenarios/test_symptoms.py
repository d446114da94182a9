"""The table of symptoms tells the truth, and is the same in the README, the first notebook and on the site's first page."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from mcnilib.scenarios.matrix import SHORT_VERDICTS
from mcnilib.scenarios.symptoms import MEANINGS, symptom_rows, symptom_table, verdict_legend
from mcnilib.trace.trace import Verdict

ROOT = Path(__file__).parents[2]
INDEX = "\n".join(cell.source for cell in nbformat.read(ROOT / "notebooks" / "00-index.ipynb", 4).cells)
ROWS = tuple(symptom_rows())


def name(value) -> str:
    return getattr(value, "command", None) or getattr(value, "sees", "")


@pytest.mark.parametrize(("symptom", "case"), [row for row in ROWS if row[0].verdict], ids=name)
def test_a_case_ends_as_its_symptom_says(symptom, case):
    assert case.run().outcome.verdict is symptom.verdict


@pytest.mark.parametrize(("symptom", "case"), [row for row in ROWS if not row[0].verdict], ids=name)
def test_what_comes_and_goes_works_under_one_value_of_its_setting_and_not_under_another(symptom, case):
    (setting,) = (one for one in case.story.options() if one.attribute == case.varies)
    assert {case.run(**{case.varies: value}).outcome.works for value in setting.values} == {True, False}


@pytest.mark.parametrize("case", [case for _, case in ROWS], ids=name)
def test_the_lesson_of_a_case_is_there_and_the_settings_are_those_of_its_scenario(case):
    assert (ROOT / "notebooks" / case.story.notebook).exists()
    attributes = {one.attribute for one in case.story.options()}
    assert {attribute for attribute, _ in case.given} <= attributes


def test_the_table_is_the_same_wherever_it_is_shown():
    from mcnilib.site.lessons import markdown
    from mcnilib.site.page import explorer

    assert symptom_table("notebooks/") in (ROOT / "README.md").read_text(encoding="utf-8")
    assert symptom_table("") in INDEX
    assert markdown(symptom_table("notebooks/")) in explorer({}).tools


def test_every_verdict_is_in_the_legend():
    assert set(MEANINGS) == set(SHORT_VERDICTS) == set(Verdict)
    assert verdict_legend() in INDEX
