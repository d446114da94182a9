"""What iptables-save prints wrongly, or not at all, of tables of nftables: named where a packet meets it."""

from __future__ import annotations

import json

import pytest
from kernel_worlds import bridged
from test_notes import asked, whole

from mcnilib.snapshots.files import save
from mcnilib.snapshots.load import load_collected
from mcnilib.snapshots.question import read_flow
from mcnilib.trace.explain import tell, verdict
from mcnilib.trace.flow import Listener
from mcnilib.trace.run import run

DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}
SADDR = {"payload": {"protocol": "ip", "field": "saddr"}}
DROP = {"drop": None}


def compared(left: object, right: object) -> dict[str, object]:
    """Print a comparison."""
    return {"match": {"op": "==", "left": left, "right": right}}


def ruleset(*entries: tuple[str, dict[str, object]]) -> str:
    """Print a ruleset as nft does."""
    return json.dumps({"nftables": [{"metainfo": {"version": "1.0.6"}}, *({kind: one} for kind, one in entries)]})


def table(family: str, name: str, **more: object) -> tuple[str, dict[str, object]]:
    """Print a table."""
    return "table", {"family": family, "name": name, **more}


def chain(family: str, of: str, name: str, hook: str = "", policy: str = "accept") -> tuple[str, dict[str, object]]:
    """Print a chain, at a hook or at none."""
    at = {"type": "filter", "hook": hook, "prio": 0, "policy": policy} if hook else {}
    return "chain", {"family": family, "table": of, "name": name, **at}


def rule(family: str, of: str, name: str, *expr: object) -> tuple[str, dict[str, object]]:
    """Print a rule."""
    return "rule", {"family": family, "table": of, "chain": name, "expr": list(expr)}


def printed(*rules: str, policy: str = "ACCEPT") -> str:
    """Print the table filter as iptables-save does."""
    return "\n".join(["*filter", f":INPUT {policy} [0:0]", ":FORWARD ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]", *rules, "COMMIT", ""])  # fmt: skip


def own(*rules: tuple[object, ...], hook: str = "input", **flags: object) -> str:
    """Print the table filter as nft does."""
    lines = (rule("ip", "filter", "INPUT", *expr) for expr in rules)
    return ruleset(table("ip", "filter", **flags), chain("ip", "filter", "INPUT", hook), *lines)


LEFT_OUT = "rule 1 of INPUT has expressions of nftables that iptables-save does not print"


@pytest.mark.parametrize(
    ("line", "expr", "says"),
    [
        pytest.param("-p tcp -m tcp --dport 81 -j DROP", [compared(DPORT, 81), {"counter": {}}, DROP], "connected", id="a port"),
        pytest.param("-p tcp -m tcp --dport 80:90 -j DROP", [compared(DPORT, {"range": [80, 90]}), DROP], "times out", id="a range of ports"),
        pytest.param("-s 10.0.0.0/24 -j DROP", [compared(SADDR, {"prefix": {"addr": "10.0.0.0", "len": 24}}), DROP], "times out", id="a network"),
        pytest.param("-p tcp -m statistic --mode nth --every 1 --packet 0 -j DROP", [compared({"meta": {"key": "l4proto"}}, "tcp"), {"xt": {"type": "match", "name": "statistic"}}, DROP], "times out", id="an extension"),
        pytest.param("-p tcp -j DROP", [compared(DPORT, {"set": [81, 82]}), DROP], LEFT_OUT, id="a set without a name"),
        pytest.param("-j DROP", [compared(SADDR, "@s"), DROP], LEFT_OUT, id="a set with a name"),
        pytest.param("-p tcp", [{"vmap": {"key": DPORT, "data": {"set": [[80, DROP]]}}}], LEFT_OUT, id="a verdict map"),
        pytest.param("-s 1.2.3.9/32 -j DROP", [compared(SADDR, {"range": ["1.2.3.4", "1.2.3.9"]}), DROP], LEFT_OUT, id="a range of addresses"),
        pytest.param("-p udp -j DROP", [compared({"meta": {"key": "l4proto"}}, {"range": [6, 17]}), DROP], LEFT_OUT, id="a range of protocols"),
        pytest.param("-p tcp -j DROP", [compared({"payload": {"protocol": "tcp", "field": "sequence"}}, 5), DROP], LEFT_OUT, id="a field no option names"),
        pytest.param("-p tcp -j DROP", [compared({"concat": [SADDR, DPORT]}, {"set": []}), DROP], LEFT_OUT, id="two fields together"),
    ],
)  # fmt: skip
def test_a_rule_that_iptables_save_prints_in_part_is_unknown(line: str, expr: list[object], says: str) -> None:
    files = {"node/iptables.txt": printed(f"-A INPUT {line}"), "node/nft.json": own(tuple(expr))}
    assert says in verdict(asked(whole() | files))


