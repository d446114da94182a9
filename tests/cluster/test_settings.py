"""Settings: one declaration per toggle, its text form, and answers to words that do not exist."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcnilib.cluster.settings import Encapsulation, SettingError, Settings, Tuning, Workaround, option, options, sweep

ANY = st.fixed_dictionaries({o.attribute: st.sampled_from(o.values) for o in options()}).map(lambda d: Settings(**d))


@pytest.mark.parametrize("o", options(), ids=lambda o: o.name)
def test_every_setting_is_declared_in_full(o):
    assert o.label and o.help and o.changes
    assert o.default in o.values
    assert len(o.values) == len(o.texts) == len(set(map(str.lower, o.texts))) > 1
    assert not o.help.endswith(".")


@given(ANY)
def test_text_and_back(settings):
    assert Settings.parse(settings.texts()) == settings
    assert Settings.parse(settings.texts(changed=True)) == settings
    assert Settings.of(**{option(n).attribute: t for n, t in settings.texts().items()}) == settings


@pytest.mark.parametrize(
    ("words", "attribute", "value"),
    [
        ({"kube-proxy": "1.30"}, "kube_proxy", "1.30"),
        ({"--kube-proxy": "1.30"}, "kube_proxy", "1.30"),
        ({"be-liberal": "1"}, "be_liberal", True),
        ({"be_liberal": "0"}, "be_liberal", False),
        ({"restarted": "YES"}, "restarted", True),
        ({"felix-invalid": "off"}, "felix_invalid", False),
        ({"encapsulation": "vxlan"}, "encapsulation", Encapsulation.VXLAN),
        ({"workaround": "host route back"}, "workaround", Workaround.ROUTE_BACK),
        ({"node-rp-filter": "2"}, "node_rp_filter", 2),
        ({"tuning": "only net1"}, "tuning", Tuning.V0_8_6),  # links of before carry the former name
    ],
)
def test_words_of_a_command_line(words, attribute, value):
    assert getattr(Settings.parse(words), attribute) == value


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"kube-proxi": "1.30"}, "there is no setting 'kube-proxi': did you mean 'kube-proxy'?"),
        ({"kube-proxy": "1.3"}, "kube-proxy cannot be '1.3': did you mean '1.3"),
        ({"kube-proxy": "2"}, "it is one of 1.22, 1.23"),
        ({"encapsulation": "vxlam"}, "did you mean 'VXLAN'?"),
        ({"be-liberal": "yes"}, "be-liberal cannot be 'yes': it is one of 0, 1"),
    ],
)
def test_unknown_words_are_answered_with_the_nearest(words, message):
    with pytest.raises(SettingError) as caught:
        Settings.parse(words)
    assert message in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("node_rp_filter", 7), ("be_liberal", None), ("encapsulation", 3)])
def test_a_value_of_the_wrong_kind_is_refused(name, value):
    with pytest.raises(SettingError, match="cannot be"):
        Settings.of(**{name: value})


def test_the_command_line_that_makes_the_settings():
    assert str(Settings()) == "defaults"
    assert str(Settings.of(kube_proxy="1.30", workaround=Workaround.SNAT)) == (
        '--kube-proxy 1.30 --workaround "SNAT on the pod\'s node"'
    )


def test_a_sweep_covers_every_combination_once():
    runs = list(sweep(Settings.of(restarted=True), "be_liberal", "encapsulation"))
    assert len(runs) == len(set(runs)) == 6
    assert all(run.restarted for run in runs)


def test_a_setting_can_be_left_with_fewer_values():
    few = option("kube_proxy").only("1.28", "1.29")
    assert few.texts == ("1.28", "1.29")
    assert [run.kube_proxy for run in sweep(Settings(), few)] == ["1.28", "1.29"]
    with pytest.raises(SettingError, match="cannot be"):
        few.read("1.30")
