"""`mcni fuzz`: try many cases, make those that differ small, keep them, and write down what the run came to."""

from __future__ import annotations

import json
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from mcnilib.errors import Unsupported
from mcnilib.kernel.fuzz.case import Case, simulate
from mcnilib.kernel.fuzz.generate import chance
from mcnilib.kernel.fuzz.topologies import MORE_WORLDS, WORLDS
from mcnilib.kernel.fuzz.trial import TRIAL_AGREES, TRIAL_DIFFERS, TRIAL_REFUSED, Trial, attempt, shrink
from mcnilib.kernel.lab.capabilities import release
from mcnilib.kernel.lab.workers import THIS_KERNEL, Kernel, WorkerPool
from mcnilib.kernel.uml.machine import kernel_named
from mcnilib.progress import counted
from mcnilib.writing import add_file, write_file

RUNS_OF = ("fuzz.json", "fuzz-uml.json")
"""Files of the recorded runs: of the kernel that was at hand, and of user-mode Linux."""
DIGESTED = 200
"""Cases by which a record tells that generator and model are those that made it."""


def main(arguments: Namespace) -> int:
    """Try the cases the command line asks for; return 0 when none differs, 1 otherwise."""
    numbers = range(arguments.first, arguments.first + arguments.worlds)
    kernel = kernel_named(arguments.kernel)
    trials = try_worlds(arguments.seed, numbers, "mcni fuzz", kernel=kernel)
    failures = [trial for trial in trials if trial.ended == TRIAL_DIFFERS]
    small = [smallest(trial.case, kernel) for trial in failures]
    if arguments.keep:
        for number, trial in enumerate(small, 1):
            keep(arguments.keep, f"{arguments.seed}-{number}", trial)
    come_to = record(trials, arguments.seed, numbers)
    if arguments.json:
        print(json.dumps(come_to | {"cases": [_as_json(trial) for trial in small]}, indent=1))
    else:
        print("".join(f"{trial.case}{trial.text}\n\n" for trial in small), end="")
        print(fuzz_summary(come_to))
    if arguments.record:
        write_run(arguments.record, come_to)
    return int(bool(failures))


def _as_json(trial: Trial) -> dict[str, str]:
    return {"case": str(trial.case), "differs": trial.text}


def try_worlds(seed: int, numbers: range, line: str, jobs: int = 0, kernel: Kernel = THIS_KERNEL) -> list[Trial]:
    """Return what the worlds of a seed came to, and say on a line meanwhile how many did. Raises: NoLab."""
    worlds = WORLDS if kernel is THIS_KERNEL else WORLDS | MORE_WORLDS
    return [*counted(trials_of((chance(seed, number, worlds) for number in numbers), jobs, kernel), line, len(numbers))]


def trials_of(cases: Iterable[Case], jobs: int = 0, kernel: Kernel = THIS_KERNEL) -> Iterator[Trial]:
    """Yield what each case came to, in the order they are done. Raises: NoLab where there can be no lab."""
    with WorkerPool(jobs or kernel.at_once, kernel) as pool:
        for _, trial in pool.work(attempt, ((case,) for case in cases)):
            yield trial


def smallest(case: Case, kernel: Kernel = THIS_KERNEL) -> Trial:
    """Shrink a case that differs, and try it once more."""
    with WorkerPool(1, kernel) as pool:

        def differs(smaller: Case) -> bool:
            return bool(pool.run(attempt, smaller).ended == TRIAL_DIFFERS)

        trial: Trial = pool.run(attempt, shrink(case, differs))
    return trial


def keep(folder: Path, name: str, trial: Trial) -> None:
    """Write a case with what differs as a file that the tests try again."""
    said = "".join(f"# {line}\n" for line in trial.text.splitlines())
    add_file(folder, f"{name}.txt", f"{said}{trial.case}")


def fuzz_summary(summary: dict[str, Any]) -> str:
    """Say in a few lines what a run, as it is recorded, came to."""
    reasons = "".join(f"\n  {count} refused: {reason}" for reason, count in summary["refused"].items())
    return (
        f"seed {summary['seed']}, cases {summary['first']} to {summary['first'] + summary['worlds'] - 1}, "
        f"Linux {summary['kernel']}: "
        f"{summary[TRIAL_AGREES]} agree, {summary[TRIAL_DIFFERS]} differ, "
        f"{sum(summary['refused'].values())} refused before the run{reasons}"
    )


def record(trials: Iterable[Trial], seed: int, numbers: range) -> dict[str, Any]:
    """Return a run as it is recorded: kernel, date, seed, cases, how they ended, and why some were refused."""
    tried = list(trials)
    ended = Counter(trial.ended for trial in tried)
    refused = Counter(trial.text.splitlines()[0] for trial in tried if trial.ended == TRIAL_REFUSED)
    return {
        "kernel": tried[0].kernel if tried else release(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "seed": seed,
        "first": numbers.start,
        "digest": fuzz_digest(seed, numbers.start),
        "worlds": len(tried),
        TRIAL_AGREES: ended[TRIAL_AGREES],
        TRIAL_DIFFERS: ended[TRIAL_DIFFERS],
        "refused": dict(refused.most_common()),
        "verdicts": dict(Counter(trial.verdict for trial in tried if trial.verdict).most_common()),
    }


def fuzz_digest(seed: int, first: int) -> str:
    """Digest some of the cases and what the model makes of them: another generator or outcome, another digest."""
    total = sha256()
    for number in range(first, first + DIGESTED):
        case = chance(seed, number)
        total.update(f"{case}{_verdict(case)}\n".encode())
    return total.hexdigest()[:16]


def _verdict(case: Case) -> str:
    try:
        outcome = simulate(case).outcome
    except Unsupported:
        return TRIAL_REFUSED
    return f"{outcome.verdict.value} {outcome.error} {outcome.seen_source}"


def write_run(file: Path, run: dict[str, Any]) -> None:
    """Write a run as it is recorded."""
    write_file(file, f"{json.dumps(run, indent=1)}\n")


def recorded_run(name: str = RUNS_OF[0]) -> dict[str, Any]:
    """Read a run that is shipped with the package; empty where the file is not there."""
    file = files("mcnilib.kernel").joinpath(name)
    run: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    return run
