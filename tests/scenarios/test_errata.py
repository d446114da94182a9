"""The errata page: nothing on it is scripted, and it is not stale."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from mcnilib.scenarios.errata import Disagreement, disagreements

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_what_the_runs_and_the_notebooks_say_today() -> None:
    page = runpy.run_path(str(DOCS / "errata.py"))["page"]()
    assert (DOCS / "errata.md").read_text() == page, "renew it: mcni record errata"


@pytest.mark.parametrize("one", disagreements(), ids=lambda one: f"{one.story.name}: {one.claim.says[:30]}")
def test_every_listed_run_contradicts_its_statement(one: Disagreement) -> None:
    assert one.story.run(one.settings).outcome.works is not one.claim.works
    assert one.story.claim(one.settings) == one.claim


def test_the_flagships_promise_that_nothing_helps_is_listed() -> None:
    assert "below v1.29 this cannot be avoided" in "".join(one.claim.says for one in disagreements())
