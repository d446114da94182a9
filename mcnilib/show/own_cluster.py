"""What the page of one's own cluster asks: what is in the files that were dropped, and where a packet goes in it.

The files lie where the page put them, under names of its own: `{"files": [{"name": ..., "at": ...}]}`; what they are
called never reaches a file system. Other sources are `{"text": ...}` and `{"example": true}`. What was read is kept.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from mcnilib.cluster.kube_proxy.modes import instead
from mcnilib.language import tr
from mcnilib.linux.device.base import DeviceRole
from mcnilib.linux.netns import Netns
from mcnilib.repair.report import how_many_help
from mcnilib.scenarios import scenario
from mcnilib.show.html.markup import Html, element
from mcnilib.show.html.outcome import because_html, verdict_lines
from mcnilib.show.inquiry import Inquiry
from mcnilib.show.repairs import repairs_html, watched_attempts
from mcnilib.show.walkthrough import Walkthrough
from mcnilib.snapshots.merge import read_cable
from mcnilib.snapshots.snapshot import Snapshot, open_files, snapshot_of
from mcnilib.trace.explain import verdict
from mcnilib.trace.trace import Trace

EXAMPLE = "macvlan-to-calico-across-nodes"
"""The scenario whose cluster is the example."""

MOST = 1000
"""Choices of a field that are offered, and gaps that are listed."""

FEW_SERVICES = 300
"""How many services there may be in a namespace's rules before they are not gone through."""


def open_json(text: str) -> str:
    """Read what was dropped, and tell what is in it. Raises: McniError, with file, line and column where there are."""
    snapshot = _opened(json.dumps(json.loads(text)["given"]))
    spaces = [*snapshot.world]
    targets = [*islice(dict(_targets(snapshot)).items(), MOST)]
    gaps = [
        tr("{why}; collect {collect}", why=gap.why, collect=gap.collect) if gap.collect else gap.why
        for one in spaces
        for gap in one.missing
    ]
    return json.dumps(
        {
            "name": snapshot.name,
            "says": tr(
                "{namespaces} network namespaces, {sockets} listening sockets",
                namespaces=len(spaces),
                sockets=len(snapshot.listeners),
            ),
            "gaps": gaps[:MOST],
            "from": [{"value": one.name, "label": _label(snapshot, one)} for one in spaces[:MOST]],
            "to": [{"value": value, "label": label} for value, label in targets],
            "start": _start(snapshot, targets),
        }
    )


def ask_json(text: str) -> str:
    """Follow a conversation: `{"given": ..., "question": {...}, "depth": ..., "end": ...}`, with all its steps.

    Raises: McniError for a field that cannot be read.
    """
    asked = json.loads(text)
    snapshot = _opened(json.dumps(asked["given"]))
    inquiry = Inquiry(**asked["question"])
    found = inquiry.ask(snapshot)
    ends = found.ends
    failing = (number for number, (_, trace) in enumerate(ends) if not trace.outcome.works)
    end = asked["end"] if asked.get("end", -1) in range(len(ends)) else next(failing, 0)
    trace = ends[end][1] if ends else found.trace
    walk = Walkthrough(found.world, trace, found.plan, asked.get("depth", "hops"), "mcni-own")
    about = {"ends": [name for name, _ in ends], "end": end, "compared": found.compared, "packed": walk.packed()}
    told = {"verdict": verdict_lines(found.trace), "reasons": _reasons(trace), "table": walk.whole["table"]}
    return json.dumps({**about, **told, "share": _command(inquiry)})


def repair_json(text: str) -> str:
    """Return what would make a conversation work: `{"state": ...}`, in it as JSON what was given, and the question.

    Whoever watches hears how far the search is. Raises: McniError for a field that cannot be read.
    """
    asked = json.loads(json.loads(text)["state"])
    snapshot = _opened(json.dumps(asked["given"]))
    report = Inquiry(**asked["question"]).repairs(snapshot, watched_attempts)
    return json.dumps({"says": how_many_help(report), "repairs": repairs_html(report, tries=True)})


def _reasons(trace: Trace) -> Html:
    """Return why a conversation ended so, and what to run instead of what is not modelled."""
    advice = instead(verdict(trace))
    return because_html(trace, *([advice] if advice else []))


def _command(inquiry: Inquiry) -> str:
    """Return the command that asks the same."""
    words = ["--from", inquiry.netns.strip(), "--to", inquiry.to.strip()]
    words += ["--source", inquiry.source.strip()] if inquiry.source.strip() else []
    words += [word for server in inquiry.servers for word in ("--listen", server)]
    words += [word for line in inquiry.commands.splitlines() if line.strip() for word in ("--try", line.strip())]
    return element("p", f"{tr('In a terminal:')} ", element("code", f"mcni trace SNAPSHOT {shlex.join(words)}"))


@lru_cache(maxsize=1)
def _opened(given: str) -> Snapshot:
    source: dict[str, Any] = json.loads(given)
    segments = [read_cable(line.strip()) for line in source.get("segments", "").splitlines() if line.strip()]
    if source.get("example"):
        story = scenario(EXAMPLE)
        saved = Snapshot(story.world(story.start()), story.listeners(story.start())).files()
        return snapshot_of(saved, EXAMPLE)
    if "text" in source:
        return open_files({tr("pasted text"): source["text"].encode(errors="surrogateescape")}, segments)
    return open_files({file["name"]: Path(file["at"]).read_bytes() for file in source["files"]}, segments)


def _label(snapshot: Snapshot, netns: Netns) -> str:
    """Return what is said of a namespace in a list: the pod it is of, and its addresses."""
    called = _called(snapshot, netns)
    return ", ".join([*([called] if called != netns.name else []), *map(str, netns.dialled_addresses)])


def _targets(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Yield what one may connect to, with what it is: services, servers, and every address by a ping."""
    for service in snapshot.services(FEW_SERVICES):
        yield from ((f"{proto}:{service.address}:{port}", str(service)) for proto, port in service.ports)
    called = {netns.name: _called(snapshot, netns) for netns in snapshot.world}
    yield from ((to, tr("{server} listens", server=called[netns])) for to, netns in _served(snapshot))
    for netns in snapshot.world:
        yield from ((f"icmp:{address}", called[netns.name]) for address in netns.dialled_addresses)


def _served(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Yield where a server that was collected may be asked, and its namespace."""
    for address, server in snapshot.served():
        yield f"{server.proto}:{address}:{server.port}", server.netns


def _called(snapshot: Snapshot, netns: Netns) -> str:
    """Return the name of the pod that a namespace is of, where one is known, or the namespace's own."""
    pods = [name for name in snapshot.names if name.kind == "pod" and name.address in netns.own_addresses]
    return pods[0].spelt if len(pods) == 1 else netns.name


def _start(snapshot: Snapshot, targets: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return a question to begin with: the example's own, else of the first namespace that can ask, to another one."""
    if snapshot.name == EXAMPLE:
        flow = scenario(EXAMPLE).flow(scenario(EXAMPLE).start())
        return {"netns": flow.netns, "to": f"{flow.proto}:{flow.dst}:{flow.dport}"}
    there = [netns for netns in snapshot.world if netns.dialled_addresses]
    pods = [netns for netns in there if not any(link.kind.role is DeviceRole.NIC for link in netns.links)]
    client = next(iter(pods or there), None)
    if client is None:
        return {"netns": "", "to": ""}
    own = {str(address) for address in client.dialled_addresses}
    served = dict(_served(snapshot))
    others = sorted(targets, key=lambda target: target[0] not in served)
    return {"netns": client.name, "to": next((to for to, _ in others if to.split(":")[1] not in own), "")}
