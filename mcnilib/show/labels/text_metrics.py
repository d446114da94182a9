"""How wide a text will be, and how to make it fit: measured in the font of the pictures, without drawing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.ft2font import FT2Font


LINE_HEIGHT = 1.3
"""Distance of two lines of text, in font sizes."""

ELLIPSIS = "…"


@lru_cache(maxsize=4096)
def text_width(text: str, size: float = 11.0, bold: bool = False) -> float:
    """Return the width of one line of text in pixels. Source: the advance widths of DejaVu Sans."""
    return sum(_advance(letter, bold) for letter in text) * size


@cache
def _advance(letter: str, bold: bool) -> float:
    """Return a letter's advance in font sizes."""
    from matplotlib.ft2font import LoadFlags

    try:
        return float(_font(bold).load_char(ord(letter), flags=LoadFlags.NO_HINTING).horiAdvance) / 64 / 1000
    except (RuntimeError, OverflowError):  # a control character: the font has nothing to draw
        return 0.6


@cache
def _font(bold: bool) -> FT2Font:
    """Open the font for ourselves: the one matplotlib keeps changes its size with every text it draws."""
    from matplotlib.font_manager import FontProperties, findfont
    from matplotlib.ft2font import FT2Font

    font = FT2Font(findfont(FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")))
    font.set_size(1000, 72)
    return font


def ellipsize(text: str, limit: float, size: float = 11.0, bold: bool = False) -> str:
    """Cut a text so that it is at most `limit` pixels wide, the cut marked by an ellipsis."""
    if text_width(text, size, bold) <= limit:
        return text
    while text and text_width(text + ELLIPSIS, size, bold) > limit:
        text = text[:-1]
    return text.rstrip() + ELLIPSIS


def fit_word(word: str, limit: float, size: float = 11.0, bold: bool = False) -> str:
    """Shorten one word; a dotted name loses its beginning, because it says more at its end."""
    rest = word
    while text_width(rest, size, bold) > limit - 12 and "." in rest:
        rest = rest.split(".", 1)[1]
    whole = rest == word or text_width(word, size, bold) <= limit
    return ellipsize(word if whole else f"{ELLIPSIS}{rest}", limit, size, bold)


def wrap(text: str, limit: float, size: float = 11.0, bold: bool = False) -> tuple[str, ...]:
    """Break a text at its spaces into lines of at most `limit` pixels; a word that is too long is made to fit."""
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(joined, size, bold) <= limit:
            lines[-1] = joined
        else:
            lines.append(fit_word(word, limit, size, bold))
    return tuple(lines)


FONT_SIZE, LABEL_PAD = 11.0, 6.0


def label_size(lines: Sequence[str], *, margin: float = 5.0) -> tuple[float, float]:
    """Return the width and height of a note with these lines, the first of them bold; `margin` is above and below."""
    widths = [text_width(line, FONT_SIZE, bold=i == 0) for i, line in enumerate(lines)]
    return max(widths, default=0.0) * 1.02 + 2 * LABEL_PAD, len(lines) * FONT_SIZE * LINE_HEIGHT + 2 * (margin - 1)
