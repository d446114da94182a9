"""The panel of a scenario: settings that can be changed, and the conversation under them.

Everything shown is the value of an HTML widget; nothing is printed, so a notebook's outputs stay the same in every run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import ipywidgets as widgets

from mcnilib.cluster.settings import Settings
from mcnilib.scenarios.scenario import Scenario, neighbours
from mcnilib.show.html.fallback import Bundle, error_boundary
from mcnilib.show.html.markup import Html, block, element, joined, sentence
from mcnilib.show.html.style import style_sheet
from mcnilib.show.picture.story_picture import picture_of
from mcnilib.show.widgets.controls import Controls
from mcnilib.show.widgets.permalink import Permalink
from mcnilib.show.widgets.trace_view import TraceView, Viewed
from mcnilib.trace.explain import because

Remark = Callable[[Scenario, Settings], str]
"""A few words about a run of a scenario under some settings."""


def no_remark(story: Scenario, settings: Settings) -> str:
    """Say nothing about a run."""
    return ""


class Panel(widgets.VBox):  # type: ignore[misc]
    """A scenario under settings that can be changed, and a conversation that can be walked through."""

    def __init__(self, story: Scenario, settings: Settings, scale: float = 1.0, remark: Remark = no_remark) -> None:
        """Build the controls and show the first run; `remark` adds a few words to its reasons."""
        self.story, self.settings, self._remark = story, settings, remark
        toggles = Controls(story.options(), settings, self._change)
        self.controls = toggles.of
        self.view = TraceView(scale)
        self.permalink = Permalink(story, toggles.take)
        super().__init__([widgets.HTML(style_sheet(scale)), toggles, self.view, self.permalink])
        self._show(wait=False)

    def _change(self, settings: Settings) -> None:
        self.settings = settings
        self._show()

    @error_boundary
    def _show(self, *, wait: bool = True) -> None:
        """Show the run of the current settings, and prepare what one click may bring."""
        story, settings = self.story, self.settings
        viewed = Viewed(
            story.world(settings),
            story.run(settings),
            lambda trace, at: picture_of(story, settings, at),
            reasons=partial(reasons_html, story, settings, self._remark),
            likely=(picture_of(story, following) for following in neighbours(story, settings)),
        )
        self.view.show(viewed, wait=wait)
        self.permalink.show(settings)

    def show_error(self, problem: Exception) -> None:
        """Say what is wrong, and show nothing else: it would tell of other settings."""
        self.view.show_error(problem)

    def _repr_mimebundle_(self, **kwargs: Any) -> Bundle:
        return self.view.fallback(super()._repr_mimebundle_(**kwargs))


def reasons_html(story: Scenario, settings: Settings, remark: Remark) -> Html:
    """Return why it ended so, a remark, and what the document says."""
    trace, claim, more = story.run(settings), story.claim(settings), remark(story, settings)
    reasons = [element("div", sentence(line)) for line in because(trace)]
    reasons += [element("div", element("i", more))] if more else []
    disagrees = claim.holds(trace.outcome.works) is False
    document = joined(
        f"The document — {claim.section}: {claim.says}.",
        joined(" ", element("b", "Linux disagrees.")) if disagrees else "",
    )
    return block(*reasons, element("div", document, class_="mcni-claim"))
