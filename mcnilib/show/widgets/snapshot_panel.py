"""The panel of a snapshot: ask who reaches whom, walk through the steps, change a line of state and compare.

Like the panel of a story it prints nothing: everything shown is the value of an HTML widget.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import ipywidgets as widgets

from mcnilib.show.html.state import state_html
from mcnilib.show.html.style import style_sheet
from mcnilib.show.html.table import rows, table_html
from mcnilib.show.layout.plan import focus_of, plan_of
from mcnilib.show.picture.drawing import Drawing, lay_out
from mcnilib.show.picture.palette import role_of
from mcnilib.show.picture.svg import to_png, to_svg
from mcnilib.show.widgets.controls import WIDE
from mcnilib.show.widgets.fallback import Bundle, alert_html, or_gives_up, still, why
from mcnilib.show.widgets.panel import SOON, code_html, depth_chooser
from mcnilib.show.widgets.prefetch import soon
from mcnilib.show.widgets.stepper import Stepper
from mcnilib.snapshots.question import changed, read_flow, read_listeners
from mcnilib.snapshots.snapshot import Snapshot
from mcnilib.trace.branches import parts
from mcnilib.trace.explain import because, difference, part_name, verdict
from mcnilib.trace.trace import Trace, Verdict
from mcnilib.world.world import World

DEPENDS = Verdict.DEPENDS


class Inquiry(widgets.VBox):  # type: ignore[misc]
    """A question to a snapshot, and a place for commands that change its state."""

    _count = 0
    trace: Trace | None
    drawn: Trace | None

    def __init__(
        self, snapshot: Snapshot, netns: str, to: str, listen: Sequence[str] = (), source: str = "", scale: float = 1.0
    ) -> None:
        """Build the fields and ask at once."""
        Inquiry._count += 1
        self.snapshot, self._scale, self._uid = snapshot, scale, f"mcniq{Inquiry._count}"
        names = [one.name for one in snapshot.world]
        self.client = widgets.Dropdown(options=names, value=snapshot.namespace(netns), description="From", style=WIDE)
        self.to = _field("To", to, "tcp:ADDRESS:PORT, udp:ADDRESS:PORT or icmp:ADDRESS")
        self.source = _field("Source", source, "ADDRESS, :PORT or ADDRESS:PORT the client binds to (optional)")
        self.listen = _field("Listening", " ".join(listen), "NETNS:PORT ... beside those that were collected")
        self.commands = widgets.Textarea(
            description="What if", placeholder="NETNS: iptables -D FORWARD 1", rows=3, style=WIDE,
            continuous_update=False, layout=widgets.Layout(width="auto"),
        )  # fmt: skip
        self.button = widgets.Button(description="Trace", tooltip="Follow the packets", icon="play")
        self.button.on_click(lambda _: self.ask())
        self.end = _end_chooser(self._draw_end)
        self.depth = depth_chooser(self._offer)
        self.stepper = Stepper(self._show_step)
        self.verdict, self.picture, self.compared, self.state, self.steps = (widgets.HTML() for _ in range(5))
        self.world: World = snapshot.world
        self.trace = self.drawn = None  # what was asked; of its ends the one that is drawn
        self._problem = ""
        super().__init__(self._parts())
        self._answer()
        self._offer()  # whoever sees the panel may press an arrow key at once
        for field in (self.client, self.to, self.source, self.listen, self.commands):  # a click may overtake the words
            field.observe(lambda change: self.ask(), names="value")

    def _parts(self) -> list[Any]:
        """Return what the panel shows, from top to bottom."""
        question = widgets.Box(
            [self.client, self.to, self.source, self.listen],
            layout=widgets.Layout(flex_flow="row wrap", grid_gap="6px 18px"),
        )
        question.add_class("mcni-settings")
        answer = [self.verdict, self.compared, self.end, self.picture, self.stepper, self.state, self.depth, self.steps]
        return [widgets.HTML(style_sheet(self._scale)), question, self.commands, self.button, *answer]

    def ask(self) -> None:
        """Run the conversation as the fields say: picture and verdict at once, the tables when those can be seen."""
        self._answer()
        shown = self.trace
        soon(SOON, lambda: self._offer() if shown is self.trace else None)

    @or_gives_up
    def _answer(self) -> None:
        """Show the verdict and the picture."""
        before, self.trace = self._run()
        glyph = role_of(self.trace.outcome).glyph
        words = "<br>".join(map(code_html, (verdict(self.trace), *self.trace.notes)))
        live = 'class="mcni mcni-verdict" role="status" aria-live="polite"'
        self.verdict.value = f"<div {live}>{glyph} {words}</div>"
        self.compared.value = _compared(before, self.trace) if before else ""
        self._offer_ends(self.trace)
        self._show_picture(self.drawn or self.trace, None)

    def _offer_ends(self, trace: Trace) -> None:
        """Offer the ends of a conversation that depends on chance; the one the trace itself tells is drawn first."""
        self.drawn = None
        ends = [(part_name(part), part.trace) for part in parts(trace)] if trace.outcome.verdict is DEPENDS else []
        self.end.options = ends
        self.end.layout.display = None if ends else "none"
        self.drawn = self.end.value = next((end for _, end in ends if end.journeys is trace.journeys), None)
        self.drawn = self.drawn or trace

    @or_gives_up
    def _draw_end(self) -> None:
        """Draw the end that was chosen."""
        if self.drawn and self.end.value and self.end.value is not self.drawn:
            self.drawn = self.end.value
            self._show_picture(self.drawn, None)
            self._offer()

    def give_up(self, problem: Exception) -> None:
        """Say where the verdict stands what is wrong, and show nothing else: it would answer another question."""
        self._problem, self.verdict.value = why(problem), alert_html(problem)
        self.trace = self.drawn = None
        self.end.options, self.end.layout.display = (), "none"
        for shown in (self.compared, self.picture, self.state, self.steps):
            shown.value = ""
        self.stepper.empty()

    def _run(self) -> tuple[Trace | None, Trace]:
        """Return the run of the snapshot, if commands change it, and the run to be shown."""
        flow = read_flow(self.client.value, self.to.value.strip(), self.source.value.strip())
        servers = read_listeners(self.listen.value.replace(",", " ").split())
        self.world = changed(self.snapshot.world, self.commands.value)
        shown = replace(self.snapshot, world=self.world).trace(flow, servers)
        before = self.snapshot.trace(flow, servers) if self.world is not self.snapshot.world else None
        return before, shown

    @or_gives_up
    def _offer(self) -> None:
        """Offer the steps of the run at the chosen depth, and show the whole of it."""
        if self.drawn:
            told = rows(self.drawn, self.depth.value)
            self.stepper.offer([((row.journey, row.index), f"{row.packet}, {row.where}: {row.what}") for row in told])

    @or_gives_up
    def _show_step(self, at: tuple[int, int] | None) -> None:
        """Show the conversation at one step, or all of it: picture, state and table."""
        trace = self.drawn
        if trace is None:
            return
        journey = next((j for j in trace.journeys if at and j.number == at[0]), trace.outcome.journey)
        step = journey.steps[at[1]] if at else trace.outcome.step
        self._show_picture(trace, at)
        self.state.value = f'<div class="mcni">{state_html(self.world, trace, journey, step)}</div>'
        self.steps.value = f'<div class="mcni">{table_html(trace, self.depth.value, at)}</div>'

    def _show_picture(self, trace: Trace, at: tuple[int, int] | None) -> None:
        self.picture.value = to_svg(self._drawing(trace, at), self._uid, self._scale)

    def _drawing(self, trace: Trace, at: tuple[int, int] | None = None) -> Drawing:
        """Draw the trace, or one of its ends: all of them have the same places."""
        plan = plan_of(self.world).look_at(focus_of(self.world, self.trace or trace))
        return lay_out(self.world, trace, plan, at)

    def _repr_mimebundle_(self, **kwargs: Any) -> Bundle:
        """Add the picture and the verdict for viewers without a kernel."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if not self.trace:
            return still(bundle, [self._problem])
        return still(bundle, [verdict(self.trace), *because(self.trace)], to_png(self._drawing(self.trace)))


