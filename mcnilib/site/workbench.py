"""What a reader works with below a conversation: every machine at the moment that is looked at, and the exercises.

Scripts (`parts/machines.js`, `parts/repair.js`, `parts/exercises.js`) ask for what stands in them; without scripts the
tasks are there.
"""

from __future__ import annotations

from string import Template

from mcnilib.cluster.settings import option
from mcnilib.language import listed, mark, tr
from mcnilib.scenarios.exercise import Exercise, exercises
from mcnilib.scenarios.scenario import Scenario
from mcnilib.show.html.markup import Html, element, folded, sentence

TYPING = mark(
    "Type commands into namespaces, one `NAMESPACE: COMMAND` a line: `ip`, `iptables`, `nft` and `sysctl -w` change "
    "them; `ip route`, `iptables-save` and others show something. Each run starts anew; without a command it shows "
    "what is there."
)

TEXT_FIELD = Template(
    '<textarea id="$uid" rows="3" spellcheck="false" autocapitalize="off" placeholder="node1: ip rule" '
    'aria-describedby="$uid-task"></textarea>'
)

LINE_MARKS = mark("▶ decided in this step, ▷ decided something before; behind # stands who wrote the line, and why.")


def machines_html() -> Html:
    """Return the place where the machines of a conversation can be looked into."""
    panel = element("div", class_="machine", tabindex="0", role="group", aria_label=tr("what the machine holds"))
    said = element("output", "", aria_live="polite")
    parts = (
        element("form", class_="who", autocomplete="off"),
        element("p", said),
        element("div", class_="connections"),
        panel,
        element("p", tr(LINE_MARKS)),
    )
    details = folded(tr("Look into every machine at this moment"), *parts)
    return element("div", details, class_="machines")


def repairs_place(verb: str = "fix") -> Html:
    """Return the button that asks what would help, by a verb of the model, and the place of the answer."""
    parts = (
        element("button", tr("What would help?"), type="button", data_fix="all"),
        element("progress", max="1", value="0", aria_label=tr("the search"), hidden="hidden"),
        element("p", class_="searched", role="status"),
        element("div", class_="found"),
    )
    return element("div", *parts, class_="repairs", data_verb=verb)


def exercises_html(story: Scenario) -> Html:
    """Return the exercises of a scenario: the task and its hint, and what commands are typed into."""
    tasks = [task for task in exercises() if task.story is story]
    if not tasks:
        return Html("")
    return element(
        "section",
        element("h3", tr("Exercises")),
        element("p", sentence(tr(TYPING))),
        *map(exercise_html, tasks),
        class_="exercises",
    )


def exercise_html(task: Exercise) -> Html:
    """Return an exercise: the task and its hint, and what commands are typed into."""
    uid = f"exercise-{task.scenario}-{task.number}"
    changed = listed(f"{tr(option(name).label)} {tr(text)}" for name, text in task.story.changed(task.settings).items())
    start = element("p", element("small", tr("It starts with: {changed}.", changed=changed))) if changed else ""
    run = element("button", tr("Run"), type="submit", title=tr("Carry them out (Ctrl+Enter)"))
    label = element("label", tr("Commands (Ctrl+Enter runs them)"), for_=uid)
    parts = (
        element("h4", tr("Exercise {number}", number=task.number)),
        element("p", sentence(tr(task.task)), id=f"{uid}-task"),
        start,
        element("div", label, Html(TEXT_FIELD.substitute(uid=uid)), run, class_="typed"),
        _help(task),
        element("div", class_="said", role="status", aria_live="polite"),
        element("div", class_="shown"),
    )
    numbers = {"data_scenario": str(task.scenario), "data_number": str(task.number)}
    return element("form", *parts, class_="exercise", autocomplete="off", **numbers)


def _help(task: Exercise) -> str:
    """Return the hint, and what asks for more, where there is more."""
    if not task.hints():
        return ""
    button = element("button", tr("Show how to begin"), type="button", data_help="2") if task.hints()[1:] else ""
    more = element("div", class_="more", role="status")
    return folded(tr("Hint"), element("p", sentence(task.hints()[0])), more, button)
