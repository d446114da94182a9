"""The verb `mcni page`, and what `mcni trace --page` shares with it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from mcnilib.cli.common import add_patience, add_settings, add_story, add_verb, chosen_settings, html_file, story_named
from mcnilib.errors import printable
from mcnilib.language import mark, tr
from mcnilib.progress import shown
from mcnilib.trace.trace import DEPTHS, Depth, Trace
from mcnilib.world.world import World
from mcnilib.writing import write_file

EXAMPLES = mark("""examples:
  mcni page 7 hangs.html --kube-proxy 1.30
  mcni page 7 works.html --kube-proxy 1.30 --be-liberal 1 --restarted yes
  mcni page 7 every-decision.html --depth decisions
  mcni trace my-cluster --from 10.244.1.5 --to tcp:10.96.0.1:443 --page lost.html

Open it in a browser, attach it to an issue, or put it into a wiki: <iframe src="hangs.html" width="100%" height="900">
A link may name a step: hangs.html#step=9

exit status: 0 the file is written, whatever becomes of the conversation; 2 wrong input
""")


def add_verbs(verbs: Any) -> None:
    """Add the verb to the command line."""
    said = tr("write one state as a self-contained HTML file: picture, steps and tables alive, nothing to install")
    page = add_verb(verbs, "page", said, page_scenario, EXAMPLES, tr("print the name and the size of the file as JSON"))
    add_story(page)
    page.add_argument("file", type=html_file, help=tr("an HTML file; whoever opens it asks no server for anything"))
    page.add_argument(
        "--depth",
        choices=DEPTHS,
        default=Depth.HOPS,
        help=tr("how many steps it has (default: {hops})", hops=Depth.HOPS),
    )
    add_patience(page)
    add_settings(page)


def page_scenario(arguments: argparse.Namespace) -> int:
    """Write a state of a scenario as one HTML file, and say how large it is."""
    story = story_named(arguments.scenario, arguments.file)
    settings = chosen_settings(story, arguments)
    with shown(_drawing(arguments.file)):
        from mcnilib.site.single import scenario_page  # takes most of the time

        html = scenario_page(story, settings, arguments.depth, arguments.patience).encode()
        write_file(arguments.file, html)
    if arguments.json:
        print(json.dumps({"file": str(arguments.file), "bytes": len(html)}))
    else:
        print(f"{printable(str(arguments.file))}: {len(html) / 1e3:.0f} kB")
    return 0


def write_trace(file: Path, world: World, trace: Trace, said: tuple[str, str], depth: str | None) -> None:
    """Write a conversation through any world as one HTML file; `said` are its title and the command that asks it."""
    with shown(_drawing(file)):
        from mcnilib.site.single import trace_page  # takes most of the time

        write_file(file, trace_page(world, trace, *said, depth or Depth.HOPS))


def _drawing(file: Path) -> str:
    return printable(tr("mcni: drawing {file}", file=file))