def test_a_rule_before_it_decides() -> None:
    first, second = (compared(DPORT, 80), {"accept": None}), (compared(SADDR, "@s"), DROP)
    files = {"node/iptables.txt": printed("-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT", "-A INPUT -j DROP")}
    assert verdict(asked(whole() | files | {"node/nft.json": own(first, second)})).startswith("connected")
    assert "rule 1 of INPUT" in verdict(asked(whole() | files | {"node/nft.json": own(second, first)}))


def test_where_the_rules_are_not_the_same_ones_the_whole_chain_is_unknown() -> None:
    files = {"node/iptables.txt": printed(), "node/nft.json": own((compared(SADDR, "@s"), DROP))}
    assert LEFT_OUT in verdict(asked(whole() | files))


DROPS = {"node/iptables.txt": printed("-A INPUT -p tcp -m tcp --dport 80 -j DROP")}
PRINTED_RULE = (compared(DPORT, 80), DROP)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        pytest.param({"nft.json": own(PRINTED_RULE), "nft.txt": "table ip filter\n"}, "times out", id="a table"),
        pytest.param({"nft.json": own(PRINTED_RULE, flags="dormant")}, "connected", id="a dormant one, as new versions say"),
        pytest.param({"nft.json": own(PRINTED_RULE, flags=["dormant", "owner"])}, "connected", id="dormant and owned"),
        pytest.param({"nft.json": own(PRINTED_RULE, flags="owner")}, "times out", id="owned by a program"),
        pytest.param({"nft.json": own(PRINTED_RULE, flags="filter")}, "whether the table ip filter is dormant", id="nft 1.0.6 does not say"),
        pytest.param({"nft.json": own(PRINTED_RULE, flags="filter"), "nft.txt": "table ip filter {\n\tflags dormant\n"}, "connected", id="its text form does"),
        pytest.param({"nft.json": own(PRINTED_RULE, flags="filter"), "nft.txt": "table ip filter {\n\tflags owner\n"}, "times out", id="and says that it is not"),
        pytest.param({"nft.json": own(PRINTED_RULE, hook="")}, "connected", id="a chain of that name at no hook"),
    ],
)  # fmt: skip
def test_a_table_that_no_packet_meets_drops_none(files: dict[str, str], says: str) -> None:
    assert says in verdict(asked(whole() | DROPS | {f"node/{name}": text for name, text in files.items()}))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(ruleset(table("inet", "fw"), chain("inet", "fw", "in", "input")), "connected", id="an empty table"),
        pytest.param(ruleset(table("inet", "fw"), chain("inet", "fw", "in", "input"), rule("inet", "fw", "in", DROP)), "is dropped on node in inet fw in by `drop`", id="a rule at a hook on the way"),
        pytest.param(ruleset(table("inet", "fw"), chain("inet", "fw", "in", "input", "drop")), "is dropped on node in inet fw in by `type filter hook input priority filter; policy drop;`", id="a policy at a hook on the way"),
        pytest.param(ruleset(table("ip", "fw"), chain("ip", "fw", "fw", "forward"), rule("ip", "fw", "fw", DROP)), "connected", id="a rule at another hook"),
        pytest.param(ruleset(table("inet", "fw"), chain("inet", "fw", "x"), rule("inet", "fw", "x", DROP)), "connected", id="a rule at no hook"),
        pytest.param(ruleset(table("ip6", "fw"), chain("ip6", "fw", "in", "input", "drop")), "connected", id="IPv6"),
        pytest.param(ruleset(table("inet", "fw", flags=["dormant"]), chain("inet", "fw", "in", "input", "drop")), "connected", id="dormant"),
        pytest.param(ruleset(table("netdev", "nd"), chain("netdev", "nd", "in", "ingress"), rule("netdev", "nd", "in", DROP)), "the nftables chain netdev nd in", id="before ARP"),
        pytest.param(ruleset(table("inet", "nd"), chain("inet", "nd", "in", "ingress", "drop")), "the nftables chain inet nd in", id="before ARP, of the family inet"),
        pytest.param(ruleset(table("arp", "filter"), chain("arp", "filter", "INPUT", "input"), rule("arp", "filter", "INPUT", DROP)), "the nftables chain arp filter INPUT", id="arptables"),
        pytest.param(ruleset(table("arp", "filter"), chain("arp", "filter", "INPUT", "input")), "connected", id="arptables without rules"),
        pytest.param(ruleset(table("bridge", "filter"), chain("bridge", "filter", "FORWARD", "forward", "drop")), "connected", id="ebtables, and no bridge"),
    ],
)  # fmt: skip
def test_a_table_of_its_own_decides_or_is_unknown_at_its_hooks(text: str, says: str) -> None:
    assert says in verdict(asked(whole() | {"node/nft.json": text, "node/nft.txt": "table inet fw\n"}))


