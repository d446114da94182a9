"""What every picture must keep, measured with the renderer that paints it."""

from __future__ import annotations

from itertools import combinations

from matplotlib.backends.backend_agg import FigureCanvasAgg

from mcnilib.show.layout.geometry import Rect, strokes
from mcnilib.show.layout.markers import text_rect
from mcnilib.show.picture.drawing import Drawing
from mcnilib.show.picture.paint import TextLine, new_figure, paint


def words(drawing: Drawing) -> list[tuple[str, float, Rect]]:
    """Return every line of text with its font size and the area it covers, in drawing units."""
    figure = new_figure(drawing.width, drawing.height)
    renderer = FigureCanvasAgg(figure).get_renderer()
    paint(figure, drawing)
    texts = [artist for artist in figure.get_children() if isinstance(artist, TextLine)]
    boxes = [(text, text.get_window_extent(renderer)) for text in texts]
    return [
        (t.get_text(), t.get_fontsize(), Rect(b.x0, drawing.height - b.y1, b.width, b.height))
        for t, b in boxes
        if t.get_text()
    ]


def flaws(drawing: Drawing) -> list[str]:
    """Name what is wrong: words on words, words under a note, words outside the sheet, words too small."""
    found = words(drawing)
    sheet = Rect(0, 0, drawing.width, drawing.height)
    wrong = [f"{text!r} is only {size} px" for text, size, _ in found if size < 11]
    wrong += [f"{text!r} is outside" for text, _, box in found if not box.inside(sheet)]
    pairs = ((a, b) for a, b in combinations(found, 2) if a[2].grow(-1).meets(b[2].grow(-1)))
    wrong += [f"{a[0]!r} is on {b[0]!r}" for a, b in pairs]
    for note in drawing.callouts:
        under = (text for text, _, box in found if note.rect.meets(box.grow(-1)) and text not in note.lines)
        wrong += [f"{text!r} is under the note {note.lines}" for text in under]
    return wrong + crossed_words(drawing)


def crossed_words(drawing: Drawing) -> list[str]:
    """Name words an arrow runs through; the names of small devices stand above the arrows."""
    labels = [*drawing.scene.labels, *drawing.labels]
    lines = [stroke for arrow in drawing.arrows for stroke in strokes(arrow.points, 3)]
    return [f"an arrow runs through {x.text!r}" for x in labels if any(text_rect(x).grow(-1.5).meets(s) for s in lines)]
