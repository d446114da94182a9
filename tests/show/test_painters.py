"""Two painters, one picture: what stands in the SVG is what matplotlib paints; and the way to the SVG needs neither."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from matplotlib.artist import Artist
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyBboxPatch, Patch
from matplotlib.text import Text

from mcnilib.scenarios import all_scenarios
from mcnilib.show.labels.text_metrics import ADVANCES, advance_table, text_width
from mcnilib.show.picture import svg
from mcnilib.show.picture.drawing import Drawing
from mcnilib.show.picture.paint import new_figure, paint
from mcnilib.show.picture.shapes import CAPITAL
from mcnilib.show.picture.story_picture import picture_of

SVG = "{http://www.w3.org/2000/svg}"

Painted = tuple[str, list[str], list[float]]
"""A kind of shape, its words and colours, its places and sizes."""


def in_svg(drawing: Drawing) -> list[Painted]:
    """Return the boxes, lines, discs and texts of the SVG in painting order."""
    root = ElementTree.fromstring(svg.to_svg(drawing))
    return [read for element in root.find(f"{SVG}g").iter() if (read := _read(element))]


def _read(element: ElementTree.Element) -> Painted | None:
    def numbers(*names: str) -> list[float]:
        return [float(element.get(name).removesuffix("px")) for name in names]

    fill = (element.get("fill") or "").lower()
    match element.tag.removeprefix(SVG):
        case "rect":
            return "box", [fill, element.get("stroke").lower()], numbers("x", "y", "width", "height", "stroke-width")
        case "polyline":
            points = [float(n) for point in element.get("points").split() for n in point.split(",")]
            return "line", [element.get("stroke").lower()], [*points, *numbers("stroke-width")]
        case "circle":
            return "disc", [fill, element.get("stroke").lower()], numbers("cx", "cy", "r", "stroke-width")
        case "text":
            bold = element.get("font-weight", "normal")
            return "text", [element.text, fill, bold], numbers("x", "y", "font-size")
    return None


def in_figure(drawing: Drawing) -> list[Painted]:
    """Return the same of what matplotlib paints."""
    figure = new_figure(drawing.width, drawing.height)
    paint(figure, drawing)
    artists = sorted(figure.get_children(), key=lambda artist: artist.get_zorder())
    return [read for artist in artists if artist is not figure.patch and (read := _read_artist(artist))]


def _read_artist(artist: Artist) -> Painted | None:
    if isinstance(artist, Patch):
        colours = [to_hex(artist.get_facecolor()), to_hex(artist.get_edgecolor())]
    match artist:
        case FancyBboxPatch():
            edges = [artist.get_x(), artist.get_y(), artist.get_width(), artist.get_height()]
            return "box", colours, [*edges, artist.get_linewidth()]
        case Circle():
            return "disc", colours, [*artist.get_center(), artist.get_radius(), artist.get_linewidth()]
        case Line2D():
            return "line", [to_hex(artist.get_color())], [*artist.get_xydata().flatten(), artist.get_linewidth()]
        case Text():
            words = [artist.get_text(), to_hex(artist.get_color()), artist.get_fontweight()]
            return "text", words, [*artist.get_position(), artist.get_fontsize()]
    return None


def agree(one: list[Painted], other: list[Painted]) -> bool:
    """Tell whether the two are the same, to a hundredth of a pixel."""
    return [shape[:2] for shape in one] == [shape[:2] for shape in other] and all(
        a[2] == pytest.approx(b[2], abs=0.011) for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("story", all_scenarios(), ids=lambda story: story.name)
def test_both_painters_paint_the_same_boxes_lines_and_words(story):
    for followed in (None, (1, 0)):
        drawing = picture_of(story, story.start(), followed)
        assert agree(in_svg(drawing), in_figure(drawing))


def test_the_painters_are_seen_to_differ():
    story = all_scenarios()[0]
    first, other = (picture_of(s, s.start()) for s in (story, all_scenarios()[-1]))
    assert not agree(in_svg(first), in_figure(other))


def test_the_middle_of_a_capital_letter_stands_at_the_height_of_its_label():
    drawing = picture_of(all_scenarios()[0], all_scenarios()[0].start())
    label = drawing.scene.labels[0]
    heights = [numbers[1] for kind, words, numbers in in_svg(drawing) if kind == "text" and words[0] == label.text]
    assert pytest.approx(label.y + CAPITAL / 2 * label.size, abs=0.01) in heights


def test_the_way_to_the_svg_loads_neither_matplotlib_nor_numpy():
    """A browser has none of them."""
    code = """
import sys
from mcnilib.scenarios import scenario
from mcnilib.show.picture.story_picture import picture_of
from mcnilib.show.picture.svg import to_svg
story = scenario("7")
assert to_svg(picture_of(story, story.start())).startswith("<svg")
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"matplotlib", "numpy", "PIL", "IPython"}))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.stdout.strip(), ran.stderr, ran.returncode) == ("", "", 0)


def test_the_table_of_widths_is_what_the_font_says():
    from importlib.resources import files

    assert files("mcnilib.show.labels").joinpath(ADVANCES).read_text(encoding="utf-8") == advance_table(), (
        "renew it: mcni record letters"
    )


@pytest.mark.parametrize(
    ("text", "bold", "width"),
    [("", False, 0.0), ("i", False, 569 / 2048), ("W", False, 2025 / 2048), ("i", True, 702 / 2048), ("漢", False, 1.0), ("\x07", True, 0.6)],
)  # fmt: skip
def test_a_text_is_as_wide_as_its_letters(text, bold, width):
    assert text_width(text, 1.0, bold) == pytest.approx(width)
