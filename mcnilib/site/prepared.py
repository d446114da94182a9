"""Answers of the explorer prepared while the site is written, so that a click need not wait for the interpreter.

A scenario has one file, of its states, or of those up to some changes from its start where there are very many: each
answer is the one `View.answer` gives, cut into pieces that are kept once. `site/parts/prepared.js` puts them together
again; what is not prepared, the interpreter answers.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Collection
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from mcnilib.cluster.option import number_of
from mcnilib.cluster.settings import Settings
from mcnilib.gc_pause import gc_paused
from mcnilib.language import current_language, speak, tr
from mcnilib.progress import counted
from mcnilib.scenarios import Scenario, scenario
from mcnilib.scenarios.link import print_link, print_query
from mcnilib.show.explorer import View
from mcnilib.show.walkthrough import in_pieces

MOST_STATES = 6100
"""States of one scenario that are prepared at most: as many changes from its start as lead to no more."""

MOST_PROCESSES = 61
"""More are too many for Windows. Source: Python's library reference, concurrent.futures."""

CUT_PARTS = ("verdict", "picture", "reasons", "times", "table", "listing")
"""Parts of an answer that are cut into pieces. All others are kept as they are, once each, but for the settings and
what says them."""

SAID: dict[str, Callable[[Scenario, Settings], str]] = {
    "state": print_query,
    "command": Scenario.command,
    "notebook": print_link,
}
"""Parts that say the settings: words for each that was changed follow those of the start."""


@dataclass
class _Numbers:
    """Things numbered in the order they come first."""

    of: dict[str, int] = field(default_factory=dict)

    def number(self, thing: object) -> int:
        return self.of.setdefault(json.dumps(thing), len(self.of))

    def things(self) -> list[Any]:
        return [json.loads(text) for text in self.of]


def prepared_files(stories: Collection[Scenario], most: int = MOST_STATES) -> dict[str, bytes]:
    """Return the file of each scenario, made by all processors; how many are done stands on a terminal."""
    number = {story.name: len(_states(story, most)) for story in stories}
    what = tr(
        "mcni: preparing {states} states of {scenarios} scenarios", states=sum(number.values()), scenarios=len(number)
    )
    processes = min(os.cpu_count() or 1, MOST_PROCESSES)
    with ProcessPoolExecutor(processes, initializer=speak, initargs=(current_language(),)) as pool:
        largest_first = sorted(number, key=number.__getitem__, reverse=True)
        made = {pool.submit(prepared_file, name, most): name for name in largest_first}
        done = {made[one]: one.result() for one in counted(as_completed(made), what, len(made))}
    return {file_of(name): done[name] for name in number}


def file_of(name: str) -> str:
    """Return the file of a scenario in the site. A server that unpacks `.gz` by itself leaves `.bin` alone."""
    return f"prepared/{name}.json.bin"


def prepared_file(name: str, most: int = MOST_STATES) -> bytes:
    """Return the file of a scenario."""
    packed = json.dumps(prepared(scenario(name), most), ensure_ascii=False, separators=(",", ":"))
    return gzip.compress(packed.encode(), mtime=0)


@gc_paused()
def prepared(story: Scenario, most: int = MOST_STATES) -> dict[str, Any]:
    """Return the prepared answers of a scenario as values of JSON.

    `states` are pairs: the number of a state, to which each option gives the place of its value, the first option the
    most weight; and the number of its answer, which is a list of numbers of `texts` and `values`.
    """
    pieces: dict[str, int] = {}
    texts, values, answers = _Numbers(), _Numbers(), _Numbers()
    states: list[int] = []
    for number, settings in _states(story, most):
        answer = View(story, settings).answer()
        parts = [texts.number(in_pieces(answer[name], pieces)) for name in CUT_PARTS]
        rest = [name for name in answer if name not in (*CUT_PARTS, *SAID, "settings")]
        parts += [values.number(answer[name]) for name in rest]
        states += (number, answers.number(parts))
    return {
        "options": [[option.name, option.texts] for option in story.options()],
        "start": story.start().texts(),
        "said": {part: _said(story, words) for part, words in SAID.items()},
        "texts_of": CUT_PARTS,
        "values_of": rest,
        "pieces": [*pieces],
        "texts": texts.things(),
        "values": values.things(),
        "answers": answers.things(),
        "states": states,
    }


def _states(story: Scenario, most: int) -> list[tuple[int, Settings]]:
    """Return the states that are prepared, each with its number; the start always is."""
    start = story.start()
    by_changes: list[list[tuple[int, Settings]]] = [[] for _ in range(len(story.settings) + 1)]
    for settings in story.combinations():
        number = number_of(settings, story.options())
        if number is None:
            continue
        changed = sum(getattr(settings, name) != getattr(start, name) for name in story.settings)
        by_changes[changed].append((number, settings))
    up_to = accumulate(map(len, by_changes))
    return [
        state for number, states in zip(up_to, by_changes, strict=True) if number <= max(most, 1) for state in states
    ]


def _said(story: Scenario, words: Callable[[Scenario, Settings], str]) -> list[Any]:
    """Return the words of the start, and for each option in the order in which they are said those of its values."""
    start = story.start()
    options = {option.name: option for option in story.options()}
    said = [
        [
            name,
            [words(story, start.but(**{name: text})).removeprefix(words(story, start)) for text in options[name].texts],
        ]
        for name in start.texts()
        if name in options
    ]
    return [words(story, start), said]
