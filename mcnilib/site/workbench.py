"""What a reader works with below a conversation: every machine at the moment that is looked at, and the exercises.

Scripts (`parts/machines.js`, `parts/exercises.js`) ask for what stands in them; without scripts the tasks are there.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from mcnilib.cluster.build import build
from mcnilib.cluster.settings import Settings
from mcnilib.show.html.markup import Html, element, folded, joined
from mcnilib.show.html.netns_state import CONNECTION_TABLE, address_list
from mcnilib.show.layout.plan import plan_of
from mcnilib.world.world import World

LINE_MARKS = "▶ decided in this step, ▷ decided something before; behind # stands who wrote the line, and why."


def machines_html() -> Html:
    """Return the place where the machines of a conversation can be looked into."""
    panel = element("div", class_="machine", tabindex="0", role="group", aria_label="what the machine holds")
    said = element("output", "", aria_live="polite")
    parts = (
        element("form", machine_choices(), class_="who", autocomplete="off"),
        element("p", said),
        element("div", class_="connections"),
        panel,
        element("p", LINE_MARKS),
    )
    details = folded("Look into every machine at this moment", *parts)
    return element("div", details, class_="machines")


@cache
def machine_choices() -> Html:
    """Return the list of machines and pods; it is the same for all conversations."""
    world = build(Settings())
    plan = plan_of(world)
    groups = [(machine.host, (machine.host, *machine.members)) for machine in plan.machines]
    rows = [
        _choices(
            "at this step",
            (
                Html(_choice("", "where it was decided", checked=True)),
                _choice(CONNECTION_TABLE, "all connection tables"),
            ),
        ),
        *(_choices(host, (_machine(world, name) for name in names)) for host, names in groups),
        _choices("outside", (_machine(world, name) for name in plan.outside)),
    ]
    return element("fieldset", element("legend", "Machine or pod"), *rows)


def _choices(head: str, choices: Iterator[Html] | tuple[Html, ...]) -> Html:
    return element("div", element("span", head, class_="host"), *choices, class_="row")


def _machine(world: World, name: str) -> Html:
    return _choice(name, name, address_list(world[name]))


def _choice(value: str, text: str, more: str = "", *, checked: bool = False) -> Html:
    knob = Html(f'<input type="radio" name="who" value="{value}"{" checked" if checked else ""}>')
    return element("label", knob, element("span", joined(text, " ", element("small", more)) if more else text))
