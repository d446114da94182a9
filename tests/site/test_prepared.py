"""Answers that are prepared: put together again they are those of the model, and there are as many as was said."""

from __future__ import annotations

import gzip
import json

import pytest

from mcnilib.scenarios import all_scenarios, scenario
from mcnilib.show.explorer import View
from mcnilib.site.prepared import file_of, prepared, prepared_file, prepared_files

SMALL = "macvlan-same-subnet"


def answers(packed):
    """What is prepared, by the texts of the settings, as `prepared.js` puts it together; without what says the settings."""
    numbers = dict(zip(packed["states"][::2], packed["states"][1::2], strict=True))
    for number, answer in numbers.items():
        settings, rest, parts = {}, number, packed["answers"][answer]
        for name, texts in reversed(packed["options"]):
            rest, at = divmod(rest, len(texts))
            settings[name] = texts[at]
        named = dict(zip([*packed["texts_of"], *packed["values_of"]], parts, strict=True))
        told = {name: joined(packed, packed["texts"][named[name]]) for name in packed["texts_of"]}
        told |= {name: packed["values"][named[name]] for name in packed["values_of"]}
        yield settings, told


def joined(packed, ranges):
    return "".join("".join(packed["pieces"][first:last]) for first, last in zip(ranges[::2], ranges[1::2], strict=True))


def said(packed, part, settings):
    head, options = packed["said"][part]
    texts = dict(packed["options"])
    return head + "".join(each[texts[name].index(settings[name])] for name, each in options)


@pytest.mark.parametrize(("name", "most"), [(SMALL, 20), ("macvlan-to-clusterip-macvlan", 10)])
def test_what_is_prepared_is_what_the_model_says(name, most):
    story, packed = scenario(name), json.loads(gzip.decompress(prepared_file(name, most)))
    for texts, answer in answers(packed):
        view = View(story, story.start().but(**texts))
        told = answer | {part: said(packed, part, texts) for part in packed["said"]} | {"settings": texts}
        assert told == json.loads(json.dumps(view.answer())), texts


@pytest.mark.parametrize(("most", "number"), [(0, 1), (5, 1), (6, 6), (13, 6), (14, 14), (18, 18), (6000, 18)])
def test_states_are_prepared_up_to_some_changes_from_the_start(most, number):
    packed = prepared(scenario(SMALL), most)
    assert len(packed["states"]) == 2 * number
    assert packed["states"][0] == 0  # the start: all settings have their first value here


def test_every_scenario_has_its_file_and_the_same_each_time():
    stories = all_scenarios()
    assert [*prepared_files(stories, 0)] == [file_of(story.name) for story in stories]
    assert prepared_files([scenario(SMALL)], 6) == {file_of(SMALL): prepared_file(SMALL, 6)}