@pytest.mark.parametrize("text", ["{}", "[]", '{"nftables": 3}', '{"nftables": [{"rule": {}}]}', '{"nftables": [3]}'])
def test_text_nft_does_not_print_cannot_be_read(text: str) -> None:
    said = verdict(asked(whole() | {"node/nft.json": text}))
    assert said.startswith("unknown") and "node/nft.json:1:1" in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("*filter\n:INPUT ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n", "connected", id="no rules"),
        pytest.param("*filter\n:INPUT ACCEPT\n:OUTPUT ACCEPT\n-A INPUT -j DROP\nCOMMIT\n", "arptables-legacy has a table", id="a rule"),
        pytest.param("*filter\n:INPUT DROP\n:OUTPUT ACCEPT\nCOMMIT\n", "arptables-legacy has a table", id="a policy"),
        pytest.param("filter\n", "arptables-legacy has a table", id="a table whose rules nobody can list"),
    ],
)  # fmt: skip
def test_legacy_rules_of_arp_are_named(text: str, says: str) -> None:
    assert says in verdict(asked(whole() | {"node/arptables-legacy.txt": text}))


FORWARDS = ruleset(table("bridge", "filter"), chain("bridge", "filter", "FORWARD", "forward", "drop"))


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        pytest.param("nft.json", FORWARDS, "the nftables chain bridge filter FORWARD", id="ebtables"),
        pytest.param("nft.json", FORWARDS.replace("drop", "accept"), "", id="ebtables without rules"),
        pytest.param("ebtables-legacy.txt", "ebtable_filter 16384 1 - Live 0x0\n", "ebtables-legacy has rules in ebtable_filter", id="legacy rules"),
        pytest.param("ebtables-legacy.txt", "ebtable_filter 16384 0 - Live 0x0\n", "", id="a legacy table without rules"),
    ],
)  # fmt: skip
def test_rules_of_bridges_are_named_where_a_frame_gets_to_a_bridge(file: str, text: str, says: str) -> None:
    trace = run(
        load_collected(save(bridged()) | {f"n/{file}": text}), read_flow("a", "tcp:10.0.7.3:80"), [Listener("b", 80)]
    )
    assert trace.outcome.works is not bool(says)
    assert says in "\n".join(tell(trace))
