"""One state of a conversation as one HTML file: picture, steps and tables alive, without an interpreter or a server.

It loads nothing: for a wiki's frame, an attachment, a slide, a stick. Without scripts the whole conversation is there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import escape
from string import Template

from mcnilib import __version__
from mcnilib.cluster.settings import Settings
from mcnilib.language import current_language, tr
from mcnilib.scenarios import Scenario
from mcnilib.scenarios.link import print_link
from mcnilib.show.explorer import parse_view
from mcnilib.show.html.markup import Html, element, folded, joined, sentence
from mcnilib.show.html.outcome import because_html, reasons_html
from mcnilib.show.inquiry import Findings
from mcnilib.show.picture.legend import legend_html
from mcnilib.show.picture.story_picture import plan_for
from mcnilib.show.walkthrough import Walkthrough
from mcnilib.site.frame import (
    data_html,
    filled,
    head_html,
    script_hash,
    scrolled,
    site_part,
    site_style,
    stepper,
    translated_part,
    words_html,
)
from mcnilib.trace.explain import verdict
from mcnilib.trace.trace import Trace
from mcnilib.world.world import World

_IMPORT_OR_EXPORT = re.compile(r"^(?:import .*\n|export )", re.MULTILINE)
"""What makes a module of a script: in the file all scripts are one."""


def scenario_page(
    story: Scenario,
    settings: Settings,
    depth: str = "hops",
    patience: float | None = None,
    *,
    step: int = 0,
    everything: bool = False,
) -> str:
    """Return a scenario under some settings as a file. It opens at a step, 0 for the whole conversation; `everything`
    as for `picture_of`. Raises: ValueError for a depth that does not exist."""
    plan = plan_for(story, settings, everything)
    walk = Walkthrough(story.world(settings), story.run(settings, patience), plan, depth)
    link = element("a", tr("open this state in its notebook"), href=print_link(story, settings))
    command = joined(f"{tr('In a terminal:')} ", element("code", story.command(settings)))
    texts = settings.texts()
    given = (element("li", f"{tr(one.label)}: {tr(texts[one.name])}") for one in story.options())
    said = {
        "question": element("p", sentence(tr(story.question))),
        "reasons": joined(
            reasons_html(story, settings), folded(tr("The settings of this state"), element("ul", *given))
        ),
        "share": joined(element("p", link), element("p", command)),
    }
    return _file(f"{story.number}. {tr(story.title)}", walk, said, step)


def page_json(text: str) -> str:
    """Return the file of a view, `html`, and what it may be called, `name`; a view as of the explorer, of which only
    the state that is changed is taken. Raises: as `parse_view`."""
    view = parse_view(text)
    html = scenario_page(view.story, view.settings, view.depth, step=view.step, everything=view.everything)
    return json.dumps({"html": html, "name": f"{view.story.name}.html"})


def trace_page(world: World, trace: Trace, title: str, command: str, depth: str = "hops") -> str:
    """Return a conversation through any world as a file. Raises: ValueError for a depth that does not exist."""
    walk = Walkthrough(world, trace, Findings(world, trace).plan, depth)
    return _file(
        title,
        walk,
        {"reasons": because_html(trace), "share": element("p", f"{tr('In a terminal:')} ", element("code", command))},
    )


def _file(title: str, walk: Walkthrough, said: Mapping[str, Html], step: int = 0) -> str:
    script = _IMPORT_OR_EXPORT.sub("", site_part("words.js") + site_part("steps.js")) + site_part("single.js")
    return Template(translated_part("single.html", version=__version__)).substitute(
        lang=current_language(),
        words=words_html(),
        head=head_html(title, _policy(script), verdict(walk.trace)),
        title=escape(title),
        style=site_style(),
        article=walk_html({**walk.whole, **said}, len(walk.steps)),
        steps=data_html(walk.packed() | ({"at": step} if step else {}), id="steps"),
        script=script,
    )


def _policy(script: str) -> dict[str, str]:
    """Return the content security policy of a file: nothing but its script and what stands in it."""
    return {
        "default-src": "'none'",
        "script-src": script_hash(script),
        "style-src": "'unsafe-inline'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def walk_html(parts: Mapping[str, Html], number: int) -> Html:
    """Return the places of a conversation that is walked through, filled with what is known (part -> HTML)."""
    rooms = {
        "head": (
            element("div", parts.get("question", ""), class_="question"),
            filled("verdict", parts.get("verdict", ""), class_="mcni-verdict", role="status"),
            filled("compared", parts.get("compared", ""), class_="compared"),
        ),
        "stage": (stepper(number), scrolled("picture", tr("picture"), parts.get("picture", ""))),
        "more": (
            filled("reasons", parts.get("reasons", "")),
            filled("share", parts.get("share", ""), class_="share"),
        ),
        "detail": (
            parts.get("repairs", ""),
            legend_html(),
            filled("listing", parts.get("listing", "")),
            scrolled("table", tr("table of steps"), parts.get("table", "")),
        ),
    }
    return joined(*(element("div", *content, class_=name) for name, content in rooms.items()))
