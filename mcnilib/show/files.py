"""Pictures as files: SVG, PNG or PDF by the name's ending."""

from __future__ import annotations

from pathlib import Path

import matplotlib

from mcnilib.errors import McniError
from mcnilib.linux.world import World
from mcnilib.show.drawing import lay_out
from mcnilib.show.paint import new_figure, paint
from mcnilib.show.plan import Plan
from mcnilib.show.svg import to_png, to_svg
from mcnilib.trace.trace import Trace

ENDINGS = (".svg", ".png", ".pdf")


class PictureError(McniError, ValueError):
    """A picture format that cannot be written; the message names those that can."""


def save_picture(path: Path, world: World, trace: Trace, plan: Plan | None = None) -> None:
    """Write the picture of a conversation to a file; the ending of its name chooses the format.

    Raises: PictureError for another ending; OSError when the file cannot be written.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise PictureError(
            f"cannot write a picture as {ending or path.name!r}; the name must end in {', '.join(ENDINGS)}"
        )
    drawing = lay_out(world, trace, plan)
    if ending == ".svg":
        path.write_text(f'<?xml version="1.0" encoding="utf-8"?>\n{to_svg(drawing)}\n', encoding="utf-8")
    elif ending == ".png":
        path.write_bytes(to_png(drawing))
    else:
        figure = new_figure(drawing.width, drawing.height)
        paint(figure, drawing)
        with matplotlib.rc_context({"pdf.fonttype": 42}):
            figure.savefig(path, format="pdf", metadata={"CreationDate": None, "Title": drawing.title})
