"""The guide's conclusion, computed: who reaches whom, under any settings, and on one node or across nodes.

Three kinds of pods as source, the same three and a service of each as target: 18 cells for each placement. Every cell
is the run of a scenario, which `Cell.scenario` names. `conclude` computes them, `differences` those of which the
document says something else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product, zip_longest
from textwrap import wrap

from mcnilib.cluster.settings import Option, Placement, Protocol, Settings, option, options
from mcnilib.cluster.spec import PodKind
from mcnilib.gc_pause import gc_paused
from mcnilib.language import mark, tr
from mcnilib.scenarios import Scenario, matrix, scenario
from mcnilib.scenarios.scenario import OF_SOME, DialTarget
from mcnilib.trace.trace import Outcome, Trace

TICK = "✓"

CONDITION = mark("requires kube-proxy version greater than v1.29.")
"""What the guide's table says of Macvlan pod to Calico pod; every other cell is a tick."""

WHOLE_TABLE = tuple(option.attribute for option in options() if option.attribute not in OF_SOME)
"""The settings of the whole table: all but those that choose the actors, and those for NodePorts."""

TOGGLES = (
    *("kube_proxy", "kube_proxy_mode", "be_liberal", "restarted", "felix_invalid", "tuning", "nat_outgoing"),
    "cluster_cidr",
    *("masquerade_all", "workaround", "macvlan_mode", "coordinator", "protocol"),
)
"""Those a reader can change: each changes some cell. Pings are left out, for a service has no port for them."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: a kind of pod, dialled at its own address or through a service it stands behind."""

    kind: PodKind
    service: bool = False

    def __str__(self) -> str:
        """Return the guide's name of the column."""
        name = tr(POD_NAMES[self.kind])
        return tr("Service for {pods}", pods=name) if self.service else name


POD_NAMES = {
    PodKind.CALICO: mark("Calico Pod"),
    PodKind.MACVLAN: mark("Macvlan Pod"),
    PodKind.MULTI: mark("Calico + Macvlan Multi-NIC Pod"),
}
"""The guide's names, in its order."""

TABLE_ROWS = tuple(POD_NAMES)

COLUMNS = (*(Column(kind) for kind in POD_NAMES), *(Column(kind, service=True) for kind in POD_NAMES))

_CALICO, MACVLAN, MULTI = TABLE_ROWS

TO_CALICO, TO_MACVLAN, TO_MULTI, CALICO_SERVICE, MACVLAN_SERVICE, MULTI_SERVICE = COLUMNS

Behind = tuple[str, str] | None
"""The scenario behind a cell and the service's endpoint there; None: the cluster has no such two pods on one node."""

STORIES: dict[tuple[PodKind, Column], tuple[Behind, Behind]] = {
    (_CALICO, TO_CALICO): (None, ("calico-to-calico", "")),
    (_CALICO, TO_MACVLAN): (("calico-to-macvlan", ""),) * 2,
    (_CALICO, TO_MULTI): (("calico-to-multi-nic", ""),) * 2,
    (_CALICO, CALICO_SERVICE): (("calico-to-clusterip", "cal1"), ("calico-to-clusterip", "cal2")),
    (_CALICO, MACVLAN_SERVICE): (("calico-to-clusterip", "mac1"), ("calico-to-clusterip", "mac2")),
    (_CALICO, MULTI_SERVICE): (("calico-to-clusterip", "mul1"), ("calico-to-clusterip", "mul2")),
    (MACVLAN, TO_CALICO): (("macvlan-to-calico-same-node", ""), ("macvlan-to-calico-across-nodes", "")),
    (MACVLAN, TO_MACVLAN): (("macvlan-same-subnet", ""),) * 2,
    (MACVLAN, TO_MULTI): (("macvlan-to-multi-nic", ""),) * 2,
    (MACVLAN, CALICO_SERVICE): (("macvlan-to-clusterip-calico", "cal1"), ("macvlan-to-clusterip-calico", "cal2")),
    (MACVLAN, MACVLAN_SERVICE): (("macvlan-to-clusterip-macvlan", "mac1b"), ("macvlan-to-clusterip-macvlan", "mac4")),
    (MACVLAN, MULTI_SERVICE): (("macvlan-to-clusterip-multi-nic", "mul1"), ("macvlan-to-clusterip-multi-nic", "mul2")),
    (MULTI, TO_CALICO): (("multi-nic-to-calico", ""),) * 2,
    (MULTI, TO_MACVLAN): (("multi-nic-to-macvlan", ""),) * 2,
    (MULTI, TO_MULTI): (None, ("multi-nic-to-multi-nic", "")),
    (MULTI, CALICO_SERVICE): (("multi-nic-to-clusterip", "cal2"), ("multi-nic-to-clusterip", "cal1")),
    (MULTI, MACVLAN_SERVICE): (("multi-nic-to-clusterip", "mac2"), ("multi-nic-to-clusterip", "mac1")),
    (MULTI, MULTI_SERVICE): (
        ("multi-nic-to-clusterip-multi-nic", "mul2"),
        ("multi-nic-to-clusterip-multi-nic", "mul1"),
    ),
}
"""What is behind each cell, on one node and across nodes."""

