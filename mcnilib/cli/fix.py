"""The verb `mcni fix`, and what `mcni trace --fix` shares with it: what would help, and what would it break."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from itertools import zip_longest
from threading import active_count
from typing import TYPE_CHECKING, Any

from mcnilib.cli.common import add_settings, add_story, add_verb, chosen_settings, story_named
from mcnilib.errors import printable
from mcnilib.language import mark, tr
from mcnilib.progress import counted, shown
from mcnilib.trace.trace import Trace

if TYPE_CHECKING:  # most commands search nothing
    from multiprocessing.connection import Connection

    from mcnilib.repair.advice import FirstRepair, RepairReport
    from mcnilib.repair.case import RepairCase
    from mcnilib.repair.search import Remedy, RepairAttempt

EXAMPLES = mark("""examples:
  mcni fix 7
  mcni fix 7 --kube-proxy 1.30 --be-liberal 1
  mcni fix 8 --json
  mcni run 7 --try "node1: iptables -D KUBE-FORWARD 1"      # try what it names

exit status: 0 something helps, or the conversation works already; 1 nothing that was tried helps; 2 wrong input
""")


def add_verbs(verbs: Any) -> None:
    """Add the verb to the command line."""
    said = tr("say what would make a conversation work, with the commands, and what each would break")
    fix = add_verb(verbs, "fix", said, fix_scenario, EXAMPLES)
    add_story(fix)
    add_settings(fix)


def fix_scenario(arguments: argparse.Namespace) -> int:
    """Try what there is to try on a scenario, and print what helps."""
    from mcnilib.repair.case import ScenarioCase

    story = story_named(arguments.scenario)
    settings = chosen_settings(story, arguments)
    report = searched(ScenarioCase(story, settings), story.run(settings))
    if not arguments.json:
        print(f"{story.number}. {story.title} ({settings})")
    return print_report(report, arguments.json, scenario=story.name, settings=settings.texts())


def searched(case: RepairCase, start: Trace) -> RepairReport:
    """Search what would help, with a line on the terminal that counts what was tried."""
    from mcnilib.repair.advice import advise

    return advise(case, start, lambda items: counted(items, tr("mcni: trying changes")), on_two_cores)


def on_two_cores(case: RepairCase, helping: Sequence[RepairAttempt]) -> list[Remedy]:
    """Hold the other conversations under each change that helps, half of them in a process of its own.

    There is none where there is one core, where this process has other threads (a copy of it would not have them), and
    where no process can be copied. Source: fork(2).
    """
    from mcnilib.repair.search import Remedy, remedies

    first, there = helping[::2], helping[1::2]
    alone = active_count() > 1 or not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2
    if alone or not there:
        return [*remedies(case, helping)]
    from multiprocessing import get_context

    forking = get_context("fork")
    before = [*remedies(case, first[:1])]  # what it asks of the state as it is, both know from now on
    receiver, sender = forking.Pipe(duplex=False)
    forking.Process(target=_send_held, args=(sender, case, there), daemon=True).start()
    sender.close()
    here = [*before, *remedies(case, first[1:])]
    try:
        pairs = zip(there, receiver.recv(), strict=True)
        theirs = [Remedy(attempt.repair, attempt.trace, *held) for attempt, held in pairs if attempt.trace]
    except EOFError:  # the process was ended by somebody
        theirs = [*remedies(case, there)]
    return [remedy for both in zip_longest(here, theirs) for remedy in both if remedy]


def _send_held(sender: Connection, case: RepairCase, helping: Sequence[RepairAttempt]) -> None:
    """Send what becomes of the other conversations under each change; the changes themselves stay at home."""
    from mcnilib.repair.search import remedies

    sender.send([(remedy.breaks, remedy.mends, remedy.held) for remedy in remedies(case, helping)])


def first_searched(case: RepairCase) -> FirstRepair:
    """Search the repair to name beside a verdict."""
    from mcnilib.repair.advice import first_repair

    with shown(tr("mcni: trying changes")):
        return first_repair(case)


def first_in_words(first: FirstRepair | None, command: str = "") -> list[str]:
    """Return the lines that name the first repair, and the `command` that lists all; none where none was searched."""
    if first is None:
        return []
    from mcnilib.repair.report import told_beside_verdict

    return [*map(printable, told_beside_verdict(first, command))]


def first_as_json(first: FirstRepair | None, start: Trace) -> dict[str, Any]:
    """Return the first repair for the JSON of a trace; nothing where none was searched."""
    if first is None:
        return {}
    from mcnilib.repair.report import first_to_json

    return first_to_json(first, start)


def print_report(report: RepairReport, as_json: bool, **head: object) -> int:
    """Print what would help, `head` before it as JSON; return the exit status."""
    from mcnilib.repair.report import to_json, told

    print(json.dumps(head | to_json(report), indent=1) if as_json else printable("\n".join(told(report))))
    return 0 if report.start.outcome.works or report.advice else 1
