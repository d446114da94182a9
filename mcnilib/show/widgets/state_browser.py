"""The state browser: the state of one namespace, each line with who wrote it and why; and a widget to choose whose.

Nothing is explained here that the components did not say when they wrote the line (`mcnilib.linux.origin`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets

from mcnilib.cluster.spec import Cluster, PodKind
from mcnilib.linux.netfilter.iptables.rule import Table
from mcnilib.linux.netns import Netns
from mcnilib.linux.origin import KERNEL, Origin
from mcnilib.linux.routing.neigh import SHOWN_BY
from mcnilib.show.html.markup import (
    Bundle,
    Html,
    block,
    element,
    error_boundary,
    error_html,
    folded,
    joined,
    static_fallback,
    status,
)
from mcnilib.show.html.state import StateLine, lines_html
from mcnilib.show.html.style import style_sheet
from mcnilib.show.picture.map import address_list
from mcnilib.show.widgets.controls import WIDE
from mcnilib.world.listing import listing
from mcnilib.world.world import World

NODE = "the node itself"
"""The choice beside the kinds of pods."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One command and what it prints; `folded` hides the lines behind the command until they are asked for."""

    command: str
    lines: tuple[StateLine, ...]
    folded: bool = False


def look_into(netns: Netns) -> tuple[Listed, ...]:
    """Return all that a namespace holds, in the order in which a reader asks: NICs, rules, tables, the rest.

    What is empty is left out, and so are sysctls that nobody wrote.
    """
    parts = (*_links(netns), *_routing(netns), *_neighbours(netns), *_sysctls(netns), *_netfilter(netns))
    return tuple(part for part in parts if part.lines)


def _links(netns: Netns) -> Iterator[Listed]:
    """Yield devices and addresses; the writer of a device stands beside its first line."""
    writers = iter(netns.links)
    lines = []
    for text in listing(netns, "ip -d address").splitlines():
        first = not text.startswith(" ")
        if "valid_lft" not in text:
            lines.append(StateLine(text, note=_by(next(writers).origin) if first else ""))
    yield Listed("ip -d address", tuple(lines))


def _routing(netns: Netns) -> Iterator[Listed]:
    """Yield the rules, then the tables in the order in which the rules name them, then those no rule names."""
    yield Listed("ip rule", _noted(netns.ip4.rules))
    named = dict.fromkeys(rule.table for rule in netns.ip4.rules if rule.action == "lookup")
    for table in dict.fromkeys((*named, *(route.table for route in netns.ip4.routes))):
        lines = _noted(route for route in netns.ip4.routes if route.table == table)
        unused = () if table in named else (StateLine("", note="no rule leads to this table"),)
        yield Listed(f"ip route show table {table}", (*unused, *lines), folded=table == "local")


def _neighbours(netns: Netns) -> Iterator[Listed]:
    for command in dict.fromkeys(SHOWN_BY.values()):
        yield Listed(command, _noted(entry for entry in netns.ip4.neighbours if SHOWN_BY[entry.state] == command))


def _sysctls(netns: Netns) -> Iterator[Listed]:
    """Yield what somebody wrote; what the kernel copied to a device by itself is left out."""
    settings = (setting for setting in netns.sysctls if setting.value)
    written = [setting for setting in settings if setting.origin is None or setting.origin.writer != KERNEL.writer]
    yield Listed("sysctl -a, what was written", _noted(written))


def _netfilter(netns: Netns) -> Iterator[Listed]:
    for table in netns.ip4.tables:
        lines = tuple(_rules(table))
        yield Listed(f"iptables-save -t {table.name}", lines, folded=len(lines) - len(table.chains) > 8)
    sets = tuple(
        StateLine(text, note=_by(ip_set.origin) if at == 0 else "")
        for ip_set in netns.sets
        for at, text in enumerate(ip_set.lines())
    )
    yield Listed("ipset save", sets, folded=True)


def _rules(table: Table) -> Iterator[StateLine]:
    yield from (StateLine(str(chain)) for chain in table.chains)
    for chain in table.chains:
        yield from _noted(chain.rules)


