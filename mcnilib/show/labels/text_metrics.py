"""How wide a text will be, and how to make it fit: measured in the font of the pictures, without drawing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.resources import files
from unicodedata import category, east_asian_width

LINE_HEIGHT = 1.3
"""Distance of two lines of text, in font sizes."""

ELLIPSIS = "…"

ADVANCES = "dejavu_sans.json"
"""The table of advance widths; `mcni record letters` makes it."""

_BLOCKS = (range(0x20, 0x7F), range(0xA0, 0x530), range(0x2000, 0x2800))
"""Latin, Greek and Cyrillic letters; punctuation, arrows, mathematical signs, symbols."""


@lru_cache(maxsize=4096)
def text_width(text: str, size: float = 11.0, bold: bool = False) -> float:
    """Return the width of one line of text in pixels. Source: the advance widths of DejaVu Sans."""
    return sum(_advance(letter, bold) for letter in text) * size


@cache
def _advance(letter: str, bold: bool) -> float:
    """Return a letter's advance in font sizes; 0.6, or 1 for a wide one, when the font's table does not have it."""
    wide = 1.0 if east_asian_width(letter) in "WF" else 0.6
    return _advances(bold).get(letter, wide)


@cache
def _advances(bold: bool) -> dict[str, float]:
    """Read the table of the font: advances in its own units, each with the letters that have it."""
    table = json.loads(files(__package__).joinpath(ADVANCES).read_text(encoding="utf-8"))
    letters = table["bold" if bold else "regular"]
    return {letter: int(units) / table["units_per_em"] for units, text in letters.items() for letter in text}


def advance_table() -> str:
    """Measure the letters of DejaVu Sans as matplotlib ships it, and return the table to be kept beside this module.

    It holds the letters of European languages, arrows, signs and symbols. Only for `mcni record`: needs matplotlib.
    """
    from matplotlib.font_manager import FontProperties, findfont
    from matplotlib.ft2font import FT2Font, LoadFlags

    def measured(weight: str) -> dict[str, str]:
        font = FT2Font(findfont(FontProperties(family="DejaVu Sans", weight=weight)))
        by_advance: dict[int, str] = {}
        for code in sorted(code for code in font.get_charmap() if any(code in block for block in _BLOCKS)):
            if category(chr(code))[0] in "MC":
                continue  # joins the letter before it, or steers how it is set
            advance = font.load_char(code, flags=LoadFlags.NO_SCALE).horiAdvance
            by_advance[advance] = by_advance.get(advance, "") + chr(code)
        return {str(advance): letters for advance, letters in sorted(by_advance.items())}

    table = {"font": "DejaVu Sans", "units_per_em": 2048, "regular": measured("normal"), "bold": measured("bold")}
    return json.dumps(table, ensure_ascii=False, indent=0) + "\n"


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
