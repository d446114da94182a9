"""The link below a panel: what it prints, what pasting one does, and what a page opened with one shows."""

from __future__ import annotations

import re

import pytest

from mcnilib.language import PSEUDO
from mcnilib.notebook import explore
from mcnilib.scenarios import scenario
from mcnilib.scenarios.link import link_language, parse_link, print_link
from mcnilib.show.widgets.panel import Panel

STORY = scenario("7")
CURED = STORY.start().but(kube_proxy="1.30", be_liberal=True, restarted=True)
OTHER = scenario("6")


@pytest.fixture
def panel() -> Panel:
    return explore(STORY)


def test_the_link_follows_every_click(panel: Panel) -> None:
    panel.controls["kube_proxy"].value = "1.30"
    assert parse_link(panel.permalink.link.value) == (STORY, STORY.start().but(kube_proxy="1.30"))


def test_a_pasted_link_sets_all_controls_and_shows_that_state(panel: Panel) -> None:
    panel.permalink.link.value = print_link(STORY, CURED)
    assert "✓ connected" in panel.view.verdict.value
    assert [panel.controls[name].value for name in ("kube_proxy", "be_liberal", "restarted")] == ["1.30", True, True]
    assert "this is the state of the link" in panel.permalink.remark.value
    panel.controls["be_liberal"].value = False
    assert "state of the link" not in panel.permalink.remark.value


@pytest.mark.parametrize(
    ("pasted", "says"),
    [
        ("hello", "is not a link to a state"),
        ("mcni=7&kube-proxy=9", "kube-proxy"),
        (print_link(OTHER, OTHER.start()), "open 06-macvlan-to-calico-same-node.ipynb"),
        ("mcni=<b>", "&lt;b&gt;"),
    ],
)
def test_a_link_that_does_not_fit_changes_nothing_and_says_why(panel: Panel, pasted: str, says: str) -> None:
    before = panel.view.picture.value
    panel.permalink.link.value = pasted
    assert says in panel.permalink.remark.value
    assert panel.view.picture.value == before


def test_a_page_opened_with_a_link_takes_its_state(panel: Panel) -> None:
    panel.permalink.address.value = "?token=1&mcni=7&kube-proxy=1.30&be-liberal=1&restarted=yes"
    assert panel.settings == CURED
    assert "✓ connected" in panel.view.verdict.value


def test_a_page_opened_with_a_link_for_another_panel_is_left_alone(panel: Panel) -> None:
    panel.permalink.address.value = "?mcni=6"
    assert panel.settings == STORY.start()
    assert "status" not in panel.permalink.remark.value or "scenario" not in panel.permalink.remark.value


def test_a_cell_can_open_a_link_too() -> None:
    assert explore(print_link(STORY, CURED)).settings == CURED


def test_a_link_carries_the_language_of_its_panel() -> None:
    link = explore(STORY, lang=PSEUDO, kube_proxy="1.30").permalink.link.value
    assert "lang%3Den-XA%26kube-proxy" in link
    assert (parse_link(link), link_language(link)) == ((STORY, STORY.start().but(kube_proxy="1.30")), PSEUDO)
    assert "lang" not in explore(STORY).permalink.link.value
    assert explore(link).language == PSEUDO
    assert explore(link, lang="en").language == "en"


def test_a_page_opened_with_a_link_speaks_its_language(panel: Panel) -> None:
    panel.permalink.address.value = "?mcni=7&lang=en-XA&kube-proxy=1.30"
    assert panel.settings.kube_proxy == panel.controls["kube_proxy"].value == "1.30"
    texts = (panel.view.verdict.value, panel.permalink.link.description, panel.everything.description)
    assert all(re.search("[áéíóú]", text) for text in texts)
    panel.controls["kube_proxy"].value = "1.28"
    assert "lang%3Den-XA" in panel.permalink.link.value
    assert re.search("[áéíóú]", panel.view.verdict.value)


def test_a_pasted_link_changes_no_language(panel: Panel) -> None:
    panel.permalink.link.value = "mcni=7&lang=en-XA&kube-proxy=1.30"
    assert panel.settings.kube_proxy == "1.30"
    assert "this is the state of the link" in panel.permalink.remark.value


def test_a_link_in_a_language_without_catalogue_is_refused(panel: Panel) -> None:
    panel.permalink.address.value = "?mcni=7&lang=tlh&kube-proxy=1.30"
    assert panel.settings == STORY.start()
    assert "no catalogue for" in panel.permalink.remark.value
