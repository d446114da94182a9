"""Widgets derived from the settings: the control of one setting, and of several together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import ipywidgets as widgets

from mcnilib.cluster.settings import Option, Settings
from mcnilib.language import keeping, tr
from mcnilib.show.html.markup import error_boundary

WIDE = {"description_width": "initial"}


class Controls(widgets.VBox):  # type: ignore[misc]
    """Some toggles; `changed` is told the settings after every change by the reader."""

    def __init__(
        self,
        toggles: Sequence[Option],
        settings: Settings,
        changed: Callable[[Settings], None],
        show_error: Callable[[Exception], None],
        folded: Collection[str] = (),
        others: Sequence[Any] = (),
    ) -> None:
        """Build a control for each toggle, as a story's `options()` are; `show_error` is told what went wrong.

        Those that are `folded` (attributes) are shown when they are asked for, or do not stand as they usually do.
        `others` are widgets that come after them.
        """
        self.settings, self._changed, self._taking, self.show_error = settings, changed, False, show_error
        self._folded = [toggle for toggle in toggles if toggle.attribute in folded]
        self.of = {o.attribute: control(o, getattr(settings, o.attribute)) for o in toggles}
        for name, widget in self.of.items():
            widget.observe(keeping(lambda change, name=name: self._set(name, change["new"])), names="value")
        self.more = widgets.ToggleButton(
            description=tr("more settings ({count})", count=len(folded)), layout={"width": "auto"}
        )
        self.more.add_class("mcni-more")
        self.more.observe(keeping(lambda change: self._fold()), names="value")
        shown = [widget for name, widget in self.of.items() if name not in folded]
        self.rest = _row([self.of[toggle.attribute] for toggle in self._folded])
        super().__init__([_row([*shown, *([self.more] if folded else []), *others]), self.rest])
        self.add_class("mcni-settings")
        self._unfold()
        self._fold()

    def _unfold(self) -> None:
        """Show the folded ones if one of them does not stand as it usually does."""
        self.more.value |= any(getattr(self.settings, o.attribute) != o.default for o in self._folded)

    def _fold(self) -> None:
        self.rest.layout.display = None if self.more.value else "none"

    def take(self, settings: Settings) -> None:
        """Set all toggles at once."""
        self._taking = True
        try:
            for name, widget in self.of.items():
                widget.value = getattr(settings, name)
        finally:
            self._taking = False
        self.settings = settings
        self._unfold()
        self._changed(settings)

    @error_boundary
    def _set(self, name: str, value: object) -> None:
        if not self._taking:
            self.settings = self.settings.but(**{name: value})
            self._changed(self.settings)


def _row(controls: Sequence[Any]) -> Any:
    layout = widgets.Layout(flex_flow="row wrap", align_items="flex-end", grid_gap="6px 12px")
    return widgets.Box(controls, layout=layout)


def control(option: Option, value: object) -> Any:
    """Build the widget of one setting: buttons for two or three short values, a list for more."""
    choices = list(zip(map(tr, option.texts), option.values, strict=True))
    kind = widgets.ToggleButtons if option.fits_buttons else widgets.Dropdown
    made = kind(options=choices, value=value, description=tr(option.label), tooltip=tr(option.help), style=dict(WIDE))
    if option.fits_buttons:
        made.style.button_width = "auto"
        made.tooltips = [
            tr("{setting}: {value}. {help}", setting=tr(option.label), value=tr(text), help=tr(option.help))
            for text in option.texts
        ]
    made.layout.width = "auto"
    return made
