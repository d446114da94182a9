"""Colours: enough contrast for everybody, and nothing told by colour alone."""

import pytest

from mcnilib.show.picture.palette import (
    ARROWS,
    COLOURS,
    DARK,
    FAINT,
    INK,
    PAPER,
    QUIET_INK,
    ROLES,
    SURFACES,
    dark_rules,
    theme_rules,
)

FILLS = [PAPER, *(look.fill for kinds in (SURFACES, FAINT) for look in kinds.values())]


def luminance(colour: str) -> float:
    """Return the relative luminance of `#RRGGBB`, from 0 (black) to 1 (white). Source: WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, from 1 (same) to 21 (black on white). Source: WCAG 2.2."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        ("#000000", "#FFFFFF", 21.0),
        ("#FFFFFF", "#FFFFFF", 1.0),
        ("#767676", "#FFFFFF", 4.54),  # the lightest grey that passes for text, known from WCAG's own examples
    ],
)
def test_contrast_is_counted_as_wcag_does(one, other, ratio):
    assert contrast(one, other) == pytest.approx(ratio, abs=0.01)
    assert contrast(other, one) == contrast(one, other)


@pytest.mark.parametrize("fill", sorted(set(FILLS)))
@pytest.mark.parametrize("text", [INK, QUIET_INK])
def test_text_is_readable_on_every_area(text, fill):
    assert contrast(text, fill) >= 4.5


@pytest.mark.parametrize("name", ROLES)
def test_text_is_readable_on_every_mark(name):
    assert contrast(ROLES[name].text, ROLES[name].colour) >= 4.5


@pytest.mark.parametrize("name", ["drop", "rewrite", "delivered"])
@pytest.mark.parametrize("fill", sorted({PAPER, SURFACES["host"].fill}))
def test_headings_in_the_colour_of_a_role_are_readable(name, fill):
    assert contrast(ROLES[name].colour, fill) >= 4.5


@pytest.mark.parametrize("name", ROLES)
def test_lines_and_marks_stand_out_from_every_area(name):
    """A line too light for the sheet has a dark outline; WCAG asks 3 to 1 of graphics."""
    role = ROLES[name]
    for fill in FILLS:
        assert max(contrast(role.colour, fill), contrast(role.outline or role.colour, fill)) >= 3


@pytest.mark.parametrize("kind", SURFACES)
def test_boxes_that_take_part_have_a_visible_edge(kind):
    look = SURFACES[kind]
    if kind not in ("machine", "segment"):  # those only group; their meaning is in their names
        assert contrast(look.edge, look.fill) >= 3


def test_arrows_differ_by_more_than_colour():
    assert len({ROLES[name].dash for name in ARROWS}) == len(ARROWS)


def test_every_mark_has_a_word_and_a_glyph_of_its_own():
    marks = [ROLES[name] for name in ("drop", "delivered", "rewrite", "tunnel")]
    assert len({role.glyph for role in marks}) == len({role.word for role in marks}) == len(marks)


def test_the_dark_colours_are_those_of_every_name_that_a_picture_uses():
    assert DARK.keys() == COLOURS.keys()
    assert all(f".f-{name} {{ fill: {DARK[name]}; }}" in dark_rules() for name in COLOURS)


def test_a_notebook_s_picture_is_dark_where_its_theme_is_or_the_reader_s_and_light_on_paper():
    lab, own = theme_rules().split("@media screen and (prefers-color-scheme: dark)")
    assert lab.startswith('@media screen {\n[data-jp-theme-light="false"] {')
    assert own.startswith(" {\nbody:not([data-jp-theme-light]) {")
    assert dark_rules() in lab
    assert dark_rules() in own


DARK_FILLS = sorted({DARK[name] for name in DARK if name.endswith("-fill")} | {DARK["paper"]})


@pytest.mark.parametrize("fill", DARK_FILLS)
def test_text_and_lines_are_seen_on_every_dark_area(fill):
    assert all(contrast(DARK[text], fill) >= 4.5 for text in ("ink", "quiet", "drop", "rewrite", "delivered"))
    assert all(contrast(DARK[line], fill) >= 3 for line in (*ROLES, "cable"))


@pytest.mark.parametrize("name", ROLES)
def test_text_is_readable_on_every_dark_mark(name):
    assert contrast(DARK[f"{name}-text"], DARK[name]) >= 4.5


@pytest.mark.parametrize("kind", ["host", "pod", "nic"])
def test_dark_boxes_have_a_visible_edge(kind):
    assert contrast(DARK[f"{kind}-edge"], DARK[f"{kind}-fill"]) >= 3
