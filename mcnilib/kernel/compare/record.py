"""The recorded run: what the kernel said to every combination of settings, shipped with the package.

Readers without namespaces (Binder) see "real Linux 6.18 and 6.1 kernels give the same result" from it. Each kernel has
a file of its own. Results are one letter per combination, in the order of `Scenario.combinations`, runs of one letter
shortened. A digest of the worlds tells when the record is out of date.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from itertools import groupby
from math import prod
from typing import Any

from mcnilib.cluster.option import number_of
from mcnilib.cluster.settings import Settings, options
from mcnilib.language import tr
from mcnilib.linux.netfilter.iptables.save import print_table
from mcnilib.linux.netfilter.ipvs.service import print_services
from mcnilib.linux.netfilter.nftables.rule import print_ruleset
from mcnilib.linux.routing.route import print_routes
from mcnilib.scenarios.scenario import Scenario
from mcnilib.world.world import World

AGREES, DIFFERS, SKIPPED, UNKNOWN = "a", "d", "s", "-"


RECORDS_OF = ("record.json", "record-uml.json")
"""Files of the recorded runs: of the kernel that was at hand, and of user-mode Linux."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The recorded run of one scenario. `results` has one letter per combination."""

    kernel: str
    date: str
    digest: str
    results: str
    skipped: str  # what was missing where a combination was skipped

    @property
    def release(self) -> str:
        """The first two numbers of the kernel's version."""
        return ".".join(self.kernel.split(".")[:2])


def checked(scenario: Scenario, settings: Settings) -> str:
    """Say what the kernels said to these settings: `a real Linux 6.18 kernel gives the same result`."""
    by_letter: dict[str, list[Recorded]] = {}
    if (index := position(scenario, settings)) is not None:
        for run in recorded_runs(scenario.name):
            by_letter.setdefault(run.results[index : index + 1], []).append(run)
    if differing := by_letter.get(DIFFERS):
        return tr("a real Linux {release} kernel gives another result", release=differing[0].release)
    match by_letter.get(AGREES, []), by_letter.get(SKIPPED, []):
        case [run], _:
            return tr("a real Linux {release} kernel gives the same result", release=run.release)
        case [run, other, *_], _:
            return tr(
                "real Linux {first} and {second} kernels give the same result", first=run.release, second=other.release
            )
        case _, [run, *_]:
            return tr("not checked on Linux {release} ({skipped})", release=run.release, skipped=run.skipped)
    return tr("not checked on a kernel yet")


def position(scenario: Scenario, settings: Settings) -> int | None:
    """Return the place of the settings in the order of the scenario's sweep; None when another setting is changed."""
    start = scenario.start()
    others = (option.attribute for option in options() if option.attribute not in scenario.settings)
    if any(getattr(settings, name) != getattr(start, name) for name in others):
        return None
    before = 0
    for swept in scenario.sweeps():
        number = number_of(settings, swept)
        if number is not None:
            return before + number
        before += prod(len(option.values) for option in swept)
    return None


def recorded_scenario(name: str) -> Recorded | None:
    """Return the recorded run of a scenario on the kernel that was at hand."""
    return next(iter(recorded_runs(name)), None)


def recorded_runs(name: str) -> tuple[Recorded, ...]:
    """Return the recorded runs of a scenario from the package's files, one for each kernel."""
    runs = (records_in(file).get(name) for file in RECORDS_OF)
    return tuple(run for run in runs if run)


@cache
def records_in(name: str) -> Mapping[str, Recorded]:
    """Return what one of the package's files holds, by scenario; nothing where it is not there."""
    file = files("mcnilib.kernel").joinpath(name)
    return parse_records(file.read_text()) if file.is_file() else {}


def parse_records(text: str) -> Mapping[str, Recorded]:
    """Read a record file."""
    content = json.loads(text)
    return {
        name: Recorded(
            entry["kernel"], entry["date"], entry["worlds"], expand(entry["results"]), entry.get("skipped", "")
        )
        for name, entry in content.items()
    }


def print_records(records: Mapping[str, Recorded]) -> str:
    """Write a record file, one scenario a paragraph."""
    content = {}
    for name, record in sorted(records.items()):
        content[name] = {
            "kernel": record.kernel,
            "date": record.date,
            "worlds": record.digest,
            "results": run_lengths(record.results),
        }
        content[name] |= {"skipped": record.skipped} if record.skipped else {}
    return json.dumps(content, indent=1) + "\n"


def run_lengths(letters: str) -> str:
    """Write runs of a letter as number and letter: `aaad` is `3a1d`."""
    return "".join(f"{len(list(run))}{letter}" for letter, run in groupby(letters))


def expand(text: str) -> str:
    """Undo `shorten`."""
    return "".join(letter * int(number) for number, letter in re.findall(r"(\d+)([a-z-])", text))


def scenario_digest(scenario: Scenario) -> str:
    """Digest the worlds of the start and of every single change from it: other text, other digest.

    What is swept apart from the others is not in it: how many results there are tells whether it was measured.
    """
    swept = (option for option in next(scenario.sweeps()) if option.attribute not in scenario.swept_apart)
    changes = [scenario.start().but(**{o.attribute: v}) for o in swept for v in o.values]
    total = sha256()
    for settings in (scenario.start(), *changes):
        total.update(world_text(scenario.world(settings)).encode())
        talk = (scenario.flow(settings), *scenario.listeners(settings))
        total.update(" ".join(map(differing, talk)).encode())
    return total.hexdigest()[:16]


def world_text(world: World) -> str:
    """Print everything that decides in a world, as one text."""
    lines = [f"{s.name} {s.reflects} {' '.join(f'{p.netns}/{p.link}' for p in s.ports)}" for s in world.segments]
    for netns in world:
        lines += [netns.name, *map(differing, netns.links), *map(str, netns.ip4.rules), print_routes(netns.ip4.routes)]
        tables = "".join(
            map(print_table, (*netns.ip4.tables, *netns.ip4.legacy))
        )  # not in the order of a tool, which may change
        tables += print_ruleset(netns.ip4.nft) + print_services(netns.ip4.ipvs)
        lines += [*map(str, netns.ip4.neighbours), tables, *map(str, netns.sysctls)]
        lines += [f"{ip_set.name} {ip_set.members}" for ip_set in netns.sets]
    return "\n".join(lines)


KNOWN_AS = {
    "LinkEnd": "Far",
    "FdbEntry": "Station",
    "UnmodelledDevice": "Opaque",
    "ProtocolMatch": "Protocol",
    "StandardTarget": "Verdict",
}
"""Types that had another name when the record was made: a new name changes no digest."""


def differing(value: object) -> str:
    """Print a value with those of its fields that are not as they are by default: a new field changes no digest."""
    if not is_dataclass(value):
        return f"({' '.join(map(differing, value))})" if isinstance(value, tuple) else str(value)
    there = ((declared, getattr(value, declared.name)) for declared in fields(value) if declared.compare)
    values = (f"{declared.name}={differing(held)}" for declared, held in there if held != _default(declared))
    name = type(value).__name__
    return f"{KNOWN_AS.get(name, name)}({', '.join(values)})"


def _default(declared: Field[Any]) -> object:
    return declared.default if declared.default_factory is MISSING else declared.default_factory()
