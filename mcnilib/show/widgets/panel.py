"""The panel of a scenario: settings that can be changed, and the conversation under them.

Everything shown is the value of an HTML widget; nothing is printed, so a notebook's outputs stay the same in every run.

The link of what a panel shows: to be copied, or to be pasted and followed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets

from mcnilib.cluster.settings import Settings
from mcnilib.errors import McniError, error_text
from mcnilib.language import current_language, in_own_language, keeping, spoken, tr
from mcnilib.progress import watched
from mcnilib.repair.advice import Advice, Passing, RepairReport, advise
from mcnilib.repair.case import ScenarioCase
from mcnilib.repair.report import how_many_help
from mcnilib.scenarios.link import BINDER, link_language, parse_link, print_link
from mcnilib.scenarios.scenario import Scenario, neighbours
from mcnilib.show.html.markup import Bundle, block, error_boundary, error_html, status
from mcnilib.show.html.outcome import Remark, no_remark, reasons_html
from mcnilib.show.picture.story_picture import EVERYTHING, picture_of
from mcnilib.show.repairs import advice_html, watched_attempts
from mcnilib.show.widgets.controls import Controls
from mcnilib.show.widgets.frame import PanelFrame
from mcnilib.show.widgets.trace_view import TraceView, Viewed


class PageAddress(anywidget.AnyWidget):
    """A button that copies `link`, and what the page says about itself.

    `value` becomes what followed the question mark when the page was opened, if it holds a state; JupyterLab takes it
    out of the address bar, the browser remembers it. `base` becomes the address of this notebook's folder, where
    others can open it too.
    """

    _esm = Path(__file__).with_name("link.js")
    value = traitlets.Unicode("").tag(sync=True)
    base = traitlets.Unicode("").tag(sync=True)
    link = traitlets.Unicode("").tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
    said = traitlets.Unicode().tag(sync=True)


class Permalink(widgets.HBox):  # type: ignore[misc]
    """A field with the link of the settings shown; `take` is told the settings of a link that somebody puts there.

    A page opened with such a link takes its state by itself, and its language: `speak` is told that. A link that is
    pasted comes from somebody else, whose language it may be, and changes the state alone.
    """

    def __init__(self, story: Scenario, take: Callable[[Settings], None], speak: Callable[[str], None]) -> None:
        """Wait for `show`."""
        self._story, self._take, self._speak, self._shown = story, take, speak, ""
        self._settings: Settings | None = None
        self.link = _field()
        self.link.observe(keeping(lambda change: self._pasted(change["new"])), names="value")
        self.address = PageAddress(label=tr("copy link"), said=tr("copied"))
        self.address.observe(keeping(lambda change: self._opened(change["new"])), names="value")
        self.address.observe(keeping(lambda change: self._moved()), names="base")
        self.remark = widgets.HTML()
        layout = widgets.Layout(align_items="center", flex_flow="row wrap", grid_gap="4px")
        super().__init__([self.link, self.address, self.remark], layout=layout)
        self.add_class("mcni-share")

    def show(self, settings: Settings) -> None:
        """Print the link of these settings, on the server the page comes from."""
        link = print_link(self._story, settings, self.address.base or BINDER)
        if link != self._shown:
            self._say("")
        self._settings = settings
        self._shown = self.link.value = self.address.link = link

    def show_error(self, problem: Exception) -> None:
        """Say what is wrong beside the field."""
        self._say(error_text(problem))

    @error_boundary
    def _pasted(self, text: str) -> None:
        if text != self._shown:
            self._say(self._follow(text.strip()))

    @error_boundary
    def _moved(self) -> None:
        """Print the link anew: now it is known which server the page comes from."""
        if self._settings:
            self.show(self._settings)

    @error_boundary
    def _opened(self, text: str) -> None:
        try:
            mine, language = parse_link(text)[0] == self._story, link_language(text)
        except McniError as error:
            return self._say(tr("the link that opened this page: {problem}", problem=error))
        if mine:  # otherwise it is meant for another panel of the page
            self._say(self._follow(text))
            if language and language != current_language():
                self._speak(language)

    def _follow(self, text: str) -> str:
        """Take the state of a link and return what to say about it."""
        try:
            story, settings = parse_link(text)
        except McniError as error:
            return str(error)
        if story != self._story:
            return tr(
                "this link shows scenario {story}: open {notebook}",
                story=story.name,
                notebook=story.notebook or "`mcni run`",
            )
        self._take(settings)
        self.show(settings)
        return tr("this is the state of the link")

    def _say(self, text: str) -> None:
        self.remark.value = status(text, tag="span")


def _field() -> Any:
    return widgets.Text(
        description=tr("link to this state; paste another one to open it"),
        tooltip=tr("Copy this link to share the state; paste another link here to open its state"),
        continuous_update=False,
        style={"description_width": "initial"},
        layout=widgets.Layout(width="60em", max_width="100%"),
    )


class RepairBox(widgets.VBox):  # type: ignore[misc]
    """What would make the conversation of a panel work: `find` searches it, `take` is told which change a click chose,
    among those that are `offered`; `verb` says what it does."""

    def __init__(
        self,
        find: Callable[[Passing], RepairReport],
        take: Callable[[Advice], None],
        offered: Callable[[Advice], bool],
        verb: str,
    ) -> None:
        """Wait for a click."""
        self._find, self._take, self._offered, self._verb = find, take, offered, verb
        self._question: object = None
        tip = tr("Try every change on the model, and list what makes the conversation work, and what it breaks")
        self.button = widgets.Button(description=tr("What would help?"), tooltip=tip, layout={"width": "auto"})
        self.button.on_click(keeping(lambda _: self.search()))
        self.bar = widgets.FloatProgress(max=1.0, layout={"display": "none"})
        self.said = widgets.HTML()
        self.list = widgets.VBox()
        super().__init__([self.button, self.bar, self.said, self.list])

    def show(self, question: object) -> None:
        """Forget what was found for another question."""
        if question != self._question:
            self._question, self.said.value, self.list.children = question, "", ()

    @error_boundary
    def search(self) -> None:
        """Search, and list what helps; the bar says meanwhile how far it is."""
        self.said.value = status(tr("Trying every change on the model …"))
        self.bar.layout.display = None
        try:
            with watched(self._tell):
                report = self._find(watched_attempts)
        finally:
            self.bar.layout.display = "none"
        self.list.children = [self._entry(number, report) for number in range(len(report.advice))]
        self.said.value = status(how_many_help(report))

    def _tell(self, share: float) -> None:
        self.bar.value = round(share, 2)

    def _entry(self, number: int, report: RepairReport) -> Any:
        advice = report.advice[number]
        shown = widgets.HTML(block(advice_html(number, report)))
        return widgets.VBox([shown, *([self._chosen_by(advice)] if self._offered(advice) else [])])

    def _chosen_by(self, advice: Advice) -> Any:
        tip = tr("{action}: {change}", action=self._verb, change=advice.title)
        button = widgets.Button(description=self._verb, tooltip=tip, layout={"width": "auto"})
        button.on_click(keeping(lambda _: self._take(advice)))
        return button

    def show_error(self, problem: Exception) -> None:
        """Say what is wrong."""
        self.said.value = error_html(problem)


def _switch(everything: bool) -> Any:
    """Return the switch that shows what is left out of the picture."""
    layout = widgets.Layout(width="auto")
    return widgets.Checkbox(value=everything, description=tr(EVERYTHING), indent=False, layout=layout)


class Panel(PanelFrame):
    """A scenario under settings that can be changed, and a conversation that can be walked through."""

    def __init__(
        self,
        story: Scenario,
        settings: Settings,
        scale: float = 1.0,
        remark: Remark = no_remark,
        *,
        everything: bool = False,
        painter: str = "svg",
    ) -> None:
        """Build the controls and show the first run; `remark` adds a few words to its reasons.

        `everything` begins with a picture of what plays no part, too; `painter` is svg or matplotlib.
        """
        self.story, self.settings, self._remark, self._look = story, settings, remark, (scale, painter)
        super().__init__(self._parts(everything), scale)
        self._show(wait=False)

    def _parts(self, everything: bool) -> list[Any]:
        """Make what the panel is made of, in the language of now."""
        story = self.story
        self.everything = _switch(everything)
        self.everything.observe(keeping(lambda change: self._show()), names="value")
        toggles = Controls(
            story.options(), self.settings, self._change, self.show_error, story.folded, others=[self.everything]
        )
        self.controls = toggles.of
        self.view = TraceView(*self._look)
        self.permalink = Permalink(story, toggles.take, self._say_anew)
        self.repairs = RepairBox(
            lambda passing: advise(ScenarioCase(story, self.settings), story.run(self.settings), passing),
            lambda advice: toggles.take(self.settings.but(**dict(advice.remedy.repair.settings))),
            lambda advice: advice.applies,
            tr("Apply"),
        )
        return [toggles, self.view, self.repairs, self.permalink]

    def _say_anew(self, language: str) -> None:
        """Show the same in another language."""
        with spoken(language):
            self.put(self._parts(self.everything.value))
            self._show(wait=False)

    def _change(self, settings: Settings) -> None:
        self.settings = settings
        self._show()

    @error_boundary
    def _show(self, *, wait: bool = True) -> None:
        """Show the run of the current settings, and prepare what one click may bring."""
        story, settings, everything = self.story, self.settings, self.everything.value
        viewed = Viewed(
            story.world(settings),
            story.run(settings),
            lambda trace, at: picture_of(story, settings, at, everything=everything),
            reasons=partial(reasons_html, story, settings, self._remark),
            likely=(picture_of(story, near, everything=everything) for near in neighbours(story, settings)),
        )
        self.view.show(viewed, wait=wait)
        self.repairs.show(settings)
        self.permalink.show(settings)

    def show_error(self, problem: Exception) -> None:
        """Say what is wrong, and show nothing else: it would tell of other settings."""
        self.view.show_error(problem)

    @in_own_language
    def _repr_mimebundle_(self, **kwargs: Any) -> Bundle:
        return self.view.fallback(super()._repr_mimebundle_(**kwargs))
