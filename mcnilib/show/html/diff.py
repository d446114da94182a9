"""Where two runs part, as HTML: the first step that takes a packet elsewhere or ends it, and the lines of state that
differ."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher

from mcnilib.cluster.settings import Settings
from mcnilib.language import tr
from mcnilib.scenarios.scenario import Scenario
from mcnilib.show.html.markup import Html, code, element, folded, joined, printed_line, sentence
from mcnilib.snapshots.files import save
from mcnilib.trace.explain import Difference, course_difference, journey_name, tell_course, tell_step
from mcnilib.trace.trace import Step, Trace
from mcnilib.world.world import World

MOST_CHANGES = 12
"""Changed lines shown of one file; the rest is counted."""

RUN_NAMES = ("A", "B")
"""What two runs side by side are called."""

Highlight = tuple[int, int] | None
"""A packet and the index of one of its steps, which pictures emphasise."""

ChangedLine = tuple[str, str]
"""(`-` or `+`, the line)."""


def changed_state(here: World, there: World) -> dict[str, tuple[ChangedLine, ...]]:
    """Return what differs between two states: files of the snapshot -> lines only here (`-`) and only there (`+`).

    Namespaces in which the same lines of the same file differ stand together: `iptables.txt of node1, node2`.
    """
    mine, theirs = save(here), save(there)
    groups: dict[tuple[str, tuple[ChangedLine, ...]], list[str]] = {}
    for path in sorted(mine.keys() | theirs.keys()):
        if changes := tuple(_changes(mine.get(path, ""), theirs.get(path, ""))):
            folder, _, file = path.rpartition("/")
            groups.setdefault((file, changes), []).append(folder)
    return {_file_name(file, names): lines for (file, lines), names in groups.items()}


def _file_name(file: str, folders: list[str]) -> str:
    names = ", ".join(folders)
    return tr("{file} of {names}", file=file, names=names) if names else file


def _changes(mine: str, theirs: str) -> Iterator[ChangedLine]:
    if mine == theirs:
        return
    a, b = mine.splitlines(), theirs.splitlines()
    for tag, a1, a2, b1, b2 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag != "equal":
            yield from (("-", line.strip()) for line in a[a1:a2])
            yield from (("+", line.strip()) for line in b[b1:b2])


def detail_html(parted: Difference | None, names: tuple[str, str]) -> Html:
    """Tell of two runs that go the same way where else they decide otherwise first, once for each of them."""
    if parted is None:
        return element(
            "p", element("b", tr("No step differs:")), " ", tr("every packet meets the same decisions in both.")
        )
    sides = zip(names, (parted.here, parted.there), strict=True)
    steps = (joined(element("dt", element("b", name)), element("dd", _step(step))) for name, step in sides)
    text = tr("On the way packet {number} meets another decision; its way and its end stay:", number=parted.journey)
    return joined(element("p", element("b", text)), element("dl", *steps))


def _step(step: Step | None) -> str:
    return code(tell_step(step)) if step else tr("nothing more happens to this packet")


def course_html(one: Trace, other: Trace, names: tuple[str, str]) -> Html:
    """Say in a sentence which packet is the first to go elsewhere or to end otherwise, and how in each of two runs."""
    parted = course_difference(one, other)
    if parted is None:
        return element("p", tr("Every packet goes the same way to the same end in both."))
    journeys = [j for j in (*one.journeys, *other.journeys) if j.number == parted.journey]
    here, there = (_course_in(name, step) for name, step in zip(names, (parted.here, parted.there), strict=True))
    head = tr("They part at {packet}:", packet=journey_name(journeys[0]))
    return element("p", element("b", head), " ", sentence(tr("{here}; {there}.", here=here, there=there)))


def _course_in(name: str, step: Step | None) -> str:
    if step is None:
        return tr("in {run} there is no such packet", run=name)
    return tr("in {run} {course}", run=name, course=tell_course(step))


def differing_names(story: Scenario, one: Settings, other: Settings) -> tuple[str, str]:
    """Name two states of a scenario by the settings in which they differ; both are empty when none does."""
    texts = [settings.texts() for settings in (one, other)]
    differing = [setting for setting in story.options() if texts[0][setting.name] != texts[1][setting.name]]
    first, second = (
        ", ".join(f"{tr(setting.label)} {tr(side[setting.name])}" for setting in differing) for side in texts
    )
    return first, second


def state_changes_html(here: World, there: World, parted: Difference | None) -> Html:
    """List the lines of state that differ: `-` only the first has it, `+` only the second, ▶ it decided."""
    changed = changed_state(here, there)
    if not changed:
        return element("p", element("b", tr("No line of state differs.")))
    steps = (parted.here, parted.there) if parted else ()
    decided = {step.evidence.strip() for step in steps if step}
    files = (_file(name, lines, decided) for name, lines in changed.items())
    return element("div", element("h4", tr("lines of state that differ")), *files, class_="mcni-state")


def _file(name: str, lines: tuple[ChangedLine, ...], decided: set[str]) -> Html:
    shown = (
        printed_line(f"{sign} {text.expandtabs(8)}", decided=text in decided) for sign, text in lines[:MOST_CHANGES]
    )
    more = (
        element("div", tr("… {count} more", count=len(lines) - MOST_CHANGES), class_="line")
        if len(lines) > MOST_CHANGES
        else ""
    )
    return folded(element("code", name), *shown, more, opened=True)


def first_steps(traces: tuple[Trace, Trace], parted: Difference | None) -> tuple[Highlight, Highlight]:
    """Return the places of the steps at which two runs part, as pictures highlight them."""
    steps = (parted.here, parted.there) if parted else (None, None)
    first, second = (_first_step(trace, parted, step) for trace, step in zip(traces, steps, strict=True))
    return first, second


def _first_step(trace: Trace, parted: Difference | None, step: Step | None) -> Highlight:
    """Return the place of one side's first differing step, as pictures highlight it; None where it has none."""
    journey = next((j for j in trace.journeys if parted and j.number == parted.journey), None)
    if journey is None or step is None:
        return None
    return next(((journey.number, i) for i, candidate in enumerate(journey.steps) if candidate is step), None)
