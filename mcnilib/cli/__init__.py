"""The same verbs in a terminal: `mcni list`, `run`, `state`, `link`, `handout`, `learner`, `save`, `trace`, ...

Exit status: 0 the conversation works (run, trace) or everything agrees (verify); 1 it does not; 2 the command line or
its input is wrong; 3 the deciding state is missing (trace); 4 it depends, because chance decides. As every Unix
tool it ends with 130 when it is interrupted, and with 141 when whoever reads its output stops reading.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mcnilib import __version__
from mcnilib.cli import classroom, collect, completion, fix, kernel, page, pcap, record, snapshots
from mcnilib.cli.common import (
    TRACE_JSON,
    add_patience,
    add_settings,
    add_size,
    add_story,
    add_table,
    add_try,
    add_verb,
    after_commands,
    chosen_settings,
    picture_file,
    status_of,
    story_named,
    was_and_now,
    what_was,
)
from mcnilib.cli.parser import Parser, own_words_translated
from mcnilib.cluster.settings import Settings
from mcnilib.errors import McniError, MissingExtra, printable
from mcnilib.language import ENGLISH, LanguageError, languages, listed, mark, readers_language, spoken, tr
from mcnilib.progress import shown
from mcnilib.scenarios import Scenario, all_scenarios, scenarios
from mcnilib.trace.trace import Depth, Trace

if TYPE_CHECKING:  # a conversation that works needs no repair
    from mcnilib.repair.advice import FirstRepair

EXAMPLES = mark("""examples:
  mcni list
  mcni list 7
  mcni run macvlan-to-calico-across-nodes --kube-proxy 1.28
  mcni run 7 --kube-proxy 1.30 --be-liberal 1 --restarted yes --table
  mcni run 7 --workaround "host route back" --picture path.svg
  mcni run 7 --protocol udp --json
  mcni run 9 --size 20000
  mcni fix 7
  mcni run 7 --try "node1: iptables -D KUBE-FORWARD 1"
  mcni state 7 node1 "iptables-save -t filter"
  mcni state 7 mac1 "ip route show table 100"
  mcni link 7 --kube-proxy 1.30 --be-liberal 1
  mcni handout 7 handout.pdf
  mcni page 7 state.html --kube-proxy 1.30
  mcni pcap 7 captures --kube-proxy 1.30
  mcni trace my-cluster --from 10.244.1.5 --to tcp:10.96.0.1:443
  mcni verify 7 --sample 20

`mcni VERB --help` has more of them.
exit status: 0 the conversation works, 1 it does not, 2 wrong input, 3 the deciding state is missing,
4 it depends (chance decides), 130 interrupted, 141 output pipe closed
""")
WRONG, INTERRUPTED, CLOSED = 2, 128 + signal.SIGINT, 128 + getattr(signal, "SIGPIPE", 13)
"""Exit statuses: of input that is wrong, and those a shell gives to what such a signal ended."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line in the reader's language and return the exit status."""
    try:
        with spoken(_chosen_language(argv)), own_words_translated():
            return _run_verb(argv)
    except LanguageError as error:
        return ended(error)


def _chosen_language(argv: Sequence[str] | None) -> str:
    """Return the language behind `--lang`, which is needed before anything else is said; else that of the locale."""
    first = Parser(prog="mcni", add_help=False, allow_abbrev=False)
    _add_language(first)
    first.add_argument("rest", nargs=argparse.REMAINDER)
    return first.parse_known_args(argv)[0].lang or readers_language()


def _run_verb(argv: Sequence[str] | None) -> int:
    try:
        if sys.stdout is None:
            raise McniError(tr("standard output is closed"))
        arguments = command_line().read(argv)
        return flushed(int(arguments.verb(arguments)))
    except (McniError, KeyError, OSError, ModuleNotFoundError, KeyboardInterrupt) as error:
        return ended(error)


