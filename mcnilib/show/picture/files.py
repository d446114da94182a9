"""A picture as a file: the ending of its name chooses the format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mcnilib.errors import McniError
from mcnilib.language import tr
from mcnilib.show.layout.plan import Plan
from mcnilib.show.picture.drawing import Drawing, lay_out
from mcnilib.show.picture.svg import to_svg
from mcnilib.trace.trace import Trace
from mcnilib.world.world import World
from mcnilib.writing import write_file


class PictureError(McniError, ValueError):
    """A picture format that cannot be written; the message names those that can."""


def save_picture(path: Path, world: World, trace: Trace, plan: Plan | None = None) -> None:
    """Write the picture of a conversation to a file; the ending of its name chooses the format.

    Raises: PictureError for another ending; WriteError when the file cannot be written.
    """
    ending = path.suffix.lower()
    if ending not in _DRAWN:
        raise PictureError(
            tr(
                "cannot write a picture as {ending!r}; the name must end in {endings}",
                ending=ending or path.name,
                endings=", ".join(_DRAWN),
            )
        )
    write_file(path, picture_data(ending, world, trace, plan))


def picture_data(ending: str, world: World, trace: Trace, plan: Plan | None = None) -> str | bytes:
    """Return what a file with such an ending, one of `ENDINGS`, holds of the picture of a conversation."""
    return _DRAWN[ending](lay_out(world, trace, plan))


def _svg(drawing: Drawing) -> str:
    return f'<?xml version="1.0" encoding="utf-8"?>\n{to_svg(drawing)}\n'


def png_data(drawing: Drawing) -> bytes:
    """Return a drawing as PNG. Raises: ModuleNotFoundError without matplotlib, as in a browser."""
    from mcnilib.show.picture.paint import to_png  # takes most of the time

    return to_png(drawing)


def pair_data(pictures: Sequence[tuple[str, Drawing]]) -> bytes:
    """Return drawings beside each other, each below its name, as one PNG. Raises: ModuleNotFoundError, as above."""
    from mcnilib.show.picture.paint import pair_png  # takes most of the time

    return pair_png(pictures)


def _pdf(drawing: Drawing) -> bytes:
    from mcnilib.show.picture.paint import to_pdf  # takes most of the time

    return to_pdf(drawing)


_DRAWN: dict[str, Callable[[Drawing], str | bytes]] = {".svg": _svg, ".png": png_data, ".pdf": _pdf}

ENDINGS = tuple(_DRAWN)
