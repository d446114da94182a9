"""Pictures as files: SVG, PNG or PDF by the name's ending."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import matplotlib

from mcnilib.errors import McniError
from mcnilib.show.drawing import Drawing, lay_out
from mcnilib.show.paint import new_figure, paint
from mcnilib.show.plan import Plan
from mcnilib.show.svg import to_png, to_svg
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
            f"cannot write a picture as {ending or path.name!r}; the name must end in {', '.join(_DRAWN)}"
        )
    write_file(path, _DRAWN[ending](lay_out(world, trace, plan)))


def _svg(drawing: Drawing) -> str:
    return f'<?xml version="1.0" encoding="utf-8"?>\n{to_svg(drawing)}\n'


def _pdf(drawing: Drawing) -> bytes:
    figure, out = new_figure(drawing.width, drawing.height), BytesIO()
    paint(figure, drawing)
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        figure.savefig(out, format="pdf", metadata={"CreationDate": None, "Title": drawing.title})
    return out.getvalue()


_DRAWN: dict[str, Callable[[Drawing], str | bytes]] = {".svg": _svg, ".png": to_png, ".pdf": _pdf}
ENDINGS = tuple(_DRAWN)