def _end_chooser(draw: Callable[[], None]) -> Any:
    """Return the choice of which end is drawn, where chance decides."""
    made = widgets.Dropdown(
        description="Drawn",
        tooltip="Chance decides: which of the ends is drawn",
        style=WIDE,
        layout=widgets.Layout(width="max-content", max_width="100%", display="none"),
    )
    made.observe(lambda change: draw(), names="value")
    return made


def _field(name: str, value: str, hint: str) -> Any:
    """Return a field in which its whole hint can be read; a character is at most 1ch wide on average."""
    layout = widgets.Layout(width=f"{len(name) + len(hint) + 4}ch", max_width="100%")
    return widgets.Text(
        value=value,
        description=name,
        placeholder=hint,
        tooltip=hint,
        style=WIDE,
        layout=layout,
        continuous_update=False,
    )


def _compared(before: Trace, after: Trace) -> str:
    """Return how the changed state differs from the snapshot: both verdicts, and the first step that differs."""
    parted = difference(before, after)
    lines: Iterable[str] = (
        f"Without the commands: {verdict(before)}",
        f"First difference: {parted}" if parted else "No step differs: these lines do not matter here.",
    )
    return f'<div class="mcni">{"".join(f"<div>{code_html(line)}</div>" for line in lines)}</div>'
