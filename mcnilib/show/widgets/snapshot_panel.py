"""The panel of a snapshot: ask who reaches whom, walk through the steps, change a line of state and compare.

Like the panel of a scenario it prints nothing: everything shown is the value of an HTML widget.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets

from mcnilib.language import in_own_language, keeping, tr
from mcnilib.repair.advice import Advice
from mcnilib.show.html.markup import Bundle, error_boundary
from mcnilib.show.inquiry import Inquiry
from mcnilib.show.picture.drawing import lay_out
from mcnilib.show.widgets.controls import WIDE
from mcnilib.show.widgets.frame import PanelFrame
from mcnilib.show.widgets.panel import RepairBox
from mcnilib.show.widgets.trace_view import TraceView, Viewed
from mcnilib.snapshots.snapshot import Snapshot
from mcnilib.snapshots.targets.outside import OUTSIDE


class SnapshotPanel(PanelFrame):
    """A question to a snapshot, and a place for commands that change its state."""

    def __init__(
        self,
        snapshot: Snapshot,
        netns: str,
        to: str,
        listen: Sequence[str] = (),
        source: str = "",
        scale: float = 1.0,
        *,
        sizes: tuple[int, int] = (0, 0),
        patience: float = 5.0,
    ) -> None:
        """Build the fields and ask at once; `sizes` and `patience` stay what they are."""
        self.snapshot, self._sizes, self._patience = snapshot, sizes, patience
        self.client = _client(snapshot, netns)
        forms = tr("ADDRESS:PORT, a URL, a pod's or service's name, udp:ADDRESS:PORT, ADDRESS:PORT@outside")
        self.to = _field(tr("To"), to, forms)
        self.source = _field(tr("Source"), source, tr("ADDRESS, :PORT or ADDRESS:PORT the client binds to (optional)"))
        self.listen = _field(tr("Listening"), " ".join(listen), tr("NETNS:PORT ... beside those that were collected"))
        self.commands = _commands_field()
        self.button = widgets.Button(description=tr("Trace"), tooltip=tr("Follow the packets"), icon="play")
        self.button.on_click(keeping(lambda _: self.ask()))
        self.view = TraceView(scale)
        self.repairs = self._repair_box()
        super().__init__([self._question(), self.commands, self.button, self.view, self.repairs], scale)
        self.ask(wait=False)  # whoever sees the panel may press an arrow key at once
        for field in (self.client, self.to, self.source, self.listen, self.commands):  # a click may overtake the words
            field.observe(keeping(lambda change: self.ask()), names="value")

    def _repair_box(self) -> RepairBox:
        """Make the list of what would help, whose commands are tried in this panel."""
        return RepairBox(
            lambda passing: self._inquiry.repairs(self.snapshot, passing),
            self._try,
            lambda advice: bool(advice.commands),
            tr("Try it here"),
        )

    def _question(self) -> Any:
        layout = widgets.Layout(flex_flow="row wrap", grid_gap="6px 18px")
        question = widgets.Box([self.client, self.to, self.source, self.listen], layout=layout)
        question.add_class("mcni-settings")
        return question

    @error_boundary
    def ask(self, *, wait: bool = True) -> None:
        """Run the conversation as the fields say, and show it beside that of the snapshot, if commands change it."""
        self.repairs.show(self._inquiry)
        found = self._inquiry.ask(self.snapshot)
        plan = found.plan
        viewed = Viewed(
            found.world,
            found.trace,
            lambda shown, at: lay_out(found.world, shown, plan, at),
            found.ends,
            found.compared,
        )
        self.view.show(viewed, wait=wait)

    @property
    def _inquiry(self) -> Inquiry:
        typed = (self.client.value, self.to.value, self.source.value, self.listen.value, self.commands.value)
        return Inquiry(*typed, self._sizes, self._patience)

    def _try(self, advice: Advice) -> None:
        """Put the commands of a repair behind those that are typed already: the panel asks anew."""
        typed = [self.commands.value.strip(), *map(str, advice.commands)]
        self.commands.value = "\n".join(filter(None, typed))

    def show_error(self, problem: Exception) -> None:
        """Say what is wrong, and show nothing else: it would answer another question."""
        self.view.show_error(problem)

    @in_own_language
    def _repr_mimebundle_(self, **kwargs: Any) -> Bundle:
        return self.view.fallback(super()._repr_mimebundle_(**kwargs))


def _client(snapshot: Snapshot, netns: str) -> Any:
    """Return the field of the client: a choice of namespaces, or a machine outside as it is typed."""
    client = netns if netns.startswith(f"{OUTSIDE}:") else snapshot.namespace(netns)
    names = [namespace.name for namespace in snapshot.world]
    hint = tr("a network namespace, or outside:ADDRESS@SEGMENT")
    options = {"options": names, "style": WIDE, "continuous_update": False, "tooltip": hint}
    return widgets.Combobox(value=client, description=tr("From"), **options)


def _commands_field() -> Any:
    """Return the field of the commands that are carried out first."""
    layout = widgets.Layout(width="auto")
    options = {"style": WIDE, "layout": layout, "continuous_update": False}
    return widgets.Textarea(description=tr("What if"), placeholder="NETNS: iptables -D FORWARD 1", rows=3, **options)


def _field(name: str, value: str, hint: str) -> Any:
    """Return a field in which its whole hint can be read; a character is at most 1ch wide on average."""
    layout = widgets.Layout(width=f"{len(name) + len(hint) + 4}ch", max_width="100%")
    options = {"style": WIDE, "layout": layout, "continuous_update": False}
    return widgets.Text(value=value, description=name, placeholder=hint, tooltip=hint, **options)
