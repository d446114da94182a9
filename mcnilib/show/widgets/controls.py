"""Widgets derived from the settings: the control of one setting, and of several together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import ipywidgets as widgets

from mcnilib.cluster.settings import Option, Settings
from mcnilib.show.html.markup import error_boundary

WIDE = {"description_width": "initial"}


class Controls(widgets.Box):  # type: ignore[misc]
    """Some toggles; `changed` is told the settings after every change by the reader."""

    def __init__(
        self,
        toggles: Iterable[Option],
        settings: Settings,
        changed: Callable[[Settings], None],
        show_error: Callable[[Exception], None],
    ) -> None:
        """Build a control for each toggle, as a story's `options()` are; `show_error` is told what went wrong."""
        self.settings, self._changed, self._taking, self.show_error = settings, changed, False, show_error
        self.of = {o.attribute: control(o, getattr(settings, o.attribute)) for o in toggles}
        for name, widget in self.of.items():
            widget.observe(lambda change, name=name: self._set(name, change["new"]), names="value")
        layout = widgets.Layout(flex_flow="row wrap", align_items="flex-end", grid_gap="6px 18px")
        super().__init__(list(self.of.values()), layout=layout)
        self.add_class("mcni-settings")

    def take(self, settings: Settings) -> None:
        """Set all toggles at once."""
        self._taking = True
        try:
            for name, widget in self.of.items():
                widget.value = getattr(settings, name)
        finally:
            self._taking = False
        self.settings = settings
        self._changed(settings)

    @error_boundary
    def _set(self, name: str, value: object) -> None:
        if not self._taking:
            self.settings = self.settings.but(**{name: value})
            self._changed(self.settings)


def control(option: Option, value: object) -> Any:
    """Build the widget of one setting: buttons for two or three short values, a list for more."""
    choices = list(zip(option.texts, option.values, strict=True))
    kind = widgets.ToggleButtons if option.fits_buttons else widgets.Dropdown
    made = kind(options=choices, value=value, description=option.label, tooltip=option.help, style=dict(WIDE))
    if option.fits_buttons:
        made.style.button_width = "auto"
        made.tooltips = [f"{option.label}: {text}. {option.help}" for text in option.texts]
    made.layout.width = "auto"
    return made
