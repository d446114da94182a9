"""What an answer needs: a world is saved as if it had been collected, and asked again with one piece left out.

Then the answer may be that nobody knows, or a refusal to read it; another answer than before would be a guess. That
takes no kernel.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from random import Random

from mcnilib.errors import McniError
from mcnilib.kernel.fuzz.case import Case, simulated
from mcnilib.linux.sysctl import BRIDGE_CALLS, get, parse_setting, print_settings
from mcnilib.snapshots.files import WORLD, Place, print_world
from mcnilib.snapshots.snapshot import Snapshot, snapshot_of
from mcnilib.trace.sizes import run_sizes
from mcnilib.trace.stack.ethernet import wire_of
from mcnilib.trace.trace import Trace, Verdict
from mcnilib.trace.transport.tcp import ANSWER, REQUEST
from mcnilib.world.world import World

_Files = dict[str, str]
Answer = tuple[str, ...]
"""The verdict, the client's errno, and its address as the server saw it."""


def collected_files(world: World) -> _Files:
    """Return a world's files as a machine's: every sysctl has a line, and there is more than was collected.

    A device takes the MACs of its macvlan children, and `bridge fdb show` prints them.
    """
    segments = tuple(replace(segment, uplink=False) for segment in world.segments)
    files = Snapshot(replace(world, segments=segments, complete=False)).files()
    files[WORLD] = print_world([Place(netns.name, collected=True) for netns in world], segments, complete=False)
    for netns in world:
        files[f"{netns.name}/sysctl.txt"] = print_settings(netns.sysctls, [link.name for link in netns.links])
        for kind, child in ((link.kind.child, link) for link in netns.links if link.up):
            lower = wire_of(world).cables.at(kind.lower) if kind else None
            if kind and lower and not kind.takes_all:  # the MAC of one that does is that of the lower device
                files[f"{kind.lower.netns}/bridge-fdb.txt"] += f"{child.mac} dev {lower.name} self permanent\n"
    return files


def ask_snapshot(files: Mapping[str, str], case: Case) -> dict[Answer, None]:
    """Ask a snapshot the question of a case; return what is known, for each course that chance may take."""
    try:
        trace = snapshot_of(files).trace(case.turns[0].flow(), case.turns[0].listeners())
    except (McniError, KeyError):  # it cannot be read, or who asks or listens is not in it
        return {}
    return _ends(trace)


def _ends(trace: Trace) -> dict[Answer, None]:
    ends = (course.outcome for course in trace.courses if course.outcome.verdict is not Verdict.UNKNOWN)
    return dict.fromkeys((end.verdict.value, end.error, end.seen_source) for end in ends)


def guesses(case: Case, draw: Random, tries: int) -> Iterator[str]:
    """Yield in words what was answered otherwise with a piece left out, of so many pieces chosen by chance.

    With all pieces the answer is that of the world they are from.
    """
    world = case.build()
    files = collected_files(world)
    whole = ask_snapshot(files, case)
    typed = _ends(run_sizes(world, case.turns[0].flow(), case.turns[0].listeners(), partial=True))
    if new := [answer for answer in whole if answer not in typed]:
        yield f"collected: {_words(new)}; as it was typed: {_words(typed)}"
    for _ in range(tries if whole else 0):
        what, rest = draw.choice(_PIECES)(draw, files)
        new = [answer for answer in ask_snapshot(rest, case) if answer not in whole]
        if new:
            yield f"without {what}: {_words(new)}; with it: {_words(whole)}"


