"""The verbs about snapshots: `mcni save`, `merge`, `snapshot` and `trace`."""

from __future__ import annotations

import argparse
import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcnilib.cli import fix, page, pcap
from mcnilib.cli.common import (
    TRACE_JSON,
    add_settings,
    add_size,
    add_story,
    add_table,
    add_try,
    add_verb,
    after_commands,
    chosen_settings,
    html_file,
    new_folder,
    picture_file,
    print_files,
    seconds,
    status_of,
    story_named,
    was_and_now,
    what_was,
)
from mcnilib.cli.parser import Parser
from mcnilib.cluster.kube_proxy.modes import instead
from mcnilib.errors import printable
from mcnilib.gc_pause import gc_paused
from mcnilib.language import mark, tr
from mcnilib.progress import shown
from mcnilib.snapshots.folder import read_file, write_folder
from mcnilib.snapshots.merge import read_gateway, read_segment, read_speaker
from mcnilib.snapshots.question import read_listeners
from mcnilib.snapshots.snapshot import Snapshot, open_snapshot, read_files
from mcnilib.snapshots.typed.report import TYPED_EXAMPLE
from mcnilib.snapshots.typed.skeleton import skeleton
from mcnilib.trace.flow import Flow, Listener
from mcnilib.trace.trace import Depth, Trace
from mcnilib.world.world import Segment

if TYPE_CHECKING:  # a conversation that works needs no repair
    from mcnilib.repair.advice import FirstRepair

EXAMPLES = mark("""examples:
  mcni save macvlan-to-calico-across-nodes here --kube-proxy 1.28
  mcni trace here --from mac1 --to 10.233.101.2:80 --table
  mcni trace here --from mac1 --to http://cal2/
  mcni trace here --from mac1 --to udp:10.233.101.2:53 --listen cal2:53 --json
  mcni trace here --from mac1 --to tcp:10.233.101.2:80 --size 300,20000
  mcni trace here --from mac1 --to tcp:10.233.101.2:80 --pcap captures
  mcni trace here --from mac1 --to tcp:10.233.101.2:80 --page lost.html
  mcni trace here --from mac1 --to tcp:10.233.101.2:80 --try "node1: iptables -D KUBE-FORWARD 1"
  mcni trace here --from mac1 --to tcp:10.233.101.2:80 --fix

  mcni collect --kubectl cluster                  # every node of a cluster
  mcni collect --script > collect.sh              # run it on each node, as root: sh collect.sh > node1.txt
  mcni trace node1.txt node2.txt --segment lan=node1/eth0,node2/eth0 --from 10.244.1.5 --to tcp:10.244.2.7:80
  mcni trace cluster --from outside:203.0.113.7@lan --gateway lan=192.168.0.1 --to tcp:192.168.0.11:30080
  mcni merge node1.txt node2.txt cluster          # the same as a folder, to read, keep and change
  ssh node1 sudo sh -s < collect.sh | mcni trace - --from 10.244.1.5 --to icmp:10.244.1.6
  mcni snapshot new --example > report.txt        # a snapshot as one types it: hosts, addresses, routes, rules
  mcni snapshot new folder report.txt

exit status: 0 the conversation works, 1 it does not, 2 wrong input, 3 the deciding state is missing,
4 it depends: chance decides, and the verdict says how each course ends
""")
TARGET_HELP = mark(
    "ADDRESS:PORT (TCP), ADDRESS (a ping), http://ADDRESS, or tcp:, udp:, icmp: before an "
    "address; instead of an address the name of a pod or service; @outside behind an address nobody collected"
)
SEGMENT = "NAME=NETNS/DEVICE,..."
SEGMENT_HELP = mark("NICs that are plugged into one switch, which leads further; may be repeated")


def add_verbs(verbs: Any) -> None:
    """Add the verbs to the command line."""
    _add_trace(verbs)
    _add_save(verbs)
    _add_merge(verbs)
    _add_new(verbs)


def _add_trace(verbs: Any) -> None:  # long because there is much to ask
    trace = add_verb(
        verbs, "trace", tr("run one conversation through a snapshot"), trace_snapshot, EXAMPLES, TRACE_JSON
    )
    where = tr("folder, archive (.tar.gz, .zip) or output of the script (docs/snapshot.md); - reads stdin")
    trace.add_argument("snapshot", nargs="+", help=where)
    trace.add_argument(
        "--from",
        dest="netns",
        metavar="NETNS",
        required=True,
        help=tr("the client: a network namespace, its address, a pod, or outside:ADDRESS@SEGMENT"),
    )
    trace.add_argument("--to", required=True, metavar="TARGET", help=tr(TARGET_HELP))
    trace.add_argument("--source", metavar="ADDRESS[:PORT]", default="", help=tr("what the client binds its socket to"))
    trace.add_argument(
        "--listen",
        action="append",
        default=[],
        metavar="NETNS:PORT[:unpinned]",
        help=tr(
            "a server (TCP and UDP), its namespace or address; unpinned: its route chooses the source of a datagram; "
            "may be repeated"
        ),
    )
    _add_cables(trace)
    trace.add_argument("--patience", type=seconds, default=5.0, metavar="SECONDS", help=tr("how long the client waits"))
    add_size(trace)
    trace.refuse(
        "--listen", tr("for ICMP, which no server answers"), lambda parsed: parsed.to.lower().startswith("icmp")
    )
    add_try(trace)
    add_table(trace)
    _add_files(trace)
    said = tr("say what would make the conversation work, with the commands, and what each would break")
    trace.add_argument("--fix", action="store_true", help=said)
    for name in ("--table", "--picture", "--pcap", "--page"):
        trace.refuse(name, tr("beside --fix, which prints what would help"), lambda parsed: parsed.fix)


