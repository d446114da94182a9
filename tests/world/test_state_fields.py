"""No field of a world is lost: it is saved and loaded, it changes the digest of the records, the lab builds it and reads it back."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from state_fields import BASE, BASES, COLLECTED, DIGEST, FIELDS, LAB, LOST, NO_STATE, SAVED

from mcnilib.errors import McniError
from mcnilib.kernel.compare.record import world_text
from mcnilib.kernel.lab.capabilities import lacking, probe
from mcnilib.kernel.lab.lab import Lab
from mcnilib.kernel.lab.readback import read_back
from mcnilib.kernel.lab.syscalls import NoLab
from mcnilib.kernel.lab.workers import Worker
from mcnilib.linux.netfilter.nftables.rule import NftTable
from mcnilib.snapshots.files import save
from mcnilib.snapshots.folder import read_folder, write_folder
from mcnilib.snapshots.load import load, load_collected
from mcnilib.world.world import World

ROWS = [pytest.param(one, name, id=f"{one.__name__}.{name}") for one, rows in FIELDS.items() for name in rows]
every_field = pytest.mark.parametrize(("one", "name"), ROWS)


def state_classes() -> Iterator[type]:
    """List what a world is made of, by the types of its fields; a field that is never written is not looked into."""
    waiting, done = [World], set()
    while waiting:
        found = waiting.pop()
        waiting += get_args(found)
        if not is_dataclass(found) or found in done or found is NftTable:
            continue
        done.add(found)
        yield found
        hints = get_type_hints(found)
        names = [one.name for one in fields(found) if one.compare and found.__name__ != "ChainRule"]
        waiting += [hints[name] for name in names if {SAVED, COLLECTED} - LOST.get((found, name), {}).keys()]


def test_every_field_of_a_world_has_an_example() -> None:
    """A match or target, or a table of nftables, which have their own tables of facts, are where this ends."""
    known = {(one, name) for one, rows in FIELDS.items() for name in rows}
    there = {(one, field.name) for one in state_classes() for field in fields(one) if field.compare}
    assert sorted((one.__name__, name) for one, name in there - known) == [], "give it an example in state_fields.py"
    assert {(one, name) for one, name in LOST if name not in FIELDS[one]} == set()


def test_what_equality_does_not_look_at_is_no_state() -> None:
    assert {field.name for one in state_classes() for field in fields(one) if not field.compare} == set(NO_STATE)


def base_of(one: type) -> World:
    return BASES.get(one, BASE)


@every_field
def test_an_example_is_another_world(one: type, name: str) -> None:
    assert FIELDS[one][name]() != base_of(one)


def check(survives: bool, way: str, one: type, name: str) -> None:
    if reason := LOST.get((one, name), {}).get(way):
        assert not survives, f"no longer lost, take it out of LOST: {reason}"
    else:
        assert survives, f"{one.__name__}.{name} does not survive: {way}"


@every_field
def test_a_field_is_saved_and_loaded(one: type, name: str) -> None:
    world = FIELDS[one][name]()
    try:
        found = load(save(world))
    except McniError:
        found = base_of(one)
    check(found == world, SAVED, one, name)


@every_field
def test_a_field_is_read_from_a_folder_as_what_was_collected(one: type, name: str, tmp_path: Path) -> None:
    world = FIELDS[one][name]()
    write_folder(tmp_path / "here", save(world))
    check(load_collected(read_folder(tmp_path / "here")) == world, COLLECTED, one, name)


@every_field
def test_a_field_changes_the_digest_of_the_records(one: type, name: str) -> None:
    check(world_text(FIELDS[one][name]()) != world_text(base_of(one)), DIGEST, one, name)


def built_and_noticed(lab: Lab, world: World, base: World) -> tuple[str, bool]:
    """Build a world; return what is read back wrongly, and whether it would be noticed that it is another."""
    lab.realise(base)
    noticed = mistaken(lab, world)
    lab.realise(world)
    return "\n".join(map(str, read_back(lab))), noticed or mistaken(lab, base)


def mistaken(lab: Lab, meant: World) -> bool:
    """Tell whether reading back shows that the lab is not the world that is meant."""
    real, lab.world = lab.world, meant
    try:
        return bool(read_back(lab))
    except (KeyError, McniError):
        return True  # a namespace, or a device with entries, that is not there
    finally:
        lab.world = real


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """One lab for all, which finds the jobs of this module."""
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        with Worker() as one:
            try:
                one.run(probe)
            except NoLab as problem:
                pytest.skip(str(problem))
            yield one


@pytest.mark.kernel
@pytest.mark.parametrize(("one", "name"), [row for row in ROWS if LAB not in LOST.get(row.values, {})])
def test_the_lab_builds_a_field_and_reads_it_back(worker: Worker, one: type, name: str) -> None:
    world = FIELDS[one][name]()
    if missing := ", ".join(lacking(world, worker.run(probe))):
        pytest.skip(f"this kernel has no {missing}")
    wrong, noticed = worker.run(built_and_noticed, world, base_of(one))
    assert wrong == ""
    assert noticed, f"{one.__name__}.{name}: reading back does not notice that it is another"
