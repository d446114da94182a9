"""All that one namespace holds, as the tools print it, each line with who wrote it and why; and what it holds at a
moment of a conversation: its connection table, what ARP learned, the lines that decided.

Nothing is explained here that the components did not say when they wrote the line (`mcnilib.linux.origin`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from mcnilib.language import mark, tr, trn
from mcnilib.linux.netfilter.iptables.rule import Table
from mcnilib.linux.netfilter.ipvs.service import VirtualServer
from mcnilib.linux.netns import Netns
from mcnilib.linux.origin import KERNEL, Origin
from mcnilib.linux.routing.neigh import SHOWN_BY
from mcnilib.show.html.markup import Html, block, element, folded, joined, void_element
from mcnilib.show.html.state import StateLine, lines_html
from mcnilib.show.layout.plan import plan_of
from mcnilib.trace.explain import conntrack_view, sending_step
from mcnilib.trace.trace import Asked, Journey, Step, Trace
from mcnilib.world.listing import evidence_command, listing
from mcnilib.world.world import World

CONNECTION_TABLE, LEARNED_NEIGHBOURS = "conntrack -L", mark("ip neigh, learned in this conversation")
WHERE_DECIDED = mark("where it was decided")

PURPOSES = {
    "ip -d address": mark("network cards and addresses"),
    "ip rule": mark("which routing tables are asked, and in which order"),
    "ip route show table local": mark("the addresses that are its own"),
    "ip route": mark("routes"),
    "ip neigh": mark("MAC addresses of neighbours"),
    "sysctl": mark("switches of the kernel that were changed"),
    "iptables-save -t raw": mark("before connection tracking"),
    "iptables-save -t mangle": mark("marks"),
    "iptables-save -t nat": mark("translation of addresses"),
    "iptables-save -t filter": mark("what may pass"),
    "ipset": mark("sets of addresses"),
}
"""What a listing is about, by how its command begins."""

SHOWN_FIRST = "ip rule"
"""The listing a reader sees at once; a click opens the others."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One command and what it prints; `folded` hides the lines behind the command until they are asked for."""

    command: str
    lines: tuple[StateLine, ...]
    folded: bool = False

    @property
    def about(self) -> str:
        """What it is about, and how long it is."""
        purpose = next((text for command, text in PURPOSES.items() if self.command.startswith(command)), "")
        number = trn("{count} line", "{count} lines", len(self.lines))
        return tr("{purpose}, {number}", purpose=tr(purpose), number=number) if purpose else number

    @property
    def decided(self) -> bool:
        """Whether one of the lines is the one that decided."""
        return any(line.decided for line in self.lines)


@dataclass(frozen=True)
class Moment:
    """A moment of a conversation: right after a step of a packet; `step` is the decision that is looked at."""

    trace: Trace
    journey: Journey
    index: int
    step: Step

    @classmethod
    def of(cls, trace: Trace, at: tuple[int, int] | None) -> Moment:
        """Return the moment of a packet and the index of its step; None: the end, with the step that decided it."""
        if at is None:
            last = trace.journeys[-1]
            return cls(trace, last, len(last.steps) - 1, trace.outcome.step)
        journey = next(one for one in trace.journeys if one.number == at[0])
        return cls(trace, journey, at[1], journey.steps[at[1]])

    @cached_property
    def steps(self) -> tuple[tuple[int, Step], ...]:
        """Every step so far, each with the number of its packet."""
        before = [
            (one.number, step) for one in self.trace.journeys if one.number < self.journey.number for step in one.steps
        ]
        return (*before, *((self.journey.number, step) for step in self.journey.steps[: self.index + 1]))

    def met(self, netns: str) -> dict[tuple[str, str], list[int]]:
        """Return the lines of a namespace that decided something so far, (command, line) -> numbers of the packets."""
        lines: dict[tuple[str, str], list[int]] = {}
        for number, step in self.steps:
            if step.netns == netns and step.listing:
                packets = lines.setdefault((step.listing.command, step.evidence.strip()), [])
                packets += [number] if number not in packets else []
        return lines

    def decided(self, netns: str) -> tuple[str, str] | None:
        """Return command and line of the decision looked at; None where it was made elsewhere, or by no line."""
        decided = sending_step(self.journey, self.step)
        listing_of = decided.listing if decided.netns == netns else None
        return (listing_of.command, decided.evidence.strip()) if listing_of else None

    def __str__(self) -> str:
        number = self.journey.number
        if self._within:
            return tr("after packet {packet} came this far", packet=number)
        return tr("after packet {packet}", packet=number)

    @property
    def _within(self) -> bool:
        return self.index + 1 < len(self.journey.steps)