def pieces_of(case: Case) -> Iterator[str]:
    """Yield in words what a snapshot with `conntrack -L` and `ip neigh` answers otherwise than what was said before
    left behind."""
    *before, (trace, _) = simulated(case)
    if not before or any(earlier.branches for earlier, _ in before):
        return
    files, net = collected_files(case.worlds()[-1]), before[-1][1]
    for name, host in net.hosts.items():
        files[f"{name}/conntrack.txt"] = "".join(f"{entry.line(net.now)}\n" for entry in host.connections)
        for (dev, ip), mac in host.neighbours.items():
            state = "STALE" if ip in host.unconfirmed else "REACHABLE"
            files[f"{name}/ip-neigh.txt"] += f"{ip} dev {dev} lladdr {mac} {state} \n"
    flow = case.flows()[-1]
    asked = replace(flow, request=REQUEST, answer=ANSWER) if flow.proto == "tcp" and not flow.sized else flow
    answers = _ends(snapshot_of(files).trace(asked, case.turns[-1].listeners()))  # with small packets alone
    if new := [answer for answer in answers if answer not in _ends(trace)]:
        yield f"with conntrack -L: {_words(new)}; as it went on: {_words(_ends(trace))}"


def _words(some: Iterable[Answer]) -> str:
    return " or ".join(", ".join(filter(None, answer)) for answer in some)


def _told(name: str, files: _Files) -> bool:
    """Tell whether an answer shows that a listing is not there: other listings tell of the devices in it, of a macvlan
    in mode passthru none does; that nobody listed the rules of nft is said beside an answer, and changes none."""
    if name.endswith("/nft.txt"):
        return False
    return not name.endswith("/ip-address.txt") or "macvlan mode passthru" not in files[name]


def _file(draw: Random, files: _Files) -> tuple[str, _Files]:
    name = draw.choice([name for name in files if name != WORLD and _told(name, files)])
    return name, {path: text for path, text in files.items() if path != name}


def _namespace(draw: Random, files: _Files) -> tuple[str, _Files]:
    """Leave out a namespace; that its NICs stand in segments may be known or not."""
    world = json.loads(files[WORLD])
    entry = draw.choice([entry for entry in world["namespaces"] if _told(f"{entry['name']}/ip-address.txt", files)])
    world["namespaces"].remove(entry)
    name = entry["name"]
    placed = draw.random() < 0.5
    for segment in world["segments"] if not placed else ():
        rest = [port for port in segment["ports"] if port.partition("/")[0] != name]
        segment |= {"ports": rest, "uplink": rest != segment["ports"]}
    kept = {path: text for path, text in files.items() if path.partition("/")[0] != name}
    return f"{name}, {'known' if placed else 'not known'} in its segments", {**kept, WORLD: json.dumps(world)}


def _sysctl(draw: Random, files: _Files) -> tuple[str, _Files]:
    name = draw.choice([name for name in files if name.endswith("/sysctl.txt")])
    lines = [line for line in files[name].splitlines(keepends=True) if not line.startswith(BRIDGE_CALLS)]
    odd = [line for line in lines if parse_setting(line).value != get((), parse_setting(line).key)]
    gone = draw.choice(odd if odd and draw.random() < 0.5 else lines)
    return f"{gone.strip()} in {name}", {**files, name: files[name].replace(gone, "", 1)}


def _half(draw: Random, files: _Files) -> tuple[str, _Files]:
    """Leave out half of a file of which one can tell: sysctls that are not there, a table without its end."""
    stem = draw.choice(("sysctl", "iptables", "ip-address"))
    name = draw.choice([name for name in files if name.endswith(f"/{stem}.txt") and _told(name, files)])
    text, kept = files[name], ""
    if text.startswith(BRIDGE_CALLS):  # without the line there is no br_netfilter: nothing else tells of it
        kept, text = text[: text.index("\n") + 1], text[text.index("\n") + 1 :]
    middle = text.rfind("\n", 0, len(text) // 2) + 1
    if text[:middle].endswith("COMMIT\n"):  # whole tables: nothing tells of the others
        middle = text.rfind("\n", 0, middle - 1) + 1
    first = stem != "sysctl" or draw.random() < 0.5
    which = "second" if first else "first"
    return f"the {which} half of {name}", {**files, name: kept + (text[:middle] if first else text[middle:])}


_PIECES: tuple[Callable[[Random, _Files], tuple[str, _Files]], ...] = (
    _file,
    _file,
    _namespace,
    _sysctl,
    _sysctl,
    _half,
)
"""Ways to leave something out."""
