"""The guide's conclusion, recomputed: which cells change with the settings, and where the guide's table is wrong."""

from __future__ import annotations

import pytest

from mcnilib.cluster.settings import Placement, Settings, options
from mcnilib.cluster.spec import CLUSTER, PodKind
from mcnilib.scenarios.conclusion import (
    COLUMNS,
    CONDITION,
    DOCUMENT,
    STORIES,
    TABLE_ROWS,
    TICK,
    WHOLE_TABLE,
    Cell,
    Column,
    conclude,
    differences,
    failing,
    failing_singly,
)

HERE, THERE = Placement.SAME_NODE, Placement.ACROSS_NODES
SHORT = {PodKind.CALICO: "calico", PodKind.MACVLAN: "macvlan", PodKind.MULTI: "multi"}


def name(cell: Cell) -> str:
    """Name a cell: `macvlan > service of calico, across nodes`."""
    target = f"{'service of ' if cell.target.service else ''}{SHORT[cell.target.kind]}"
    return f"{SHORT[cell.source]} > {target}, {cell.placement.value}"


def read(words: str) -> Settings:
    """Read `kube-proxy 1.30, natOutgoing off` on top of the defaults."""
    return Settings.parse(dict(word.split(" ", 1) for word in words.split(", ") if word))


def broken(settings: Settings) -> set[str]:
    """Name the cells that do not work."""
    cells = [cell for placement in Placement for row in conclude(settings, placement) for cell in row]
    return {name(cell) for cell in cells if cell.outcome and not cell.outcome.works}


TO_PODS = {"macvlan > calico, across nodes", "macvlan > multi, across nodes"}
"""What kube-proxy's INVALID drop breaks."""
CURE = "kube-proxy 1.29, be-liberal 1, restarted yes"
FROM_THE_POD_NETWORK = {
    "calico > macvlan, across nodes",
    "calico > service of macvlan, across nodes",
    "multi > service of macvlan, across nodes",
}
"""What natOutgoing keeps alive."""
SERVICES = {f"macvlan > service of {kind}, across nodes" for kind in ("calico", "macvlan", "multi")}


@pytest.mark.parametrize(
    ("settings", "cells"),
    [
        ("", TO_PODS),
        (CURE, set()),
        ("kube-proxy 1.29, be-liberal 1", TO_PODS),  # it looks only when it starts
        ("protocol UDP", set()),
        ("encapsulation VXLAN", TO_PODS),
        ("nat-outgoing off", TO_PODS | FROM_THE_POD_NETWORK),
        (f"nat-outgoing off, {CURE}", set()),
        ("cluster-cidr no", TO_PODS | SERVICES),  # no SNAT: the endpoint answers past the node
        ("cluster-cidr no, masquerade-all on", TO_PODS),
        # untuned, a multi-NIC pod answers everybody in net1's subnet by net1, past its own node
        (f"tuning not tuned, {CURE}", {
            "macvlan > multi, same node", "macvlan > multi, across nodes", "macvlan > service of multi, across nodes"}),
        (f"tuning not tuned, {CURE}, felix-invalid off", set()),
        ("default-nic net1", TO_PODS),
        ("stateful-gateway stateful", TO_PODS),
        ("macvlan-mode private", {*TO_PODS, "macvlan > macvlan, same node", "multi > macvlan, same node"}),
        ("workaround host route back", set()),
    ],
)  # fmt: skip
def test_which_pairs_cannot_talk(settings: str, cells: set[str]) -> None:
    assert broken(read(settings)) == cells


@pytest.mark.parametrize(
    ("settings", "cells"),
    [
        ("", {"macvlan > multi, across nodes"}),  # the condition it states for Calico pods holds here too
        (CURE, set()),
        ("protocol UDP", {"macvlan > calico, across nodes"}),  # needs no 1.29
        ("workaround host route back", {"macvlan > calico, across nodes"}),
        ("nat-outgoing off", {"macvlan > multi, across nodes", *FROM_THE_POD_NETWORK}),
    ],
)
def test_where_the_documents_table_is_wrong(settings: str, cells: set[str]) -> None:
    assert {name(cell) for cell in differences(read(settings))} == cells


def test_the_documents_table() -> None:
    assert len(DOCUMENT) == len(STORIES) == 18
    conditions = [key for key, says in DOCUMENT.items() if says != TICK]
    assert conditions == [(PodKind.MACVLAN, Column(PodKind.CALICO))]
    assert DOCUMENT[conditions[0]] == CONDITION


def test_the_names_of_rows_and_columns() -> None:
    assert [source.value for source in TABLE_ROWS] == ["Calico", "Macvlan", "Calico + Macvlan"]
    assert [str(target) for target in COLUMNS] == [
        "Calico Pod",
        "Macvlan Pod",
        "Calico + Macvlan Multi-NIC Pod",
        "Service for Calico Pod",
        "Service for Macvlan Pod",
        "Service for Calico + Macvlan Multi-NIC Pod",
    ]


@pytest.mark.parametrize("placement", Placement)
def test_a_cell_is_about_its_row_its_column_and_its_placement(placement: Placement) -> None:
    for row in conclude(Settings(), placement):
        for cell in row:
            if cell.way is None:
                continue
            client, server = CLUSTER.pod(cell.way.client), CLUSTER.pod(cell.way.server)
            assert (client.kind, server.kind) == (cell.source, cell.target.kind)
            assert (client.node == server.node) is (placement is HERE)
            assert (cell.way.to == CLUSTER.web.cluster_ip) is cell.target.service


def test_only_two_pairs_do_not_exist_on_one_node() -> None:
    none = [name(cell) for p in Placement for row in conclude(Settings(), p) for cell in row if cell.story is None]
    assert none == ["calico > calico, same node", "multi > multi, same node"]
    (nobody,) = (cell for row in conclude(Settings(), HERE)[:1] for cell in row[:1])
    assert (nobody.outcome, nobody.holds, nobody.link, nobody.scenario) == (None, None, "", "")


def test_a_cell_links_to_the_state_behind_it() -> None:
    cell = conclude(read("nat-outgoing off"), THERE)[0][1]
    assert cell.link == "mcni run calico-to-macvlan"  # the scenario starts with natOutgoing off
    cell = conclude(read("kube-proxy 1.30"), THERE)[1][0]
    assert cell.link == "mcni run macvlan-to-calico-across-nodes --kube-proxy 1.30"


def test_the_settings_of_the_table_are_those_that_choose_no_actor() -> None:
    assert {one.attribute for one in options()} - set(WHOLE_TABLE) == {
        "placement", "endpoint", "external_policy", "receiving_node",
    }  # fmt: skip


@pytest.mark.slow
def test_each_setting_changed_alone() -> None:
    """Of the settings of the table these change who fails; no version of kube-proxy does by itself."""
    counts = {f"{one.name} {one.text(value)}": len(cells) for one, value, cells in failing_singly(Settings())}
    changed = {name for name, count in counts.items() if count != len(failing(Settings()))}
    assert counts["protocol UDP"] == counts["workaround host route back"] == 0
    assert {
        "tuning not tuned",
        "nat-outgoing off",
        "cluster-cidr no",
        "macvlan-mode private",
        "kube-proxy-mode ipvs",
    } <= changed
    assert not any(name.startswith("kube-proxy ") for name in changed)