def look_into(netns: Netns, moment: Moment | None = None) -> tuple[Listed, ...]:
    """Return all that a namespace holds, in the order in which a reader asks: NICs, rules, tables, the rest.

    What is empty is left out, and so are sysctls that nobody wrote. At a `moment` its connections stand first, and the
    lines that decided are marked.
    """
    parts = (*_links(netns), *_routing(netns), *_neighbours(netns), *_sysctls(netns), *_netfilter(netns))
    lasting = tuple(part for part in parts if part.lines)
    return (*_connections(netns, moment), *_marked(netns, moment, lasting)) if moment else lasting


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
        unused = () if table in named else (StateLine("", note=tr("no rule leads to this table")),)
        yield Listed(f"ip route show table {table}", (*unused, *lines), folded=table == "local")


def _neighbours(netns: Netns) -> Iterator[Listed]:
    for command in dict.fromkeys(SHOWN_BY.values()):
        yield Listed(command, _noted(entry for entry in netns.ip4.neighbours if SHOWN_BY[entry.state] == command))


def _sysctls(netns: Netns) -> Iterator[Listed]:
    """Yield what somebody wrote; what the kernel copied to a device by itself is left out."""
    settings = (setting for setting in netns.sysctls if setting.value)
    written = [setting for setting in settings if setting.origin is None or setting.origin.writer != KERNEL.writer]
    yield Listed(f"sysctl ({tr('changed from the default')})", _noted(written))


def _netfilter(netns: Netns) -> Iterator[Listed]:
    for name, table in netns.ip4.by_name.items():
        lines = tuple(_rules(table))
        yield Listed(evidence_command(None, name), lines, folded=len(lines) - len(table.chains) > 8)
    if netns.ip4.ipvs:
        lines = tuple(_served(netns.ip4.ipvs))
        yield Listed("ipvsadm -Sn", lines, folded=len(lines) > 20)
    for native in netns.ip4.nft:
        lines = tuple(StateLine(text) for text in native.lines())
        yield Listed(evidence_command(None, native.title), lines, folded=len(lines) > 20)
    sets = tuple(
        StateLine(text, note=_by(ip_set.origin) if at == 0 else "")
        for ip_set in netns.sets
        for at, text in enumerate(ip_set.lines())
    )
    yield Listed("ipset save", sets, folded=True)


def _served(services: Iterable[VirtualServer]) -> Iterator[StateLine]:
    for service in services:
        yield StateLine(str(service), note=_by(service.origin))
        yield from (StateLine(str(server)) for server in service.servers)


def _rules(table: Table) -> Iterator[StateLine]:
    yield from (StateLine(str(chain)) for chain in table.chains)
    for chain in table.chains:
        yield from _noted(chain.rules)


def _noted(items: Iterable[Any]) -> tuple[StateLine, ...]:
    """Return the lines of items that know their origin."""
    return tuple(StateLine(str(item).rstrip(), note=_by(item.origin)) for item in items)


def _by(origin: Origin | None) -> str:
    return str(origin or "")


def _connections(netns: Netns, moment: Moment) -> Iterator[Listed]:
    """Yield what exists only while a conversation runs: the connection table, and what ARP learned."""
    yield _connection_table(netns, moment)
    learned: dict[str, StateLine] = {}
    for number, step in moment.steps:
        if step.netns == netns.name and isinstance(step.what, Asked):
            mac = f"lladdr {step.what.mac} REACHABLE" if step.what.mac else "FAILED"
            text = f"{step.what.target} dev {step.oif} {mac}"
            learned[text] = StateLine(text, step is moment.step, tr("asked for packet {packet}", packet=number))
    if learned:
        yield Listed(tr(LEARNED_NEIGHBOURS), tuple(learned.values()))


def _connection_table(netns: Netns, moment: Moment) -> Listed:
    """Return the connection table at a moment, marked where the decision looked at was about an entry."""
    step = moment.step
    entry = step.entry if step.netns == netns.name and step.line is None else None
    known = conntrack_view(moment.trace, netns.name, moment.journey.number, moment.index)
    lines = (
        StateLine(one.line(moment.journey.time), entry is not None and entry.original == one.original) for one in known
    )
    return Listed(f"{CONNECTION_TABLE}, {moment}", tuple(lines))


def _marked(netns: Netns, moment: Moment, parts: tuple[Listed, ...]) -> Iterator[Listed]:
    """Yield listings with their lines marked, then the lines that decided and stand in none: what nobody wrote."""
    met, decided = moment.met(netns.name), moment.decided(netns.name)
    for part in parts:
        command = part.command.partition(",")[0]
        keys = [(command, line.text.strip()) for line in part.lines]
        marked = (_mark(line, met.pop(key, []), key == decided) for line, key in zip(part.lines, keys, strict=True))
        yield replace(part, lines=tuple(marked))
    for command in dict.fromkeys(command for command, _ in met):
        lines = (_mark(StateLine(key[1]), met[key], key == decided) for key in met if key[0] == command)
        yield Listed(command, tuple(lines))


