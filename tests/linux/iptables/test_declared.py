"""Every match and target declares where it may stand, what it needs and what it does; what nobody declared is named."""

from __future__ import annotations

from random import Random

import pytest
from extension_facts import EXTENSIONS, KEPT, NOT_IN_EVERY_KERNEL, WITHOUT_EFFECT
from extension_walk import (
    DECLARED,
    NO_EXTENSION,
    UNSAMPLED,
    Facts,
    extension_classes,
    facts_of,
    modelled_names,
    opaque_names,
    part_classes,
    undeclared,
    unsampled,
)
from test_extensions import UNDOCUMENTED, read

from mcnilib.kernel.fuzz.rules import spelled
from mcnilib.linux.netfilter.iptables.extension import Extension, MatchRecord, Purity, Record
from mcnilib.linux.netfilter.iptables.grammar import Grammar
from mcnilib.linux.netfilter.iptables.match.mark import MarkIs
from mcnilib.linux.netfilter.iptables.match.opaque import OpaqueMatch
from mcnilib.linux.netfilter.iptables.rule_text import MATCHES, TARGETS
from mcnilib.linux.netfilter.iptables.save import parse_rule
from mcnilib.linux.netfilter.iptables.target.opaque import OpaqueTarget

SAMPLED = {
    f"{record.name}-{one.__name__}": record for one in (*MATCHES, *TARGETS) for record in one.records if record.samples
}
DRAW = Random(1)
FIELDS = {
    "address": "10.0.1.2",
    "last": "10.0.1.255",
    "network": "10.0.1.0/24",
    "own": "10.0.1.3",
    "port": ":80",
    "set": "hosts src",
}


@pytest.mark.parametrize(("words", "facts"), DECLARED.items())
def test_a_rule_is_what_its_match_or_target_declares(words: str, facts: Facts) -> None:
    assert facts_of(words)._asdict() == facts._asdict()


def test_every_match_and_target_is_declared() -> None:
    names = {" ".join(sample.split()[:2]) for sample in DECLARED}
    assert sorted((modelled_names() | opaque_names()) - names) == [], "declare it in extension_walk.py"
    assert (
        sorted({name for name in names if name[:2] in ("-m", "-j")} - modelled_names() - opaque_names() - {"-j X"})
        == []
    )


def test_every_class_of_a_match_or_target_is_declared() -> None:
    assert sorted(part_classes() ^ {facts.kind for facts in DECLARED.values()} ^ set(NO_EXTENSION)) == []


def test_every_class_has_records_of_its_own_and_is_found_by_them() -> None:
    assert undeclared(extension_classes()) == []


def test_what_a_match_or_target_prints_derives_from_its_options() -> None:
    named = [one for one in extension_classes() if any(record.name for record in one.records)]
    assert [one.__name__ for one in named if one.__str__ is not Extension.__str__ or hasattr(one, "read")] == []


def test_a_class_that_leaves_out_a_declaration_is_named() -> None:
    class Silent(MarkIs):
        pass

    class Lost(MarkIs):
        records = (MatchRecord("lost", Grammar(), purity=Purity.PURE, tracks=False, samples=("",)),)

    assert undeclared([MarkIs, Silent, Lost]) == ["Silent declares no records", "lost of Lost is in no register"]


@pytest.mark.parametrize("field", ["purity", "tracks", "samples"])
def test_a_record_that_leaves_out_a_declaration_is_refused(field: str) -> None:
    declared = {"purity": Purity.PURE, "tracks": False, "samples": ("",)}
    del declared[field]
    with pytest.raises(TypeError, match=field):
        MatchRecord("cpu", Grammar(), **declared)


def test_what_the_fuzzer_may_try_is_declared() -> None:
    assert unsampled(
        extension for extension in extension_classes() if extension not in (OpaqueMatch, OpaqueTarget)
    ) == sorted(UNSAMPLED)


def test_a_match_without_anything_to_try_is_named() -> None:
    class Mute(MarkIs):
        records = (MatchRecord("mute", Grammar(), purity=Purity.PURE, tracks=False, samples=()),)

    assert unsampled([MarkIs, Mute]) == ["mute of Mute"]


@pytest.mark.parametrize("record", SAMPLED.values(), ids=SAMPLED)
def test_what_the_fuzzer_tries_is_read_and_printed(record: Record) -> None:
    protocol, option = (*record.protocols, "tcp")[0], "-m" if isinstance(record, MatchRecord) else "-j"
    for sample in record.samples * 20:
        arguments = spelled(DRAW, sample, FIELDS)
        rule = parse_rule(f"-A X -p {protocol} {option} {record.name} {arguments}")
        assert f"{option} {record.name}" in str(rule)
        assert parse_rule(str(rule)) == rule


def test_what_is_called_kept_is_what_the_code_keeps() -> None:
    """What became modelled must leave the list of what is kept, and the other way round."""
    rows = [(name, table, rule) for name, table, _, rule in EXTENSIONS] + NOT_IN_EVERY_KERNEL
    rules = [(name, read(table, rule)[1]) for name, table, rule in rows]
    parts = [(name, part) for name, rule in rules for part in (*rule.matches, rule.target)]
    kept = {
        (name, bool(part.gap))
        for name, part in parts
        if isinstance(part, OpaqueMatch | OpaqueTarget) and part.name == name
    }
    refused = {name for name, reason in kept if reason}
    assert sorted(refused - UNDOCUMENTED) == sorted(KEPT)
    assert sorted({name for name, _ in kept} - refused) == sorted(WITHOUT_EFFECT)
    assert sorted(name[3:] for name in opaque_names()) == sorted({*KEPT, *WITHOUT_EFFECT, *UNDOCUMENTED})
