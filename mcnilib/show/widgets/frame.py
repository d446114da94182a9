"""What every panel has around it: the style sheet, the size of its texts, and what only the page itself can do."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets

from mcnilib.language import current_language
from mcnilib.show.html.style import scale_class, style_sheet


class PanelKeys(anywidget.AnyWidget):
    """Shows nothing; keeps keys pressed in its panel from JupyterLab, and tells screen readers names and states."""

    _esm = Path(__file__).with_name("panel.js")


class PanelFrame(widgets.VBox):  # type: ignore[misc]
    """A panel: parts below each other in the style of panels; `scale` enlarges this one and no other."""

    def __init__(self, parts: Iterable[Any], scale: float = 1.0) -> None:
        """Show the parts."""
        self._style, self._keys = widgets.HTML(style_sheet(scale)), PanelKeys()
        super().__init__()
        self.put(parts)
        self.add_class("mcni-panel").add_class(scale_class(scale))

    def put(self, parts: Iterable[Any]) -> None:
        """Show these parts, which speak the language of now."""
        self.language = current_language()
        self.children = [self._style, *parts, self._keys]
