"""Every match and target declares where it may stand, what it needs and what it does; what nobody declared is named."""

from __future__ import annotations

import pytest
from extension_facts import EXTENSIONS, KEPT, NOT_IN_EVERY_KERNEL, WITHOUT_EFFECT
from extension_walk import (
    DECLARED,
    NO_EXTENSION,
    Facts,
    extension_classes,
    facts_of,
    modelled_names,
    opaque_names,
    part_classes,
    undeclared,
)
from test_extensions import UNDOCUMENTED, read

from mcnilib.linux.netfilter.iptables.extension import MatchRecord, Purity
from mcnilib.linux.netfilter.iptables.grammar import Grammar
from mcnilib.linux.netfilter.iptables.match.mark import MarkIs
from mcnilib.linux.netfilter.iptables.match.opaque import OpaqueMatch
from mcnilib.linux.netfilter.iptables.target.opaque import OpaqueTarget


@pytest.mark.parametrize(("words", "facts"), DECLARED.items())
def test_a_rule_is_what_its_match_or_target_declares(words: str, facts: Facts) -> None:
    assert facts_of(words)._asdict() == facts._asdict()


def test_every_match_and_target_is_declared() -> None:
    names = {" ".join(words.split()[:2]) for words in DECLARED}
    assert sorted((modelled_names() | opaque_names()) - names) == [], "declare it in extension_walk.py"
    assert (
        sorted({name for name in names if name[:2] in ("-m", "-j")} - modelled_names() - opaque_names() - {"-j X"})
        == []
    )


def test_every_class_of_a_match_or_target_is_declared() -> None:
    assert sorted(part_classes() ^ {facts.kind for facts in DECLARED.values()} ^ set(NO_EXTENSION)) == []


def test_every_class_has_records_of_its_own_and_is_found_by_them() -> None:
    assert undeclared(extension_classes()) == []


def test_a_class_that_leaves_out_a_declaration_is_named() -> None:
    class Silent(MarkIs):
        pass

    class Lost(MarkIs):
        records = (MatchRecord("lost", Grammar(), purity=Purity.PURE, tracks=False),)

    assert undeclared([MarkIs, Silent, Lost]) == ["Silent declares no records", "lost of Lost is in no register"]


@pytest.mark.parametrize("field", ["purity", "tracks"])
def test_a_record_that_leaves_out_a_declaration_is_refused(field: str) -> None:
    declared = {"purity": Purity.PURE, "tracks": False}
    del declared[field]
    with pytest.raises(TypeError, match=field):
        MatchRecord("cpu", Grammar(), **declared)


def test_what_is_called_kept_is_what_the_code_keeps() -> None:
    """What became modelled must leave the list of what is kept, and the other way round."""
    rows = [(name, table, rule) for name, table, _, rule in EXTENSIONS] + NOT_IN_EVERY_KERNEL
    rules = [(name, read(table, rule)[1]) for name, table, rule in rows]
    parts = [(name, part) for name, rule in rules for part in (*rule.matches, rule.target)]
    kept = {
        (name, bool(part.why))
        for name, part in parts
        if isinstance(part, OpaqueMatch | OpaqueTarget) and part.name == name
    }
    refused = {name for name, why in kept if why}
    assert sorted(refused - UNDOCUMENTED) == sorted(KEPT)
    assert sorted({name for name, _ in kept} - refused) == sorted(WITHOUT_EFFECT)
    assert sorted(name[3:] for name in opaque_names()) == sorted({*KEPT, *WITHOUT_EFFECT, *UNDOCUMENTED})