def _noted(items: Iterable[Any]) -> tuple[StateLine, ...]:
    """Return the lines of items that know their origin."""
    return tuple(StateLine(str(item).rstrip(), note=_by(item.origin)) for item in items)


def _by(origin: Origin | None) -> str:
    return str(origin or "")


def state_text(netns: Netns) -> list[str]:
    """Tell a namespace as text: every command, its lines, and after `#` who wrote them and why."""
    lines: list[str] = []
    for part in look_into(netns):
        lines.append(f"{netns.name}# {part.command}")
        lines += (f"  {line.columns}{f'  # {line.note}' if line.note else ''}" for line in part.lines)
    return lines


def netns_html(netns: Netns) -> Html:
    """Return a namespace as HTML; long listings are folded."""
    return block(element("div", *(_part(netns, part) for part in look_into(netns)), class_="mcni-state"))


def _part(netns: Netns, part: Listed) -> Html:
    head, lines = f"{netns.name}# {part.command}", lines_html(part.lines)
    if part.folded:
        return folded(joined(element("code", head), f" ({len(part.lines)} lines)"), lines)
    return joined(element("h4", head), lines)


class StateBrowser(widgets.VBox):  # type: ignore[misc]
    """Three lists, for the kind, the node and the pod, and below them what that namespace holds.

    The node list offers only nodes that have such a pod.
    """

    def __init__(self, world: World, cluster: Cluster, scale: float = 1.0) -> None:
        """Build the lists and show the first Macvlan pod."""
        self.world, self.cluster = world, cluster
        kinds = {**{kind.value: kind for kind in PodKind}, NODE: None}
        self.kind, self.node, self.who = (
            widgets.Dropdown(description=label, style=dict(WIDE), layout=widgets.Layout(width="auto"))
            for label in ("pod kind", "node", "look into")
        )
        self.kind.options = list(kinds.items())
        self.kind.index = 0
        self.about, self.state = widgets.HTML(), widgets.HTML()
        self._choose_kind()
        for box, then in ((self.kind, self._choose_kind), (self.node, self._choose_node), (self.who, self._show)):
            box.observe(lambda change, then=then: then(), names="index")
        controls = widgets.HBox([self.kind, self.node, self.who], layout=widgets.Layout(flex_flow="row wrap"))
        controls.add_class("mcni-settings")
        super().__init__([widgets.HTML(style_sheet(scale)), controls, self.about, self.state])

    def namespaces(self) -> dict[str, tuple[str, ...]]:
        """Return the nodes that have what was chosen, and the namespaces there."""
        if self.kind.value is None:
            return {node.name: (node.name,) for node in self.cluster.nodes}
        pods = [pod for pod in self.cluster.pods if pod.kind is self.kind.value]
        names = {node.name: tuple(pod.name for pod in pods if pod.node == node.name) for node in self.cluster.nodes}
        return {node: members for node, members in names.items() if members}

    @error_boundary
    def _choose_kind(self) -> None:
        """Offer the nodes that have such a pod, and stay on the node if it is one of them."""
        before, nodes = self.node.value, list(self.namespaces())
        self.node.options = nodes
        self.node.value = before if before in nodes else nodes[0]
        self._choose_node()

    @error_boundary
    def _choose_node(self) -> None:
        names = self.namespaces()[self.node.value]
        self.who.options, self.who.index = names, 0
        self.who.disabled = len(names) < 2
        self._show()

    def show_error(self, problem: Exception) -> None:
        """Say what is wrong, and show nothing else: it would be another namespace's."""
        self.about.value, self.state.value = error_html(problem), ""

    @error_boundary
    def _show(self) -> None:
        self.about.value = status(element("b", self.summary()))
        self.state.value = netns_html(self.world[self.who.value])

    def summary(self) -> str:
        """Say in one line who is shown: kind, node, addresses."""
        name = self.who.value
        what = NODE if self.kind.value is None else f"{self.kind.label} pod on {self.node.value}"
        return f"{name}: {what}, {address_list(self.world[name])}"

    def _repr_mimebundle_(self, **kwargs: Any) -> Bundle:
        """Add what is shown as text, for viewers without a kernel."""
        return static_fallback(
            super()._repr_mimebundle_(**kwargs), [self.summary(), *state_text(self.world[self.who.value])]
        )
