"""A snapshot that was read: its world, who listens in it, and the way back to files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcnilib.linux.collected import load_collected
from mcnilib.linux.snapshot import save
from mcnilib.linux.world import World
from mcnilib.snapshots.folder import read_folder
from mcnilib.snapshots.sockets import parse_listeners, print_listeners
from mcnilib.trace.flow import Flow, Listener
from mcnilib.trace.run import run
from mcnilib.trace.trace import Trace

SOCKETS = "ss.txt"


@dataclass(frozen=True)
class Snapshot:
    """The state of some namespaces at one moment, and where it was read from."""

    world: World
    listeners: tuple[Listener, ...] = ()
    name: str = "snapshot"

    def trace(self, flow: Flow, listeners: Sequence[Listener] = ()) -> Trace:
        """Run a conversation through the snapshot; `listeners` are added to those that were collected.

        Raises: KeyError for a namespace that is not there, Unsupported for state that is not modelled.
        """
        for name in (flow.netns, *(one.netns for one in listeners)):
            _ = self.world[name]
        return run(self.world, flow, (*listeners, *self.listeners))

    def files(self) -> dict[str, str]:
        """Return the files of the snapshot: relative name -> text."""
        names = [netns.name for netns in self.world]
        sockets = {f"{n}/{SOCKETS}": print_listeners(x for x in self.listeners if x.netns == n) for n in names}
        return save(self.world) | {name: text for name, text in sockets.items() if text}


def open_snapshot(folder: Path | str) -> Snapshot:
    """Read a snapshot's folder.

    Raises: SnapshotError, StateSyntaxError for text the tools do not print, Unsupported for what is not modelled.
    """
    return snapshot_of(read_folder(Path(folder)), str(folder))


def snapshot_of(files: Mapping[str, str], name: str = "snapshot") -> Snapshot:
    """Read a snapshot's files; errors name them as the mapping does."""
    world = load_collected(files)
    return Snapshot(world, tuple(_listeners(world, files)), name)


def _listeners(world: World, files: Mapping[str, str]) -> Iterable[Listener]:
    for netns in world:
        path = f"{netns.name}/{SOCKETS}"
        yield from parse_listeners(files.get(path, ""), netns.name, path)
