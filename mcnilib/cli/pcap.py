"""The verb `mcni pcap`, and what `mcni trace --pcap` shares with it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mcnilib.cli.common import (
    add_patience,
    add_settings,
    add_story,
    add_verb,
    chosen_settings,
    new_folder,
    print_files,
    story_named,
)
from mcnilib.errors import printable
from mcnilib.language import mark, tr
from mcnilib.progress import shown
from mcnilib.trace.explain import verdict
from mcnilib.trace.trace import Trace
from mcnilib.world.world import World
from mcnilib.writing import write_new_folder

EXAMPLES = mark("""examples:
  mcni pcap 7 captures --kube-proxy 1.30
  wireshark captures/node1.pcapng
  tshark -r captures/node1.pcapng -Y 'frame.comment contains "verdict"' -T fields -e frame.comment
  tshark -r captures/node1.pcapng -Y "ip.id == 3"       # packet 3 of the trace, wherever node1 sees it
  mergecap -w all.pcapng captures/*.pcapng              # all namespaces in one file, in order
  mcni trace my-cluster --from 10.244.1.5 --to tcp:10.96.0.1:443 --pcap captures

exit status: 0 the captures are written, whatever becomes of the conversation; 2 wrong input
""")


def add_verbs(verbs: Any) -> None:
    """Add the verb to the command line."""
    said = tr("write a conversation as packet captures (pcapng), one per namespace, for Wireshark")
    pcap = add_verb(verbs, "pcap", said, write_pcap, EXAMPLES)
    add_story(pcap)
    pcap.add_argument("folder", type=new_folder, help=tr("a folder that is not there yet, or empty"))
    add_patience(pcap)
    add_settings(pcap)


def write_pcap(arguments: argparse.Namespace) -> int:
    """Run one conversation of a scenario and write what each namespace sees of it."""
    story = story_named(arguments.scenario, arguments.folder)
    settings = chosen_settings(story, arguments)
    trace = story.run(settings, arguments.patience)
    title = f"{story.number}. {story.title} ({settings})"
    names = write_captures(arguments.folder, story.world(settings), trace, title)
    if arguments.json:
        print_files(arguments.folder, names)
    else:
        print(title, verdict(trace), *(printable(str(arguments.folder / name)) for name in sorted(names)), sep="\n")
    return 0


def write_captures(folder: Path, world: World, trace: Trace, title: str) -> list[str]:
    """Write a new folder with a capture of each namespace, and return the files' names. Raises: WriteError."""
    from mcnilib.show.capture.capture import capture_files

    with shown(printable(tr("mcni: writing {folder}", folder=folder))):
        files = capture_files(world, trace, title)
        write_new_folder(folder, files)
    return [*files]
