"""The site in Firefox: it starts there, a setting and a step change what is seen, and it says what the model says here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from browser.firefox import Firefox, started_firefox
from browser.site_page import FLAGSHIP, READY, SAME
from mcnilib.scenarios import scenario
from mcnilib.show.explorer import View

CHOOSE = """
const [article, name, value] = given, control = document.querySelector(`#${article} form`).elements[name];
control.value = value;
(control.length && !control.options ? [...control].find(one => one.checked) : control).dispatchEvent(new Event("change", { bubbles: true }));
"""
"""What the browser does when a reader chooses a value."""

FOREIGN = "return performance.getEntriesByType('resource').map(one => one.name).filter(name => !name.startsWith(location.origin) && !name.startsWith('blob:') && !name.startsWith('data:'));"


@pytest.fixture(scope="module")
def firefox(tmp_path_factory) -> Iterator[Firefox]:
    with started_firefox(tmp_path_factory.mktemp("firefox")) as browser:
        yield browser


def open_page(firefox: Firefox, address: str) -> None:
    firefox.go(address)
    firefox.wait(f"({READY})()")


def check(firefox: Firefox, view: View) -> None:
    """Insist that Firefox shows what the model says here."""
    answer = view.answer()
    firefox.wait("location.search === '?' + given[0]", answer["state"])
    for name in ("verdict", "picture", "reasons", "table"):
        shown = f"document.querySelector('article.chosen [data-part={name}]')"
        assert firefox.run(f"return ({SAME})({shown}, given[0])", answer[name]), name
    assert firefox.run("return document.getElementById('problem').textContent") == ""
    assert firefox.run(FOREIGN) == []


def test_a_setting_and_a_step_change_what_is_seen(firefox, address):
    open_page(firefox, address)
    story = scenario(FLAGSHIP)
    firefox.run(CHOOSE, FLAGSHIP, "kube-proxy", "1.30")
    settings = story.start().but(kube_proxy="1.30")
    check(firefox, View(story, settings))
    firefox.run("document.querySelector('article.chosen [data-move=\"1\"]').click()")
    firefox.wait("location.hash === '#step=1'")
    check(firefox, View(story, settings, 1))


def test_a_panel_of_a_lesson_lives(firefox, address):
    open_page(firefox, f"{address}notebooks/03-macvlan-and-its-node.html")
    story = scenario("node-to-own-macvlan")
    firefox.run(CHOOSE, story.name, "coordinator", "on")
    check(firefox, View(story, story.start().but(coordinator=True)))