def _add_cables(verb: Parser) -> None:
    """Add what may be said about segments."""
    verb.add_argument("--segment", action="append", default=[], metavar=SEGMENT, help=tr(SEGMENT_HELP))
    said = tr("the router of a segment, which nobody collected; may be repeated")
    verb.add_argument("--gateway", action="append", default=[], metavar="SEGMENT=ADDRESS", help=said)
    said = tr("a program (MetalLB) that answers ARP for a service address on this device; may be repeated")
    metavar = "SEGMENT=ADDRESS@NETNS/DEVICE"
    verb.add_argument("--speaker", action="append", default=[], metavar=metavar, help=said)


def _add_files(trace: Parser) -> None:
    """Add what a conversation may be written as."""
    trace.add_argument("--picture", metavar="FILE", type=picture_file, help=tr("write the picture; .svg, .png or .pdf"))
    said = tr(
        "write packet captures (pcapng) for Wireshark, one per namespace, into a folder that is not there yet, or empty"
    )
    trace.add_argument("--pcap", metavar="FOLDER", type=new_folder, help=said)
    said = tr("write it as a self-contained HTML file (.html): picture, steps and tables alive, nothing to install")
    trace.add_argument("--page", metavar="FILE", type=html_file, help=said)


def _add_save(verbs: Any) -> None:
    save = add_verb(verbs, "save", tr("write a scenario's cluster as a snapshot"), save_snapshot, EXAMPLES)
    add_story(save)
    save.add_argument("folder", type=new_folder, help=tr("a folder that is not there yet, or empty"))
    add_settings(save)


def _add_merge(verbs: Any) -> None:
    merge = add_verb(verbs, "merge", tr("make one folder of several snapshots"), merge_snapshots, EXAMPLES)
    merge.add_argument("snapshot", nargs="+", help=tr("folder, archive or output of the script; - reads stdin"))
    merge.add_argument("folder", type=new_folder, help=tr("a folder that is not there yet, or empty"))
    _add_cables(merge)


def _add_new(verbs: Any) -> None:
    said = tr("make a snapshot of a few typed lines: hosts, addresses, routes, rules (docs/snapshot.md)")
    new = add_verb(verbs, "snapshot", said, new_snapshot, EXAMPLES)
    new.add_argument("what", choices=("new",), help=tr("new: a folder from what was typed"))
    new.add_argument("folder", nargs="?", type=new_folder, help=tr("a folder that is not there yet, or empty"))
    new.add_argument("report", nargs="?", default="-", help=tr("the typed lines, a file (default: stdin)"))
    new.add_argument("--example", action="store_true", help=tr("print an example of such lines, to change"))
    new.refuse("--example", tr("beside a folder"), lambda parsed: bool(parsed.folder))


@gc_paused()
def trace_snapshot(arguments: argparse.Namespace) -> int:
    """Run one conversation through a snapshot; print the verdict, and what else was asked for."""
    listeners = read_listeners(arguments.listen)
    with shown(going_on(mark("mcni: reading {files}"), *arguments.snapshot)):
        snapshot = open_snapshot(*arguments.snapshot, segments=_cables(arguments))
    snapshot, netns, to = snapshot.placed(arguments.netns, arguments.to)
    flow = snapshot.flow(netns, to, arguments.source, arguments.patience)
    flow = replace(flow, request=arguments.size[0], answer=arguments.size[1])
    found = replace(snapshot, world=after_commands(snapshot.world, arguments.tried))
    if arguments.fix:
        return _fix(arguments, found, flow, listeners)
    with shown(going_on(mark("mcni: following the packets through {files}"), *arguments.snapshot)):
        before = snapshot.trace(flow, listeners) if arguments.tried else None
        trace = found.trace(flow, listeners)
    first = _first_repair(found, flow, listeners) if not arguments.tried and status_of(trace) in (1, 4) else None
    if arguments.json:
        from mcnilib.trace.export import trace_to_json

        head = {"snapshot": snapshot.name, "from": arguments.netns, "to": arguments.to}
        answer = what_was(before, arguments.tried) | trace_to_json(trace) | fix.first_as_json(first, trace)
        print(json.dumps(head | answer, indent=1))
    else:
        print(*_told(before, trace, arguments), *fix.first_in_words(first), sep="\n")
    _write_files(arguments, found, trace)
    return status_of(trace)


def _cables(arguments: argparse.Namespace) -> list[Segment]:
    """Return what was said about segments: their ports, gateways, and speakers."""
    return [
        *map(read_segment, arguments.segment),
        *map(read_gateway, arguments.gateway),
        *map(read_speaker, arguments.speaker),
    ]


