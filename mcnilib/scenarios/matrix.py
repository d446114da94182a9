"""A table of outcomes as plain text: what becomes of a conversation under each combination of some settings.

Text, so that a notebook's output can be compared word by word, and read aloud.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from mcnilib.cluster.settings import Option, SettingError, Settings
from mcnilib.language import mark, tr
from mcnilib.scenarios.scenario import Scenario
from mcnilib.trace.explain import verdict
from mcnilib.trace.trace import Trace, Verdict

SHORT_VERDICTS = {
    Verdict.CONNECTED: mark("works"),
    Verdict.HANGS: mark("hangs"),
    Verdict.TIMED_OUT: mark("times out"),
    Verdict.REFUSED: mark("refused"),
    Verdict.RESET: mark("reset"),
    Verdict.UNREACHABLE: mark("unreachable"),
    Verdict.ONE_WAY: mark("one way"),
    Verdict.LOST: mark("lost"),
    Verdict.UNKNOWN: mark("unknown"),
    Verdict.DEPENDS: mark("depends"),
}
"""The verdicts in a word or two, for cells of a table."""


FOLD_FROM = 6
"""Lines of one value from which on equal neighbours are drawn together."""

WIDEST = 104
"""Characters of a line that a notebook shows unbroken beside JupyterLab's list of files, in a window of 1280 pixels."""


def matrix(story: Scenario, rows: str, *columns: str, start: Settings | None = None, where: bool = False) -> str:
    """Return a table: one line per value of `rows`, one column per combination of `columns`, a verdict in each cell.

    Names are attributes of Settings; other settings are as in `start` (default: the scenario's). `where` adds the
    namespace that decided. Equal neighbouring lines of a long table are drawn together as `first .. last`; where a
    table is wider than WIDEST, the first of its columns become lines.
    """
    drawn = ""
    for moved in range(max(1, len(columns))):
        drawn = _table(story, (*columns[:moved], rows), columns[moved:], start or story.start(), where)
        if max(map(len, drawn.splitlines())) <= WIDEST:
            break
    return drawn


def _table(story: Scenario, rows: Sequence[str], columns: Sequence[str], base: Settings, where: bool) -> str:
    """Draw a line for each combination of some settings, a column for each of others."""
    options = {name: _toggle(story, name) for name in (*rows, *columns)}
    heads = list(product(*(options[name].values for name in columns)))
    body = []
    for values in product(*(options[name].values for name in rows)):
        row = base.but(**dict(zip(rows, values, strict=True)))
        chosen = [row.but(**dict(zip(columns, head, strict=True))) for head in heads]
        names = [tr(options[name].text(value)) for name, value in zip(rows, values, strict=True)]
        body.append((names, [verdict_cell(story.run(settings), where=where) for settings in chosen]))
    room = [""] * (len(rows) - 1)
    lines = [
        [tr(options[n].label), *room, *(tr(options[n].text(head[i])) for head in heads)] for i, n in enumerate(columns)
    ]
    labels = [*(tr(options[name].label) for name in rows), *([""] * len(heads))]
    return draw([*lines, labels, *_folded(body, FOLD_FROM)], len(lines) + 1)


def _toggle(story: Scenario, name: str) -> Option:
    """Return a toggle of a story. Raises: SettingError, naming those it has."""
    for setting in story.options():
        if setting.attribute == name:
            return setting
    attributes = ", ".join(setting.attribute for setting in story.options())
    raise SettingError(
        tr(
            "scenario {story} has no toggle {name!r}; it has {attributes}",
            story=story.name,
            name=name,
            attributes=attributes,
        )
    )


def verdict_cell(trace: Trace, *, where: bool = False) -> str:
    """Return a verdict in a word or two, with the namespace that decided when it is a failure."""
    outcome = trace.outcome
    word = tr(SHORT_VERDICTS[outcome.verdict])
    return word if outcome.works or not where else f"{word} ({outcome.step.netns})"


def _folded(body: Sequence[tuple[list[str], list[str]]], least: int) -> list[list[str]]:
    """Draw equal neighbouring lines together when there are many, as the versions of a program are."""
    groups: list[tuple[list[str], list[str], list[str]]] = []
    many = len({names[-1] for names, _ in body}) >= least
    for (*before, name), cells in body:
        if many and groups and (groups[-1][0], groups[-1][2]) == (before, cells):
            groups[-1][1].append(name)
        else:
            groups.append((before, [name], cells))
    return [
        [*before, names[0] if len(names) == 1 else f"{names[0]} .. {names[-1]}", *cells]
        for before, names, cells in groups
    ]


def draw(lines: Sequence[Sequence[str]], heads: int) -> str:
    """Draw cells in columns, the first `heads` lines above a rule."""
    widths = [max(len(row[i]) for row in lines) for i in range(len(lines[0]))]
    drawn = ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in lines]
    return "\n".join([*drawn[:heads], "-" * max(map(len, drawn)), *drawn[heads:]])


def compare(story: Scenario, name: str, start: Settings | None = None) -> str:
    """Return one line per value of a setting: its text, the verdict, and where and by what it was decided."""
    base = start or story.start()
    which = _toggle(story, name)
    rows = [(tr(which.text(value)), verdict(story.run(base.but(**{name: value})))) for value in which.values]
    width = max(len(text) for text, _ in rows)
    return "\n".join(f"{text.ljust(width)}  {sentence}" for text, sentence in rows)
