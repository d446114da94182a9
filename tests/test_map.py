"""The map of the cluster: everybody with his address, in the picture and in words; no text on another."""

from __future__ import annotations

from itertools import combinations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from mcnilib.notebook import cluster_map
from mcnilib.show.map import paint_map


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


def test_a_viewer_without_a_kernel_gets_picture_and_words() -> None:
    data, metadata = cluster_map()._repr_mimebundle_()
    assert data["image/png"] and "mac1 172.16.100.2" in str(data["text/plain"])
    assert metadata["image/png"]["alt"] == data["text/plain"]
