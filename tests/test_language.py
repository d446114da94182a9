"""What the catalogue promises: whole sentences, the reader's language, and a pseudo language that shows what is missing."""

from __future__ import annotations

import pytest

from mcnilib.language import ENGLISH, PSEUDO, LanguageError, current_language, readers_language, spoken, tr, trn


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
    ],
)
def test_the_readers_locale_chooses(environment, language) -> None:
    assert readers_language(environment) == language


def test_a_language_without_catalogue_is_refused_by_name() -> None:
    with pytest.raises(LanguageError, match="no catalogue for 'tlh'; there are en"), spoken("tlh"):
        pass
