"""What would help, on a page and in a panel: a list, applied by a click where settings alone change."""

from __future__ import annotations

import json
import re

import pytest
from show_examples import text_of

from mcnilib import explore, scenario
from mcnilib.show.verbs import answer

STATE = "mcni=macvlan-to-calico-across-nodes"


def asked(state: str) -> dict:
    return json.loads(answer("fix", json.dumps({"state": state})))


@pytest.fixture(scope="module")
def shown() -> dict:
    return asked(STATE)


@pytest.mark.parametrize(
    "says",
    [
        'Set workaround to "SNAT on the pod\'s node"Recommended: it breaks nothing else, no program takes it back.',
        "node2: ip route add 172.16.100.2 via 172.16.1.2 dev en0",
        ": mac1 to node2. It also mends 1: Macvlan Pod to",
        "kube-proxy 1.28 wrote the line and will write it again.",
    ],
)
def test_the_list_says_what_to_do_what_it_breaks_and_what_to_prefer(shown: dict, says: str) -> None:
    assert says.lower() in text_of(shown["repairs"]).lower()


def test_settings_are_applied_and_commands_copied(shown: dict) -> None:
    html = shown["repairs"]
    assert "data-settings=\"{&quot;workaround&quot;: &quot;host route back&quot;}\"" in html  # fmt: skip
    assert 'data-commands="node2: ip route add 172.16.100.2 via 172.16.1.2 dev en0"' in html
    names = re.findall(r'<button[^>]*aria-label="([^"]*)"', html)
    assert len(names) == len({*names}) == html.count("<button")  # each button has a name of its own


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (STATE, r"\d+ of \d+ changes help\. Each was tried on the model; the first is the best\..*"),
        (f"{STATE}&protocol=UDP", r"The conversation works\. There is nothing to repair\."),
    ],
)
def test_the_answer_begins_with_how_many_help(state: str, says: str) -> None:
    assert re.fullmatch(says, asked(state)["says"])


def test_whoever_waits_hears_how_far_the_search_is() -> None:
    heard: list[float] = []
    answer("fix", json.dumps({"state": "mcni=macvlan-to-own-node"}), heard.append)
    assert heard[0] == 0
    assert heard[-1] < 1
    assert len(heard) > 10


def test_a_click_in_the_panel_searches_and_another_applies() -> None:
    panel = explore(scenario("macvlan-to-own-node"))
    panel.repairs.button.click()
    apply = next(entry.children[1] for entry in panel.repairs.list.children if len(entry.children) == 2)
    apply.click()
    assert panel.story.run(panel.settings).outcome.works
    assert panel.repairs.list.children == ()  # it was about another state


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ("workaround=host%20route%20back", "+ 172.16.100.2 via 172.16.1.2 dev en0"),
        ("kube-proxy=1.30&be-liberal=1&restarted=yes", "- -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP"),
    ],
)
def test_the_lines_that_a_click_changed_are_told(changed: str, says: str) -> None:
    told = json.loads(answer("changes", json.dumps({"from": STATE, "state": f"{STATE}&{changed}"})))
    assert says in text_of(told["changes"])