def flushed(status: int) -> int:
    """Return the exit status after everything that was printed has been written."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        return ended(error)
    return status


def ended(error: BaseException) -> int:
    """Say in one line what ended the command, and return its exit status."""
    if isinstance(error, BrokenPipeError):  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED
    if isinstance(error, KeyboardInterrupt):
        return _said(tr("interrupted"), INTERRUPTED)
    if isinstance(error, ModuleNotFoundError):
        error = MissingExtra(tr("this"), error.name or tr("a package"))
    return _said(_sentence(error), WRONG)


def _said(text: str, status: int) -> int:
    with suppress(OSError):  # nobody hears it, but the status tells
        print(printable(f"mcni: {text}"), file=sys.stderr, flush=True)
    return status


def _sentence(error: BaseException) -> str:
    """Return what an error says; one whose only word is a key that was missing is no message, and raised again."""
    if not isinstance(error, KeyError):
        return str(error)
    if " " not in str(error.args[0]):
        raise error
    return str(error.args[0])


def command_line() -> Parser:
    """Return the parser of the whole command line."""
    parser = Parser(
        prog="mcni",
        description=tr("Follow packets through a Kubernetes cluster with Calico and Macvlan."),
        epilog=tr(EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_language(parser)
    said = tr("show program's version number and exit")
    parser.add_argument("--version", action="version", version=f"mcni {__version__}", help=said)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    _add_list(verbs)
    _add_run(verbs)
    _add_state(verbs)
    fix.add_verbs(verbs)
    classroom.add_verbs(verbs)
    page.add_verbs(verbs)
    pcap.add_verbs(verbs)
    snapshots.add_verbs(verbs)
    collect.add_verbs(verbs)
    kernel.add_verbs(verbs)
    record.add_verbs(verbs)
    completion.add_verbs(verbs)
    return parser


def _add_language(parser: Parser) -> None:
    known = listed(languages())
    said = tr(
        "say everything in this language: {known} (default: the locale's, else {english})", known=known, english=ENGLISH
    )
    parser.add_argument("--lang", metavar="LANGUAGE", help=said)


def _add_list(verbs: Any) -> None:
    listing = add_verb(verbs, "list", tr("show the scenarios and their settings"), list_scenarios, EXAMPLES)
    listing.add_argument("scenario", nargs="*", help=tr("name or number: show its settings and their values too"))


def _add_run(verbs: Any) -> None:
    said = tr("run one conversation and say what becomes of it")
    run = add_verb(verbs, "run", said, run_scenario, EXAMPLES, TRACE_JSON)
    add_story(run)
    add_try(run)
    add_table(run)
    run.add_argument("--picture", metavar="FILE", type=picture_file, help=tr("write the picture; .svg, .png or .pdf"))
    add_patience(run)
    add_size(run)
    add_settings(run)


def _add_state(verbs: Any) -> None:
    said = tr("print a part of a namespace's state, as the real tool does")
    state = add_verb(verbs, "state", said, print_state, EXAMPLES)
    add_story(state)
    state.add_argument("netns", help=tr("for example node1 or mac1"))
    state.add_argument(
        "command", help=tr('for example "ip rule", "ip route show table 500", "iptables-save -t filter"')
    )
    add_settings(state)
    for name in ("protocol", "placement", "receiving-node"):
        state.refuse(f"--{name}", tr("in the state; it chooses a conversation"), lambda parsed: True)


def list_scenarios(arguments: argparse.Namespace) -> int:
    """Print the scenarios; of those that are named the settings too."""
    stories = [story for name in arguments.scenario for story in scenarios(name)] or all_scenarios()
    if arguments.json:
        print(json.dumps([_as_json(story) for story in stories], indent=1))
        return 0
    for story in stories:
        print(f"{story.number:>2}  {story.name:<34} {tr(story.title)}")
        for option in story.options() if arguments.scenario else ():
            start = option.text(getattr(story.start(), option.attribute))
            first = tr("(starts with {value})", value=start)
            print(f"    --{option.name:<18} {' | '.join(option.texts)}  {first}")
    return 0


def _as_json(story: Scenario) -> dict[str, object]:
    start = story.start().texts()
    settings = {setting.name: {"values": setting.texts, "start": start[setting.name]} for setting in story.options()}
    return {"number": story.number, "name": story.name, "title": story.title, "settings": settings}


def run_scenario(arguments: argparse.Namespace) -> int:
    """Run one conversation; print the verdict, and what else was asked for."""
    story = story_named(arguments.scenario)
    settings = chosen_settings(story, arguments)
    world = after_commands(story.world(settings), arguments.tried)
    before = story.run(settings, arguments.patience, arguments.size)
    trace = story.run_in(world, settings, arguments.patience, arguments.size) if arguments.tried else before
    first = None if arguments.tried or trace.outcome.works else _first_repair(story, settings)
    if arguments.json:
        from mcnilib.trace.export import trace_to_json

        was = what_was(before if arguments.tried else None, arguments.tried)
        head = {"scenario": story.name, "settings": settings.texts()}
        print(json.dumps(head | was | trace_to_json(trace) | fix.first_as_json(first, trace), indent=1))
    else:
        print(f"{story.number}. {story.title} ({settings})")
        helps = fix.first_in_words(first, story.command(settings, "fix"))
        print(*_told(before, trace, arguments), *helps, sep="\n")
    if arguments.picture:
        with shown(tr("mcni: drawing {file}", file=printable(str(arguments.picture)))):
            from mcnilib.show.picture.files import save_picture  # takes most of the time
            from mcnilib.show.picture.story_picture import plan_for

            save_picture(arguments.picture, world, trace, plan_for(story, settings))
    return status_of(trace)


def _told(before: Trace, trace: Trace, arguments: argparse.Namespace) -> list[str]:
    from mcnilib.trace.explain import tell, verdict

    told = tell(trace, arguments.depth or Depth.HOPS) if arguments.table else [verdict(trace), *trace.notes]
    return [*was_and_now(before, trace), *told[1:]] if arguments.tried else told


def _first_repair(story: Scenario, settings: Settings) -> FirstRepair:
    from mcnilib.repair.case import ScenarioCase

    return fix.first_searched(ScenarioCase(story, settings))


def print_state(arguments: argparse.Namespace) -> int:
    """Print one listing of one namespace."""
    from mcnilib.world.listing import listing

    story = story_named(arguments.scenario, arguments.netns, arguments.command)
    world = story.world(chosen_settings(story, arguments))
    text = listing(world[arguments.netns], arguments.command)
    if arguments.json:
        where = {"scenario": story.name, "netns": arguments.netns, "command": arguments.command}
        print(json.dumps(where | {"lines": text.splitlines()}, indent=1))
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