def _mark(line: StateLine, packets: list[int], decided: bool) -> StateLine:
    numbers = ", ".join(map(str, packets))
    met = trn("packet {numbers}", "packets {numbers}", len(packets), numbers=numbers) if packets else ""
    return replace(line, decided=decided, met=met)


def state_text(netns: Netns, *, briefly: bool = False) -> list[str]:
    """Tell a namespace as text: every command, its lines, and after `#` who wrote them and why.

    `briefly` prints only the lines of SHOWN_FIRST, and says of each other command what it is about.
    """
    lines: list[str] = []
    for part in look_into(netns):
        lines.append(f"{netns.name}# {part.command}{f'  ({part.about})' if briefly else ''}")
        shown = part.lines if not briefly or part.command == SHOWN_FIRST else ()
        lines += (f"  {line.columns}{f'  # {line.note}' if line.note else ''}" for line in shown)
    return lines


def netns_html(netns: Netns) -> Html:
    """Return a namespace as HTML: its listings are folded, but for SHOWN_FIRST."""
    return _page(
        folded(
            joined(element("code", f"{netns.name}# {part.command}"), f"  {part.about}"),
            lines_html(part.lines),
            opened=part.command == SHOWN_FIRST,
        )
        for part in look_into(netns)
    )


def moment_html(world: World, moment: Moment, who: str) -> dict[str, str]:
    """Return a machine at a moment: `about` in a line, its `connections`, its `state` without them.

    `who` is a namespace, CONNECTION_TABLE for the connection tables of all, or WHERE_DECIDED (or nothing) for the place
    of the decision that is looked at. Raises: NotThere for a namespace that does not exist.
    """
    met = ", ".join(dict.fromkeys(step.netns for _, step in moment.steps))
    if who == CONNECTION_TABLE:
        tables = {netns.name: _connection_table(netns, moment) for netns in world}
        none = [name for name, part in tables.items() if not part.lines]
        rest = element("p", tr("No connection is known on {names}.", names=", ".join(none)))
        shown = _page((*(_part(name, part) for name, part in tables.items() if part.lines), rest))
        about = tr(
            "The connection tables of all machines, {moment}. Packets have met {names}.", moment=moment, names=met
        )
        return {"about": about, "connections": shown, "state": ""}
    netns = world[moment.step.netns if who in ("", WHERE_DECIDED) else who]
    connections, *state = (_part(netns.name, part) for part in look_into(netns, moment))
    about = tr(
        "{netns}, {addresses}, {moment}. Packets have met {names}.",
        netns=netns.name, addresses=address_list(netns), moment=moment, names=met,
    )  # fmt: skip
    return {"about": about, "connections": _page([connections]), "state": _page(state)}


def _page(parts: Iterable[Html]) -> Html:
    return block(element("div", *parts, class_="mcni-state"))


def _part(name: str, part: Listed) -> Html:
    head, lines = (
        f"{name}# {part.command}",
        lines_html(part.lines) or element("div", tr("  (no connection)"), class_="line"),
    )
    if part.folded and not part.decided:
        met = sum(bool(line.met) for line in part.lines)
        lines_text = trn("{count} line", "{count} lines", len(part.lines))
        number = tr("{lines}, {met} of them decided something", lines=lines_text, met=met) if met else lines_text
        return folded(joined(element("code", head), f" ({number})"), lines)
    return element("div", element("h4", head), lines)


def address_list(netns: Netns) -> str:
    """Return the addresses of a namespace in a few words."""
    own = (link for link in netns.links if not (link.is_loopback or link.kind.tunnel))
    return ", ".join(str(a.ip) for link in own for a in link.addresses)


def machine_choices(world: World) -> Html:
    """Return the machines and pods to choose from, as a group of radio buttons called `who`; see `moment_html`."""
    plan = plan_of(world)
    groups = [(machine.host, (machine.host, *machine.members)) for machine in plan.machines]
    step = (
        _choice(WHERE_DECIDED, tr(WHERE_DECIDED), checked=True),
        _choice(CONNECTION_TABLE, tr("all connection tables")),
    )
    rows = (
        _choices(tr("at this step"), step),
        *(_choices(host, (_machine(world, name) for name in names)) for host, names in groups),
        _choices(tr("outside"), (_machine(world, name) for name in plan.outside)),
    )
    return element("fieldset", element("legend", tr("Machine or pod")), *rows)


def _choices(head: str, choices: Iterable[Html]) -> Html:
    return element("div", element("span", head, class_="host"), *choices, class_="row")


def _machine(world: World, name: str) -> Html:
    return _choice(name, name, address_list(world[name]))


def _choice(value: str, text: str, more: str = "", *, checked: bool = False) -> Html:
    knob = void_element("input", type="radio", name="who", value=value, checked="checked" if checked else "")
    return element("label", knob, element("span", joined(text, " ", element("small", more)) if more else text))
