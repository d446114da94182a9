"""`mcni verify`: choose combinations, verify them, print a line for each, and keep the results as the recorded run."""

from __future__ import annotations

import json
import random
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from mcnilib.cluster.settings import Settings
from mcnilib.errors import McniError
from mcnilib.kernel.compare.record import (
    AGREES,
    DIFFERS,
    SKIPPED,
    UNKNOWN,
    Recorded,
    parse_records,
    position,
    print_records,
    scenario_digest,
)
from mcnilib.kernel.compare.verify import Result, verify
from mcnilib.kernel.lab.capabilities import release
from mcnilib.kernel.uml.machine import kernel_named
from mcnilib.language import clauses, tr
from mcnilib.progress import counted
from mcnilib.scenarios import Scenario, all_scenarios, scenarios
from mcnilib.writing import write_file

MARKS = {AGREES: "agree", DIFFERS: "DIFFER", SKIPPED: "skipped"}


def main(arguments: Namespace) -> int:
    """Verify what the command line asks for; return 0 when nothing differs, 1 otherwise."""
    asked = dict.fromkeys(story for name in arguments.scenario for story in scenarios(name))
    stories = list(asked) or list(all_scenarios())
    if arguments.record and not arguments.all:
        raise McniError(tr("--record needs --all: the record holds every combination of a scenario"))
    old = kept(arguments.record)
    results = []
    kernel = kernel_named(arguments.kernel)
    measured = verify(stories, lambda story: combinations_of(story, arguments), arguments.jobs, kernel)
    for result in counted(measured, "mcni verify"):
        results.append(result)
        if not arguments.json:
            print(f"{MARKS[result.letter]:<8}{result}", flush=True)
    if arguments.json:
        print(json.dumps([_as_json(story.name, _of(story, results)) for story in stories], indent=1))
    else:
        print(*(verify_summary(story.name, _of(story, results)) for story in stories), sep="\n")
    if arguments.record:
        write_records(arguments.record, old, stories, results)
    return int(any(result.letter == DIFFERS for result in results))


def combinations_of(story: Scenario, arguments: Namespace) -> Sequence[Settings]:
    """Return the combinations to verify: all of them, or the start and a sample that depends on the seed."""
    everything = list(story.combinations())
    if arguments.all or arguments.sample >= len(everything):
        return everything
    others = [settings for settings in everything if settings != story.start()]
    draw = random.Random(f"{arguments.seed} {story.name}")
    return [story.start(), *draw.sample(others, max(arguments.sample - 1, 0))]


def _of(story: Scenario, results: Iterable[Result]) -> list[Result]:
    return [result for result in results if result.scenario == story.name]


def verify_summary(name: str, results: Sequence[Result]) -> str:
    """Say in one line what a scenario's combinations came to."""
    counts = Counter(result.letter for result in results)
    measured = sum(result.measured for result in results if result.letter != SKIPPED)
    reasons = {result.text for result in results if result.letter == SKIPPED}
    skipped = tr(", {count} skipped: {reasons}", count=counts[SKIPPED], reasons=clauses(sorted(map(tr, reasons))))
    return tr(
        "{name}: {results} combinations, {measured} different conversations on Linux {release}: "
        "{agree} agree, {differ} differ{skipped}",
        name=name,
        results=len(results),
        measured=measured,
        release=_release(results),
        agree=counts[AGREES],
        differ=counts[DIFFERS],
        skipped=skipped if reasons else "",
    )


def _release(results: Sequence[Result]) -> str:
    """Return the release of the kernel that was asked; this machine's where none was."""
    return results[0].kernel if results else release()


def _as_json(name: str, results: Sequence[Result]) -> dict[str, object]:
    """Return a scenario's results: each combination of settings, and whether model and kernel agree."""
    combinations = [
        {"settings": r.settings.texts(), "result": MARKS[r.letter].lower(), "text": r.text} for r in results
    ]
    return {"scenario": name, "linux": _release(results), "combinations": combinations}


def kept(file: Path | None) -> dict[str, Recorded]:
    """Read, before anything is measured, what a record file holds of scenarios that exist. Raises: McniError."""
    if not file or not file.exists():
        return {}
    try:
        names = {story.name for story in all_scenarios()}
        return {
            name: recorded
            for name, recorded in parse_records(file.read_text(encoding="utf-8")).items()
            if name in names
        }
    except (ValueError, LookupError, TypeError, AttributeError):
        raise McniError(
            tr("{file} is no record of `mcni verify --record`: name another file, or remove it", file=file)
        ) from None


def write_records(file: Path, old: dict[str, Recorded], stories: Iterable[Scenario], results: Iterable[Result]) -> None:
    """Write a record file anew: what it held (`kept`), with the results of some scenarios in the place of theirs."""
    measured = [*results]
    write_file(file, print_records(old | {story.name: _as_recorded(story, _of(story, measured)) for story in stories}))


def _as_recorded(story: Scenario, results: Sequence[Result]) -> Recorded:
    """Turn a scenario's results into its part of the record."""
    letters: dict[int, str] = {}
    reasons = set()
    for result in results:
        index = position(story, result.settings)
        if index is not None:
            letters[index] = result.letter
        if result.letter == SKIPPED:
            reasons.add(result.text)
    text = "".join(letters.get(index, UNKNOWN) for index in range(max(letters, default=-1) + 1))
    date = time.strftime("%Y-%m-%d", time.gmtime())
    return Recorded(_release(results), date, scenario_digest(story), text, "; ".join(sorted(reasons)))
