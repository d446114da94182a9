"""A link says which state is meant, and opens the notebook that shows it."""

from __future__ import annotations

import pytest

from mcnilib.cluster.settings import SettingError
from mcnilib.scenarios import all_scenarios, scenario
from mcnilib.scenarios.link import LONGEST_LINK, parse_link, print_link
from mcnilib.scenarios.scenario import Scenario, neighbours

FLAGSHIP = scenario("7")
STATE = "mcni=macvlan-to-calico-across-nodes&kube-proxy=1.30&restarted=yes"
MEANT = FLAGSHIP.start().but(kube_proxy="1.30", restarted=True)


@pytest.mark.parametrize("story", all_scenarios(), ids=lambda story: story.name)
def test_what_is_printed_is_read_again(story: Scenario) -> None:
    for settings in (story.start(), *neighbours(story, story.start())):
        for base in (
            "https://mybinder.org/v2/gh/a/b/HEAD?urlpath=lab/tree/notebooks",
            "http://localhost:8888/lab/tree",
        ):
            assert parse_link(print_link(story, settings, base)) == (story, settings)


@pytest.mark.parametrize(
    "text",
    [
        STATE,
        f"http://localhost:8888/lab/tree/notebooks/07-macvlan-to-calico-across-nodes.ipynb?{STATE}",
        "mcni%3Dmacvlan-to-calico-across-nodes%26kube-proxy%3D1.30%26restarted%3Dyes",
        f"http://localhost:8888/lab?token=0&{STATE}",
    ],
)
def test_a_link_may_stand_in_any_address(text: str) -> None:
    assert parse_link(text) == (FLAGSHIP, MEANT)


def test_a_link_opens_the_notebook_of_its_scenario() -> None:
    local = print_link(FLAGSHIP, MEANT, "http://localhost:8888/lab/tree/notebooks")
    assert local == f"http://localhost:8888/lab/tree/notebooks/07-macvlan-to-calico-across-nodes.ipynb?{STATE}"
    binder = print_link(FLAGSHIP, MEANT)
    assert "?urlpath=lab/tree/notebooks/07-macvlan-to-calico-across-nodes.ipynb%3Fmcni%3D" in binder
    assert "&" not in binder  # all of it belongs to the address inside Binder


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("https://mybinder.org/", "is not a link to a state"),
        ("mcni=macvlan-to-calico", "did you mean"),
        ("mcni=7&kube-proxi=1.30", "did you mean 'kube-proxy'"),
        ("mcni=7&kube-proxy=0.9", "0.9"),
        ("mcni=6&encapsulation=VXLAN", "has no setting 'encapsulation'"),
        ("mcni=7" + "x" * LONGEST_LINK, "at most"),
    ],
)
def test_a_link_that_means_nothing_is_refused_by_name(text: str, says: str) -> None:
    with pytest.raises((SettingError, LookupError), match=says):
        parse_link(text)


def test_the_command_of_a_state_quotes_what_a_shell_would_split() -> None:
    settings = FLAGSHIP.start().but(workaround="host route back")
    assert FLAGSHIP.command(settings) == "mcni run macvlan-to-calico-across-nodes --workaround 'host route back'"