DOCUMENT = {key: CONDITION if key == (MACVLAN, TO_CALICO) else TICK for key in product(TABLE_ROWS, COLUMNS)}
"""The guide's own table. Copies of it have lost the ticks, and with them the six cells of the last row.

Source: the Spiderpool documentation's first edition, where all cells but one are ticks.
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell for one placement, under the settings of the table.

    `story` is the scenario behind it; None when the cluster has no such two pods on one node.
    """

    source: PodKind
    target: Column
    placement: Placement
    settings: Settings
    story: Scenario | None

    @property
    def scenario(self) -> str:
        """The name of the scenario behind the cell; empty when there is none."""
        return self.story.name if self.story else ""

    @property
    def way(self) -> DialTarget | None:
        """Who talks to whom."""
        return self.story.way(self.settings) if self.story else None

    def trace(self) -> Trace | None:
        """Return the conversation behind the cell."""
        return self.story.run(self.settings) if self.story else None

    @property
    def outcome(self) -> Outcome | None:
        """How the conversation ends."""
        return self.story.outcome(self.settings) if self.story else None

    @property
    def link(self) -> str:
        """The command that shows the conversation; it names every setting of the table that the scenario changes."""
        if self.story is None:
            return ""
        names = dict.fromkeys((*self.story.settings, *WHOLE_TABLE))
        return replace(self.story, settings=tuple(names)).command(self.settings)

    @property
    def says(self) -> str:
        """What the guide's table says, word for word."""
        return DOCUMENT[self.source, self.target]

    @property
    def holds(self) -> bool | None:
        """Whether the guide is right here; None when there is nothing to compare.

        A tick promises a connection. Where the table sets a condition, the section it comes from tells when it is met.
        """
        if self.story is None or self.outcome is None:
            return None
        if self.says == TICK:
            return self.outcome.works
        return self.story.claim(self.settings).holds(self.outcome.works)


def toggles() -> tuple[Option, ...]:
    """Return the settings of the table that a reader can change, and last the placement."""
    chosen = (option(name) for name in (*TOGGLES, "placement"))
    return tuple(
        setting.only(Protocol.TCP, Protocol.UDP) if setting.attribute == "protocol" else setting for setting in chosen
    )


def conclude(settings: Settings, placement: Placement) -> tuple[tuple[Cell, ...], ...]:
    """Return the table for one placement: a row for each of TABLE_ROWS, in it a cell for each of COLUMNS."""
    return tuple(tuple(cell_of(settings, placement, source, target) for target in COLUMNS) for source in TABLE_ROWS)


def cell_of(settings: Settings, placement: Placement, source: PodKind, target: Column) -> Cell:
    """Return one cell; the conversation is held when its outcome is asked for."""
    behind = STORIES[source, target][placement is Placement.ACROSS_NODES]
    chosen = settings.but(placement=placement)
    if behind is None:
        return Cell(source, target, placement, chosen, None)
    name, endpoint = behind
    return Cell(source, target, placement, chosen.but(endpoint=endpoint) if endpoint else chosen, scenario(name))


