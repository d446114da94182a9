"""The verbs about snapshots: `mcni save` and `mcni trace`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from mcnilib.cli.common import add_settings, chosen, seconds
from mcnilib.scenarios import scenario
from mcnilib.snapshots.folder import write_folder
from mcnilib.snapshots.question import read_flow, read_listeners
from mcnilib.snapshots.snapshot import Snapshot, open_snapshot
from mcnilib.trace.trace import Trace, Verdict

EXAMPLES = """examples:
  mcni save macvlan-to-calico-across-nodes here --kube-proxy 1.28
  mcni trace here --from mac1 --to tcp:10.233.102.2:80 --table
  mcni trace here --from mac1 --to icmp:10.233.102.2
  mcni trace here --from mac1 --to udp:10.96.0.10:53 --listen cal2:53 --json
  mcni trace here --from mac1 --to tcp:10.233.102.2:80 --picture path.svg
"""


def add_verbs(verbs: Any) -> None:
    """Add the verbs to the command line."""
    _add_trace(verbs)
    _add_save(verbs)


def _add_trace(verbs: Any) -> None:
    trace = verbs.add_parser(
        "trace", help="run one conversation through a snapshot", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    trace.add_argument("folder", type=Path, help="a snapshot (docs/snapshot.md)")
    trace.add_argument("--from", dest="netns", metavar="NETNS", required=True, help="the client's network namespace")
    trace.add_argument("--to", required=True, metavar="tcp:ADDRESS:PORT", help="also udp:ADDRESS:PORT and icmp:ADDRESS")
    trace.add_argument("--source", metavar="ADDRESS", default="", help="the address the client binds its socket to")
    trace.add_argument(
        "--listen", action="append", default=[], metavar="NETNS:PORT", help="a server (TCP and UDP); may be repeated"
    )
    trace.add_argument("--patience", type=seconds, default=5.0, metavar="SECONDS", help="how long the client waits")
    trace.add_argument("--json", action="store_true", help="print the whole trace as JSON (docs/trace-json.md)")
    trace.add_argument("--table", action="store_true", help="print the steps as a table")
    trace.add_argument(
        "--depth", choices=("outcome", "hops", "decisions"), default="hops", help="how much the table tells"
    )
    trace.add_argument("--picture", metavar="FILE", type=Path, help="write the picture; .svg, .png or .pdf")
    trace.set_defaults(verb=trace_snapshot)


def _add_save(verbs: Any) -> None:
    save = verbs.add_parser("save", help="write a scenario's cluster as a snapshot")
    save.add_argument("scenario", help="name or number, see `mcni list`")
    save.add_argument("folder", type=Path, help="a folder that is not there yet, or empty")
    save.add_argument("--json", action="store_true", help="print what was written as JSON")
    add_settings(save)
    save.set_defaults(verb=save_snapshot)


def trace_snapshot(arguments: argparse.Namespace) -> int:
    """Run one conversation through a snapshot; print the verdict, and what else was asked for."""
    flow = read_flow(arguments.netns, arguments.to, arguments.source, arguments.patience)
    listeners = read_listeners(arguments.listen)
    snapshot = open_snapshot(arguments.folder)
    trace = snapshot.trace(flow, listeners)
    if arguments.json:
        from mcnilib.trace.export import trace_to_json

        head = {"snapshot": snapshot.name, "from": arguments.netns, "to": arguments.to}
        print(json.dumps(head | trace_to_json(trace), indent=1))
    else:
        print(*_told(trace, arguments), sep="\n")
    if arguments.picture:
        from mcnilib.show.files import save_picture

        save_picture(arguments.picture, snapshot.world, trace)
    if trace.outcome.verdict is Verdict.UNKNOWN:
        return 3
    return 0 if trace.outcome.works else 1


def _told(trace: Trace, arguments: argparse.Namespace) -> list[str]:
    from mcnilib.trace.explain import tell, verdict

    return tell(trace, arguments.depth) if arguments.table else [verdict(trace)]


def save_snapshot(arguments: argparse.Namespace) -> int:
    """Write the cluster of a scenario as a folder."""
    story = scenario(arguments.scenario)
    settings = chosen(story, arguments)
    snapshot = Snapshot(story.world(settings), story.listeners(settings))
    files = snapshot.files()
    write_folder(arguments.folder, files)
    flow = story.flow(settings)
    to = f"{flow.proto}:{flow.dst}" + (f":{flow.dport}" if flow.dport else "")
    again = f"mcni trace {arguments.folder} --from {flow.netns} --to {to}"
    if arguments.json:
        print(json.dumps({"folder": str(arguments.folder), "files": sorted(files), "trace": again}, indent=1))
    else:
        print(again)
    return 0
