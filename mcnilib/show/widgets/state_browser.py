"""The state browser: a widget to choose a namespace, and what it holds (`mcnilib.show.html.netns_state`)."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from mcnilib.cluster.spec import Cluster, PodKind
from mcnilib.language import in_own_language, keeping, mark, tr
from mcnilib.show.html.markup import Bundle, element, error_boundary, error_html, static_fallback, status
from mcnilib.show.html.netns_state import address_list, netns_html, state_text
from mcnilib.show.widgets.controls import WIDE
from mcnilib.show.widgets.frame import PanelFrame
from mcnilib.world.world import World

NODE = mark("the node itself")
"""The choice beside the kinds of pods."""


class StateBrowser(PanelFrame):
    """Three lists, for the kind, the node and the pod, and below them what that namespace holds.

    The node list offers only nodes that have such a pod.
    """

    def __init__(self, world: World, cluster: Cluster, scale: float = 1.0) -> None:
        """Build the lists and show the first Macvlan pod."""
        self.world, self.cluster = world, cluster
        kinds = {**{tr(kind.value): kind for kind in PodKind}, tr(NODE): None}
        self.kind, self.node, self.who = (
            widgets.Dropdown(description=label, style=dict(WIDE), layout=widgets.Layout(width="auto"))
            for label in (tr("pod kind"), tr("node"), tr("look into"))
        )
        self.kind.options = list(kinds.items())
        self.kind.index = 0
        self.about, self.state = widgets.HTML(), widgets.HTML()
        self._choose_kind()
        for box, then in ((self.kind, self._choose_kind), (self.node, self._choose_node), (self.who, self._show)):
            box.observe(keeping(lambda change, then=then: then()), names="index")
        controls = widgets.HBox([self.kind, self.node, self.who], layout=widgets.Layout(flex_flow="row wrap"))
        controls.add_class("mcni-settings")
        super().__init__([controls, self.about, self.state], scale)

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
        addresses = address_list(self.world[name])
        if self.kind.value is None:
            return tr("{name}: the node itself, {addresses}", name=name, addresses=addresses)
        kind, node = self.kind.label, self.node.value
        return tr("{name}: {kind} pod on {node}, {addresses}", name=name, kind=kind, node=node, addresses=addresses)

    @in_own_language
    def _repr_mimebundle_(self, **kwargs: Any) -> Bundle:
        """Add a first look as text, for viewers without a kernel."""
        return static_fallback(
            super()._repr_mimebundle_(**kwargs),
            lambda: [self.summary(), *state_text(self.world[self.who.value], briefly=True)],
        )