def differences(settings: Settings) -> tuple[Cell, ...]:
    """Return the cells of both placements in which the guide is wrong under these settings."""
    rows = (row for placement in Placement for row in conclude(settings, placement))
    return tuple(cell for row in rows for cell in row if cell.holds is False)


@gc_paused()
def failing(settings: Settings) -> tuple[Cell, ...]:
    """Return the cells of both placements whose conversation does not work."""
    rows = (row for placement in Placement for row in conclude(settings, placement))
    return tuple(cell for row in rows for cell in row if cell.outcome and not cell.outcome.works)


@gc_paused()
def failing_singly(settings: Settings) -> tuple[tuple[Option, object, tuple[Cell, ...]], ...]:
    """Change each toggle of the table alone, to each of its values; return toggle, value and the cells that fail then.

    Some 600 conversations: one or two seconds, and less when they have been held before.
    """
    alone = ((setting, value) for setting in toggles() if setting.attribute != "placement" for value in setting.values)
    return tuple((setting, value, failing(settings.but(**{setting.attribute: value}))) for setting, value in alone)


NOBODY = mark("no such pods")
"""What stands in a cell that the cluster has no two pods for."""

WRONG_MARK = "≠"
"""Stands where the guide's table says something else."""

WRAP_AT = 16
"""Characters after which the name of a line or a column is broken."""


def conclusion_matrix(settings: Settings, placement: Placement, where: bool = False) -> str:
    """Return the table for one placement; WRONG_MARK stands where the guide's table is wrong.

    `where` adds the namespace that decided to each failure.
    """
    names = [wrap(str(target), WRAP_AT) for target in COLUMNS]
    heads = [["", *parts] for parts in zip_longest(*names, fillvalue="")]
    heads[0][0] = tr(placement.value)
    rows = zip(TABLE_ROWS, conclude(settings, placement), strict=True)
    body = [
        line
        for source, row in rows
        for line in _named(tr(POD_NAMES[source]), [said(cell, where=where) for cell in row])
    ]
    return matrix.draw([*heads, *body], len(heads))


def _named(name: str, cells: list[str]) -> list[list[str]]:
    """Return a line of the table; the rest of a long name stands in the next one."""
    return [list(row) for row in zip_longest(wrap(name, WRAP_AT), *([cell] for cell in cells), fillvalue="")]


def said(cell: Cell, *, where: bool = False) -> str:
    """Return what becomes of a cell's conversation in a word or two, and WRONG_MARK where the guide is wrong."""
    trace = cell.trace()
    word = matrix.verdict_cell(trace, where=where) if trace else tr(NOBODY)
    return f"{word} {WRONG_MARK}" if cell.holds is False else word


def difference_lines(settings: Settings) -> list[str]:
    """Return a line for each cell in which the guide's table is wrong, in both placements."""
    return [
        tr(
            "{conversation}: the guide says '{says}'; Linux: {outcome}",
            conversation=name_of(cell),
            says=tr(cell.says),
            outcome=said(cell)[:-2],
        )
        for cell in differences(settings)
    ]


_PLACED = {
    Placement.SAME_NODE: mark("{source} to {target}, same node"),
    Placement.ACROSS_NODES: mark("{source} to {target}, across nodes"),
}


def name_of(cell: Cell) -> str:
    """Name a cell: `Macvlan Pod to Calico Pod, across nodes`."""
    return tr(_PLACED[cell.placement], source=tr(POD_NAMES[cell.source]), target=cell.target)


def conclusion_text(settings: Settings) -> str:
    """Return the tables of both placements, and the differences from the guide's."""
    tables = [conclusion_matrix(settings, placement) for placement in Placement]
    lines = difference_lines(settings) or [tr("the guide's table is right in every cell")]
    return "\n\n".join([*tables, "\n".join(lines)])
