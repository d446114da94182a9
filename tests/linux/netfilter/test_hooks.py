"""What stands at the hooks of a namespace, and in which order its packets meet it."""

from __future__ import annotations

from mcnilib.linux.netfilter import hooks
from mcnilib.linux.netfilter.hooks import BUILT_IN, HOOKS, IPVS, HookKind, hook_entries
from mcnilib.linux.netfilter.iptables.save import parse_tables
from mcnilib.linux.netns import Family
from mcnilib.trace.stack.netfilter import EVALUATORS

EVERYTHING = {
    "PREROUTING": "raw conntrack mangle nat",
    "INPUT": "mangle filter security nat confirm",
    "FORWARD": "mangle filter security",
    "OUTPUT": "raw conntrack mangle nat filter security",
    "POSTROUTING": "mangle nat confirm",
}


def standing(hook: str, family: Family) -> str:
    """Name what stands at a hook: a table, or conntrack's part."""
    return " ".join(entry.table or entry.kind for entry in family.hooks[hook])


def family(*tables: str) -> Family:
    """Return what a namespace has with tables that ask for conntrack in the last of their chains."""
    rule = "-A OUTPUT -m conntrack --ctstate NEW -j ACCEPT"
    texts = (
        "\n".join([f"*{name}", *(f":{chain} ACCEPT" for chain in BUILT_IN[name]), rule, "COMMIT"]) for name in tables
    )
    return Family(tables=parse_tables("\n".join(texts)))


def test_all_that_linux_knows_stands_in_the_order_of_the_kernel() -> None:
    everything = family("filter", "security", "nat", "mangle", "raw")
    assert {hook: standing(hook, everything) for hook in HOOKS} == EVERYTHING


def test_a_namespace_has_only_what_its_rules_ask_for() -> None:
    assert [standing(hook, Family()) for hook in HOOKS] == [""] * 5
    assert standing("OUTPUT", family("filter")) == "conntrack filter"
    assert standing("POSTROUTING", family("filter")) == "confirm"


def test_the_priority_decides_whatever_the_order_of_registration(monkeypatch) -> None:
    before = hook_entries(tuple(BUILT_IN), True)
    monkeypatch.setattr(hooks, "HOOKS", {hook: entries[::-1] for hook, entries in HOOKS.items()})
    assert hook_entries.__wrapped__(tuple(BUILT_IN), True) == before == HOOKS


def test_whatever_stands_at_a_hook_has_an_evaluator() -> None:
    standing_there = {entry.kind for entries in (*HOOKS.values(), *IPVS.values()) for entry in entries}
    assert standing_there == set(HookKind) == set(EVALUATORS)
