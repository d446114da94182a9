"""Public reports: no answer contradicts what was established, and docs/agreement.md says what came out."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
AGREEMENT = runpy.run_path(str(DOCS / "agreement.py"), run_name="agreement")
REPORTS = AGREEMENT["reports"]()


@pytest.mark.parametrize("report", REPORTS, ids=[report.name.removeprefix("https://github.com/") for report in REPORTS])
def test_no_answer_contradicts_what_was_established(report) -> None:
    outcome, said = report.outcome()
    assert outcome != "contradicts", f"{report.says}\n{said}"


def test_the_page_is_current() -> None:
    assert (DOCS / "agreement.md").read_text(encoding="utf-8") == AGREEMENT["page"](), "renew it: mcni record agreement"
