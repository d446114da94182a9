"""Widgets derived from the settings, and the panel that shows a scenario under them.

Pictures and tables are values of HTML widgets; nothing is printed. A run that was shown once is kept, and while the
reader looks, the runs one click away are prepared.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from html import escape
from typing import Any

import ipywidgets as widgets

from mcnilib.cluster.settings import Option, Settings
from mcnilib.scenarios.scenario import Scenario
from mcnilib.show.drawing import lay_out
from mcnilib.show.state import state_html
from mcnilib.show.style import style_sheet
from mcnilib.show.svg import to_png, to_svg
from mcnilib.show.table import table_html
from mcnilib.trace.explain import DEPTHS, because, verdict

DEPTH_LABELS = {"outcome": "the outcome", "hops": "every hop", "decisions": "every decision"}
WIDE = {"description_width": "initial"}


def control(option: Option, value: object) -> Any:
    """Build the widget of one setting: buttons for two or three short values, a list for more."""
    choices = list(zip(option.texts, option.values, strict=True))
    short = len(choices) <= 3 and all(len(text) < 9 for text in option.texts)
    kind = widgets.ToggleButtons if short else widgets.Dropdown
    made = kind(options=choices, value=value, description=option.label, tooltip=option.help, style=dict(WIDE))
    if short:
        made.style.button_width = "auto"
        made.tooltips = [f"{option.label}: {text}. {option.help}" for text in option.texts]
    made.layout.width = "auto"
    return made


def _no_remark(story: Scenario, settings: Settings) -> str:
    return ""


class Panel(widgets.VBox):  # type: ignore[misc]
    """A scenario under settings that can be changed."""

    _count = 0

    def __init__(
        self,
        story: Scenario,
        settings: Settings,
        scale: float = 1.0,
        remark: Callable[[Scenario, Settings], str] = _no_remark,
    ) -> None:
        """Build the controls and show the first run; `remark` adds a few words to each verdict."""
        Panel._count += 1
        self.story, self.settings, self._scale, self._remark = story, settings, scale, remark
        self._uid = f"mcni{Panel._count}"
        self.controls = {o.attribute: control(o, getattr(settings, o.attribute)) for o in story.options()}
        for name, widget in self.controls.items():
            widget.observe(lambda change, name=name: self._set(name, change["new"]), names="value")
        self.depth = widgets.Dropdown(
            options=[(DEPTH_LABELS[depth], depth) for depth in DEPTHS],
            value="hops",
            description="Tell me",
            style=dict(WIDE),
        )
        self.depth.observe(lambda change: self._tell(), names="value")
        self.verdict, self.picture, self.steps, self.state = (widgets.HTML() for _ in range(4))
        flow = widgets.Layout(display="flex", flex_flow="row wrap", align_items="center", grid_gap="4px 18px")
        box = widgets.Box(list(self.controls.values()), layout=flow)
        parts = [widgets.HTML(style_sheet(scale)), box, self.verdict, self.picture, self.depth, self.steps, self.state]
        super().__init__(parts)
        self.refresh()

    def _set(self, name: str, value: object) -> None:
        self.settings = self.settings.but(**{name: value})
        self.refresh()

    def refresh(self) -> None:
        """Show the run of the current settings."""
        self.picture.value = _svg(self.story, self.settings, self._uid, self._scale)
        self.verdict.value = _verdict(self.story, self.settings, self._remark(self.story, self.settings))
        self._tell()
        self._prepare()

    def _tell(self) -> None:
        trace = self.story.run(self.settings)
        world, step = self.story.world(self.settings), trace.outcome.step
        self.steps.value = f'<div class="mcni">{table_html(trace, self.depth.value)}</div>'
        self.state.value = f'<div class="mcni">{state_html(world, trace, step)}</div>'

    def _prepare(self) -> None:
        """Prepare the runs one click away, one at a time, whenever the kernel is idle."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        waiting = _neighbours(self.story, self.settings)

        def next_one(shown: Settings) -> None:
            following = next(waiting, None)
            if following is not None and shown == self.settings:
                _svg(self.story, following, self._uid, self._scale)
                loop.call_later(0.02, next_one, shown)

        loop.call_later(0.3, next_one, self.settings)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Add the picture and the verdict for viewers without a kernel."""
        bundle = super()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            trace = self.story.run(self.settings)
            data["text/plain"] = "\n".join([verdict(trace), *because(trace)])
            data["image/png"] = to_png(lay_out(self.story.world(self.settings), trace))
        return bundle


def _neighbours(story: Scenario, settings: Settings) -> Iterator[Settings]:
    for one in story.options():
        for value in one.values:
            if value != getattr(settings, one.attribute):
                yield settings.but(**{one.attribute: value})


@lru_cache(maxsize=512)
def _svg(story: Scenario, settings: Settings, uid: str, scale: float) -> str:
    return to_svg(lay_out(story.world(settings), story.run(settings)), uid, scale)


def _verdict(story: Scenario, settings: Settings, remark: str) -> str:
    """Return the verdict as a live region, and what the document says beside it."""
    trace, claim = story.run(settings), story.claim(settings)
    glyph = "✓" if trace.outcome.works else "✗"
    reasons = "".join(f"<div>{_code(line)}</div>" for line in because(trace))
    reasons += f"<div><i>{escape(remark)}</i></div>" if remark else ""
    agrees = "" if claim.works == trace.outcome.works else " <b>Linux disagrees.</b>"
    document = f"{escape(claim.section)}: {escape(claim.says)}."
    return (
        f'<div class="mcni" role="status" aria-live="polite">'
        f'<div class="mcni-verdict">{glyph} {_code(verdict(trace))}</div>'
        f'{reasons}<div class="mcni-claim">The document — {document}{agrees}</div></div>'
    )


def _code(text: str) -> str:
    """Escape a sentence; what stands between backticks is code."""
    return re.sub("`([^`]*)`", r"<code>\1</code>", escape(text))
