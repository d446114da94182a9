"""The painted picture: real text, words for screen readers, the same bytes every time, and soon enough after a click."""

from __future__ import annotations

import re
import struct
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from show_examples import EXAMPLES

from mcnilib.scenarios import scenario
from mcnilib.show.picture import svg
from mcnilib.show.picture.drawing import lay_out
from mcnilib.show.picture.files import PictureError, save_picture
from mcnilib.show.picture.paint import to_png
from mcnilib.show.picture.palette import FONTS, PAPER

SVG = "{http://www.w3.org/2000/svg}"


def picture(name: str = "hangs", **how: object) -> str:
    return svg.to_svg(lay_out(*EXAMPLES[name]), **how)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_picture_is_one_well_formed_element(name):
    root = ElementTree.fromstring(picture(name))
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"


def test_a_screen_reader_hears_the_outcome_and_every_hop():
    root = ElementTree.fromstring(picture(uid="one"))
    assert (root.get("aria-labelledby"), root.get("aria-describedby")) == ("one-title", "one-desc")
    title, desc = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert (title.get("id"), desc.get("id")) == ("one-title", "one-desc")
    assert title.text.startswith("connect succeeds, then hangs")
    assert "3 ACK" in desc.text


@pytest.mark.parametrize("name", EXAMPLES)
def test_words_are_text_and_large_enough(name):
    sizes = [float(size) for size in re.findall(r'font-size="([\d.]+)px"', picture(name))]
    assert sizes
    assert min(sizes) >= 11
    assert len(re.findall(r"<text", picture(name))) == len(sizes)


def test_every_font_has_fallbacks():
    text = picture()
    names = [f"'{name}'" if " " in name else name for name in FONTS]
    assert f'font-family="{", ".join(names)}"' in text
    assert text.count("font-family") == 1  # none of its own that would win over these


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_only_ids_are_those_of_title_and_description(name):
    """Several pictures stand on one page: whatever else had an id, or referred to one, would need a prefix too."""
    text = picture(name, uid="one")
    assert re.findall(r' id="([^"]+)"', text) == ["one-title", "one-desc"]
    assert not re.search(r'href="|url\(', text)


def test_the_same_picture_has_the_same_bytes():
    first = picture("rewritten")
    for kept in (svg._background, svg._story, svg._devices):
        kept.cache_clear()
    assert picture("rewritten") == first


def test_the_picture_brings_its_own_light_sheet_for_dark_themes():
    assert f'fill="{PAPER}"' in picture().split("<g ")[0]


@pytest.mark.parametrize(("scale", "width"), [(1.0, "864"), (1.5, "1296")])
def test_a_teacher_can_enlarge_it(scale, width):
    root = ElementTree.fromstring(picture(scale=scale))
    assert root.get("width") == width
    assert root.get("viewBox").split()[2] == "864"


def test_it_fits_the_window_and_its_letters_are_never_smaller_than_at_natural_size():
    root = ElementTree.fromstring(picture(scale=1.5))
    _, _, width, height = map(float, root.get("viewBox").split())
    bounds = f"min(100%,var(--mcni-widest,{width * 1.5:g}px),(100vh - var(--mcni-beside,60px))*{width / height:.4f})"
    assert root.get("style") == f"width:max({width:g}px,{bounds});height:auto"


def test_no_style_of_the_picture_touches_the_page_around_it():
    assert "<style" not in picture()


def test_a_viewer_without_a_kernel_gets_an_opaque_png():
    data = to_png(lay_out(*EXAMPLES["hangs"]))
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24])[0] == 1728
    assert data == to_png(lay_out(*EXAMPLES["hangs"]))


@pytest.mark.parametrize(("ending", "starts"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_pictures_are_written_to_files(tmp_path, ending, starts):
    path = tmp_path / f"path.{ending}"
    save_picture(path, *EXAMPLES["hangs"])
    assert path.read_bytes().startswith(starts)


def test_an_ending_that_cannot_be_written_is_refused():
    with pytest.raises(PictureError, match=r"'.gif'.*\.svg, \.png, \.pdf"):
        save_picture(Path("path.gif"), *EXAMPLES["hangs"])


@pytest.fixture
def flagship():
    story = scenario("7")
    return story.world(story.start()), story.run(story.start())


def test_laying_out_the_flagship(benchmark, flagship):
    lay_out(*flagship)  # the places are remembered per plan
    assert benchmark(lay_out, *flagship).arrows


def test_painting_what_changes_with_a_click(benchmark, flagship):
    """The layer that is painted for every new run; 20 ms leave most of the 100 ms to the kernel and the browser."""
    drawing = lay_out(*flagship)

    def paint() -> str:
        svg._story.cache_clear()
        return svg.to_svg(drawing)

    assert benchmark(paint).startswith("<svg")
