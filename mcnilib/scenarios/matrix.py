"""A table of outcomes as plain text: what becomes of a conversation under each combination of some settings.

Text, so that a notebook's output can be compared word by word, and read aloud.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from mcnilib.cluster.settings import Option, SettingError, Settings
from mcnilib.scenarios.scenario import Scenario
from mcnilib.trace.explain import verdict
from mcnilib.trace.trace import Trace, Verdict

SHORT = {
    Verdict.CONNECTED: "works",
    Verdict.HANGS: "hangs",
    Verdict.TIMED_OUT: "times out",
    Verdict.REFUSED: "refused",
    Verdict.RESET: "reset",
    Verdict.UNREACHABLE: "unreachable",
    Verdict.ONE_WAY: "one way",
    Verdict.LOST: "lost",
}
"""The verdicts in a word or two, for cells of a table."""


FOLD_FROM = 6
"""Lines from which on equal neighbours are drawn together."""


def matrix(story: Scenario, rows: str, *columns: str, start: Settings | None = None, where: bool = False) -> str:
    """Return a table: one line per value of `rows`, one column per combination of `columns`, a verdict in each cell.

    Names are attributes of Settings; other settings are as in `start` (default: the scenario's). `where` adds the
    namespace that decided. Equal neighbouring lines of a long table are drawn together as `first .. last`.
    """
    options = {name: _toggle(story, name) for name in (rows, *columns)}
    base = start or story.start()
    heads = list(product(*(options[name].values for name in columns)))
    body = []
    for value in options[rows].values:
        chosen = [base.but(**{rows: value}, **dict(zip(columns, head, strict=True))) for head in heads]
        body.append((options[rows].text(value), [cell(story.run(settings), where=where) for settings in chosen]))
    titles = [[options[name].text(head[i]) for head in heads] for i, name in enumerate(columns)]
    lines = [[options[name].label, *title] for name, title in zip(columns, titles, strict=True)]
    return draw([*lines, [options[rows].label, *([""] * len(heads))], *_folded(body, FOLD_FROM)], len(lines) + 1)


def _toggle(story: Scenario, name: str) -> Option:
    """Return a toggle of a story. Raises: SettingError, naming those it has."""
    for one in story.options():
        if one.attribute == name:
            return one
    known = ", ".join(one.attribute for one in story.options())
    raise SettingError(f"scenario {story.name} has no toggle {name!r}; it has {known}")


def cell(trace: Trace, *, where: bool = False) -> str:
    """Return a verdict in a word or two, with the namespace that decided when it is a failure."""
    outcome = trace.outcome
    word = SHORT[outcome.verdict]
    return word if outcome.works or not where else f"{word} ({outcome.step.netns})"


def _folded(body: Sequence[tuple[str, list[str]]], least: int) -> list[list[str]]:
    """Draw equal neighbouring lines together when there are many, as the versions of a program are."""
    groups: list[tuple[list[str], list[str]]] = []
    for name, cells in body:
        if len(body) >= least and groups and groups[-1][1] == cells:
            groups[-1][0].append(name)
        else:
            groups.append(([name], cells))
    return [[names[0] if len(names) == 1 else f"{names[0]} .. {names[-1]}", *cells] for names, cells in groups]


def draw(lines: Sequence[Sequence[str]], heads: int) -> str:
    """Draw cells in columns, the first `heads` lines above a rule."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    drawn = ["  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*drawn[:heads], "-" * max(map(len, drawn)), *drawn[heads:]])


def compare(story: Scenario, name: str, start: Settings | None = None) -> str:
    """Return one line per value of a setting: its text, the verdict, and where and by what it was decided."""
    base = start or story.start()
    which = _toggle(story, name)
    rows = [(which.text(value), verdict(story.run(base.but(**{name: value})))) for value in which.values]
    width = max(len(text) for text, _ in rows)
    return "\n".join(f"{text.ljust(width)}  {sentence}" for text, sentence in rows)
