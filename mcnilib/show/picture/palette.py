"""Colours, dashes, glyphs and words: one role per meaning, never told by colour alone.

The hues are those of Okabe and Ito, distinguishable with every common kind of colour blindness. Contrast follows WCAG
2.2: text 4.5 to 1, lines and glyphs 3 to 1. Pictures stand on an opaque sheet, light on paper and in files, dark where
the page around them is.
Source: https://jfly.uni-koeln.de/color/, https://www.w3.org/TR/WCAG22/#contrast-minimum.
"""

from __future__ import annotations

from dataclasses import dataclass

from mcnilib.language import mark
from mcnilib.trace.trace import Outcome, Verdict

PAPER, INK, QUIET_INK = "#FFFFFF", "#1B1F24", "#5C6570"
"""The sheet, text, and text that only names things."""

FONTS = ("DejaVu Sans", "Bitstream Vera Sans", "Verdana", "sans-serif")
"""Fonts by preference; the first is the one positions are computed with, the others are as wide or narrower."""


@dataclass(frozen=True, slots=True)
class Role:
    """How one meaning is drawn.

    `outline` surrounds a line whose own colour is too light; `word` and `glyph` say it without colour.
    """

    colour: str
    word: str
    outline: str = ""
    dash: tuple[float, ...] = ()
    glyph: str = ""
    text: str = PAPER  # text on a filling of this colour


ROLES = {
    "request": Role("#0072B2", mark("request")),
    "reply": Role("#E69F00", mark("reply"), outline="#7A5200", dash=(6.0, 3.5), text=INK),
    "error": Role("#1B1F24", mark("error"), dash=(9.0, 3.0, 2.5, 3.0)),
    "drop": Role("#B84E00", mark("lost here"), glyph="✗"),
    "delivered": Role("#00795A", mark("works"), glyph="✓"),
    "depends": Role("#6A5400", mark("it depends"), glyph="◐"),
    "rewrite": Role("#8F4A77", mark("rewritten"), glyph="⇄"),
    "tunnel": Role("#4B5563", mark("packed"), glyph="⊐"),
}
"""request, reply and error (ICMP errors, resets) are lines, the others are marks.

Vermilion, green and purple are darkened until white text is readable on them.
"""

ARROWS = ("request", "reply", "error")
"""The roles that are lines."""


@dataclass(frozen=True, slots=True)
class Surface:
    """How an area is drawn: its filling, its edge, the width of the edge in pixels, and text on it."""

    fill: str
    edge: str
    width: float
    text: str = INK


SURFACES = {
    "machine": Surface("#F3F5F8", "#B9C1CB", 1.0),
    "host": Surface(PAPER, "#4B5563", 1.3),
    "pod": Surface(PAPER, "#4B5563", 1.3),
    "nic": Surface("#E7ECF2", "#4B5563", 1.0),
    "segment": Surface("#DDE3EA", "#B9C1CB", 0.8),
}
"""Areas that take part in the conversation."""

FAINT = {
    "machine": Surface("#F8F9FA", "#D9DEE4", 0.8, QUIET_INK),
    "host": Surface("#FCFCFD", "#CCD3DA", 0.8, QUIET_INK),
    "pod": Surface("#FCFCFD", "#CCD3DA", 0.8, QUIET_INK),
    "nic": Surface("#F8F9FA", "#D9DEE4", 0.8, QUIET_INK),
    "segment": Surface("#EEF1F4", "#D9DEE4", 0.8, QUIET_INK),
}
"""The same areas when nothing of the conversation touches them."""


COLOURS = {
    "paper": PAPER,
    "ink": INK,
    "quiet": QUIET_INK,
    "cable": "#8A94A0",
    "cable-faint": "#CCD3DA",
    "tunnel-inside": "#F1E9D8",
    "trail": "#F0E442",
    **{name: role.colour for name, role in ROLES.items()},
    **{f"{name}-outline": role.outline for name, role in ROLES.items() if role.outline},
    **{f"{name}-text": role.text for name, role in ROLES.items()},
    **{f"{kind}-fill": look.fill for kind, look in SURFACES.items()},
    **{f"{kind}-edge": look.edge for kind, look in SURFACES.items()},
    **{f"{kind}-faint-fill": look.fill for kind, look in FAINT.items()},
    **{f"{kind}-faint-edge": look.edge for kind, look in FAINT.items()},
}
"""Every colour of a picture by the name its shapes use."""


DARK = {
    "paper": "#14181D",
    "ink": "#E9EDF2",
    "quiet": "#A9B4C1",
    "cable": "#7F8B98",
    "cable-faint": "#3A434D",
    "tunnel-inside": "#3B3320",
    "trail": "#F0E442",
    "request": "#5FB8F0",
    "request-text": "#10141A",
    "reply": "#F0B030",
    "reply-outline": "#7A5200",
    "reply-text": "#10141A",
    "error": "#F2F5F8",
    "error-text": "#10141A",
    "drop": "#FF8F57",
    "drop-text": "#10141A",
    "delivered": "#41C99D",
    "delivered-text": "#10141A",
    "depends": "#E0C25A",
    "depends-text": "#10141A",
    "rewrite": "#E5A3CD",
    "rewrite-text": "#10141A",
    "tunnel": "#A9B4C2",
    "tunnel-text": "#10141A",
    "machine-fill": "#1B2129",
    "machine-edge": "#3A4450",
    "host-fill": "#20272F",
    "host-edge": "#8C97A4",
    "pod-fill": "#20272F",
    "pod-edge": "#8C97A4",
    "nic-fill": "#2B343F",
    "nic-edge": "#8C97A4",
    "segment-fill": "#2A323B",
    "segment-edge": "#3A4450",
    "machine-faint-fill": "#171C22",
    "machine-faint-edge": "#2C343D",
    "host-faint-fill": "#191E25",
    "host-faint-edge": "#343D47",
    "pod-faint-fill": "#191E25",
    "pod-faint-edge": "#343D47",
    "nic-faint-fill": "#1B2129",
    "nic-faint-edge": "#343D47",
    "segment-faint-fill": "#1C2229",
    "segment-faint-edge": "#2C343D",
}
"""The same names where the page around a picture is dark: the lightness is turned round, the hues stay."""


def dark_rules() -> str:
    """Return style rules that give the pictures of a page (`to_svg`) the dark colours."""
    return "\n".join(
        f".f-{name} {{ fill: {value}; }}\n.s-{name} {{ stroke: {value}; }}" for name, value in DARK.items()
    )


def theme_rules() -> str:
    """Return style rules that give pictures the dark colours where a notebook's theme is dark.

    That is JupyterLab's; elsewhere what the reader prefers. On paper they are light.
    """
    themed = f'[data-jp-theme-light="false"] {{\n{dark_rules()}\n}}'
    preferred = f"body:not([data-jp-theme-light]) {{\n{dark_rules()}\n}}"
    return f"@media screen {{\n{themed}\n}}\n@media screen and (prefers-color-scheme: dark) {{\n{preferred}\n}}"


def surface(kind: str, involved: bool) -> Surface:
    """Return how an area of a kind is drawn, strong when it takes part."""
    return (SURFACES if involved else FAINT)[kind]


def role_of(outcome: Outcome) -> Role:
    """Return how an outcome is drawn: works, lost, or a matter of chance."""
    depends = outcome.verdict is Verdict.DEPENDS
    return ROLES["depends" if depends else "delivered" if outcome.works else "drop"]
