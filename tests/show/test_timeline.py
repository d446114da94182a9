"""The time axis: every packet at its moment, and the steps it leads to."""

from __future__ import annotations

import re

import pytest

from mcnilib.scenarios import all_scenarios, scenario
from mcnilib.show.html.table import rows
from mcnilib.show.html.timeline import timeline_html
from mcnilib.trace.trace import DEPTHS

MARK = re.compile(r"<button([^>]*)>(.*?)</button>")


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("story", all_scenarios(), ids=lambda story: story.name)
def test_every_packet_stands_there_once_and_leads_to_its_rows(story, depth):
    trace = story.run(story.start())
    told = rows(trace, depth)
    marks = MARK.findall(timeline_html(trace, told))
    assert len(marks) == len(trace.journeys)
    for journey, (attributes, _) in zip(trace.journeys, marks, strict=True):
        ends = [int(one) for one in re.findall(r'data-(?:step|last)="(\d+)"', attributes)]
        assert [told[end - 1].journey for end in ends] == [journey.number] * len(ends)
        assert ("disabled" in attributes) is (not ends)


def test_packets_of_one_moment_stand_together_and_what_is_sent_again_is_marked():
    story = scenario("7")
    trace = story.run(story.start())
    html = timeline_html(trace, rows(trace))
    assert re.findall('data-at="([^"]*)"', html) == ["0", "0.2", "0.6", "1", "1.4", "3"]
    names = [re.sub("<[^>]*>", "", text) for _, text in MARK.findall(html)]
    assert names[:6] == ["1 SYN", "2 SYN-ACK", "3 ACK ✗", "4 data ✗", "5 ↻ ✗", "6 ↻ ✗"]
    assert 'aria-label="5 data, sent again, at 0.2 s: dropped, node1"' in html
