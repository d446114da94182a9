"""The pseudo language: every text of a picture goes through the catalogue, and has room when it is a third longer.

What is not accented is a value: the name of a namespace or device, an address, a chain, words of a rule, a packet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import pytest
from picture_checks import flaws

from mcnilib.language import PSEUDO, spoken
from mcnilib.scenarios import Scenario, all_scenarios
from mcnilib.show.picture.drawing import Drawing
from mcnilib.show.picture.story_picture import picture_of
from mcnilib.snapshots.files import save

STORIES = pytest.mark.parametrize("story", all_scenarios(), ids=lambda story: story.name)
WIDTHS = pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])
SAID = re.compile(r"[áéíóúýçñšÁÉÍÓÚÝÇÑŠ\[\]~]")
"""What shows that a text, or a line of it, was said in the pseudo language."""
WORD = re.compile(r"[A-Za-z]{2,}")
ALSO_VALUES = {"src", "dst", "TCP", "UDP", "ICMP", "SYN", "ACK", "FIN", "RST", "data", "conntrack", "no", "SENT", "RECV", "TIME", "WAIT", "ESTABLISHED"}  # fmt: skip

CROWDED = {
    ("nodeport-to-macvlan", False): 2,
    ("nodeport-to-macvlan-from-lan", False): 1,
    ("calico-to-macvlan", True): 1,
    ("macvlan-to-own-node", True): 1,
    ("nodeport-to-multi-nic-from-outside", False): 2,
    ("calico-to-clusterip", True): 1,
    ("macvlan-to-clusterip-calico", True): 2,
    ("macvlan-to-clusterip-multi-nic", True): 22,
    ("clusterip-to-macvlan-with-sidecar", True): 4,
}
"""Pictures (scenario, narrow) in which notes a third longer do not find a free place, and how many flaws they have."""


def texts(drawing: Drawing) -> Iterator[str]:
    """Yield every line of text of a picture."""
    yield from (label.text for label in (*drawing.scene.labels, *drawing.labels))
    yield from (line for callout in drawing.callouts for line in callout.lines)


@cache
def values(story: Scenario) -> set[str]:
    """Return the words of a world's state, as the tools print it, and the names in it."""
    world = story.world(story.start())
    names = [*save(world), *save(world).values(), *(segment.name for segment in world.segments)]
    return {word for text in names for word in WORD.findall(text)} | ALSO_VALUES


@pytest.mark.slow
@WIDTHS
@STORIES
def test_what_is_not_said_in_the_readers_language_is_a_value(story: Scenario, narrow: bool) -> None:
    with spoken(PSEUDO):
        picture = picture_of(story, story.start(), narrow=narrow)
    plain = [text for text in texts(picture) if not SAID.search(text)]
    assert [text for text in plain if not values(story).issuperset(WORD.findall(text))] == []
    assert SAID.search(picture.title)


@pytest.mark.slow
@WIDTHS
@STORIES
def test_longer_texts_have_room(story: Scenario, narrow: bool) -> None:
    """No words cover others, or leave the sheet, beyond what the English picture does; those of CROWDED are known."""
    with spoken(PSEUDO):
        picture = picture_of(story, story.start(), narrow=narrow)
    english = flaws(picture_of(story, story.start(), narrow=narrow))
    assert len(flaws(picture)) <= CROWDED.get((story.name, narrow), len(english)), flaws(picture)
