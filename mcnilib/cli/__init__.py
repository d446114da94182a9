"""The same verbs in a terminal: `mcni list`, `run`, `state`, `link`, `handout`, `learner`, `save`, `trace`, ...

Exit status: 0 the conversation works (run, trace) or everything agrees (verify); 1 it does not; 2 the command line or
its input is wrong; 3 what would decide was not collected (trace).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcnilib.cli import classroom, completion, snapshots
from mcnilib.cli.common import add_settings, chosen, printable, seconds
from mcnilib.cluster.settings import Settings
from mcnilib.errors import McniError, MissingExtra
from mcnilib.progress import shown
from mcnilib.scenarios import Scenario, all_scenarios, scenario

EXAMPLES = """examples:
  mcni list
  mcni run macvlan-to-calico-across-nodes --kube-proxy 1.28
  mcni run 7 --kube-proxy 1.30 --be-liberal 1 --restarted yes --table
  mcni run 7 --workaround "host route back" --picture path.svg
  mcni run 7 --protocol udp --json
  mcni state 7 node1 "iptables-save -t filter"
  mcni link 7 --kube-proxy 1.30 --be-liberal 1
  mcni handout 7 handout.pdf
  mcni verify 7 --sample 20
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    try:
        arguments = _parser().parse_args(argv)
        return int(arguments.verb(arguments))
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stderr.close()
        return 0
    except ModuleNotFoundError as error:
        said: object = MissingExtra("this", error.name or "a package")
    except (McniError, KeyError, OSError) as error:
        said = error.args[0] if isinstance(error, KeyError) else error
    print(printable(f"mcni: {said}"), file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mcni",
        description="Follow packets through a Kubernetes cluster with Calico and Macvlan.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    listing = verbs.add_parser("list", help="show the scenarios and the settings each of them has")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(verb=list_scenarios)
    _add_run(verbs)
    _add_state(verbs)
    classroom.add_verbs(verbs)
    snapshots.add_verbs(verbs)
    _add_kernel(verbs)
    completion.add_verbs(verbs)
    return parser


def _add_run(verbs: Any) -> None:
    run = verbs.add_parser(
        "run", help="run one conversation and say what becomes of it", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    run.add_argument("scenario", help="name or number, see `mcni list`")
    run.add_argument("--json", action="store_true", help="print the whole trace as JSON (docs/trace-json.md)")
    run.add_argument("--table", action="store_true", help="print the steps as a table")
    run.add_argument(
        "--depth", choices=("outcome", "hops", "decisions"), default="hops", help="how much the table tells"
    )
    run.add_argument("--picture", metavar="FILE", type=Path, help="write the picture; .svg, .png or .pdf")
    run.add_argument(
        "--patience", type=seconds, metavar="SECONDS", help="how long the client waits (default: the scenario's)"
    )
    add_settings(run)
    run.set_defaults(verb=run_scenario)


def _add_state(verbs: Any) -> None:
    state = verbs.add_parser("state", help="print a part of a namespace's state, as the real tool does")
    state.add_argument("scenario", help="name or number, see `mcni list`")
    state.add_argument("netns", help="for example node1 or mac1")
    state.add_argument("command", help='for example "ip rule", "ip route show table 500", "iptables-save -t filter"')
    state.add_argument("--json", action="store_true", help="print the result as JSON")
    add_settings(state)
    state.set_defaults(verb=print_state)


def _add_kernel(verbs: Any) -> None:
    verify = verbs.add_parser("verify", help="run the same conversations on the real kernel and compare hop by hop")
    verify.add_argument("scenario", nargs="*", help="name or number; all of them when left out")
    verify.add_argument("--all", action="store_true", help="every combination of settings, not a sample")
    verify.add_argument("--sample", type=int, default=12, metavar="N", help="combinations per scenario (default: 12)")
    verify.add_argument("--seed", type=int, default=0, help="which sample (default: 0)")
    verify.add_argument("--jobs", type=int, default=0, help="worlds at once (default: chosen by the number of cores)")
    verify.add_argument("--record", metavar="FILE", type=Path, help="write the results as the recorded run")
    verify.add_argument("--json", action="store_true", help="print the result as JSON")
    verify.set_defaults(verb=verify_scenarios)
    _add_fuzz(verbs)
    clean = verbs.add_parser("clean", help="remove what an aborted kernel run left")
    clean.add_argument("--json", action="store_true", help="print the result as JSON")
    clean.set_defaults(verb=clean_up)


def _add_fuzz(verbs: Any) -> None:
    fuzz = verbs.add_parser("fuzz", help="random worlds and exchanges, in the simulator and on the real kernel")
    fuzz.add_argument("--worlds", type=int, default=200, metavar="N", help="how many (default: 200)")
    fuzz.add_argument("--seed", type=int, default=0, help="the same seed gives the same worlds (default: 0)")
    fuzz.add_argument("--first", type=int, default=0, metavar="NUMBER", help="the first one's number (default: 0)")
    fuzz.add_argument("--keep", type=Path, metavar="FOLDER", help="write the smallest case of each disagreement there")
    fuzz.add_argument("--record", type=Path, metavar="FILE", help="write down what the run came to, as JSON")
    fuzz.add_argument("--json", action="store_true", help="print the result as JSON")
    fuzz.set_defaults(verb=fuzz_worlds)


def list_scenarios(arguments: argparse.Namespace) -> int:
    """Print the scenarios."""
    found = all_scenarios()
    if arguments.json:
        print(
            json.dumps(
                [{"number": s.number, "name": s.name, "title": s.title, "settings": s.settings} for s in found],
                indent=1,
            )
        )
        return 0
    for one in found:
        print(f"{one.number:>2}  {one.name:<34} {one.title}")
    return 0


def run_scenario(arguments: argparse.Namespace) -> int:
    """Run one conversation; print the verdict, and what else was asked for."""
    story = scenario(arguments.scenario)
    settings = chosen(story, arguments)
    trace = story.run(settings, arguments.patience)
    if arguments.json:
        from mcnilib.trace.export import trace_to_json

        head = {"scenario": story.name, "settings": settings.texts()}
        print(json.dumps(head | trace_to_json(trace), indent=1))
    else:
        _print_run(story, settings, trace, arguments)
    if arguments.picture:
        from mcnilib.show.files import save_picture
        from mcnilib.show.views import plan_for

        with shown(f"mcni: drawing {printable(str(arguments.picture))}"):
            save_picture(arguments.picture, story.world(settings), trace, plan_for(story, settings))
    return 0 if trace.outcome.works else 1


def _print_run(story: Scenario, settings: Settings, trace: Any, arguments: argparse.Namespace) -> None:
    from mcnilib.trace.explain import tell, verdict

    print(f"{story.number}. {story.title} ({settings})")
    print(*(tell(trace, arguments.depth) if arguments.table else [verdict(trace)]), sep="\n")


def print_state(arguments: argparse.Namespace) -> int:
    """Print one listing of one namespace."""
    from mcnilib.linux.show import listing

    story = scenario(arguments.scenario)
    world = story.world(chosen(story, arguments))
    text = listing(world[arguments.netns], arguments.command)
    if arguments.json:
        where = {"scenario": story.name, "netns": arguments.netns, "command": arguments.command}
        print(json.dumps(where | {"lines": text.splitlines()}, indent=1))
    else:
        print(text, end="")
    return 0


def verify_scenarios(arguments: argparse.Namespace) -> int:
    """Compare the model with the real kernel."""
    from mcnilib.kernel.report import main

    return int(main(arguments))


def fuzz_worlds(arguments: argparse.Namespace) -> int:
    """Compare the model with the real kernel by chance."""
    from mcnilib.kernel.fuzz.report import main

    return int(main(arguments))


def clean_up(arguments: argparse.Namespace) -> int:
    """Remove leftovers of kernel runs."""
    from mcnilib.kernel.clean import main

    return int(main(as_json=arguments.json))


if __name__ == "__main__":
    sys.exit(main())