def _first_repair(snapshot: Snapshot, flow: Flow, listeners: tuple[Listener, ...]) -> FirstRepair:
    from mcnilib.repair.snapshot_case import SnapshotCase

    return fix.first_searched(SnapshotCase(snapshot, flow, listeners))


def _fix(arguments: argparse.Namespace, snapshot: Snapshot, flow: Flow, listeners: tuple[Listener, ...]) -> int:
    """Print what would make the conversation work."""
    from mcnilib.repair.snapshot_case import SnapshotCase

    report = fix.searched(SnapshotCase(snapshot, flow, listeners), snapshot.trace(flow, listeners))
    head = {"snapshot": snapshot.name, "from": arguments.netns, "to": arguments.to}
    return fix.print_report(report, arguments.json, **head)


def _write_files(arguments: argparse.Namespace, snapshot: Snapshot, trace: Trace) -> None:
    """Write the conversation as the files that were asked for."""
    if arguments.picture:
        with shown(going_on(mark("mcni: drawing {files}"), arguments.picture)):
            from mcnilib.show.picture.files import save_picture  # takes most of the time

            save_picture(arguments.picture, snapshot.world, trace)
    if arguments.pcap:
        title = tr("{snapshot}: from {netns} to {to}", snapshot=snapshot.name, netns=arguments.netns, to=arguments.to)
        pcap.write_captures(arguments.pcap, snapshot.world, trace, title)
    if arguments.page:
        title = tr("From {netns} to {to}", netns=arguments.netns, to=arguments.to)
        page.write_trace(arguments.page, snapshot.world, trace, (title, _asked(arguments)), arguments.depth)


def _asked(arguments: argparse.Namespace) -> str:
    """Return the command that asks the same."""
    words = ["mcni", "trace", *map(str, arguments.snapshot), "--from", arguments.netns, "--to", arguments.to]
    words += ["--source", arguments.source] if arguments.source else []
    words += [
        word
        for name in ("listen", "segment", "gateway", "speaker")
        for one in getattr(arguments, name)
        for word in (f"--{name}", one)
    ]
    words += [word for command in arguments.tried for word in ("--try", command)]
    return shlex.join(words)


def _told(before: Trace | None, trace: Trace, arguments: argparse.Namespace) -> list[str]:
    from mcnilib.trace.explain import tell, verdict

    printed = tell(trace, arguments.depth or Depth.HOPS) if arguments.table else [verdict(trace), *trace.notes]
    printed = [*was_and_now(before, trace), *printed[1:]] if before else printed
    advice = instead(verdict(trace))
    return [printable(x) for x in (*printed, *([advice] if advice else []))]


def save_snapshot(arguments: argparse.Namespace) -> int:
    """Write the cluster of a scenario as a folder."""
    story = story_named(arguments.scenario, arguments.folder)
    settings = chosen_settings(story, arguments)
    flow = story.flow(settings)
    to = f"{flow.proto}:{flow.dst}" + (f":{flow.dport}" if flow.dport else "")
    with shown(going_on(mark("mcni: building {files}"), arguments.scenario)):
        files = Snapshot(story.world(settings), story.listeners(settings)).files()
    return write_snapshot(arguments, files, f"--from {flow.netns} --to {to}")


def merge_snapshots(arguments: argparse.Namespace) -> int:
    """Write several snapshots as one folder."""
    with shown(going_on(mark("mcni: reading {files}"), *arguments.snapshot)):
        files = read_files(*arguments.snapshot, segments=_cables(arguments))
    return write_snapshot(arguments, files)


def new_snapshot(arguments: argparse.Namespace) -> int:
    """Write what was typed as a folder, or print an example of it."""
    if arguments.example:
        print(
            json.dumps({"example": TYPED_EXAMPLE}) if arguments.json else TYPED_EXAMPLE,
            end="\n" if arguments.json else "",
        )
        return 0
    if arguments.folder is None:
        arguments.usage.error(tr("the folder is missing; --example prints lines to begin with"))
    source = "stdin" if arguments.report == "-" else arguments.report
    typed = read_file(Path(arguments.report)).decode(errors="surrogateescape")
    return write_snapshot(arguments, skeleton(typed, source))


def write_snapshot(
    arguments: argparse.Namespace, files: dict[str, str], question: str = "--from ... --to ...", **more: object
) -> int:
    """Write a folder, and say how to go on; `more` is added to what is printed as JSON."""
    with shown(going_on(mark("mcni: writing {files}"), arguments.folder)):
        write_folder(arguments.folder, files)
    named = f"./{arguments.folder}" if str(arguments.folder).startswith("-") else str(arguments.folder)
    again = f"mcni trace {shlex.quote(named)} {question}"
    if arguments.json:
        print_files(arguments.folder, files, trace=again, **more)
    else:
        print(printable(again))
    return 0


def going_on(doing: str, *what: object) -> str:
    """Say what goes on, for the line that is shown meanwhile: `doing` is a marked sentence with `{files}`."""
    return printable(tr(doing, files=" ".join(map(str, what))))
