"""What would help, as a page and a panel show it: a list, what to prefer first, each with its commands to be copied.

What changes settings alone can be applied by a click; a script or a widget does that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from mcnilib.cluster.settings import option
from mcnilib.errors import capital
from mcnilib.language import tr
from mcnilib.progress import tell_share
from mcnilib.repair.advice import Advice, RepairReport, advise
from mcnilib.repair.case import ScenarioCase
from mcnilib.repair.report import first_course, how_many_help
from mcnilib.repair.search import RepairAttempt
from mcnilib.scenarios.link import parse_link
from mcnilib.show.html.markup import Html, element, joined
from mcnilib.trace.explain import verdict

HALF_DONE = 100
"""Changes after which a search is said to be half done: nobody knows before how many there will be."""


def fix_json(text: str) -> str:
    """Return what would make a conversation work: `{"state": ...}`, a state as in a link; whoever watches hears how far
    the search is. Raises: SettingError or ScenarioError for a state that does not exist."""
    story, settings = parse_link(json.loads(text)["state"])
    report = advise(ScenarioCase(story, settings), story.run(settings), watched_attempts)
    return json.dumps({"says": how_many_help(report), "repairs": repairs_html(report)})


def watched_attempts(attempts: Iterable[RepairAttempt]) -> Iterator[RepairAttempt]:
    """Pass attempts on, and tell whoever watches how far the search is."""
    for number, attempt in enumerate(attempts):
        tell_share(number / (number + HALF_DONE))
        yield attempt


def repairs_html(report: RepairReport, *, tries: bool = False) -> Html:
    """Return a report as a list; a button with `data-settings` applies a change, one with `data-commands` copies.

    `tries` adds a button with `data-try`, for a page on which commands can be tried.
    """
    items = (
        element("li", advice_html(number, report), *_doing(number, one, tries))
        for number, one in enumerate(report.advice)
    )
    return element("ol", *items) if report.advice else Html()


def advice_html(number: int, report: RepairReport) -> Html:
    """Return what one change is: its commands, how the conversation ends then, what it breaks and mends."""
    advice = report.advice[number]
    course = first_course(report.start, advice.remedy.trace)
    lines = (
        tr("Then: {verdict}.", verdict=verdict(advice.remedy.trace)),
        tr("What changes first: {course}.", course=course) if course else "",
        advice.effect,
        *(tr("{note}.", note=capital(note)) for note in advice.notes),
    )
    why = _recommended(report) if number == 0 else Html()
    title = element("b", capital(advice.title))
    commands = element("pre", "\n".join(map(str, advice.commands))) if advice.commands else Html()
    return joined(title, why, commands, *(element("p", line) for line in lines if line))


def _recommended(report: RepairReport) -> Html:
    why = tr("it {why}.", why=report.why_first)
    return element("p", element("b", tr("Recommended:")), f" {why}")


def _doing(number: int, advice: Advice, tries: bool) -> Iterator[Html]:
    """Yield what applies a change, what tries its commands, and what copies them."""
    named = {"number": number + 1, "title": advice.title}
    if advice.applies:
        pairs = ((option(name), value) for name, value in advice.remedy.repair.settings)
        texts = json.dumps({chosen.name: chosen.text(value) for chosen, value in pairs})
        said = tr("Apply {number}, {title}", **named)
        yield element("button", tr("Apply"), type="button", data_settings=texts, aria_label=said)
    if advice.commands:
        commands, said = "\n".join(map(str, advice.commands)), tr("Copy the commands of {number}, {title}", **named)
        if tries:
            label = tr("Try it here: {number}, {title}", **named)
            yield element("button", tr("Try it here"), type="button", data_try=commands, aria_label=label)
        yield element("button", tr("Copy the commands"), type="button", data_commands=commands, aria_label=said)
