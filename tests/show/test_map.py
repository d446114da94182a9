"""The map of the cluster: everybody with his address, in the picture and in words; no text on another."""

from __future__ import annotations

from itertools import combinations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from mcnilib.notebook import cluster_map
from mcnilib.show.picture.map import Bar, paint_map


@pytest.mark.parametrize(
    "line",
    [
        "node2 (172.16.1.3): mac2 172.16.100.3, cal2 10.233.101.2, mul2 10.233.101.3, 172.16.100.6",
        "gateway: 172.16.0.1, 172.17.0.1, 1.1.1.254",
        "lan-172.17: node1, node3, node4, gateway",
    ],
)
def test_it_says_who_is_where(line: str) -> None:
    assert line in cluster_map().lines()


def test_every_machine_and_pod_is_written_and_no_text_lies_on_another() -> None:
    world = cluster_map().world
    figure = paint_map(world)
    renderer = FigureCanvasAgg(figure).get_renderer()
    texts = figure.axes[0].texts
    assert {netns.name for netns in world} <= {text.get_text() for text in texts}
    assert min(text.get_fontsize() for text in texts) >= 11
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts]
    assert [(a, b) for (a, one), (b, two) in combinations(boxes, 2) if one.overlaps(two)] == []
    assert all(figure.bbox.contains(box.x0, box.y0) and figure.bbox.contains(box.x1, box.y1) for _, box in boxes)


def test_every_cable_is_plugged_into_its_own_segment_and_no_other() -> None:
    world = cluster_map().world
    axes = paint_map(world).axes[0]
    plugs = [line.get_xydata()[0] for line in axes.lines if line.get_gid() == "plug"]
    assert len(plugs) == sum(len(segment.ports) for segment in world.segments)
    bars = {text.get_position()[1]: text.get_text() for text in axes.texts}
    for segment in world.segments:
        assert sum(bars.get(y) == segment.name for _, y in plugs) == len(segment.ports)


UPPER = Bar("upper", 0, 100, 10, ((20, -50), (60, 50)))
LOWER = Bar("lower", 30, 100, 20, ((40, -50), (90, 50)))


@pytest.mark.parametrize(
    ("bar", "others", "passing", "free"),
    [
        (UPPER, [LOWER], [40], 80),  # from above down to the lower bar; the name stands right of 60
        (LOWER, [UPPER], [60], 75),  # from below up to the upper bar; the name stands between 60 and 90
        (UPPER, [Bar("lower", 30, 200, 20, ((150, -50),))], [], 40),  # beside the bar, not across
        (UPPER, [], [], 40),
    ],
)
def test_a_cable_of_another_segment_passes_where_it_crosses(bar, others, passing, free) -> None:
    assert bar.passing([bar, *others]) == passing
    assert bar.free([bar, *others]) == free


def test_no_name_of_a_segment_lies_on_a_cable() -> None:
    world = cluster_map().world
    figure = paint_map(world)
    renderer = FigureCanvasAgg(figure).get_renderer()
    names = {segment.name for segment in world.segments}
    texts = [text for text in figure.axes[0].texts if text.get_text() in names]
    cables = [line.get_window_extent(renderer) for line in figure.axes[0].lines]
    assert len(texts) == len(names)
    assert [t.get_text() for t in texts for cable in cables if t.get_window_extent(renderer).overlaps(cable)] == []


def test_a_viewer_without_a_kernel_gets_picture_and_words() -> None:
    data, metadata = cluster_map()._repr_mimebundle_()
    assert data["image/png"] and "mac1 172.16.100.2" in str(data["text/plain"])
    assert metadata["image/png"]["alt"] == data["text/plain"]
