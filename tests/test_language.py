"""What the catalogue promises: whole sentences, the reader's language, and a pseudo language that shows what is missing."""

from __future__ import annotations

import re

import pytest

from mcnilib.cluster.intern import chain_rule, ip_route, ip_rule
from mcnilib.cluster.kube_proxy import KubeProxy
from mcnilib.cluster.spec import CLUSTER
from mcnilib.errors import McniError
from mcnilib.language import (
    ENGLISH,
    PSEUDO,
    LanguageError,
    current_language,
    keeping,
    listed,
    mark,
    readers_language,
    speak,
    spoken,
    tr,
    trn,
)
from mcnilib.linux.device.link import parse_links
from mcnilib.linux.netfilter.conntrack import parse_connections
from mcnilib.linux.netfilter.ipset import parse_sets
from mcnilib.linux.origin import KERNEL
from mcnilib.scenarios import scenario


def test_english_is_the_text_in_the_code() -> None:
    assert (
        tr("{netns} has no route to {address}", netns="node1", address="10.0.0.1") == "node1 has no route to 10.0.0.1"
    )
    assert tr("a brace {stays} where nothing is filled in") == "a brace {stays} where nothing is filled in"
    assert [trn("{count} rule", "{count} rules", count) for count in (1, 2)] == ["1 rule", "2 rules"]


def test_the_pseudo_language_is_longer_and_keeps_the_values() -> None:
    with spoken(PSEUDO):
        said = tr("no route to {address}", address="10.0.0.1")
    assert said.startswith("[ñó róúté tó 10.0.0.1~")
    assert current_language() == ENGLISH


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, ENGLISH),
        ({"LANG": "C.UTF-8"}, ENGLISH),
        ({"LANG": "fr_FR.UTF-8"}, ENGLISH),
        ({"LANG": "en_XA.UTF-8"}, PSEUDO),
        ({"LANGUAGE": "fr:en_XA", "LANG": "C"}, PSEUDO),
        ({"LC_ALL": "C", "LANG": "en_XA"}, ENGLISH),
        ({"LANGUAGE": "en_GB:en_XA"}, ENGLISH),  # any English is better than the next language
    ],
)
def test_the_readers_locale_chooses(environment, language) -> None:
    assert readers_language(environment) == language


def test_a_language_without_catalogue_is_refused_by_name() -> None:
    with pytest.raises(LanguageError, match="no catalogue for 'tlh'; there are en"), spoken("tlh"):
        pass


def test_what_is_marked_is_english_until_it_is_shown() -> None:
    with spoken(PSEUDO):
        held = mark("the path to {pod}", pod=mark("the first pod"))
    assert held == "the path to the first pod"
    assert tr(held) == held
    with spoken(PSEUDO):
        assert tr(held).startswith("[thé páth tó [thé fíršt pód~~~~]")
        held = mark("the path to {pod}", pod=mark("the {number}. pod", number=1))
        assert tr(held).startswith("[thé páth tó [thé 1. pód~~~")
        assert tr(mark("{packet} is lost"), packet="ACK").startswith("[ACK íš lóšt")
        assert tr("no path to {pod}", pod=mark("the first pod")).startswith("[ñó páth tó [thé fíršt pód~~~~]")
        assert tr("") == ""  # what the catalogue answers that with is its header


def test_names_are_listed_alike_in_the_pseudo_language() -> None:
    with spoken(PSEUDO):
        assert listed(["node1", 7]) == "node1, 7"


@pytest.mark.parametrize(
    ("act", "values"),
    [
        (lambda: ip_route("10.0.0.0/8 dev", KERNEL), ""),
        (lambda: ip_route("10.0.0.0/8 dev eth0 metrik 5", KERNEL), "metrik metric"),
        (lambda: ip_route("10.0.0.0/8 dev eth0 scope", KERNEL), "host link"),
        (lambda: ip_rule("from all lookup", KERNEL), ""),
        (lambda: chain_rule("-A FORWARD -p tcp --dport x -j DROP", KERNEL), ""),
        (lambda: chain_rule("-A FORWARD -p tcp --dport", KERNEL), "dport"),
        (lambda: chain_rule("-A FORWARD -m length --length 99999 -j DROP", KERNEL), ""),
        (lambda: chain_rule("-A FORWARD ! -j DROP", KERNEL), ""),
        (lambda: scenario("7").world(scenario("7").start())["nowhere"], ".*"),
        (lambda: CLUSTER.node("node1").nic("eth9"), "ens"),
        (lambda: parse_sets("create a hash:nothing"), ".*"),
        (lambda: parse_links("1: lo"), ""),
        (lambda: parse_connections("tcp 6 30 NEVER src=10.0.0.1"), "conntrack"),
        (lambda: KubeProxy("1.28", tcp_be_liberal=True), "tcp_be_liberal kube proxy"),
    ],
)
def test_a_sentence_in_a_sentence_is_said_in_the_readers_language(act, values) -> None:
    with spoken(PSEUDO), pytest.raises((McniError, ValueError)) as refused:
        act()
    said = re.sub(r"'[^']*'|`[^`]*`|\S*\d\S*|\S+:\d+:\d+:", "", str(refused.value).partition("\n")[0])
    left = {word for word in re.findall(r"\w+", said) if word.isascii() and len(word) > 2}
    assert "[" in said
    assert left <= set(values.split()) or values == ".*", said


def test_what_is_done_later_is_said_in_the_language_of_now() -> None:
    with spoken(PSEUDO):
        say = keeping(lambda: tr("a click"))
    assert say().startswith("[á çlíçk")


def test_a_language_is_chosen_for_everything_that_has_none_of_its_own() -> None:
    speak(PSEUDO)
    try:
        assert current_language() == PSEUDO
        with spoken(ENGLISH), spoken(""):
            assert current_language() == ENGLISH
    finally:
        speak(ENGLISH)
