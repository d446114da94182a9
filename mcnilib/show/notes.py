"""The words of a note: how large they are, and where they may stand."""

from __future__ import annotations

from collections.abc import Sequence

from mcnilib.show.lettering import LINE_HEIGHT, width

SIZE, PAD = 11.0, 6.0


def size_of(lines: Sequence[str], *, margin: float = 5.0) -> tuple[float, float]:
    """Return the width and height of a note with these lines, the first of them bold; `margin` is above and below."""
    widths = [width(line, SIZE, bold=i == 0) for i, line in enumerate(lines)]
    return max(widths, default=0.0) * 1.02 + 2 * PAD, len(lines) * SIZE * LINE_HEIGHT + 2 * (margin - 1)
