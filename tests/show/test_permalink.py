"""The link below a panel: what it prints, what pasting one does, and what a page opened with one shows."""

from __future__ import annotations

import pytest

from mcnilib.notebook import explore
from mcnilib.scenarios import scenario
from mcnilib.scenarios.link import parse_link, print_link
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
