"""The printed state of the place where something was decided, with the deciding line marked.

Of an iptables table only the chain is shown; each of its other rules says why it did not match. The other listings the
packet met in that namespace are folded below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from mcnilib.errors import McniError
from mcnilib.language import tr, trn
from mcnilib.linux.netfilter.iptables.rule import Chain, ChainRule
from mcnilib.linux.netfilter.nftables.rule import NftChain, NftRule, NftTable
from mcnilib.linux.sysctl import Setting
from mcnilib.show.html.markup import Html, element, folded, joined, printed_line
from mcnilib.trace.explain import conntrack_view, sending_step
from mcnilib.trace.trace import Journey, Stage, Step, Trace
from mcnilib.world.listing import listing
from mcnilib.world.world import World

LONG_CHAIN = 200
"""Rules a chain may have before only those are shown that a packet had to be compared with."""


@dataclass(frozen=True, slots=True)
class StateLine:
    """One printed line; `note` is a remark beside it, `decided` marks the line that did it, `met` names the packets
    of which it decided something before."""

    text: str
    decided: bool = False
    note: str = ""
    met: str = ""

    @property
    def columns(self) -> str:
        """The text with spaces for tabs, as a terminal shows it; so it can be indented."""
        return self.text.expandtabs(8).rstrip()


def state_lines(world: World, step: Step) -> tuple[str, tuple[StateLine, ...]]:
    """Return the command that prints the deciding line, and its output; no lines when no state decided.

    Of a netfilter table only the chain is printed, of the sysctls only those of the same name.
    """
    listing_of = step.listing
    if listing_of is None:
        return "", ()
    if step.table:
        return f"{listing_of.command} | grep -w {step.chain}", tuple(_chain(world, step))
    try:
        text = listing(world[step.netns], listing_of.command)
    except McniError:  # the line is of the run, not of the state: a listening socket
        text = step.evidence
    command, wanted = listing_of.command, step.evidence.strip()
    if isinstance(step.line, Setting):
        name = step.line.key.rpartition(".")[2]
        command, text = f"{command} | grep {name}", "\n".join(x for x in text.splitlines() if f".{name} =" in x)
    lines = (StateLine(line, line.strip() == wanted) for line in text.splitlines() if line.strip())
    return command, tuple(lines)


def _chain(world: World, step: Step) -> Iterator[StateLine]:
    """Yield the chain's declaration and rules: the one that decided, and why each other one did not."""
    if native := world[step.netns].ip4.native.get(step.table):
        yield from _native_chain(native, step)
        return
    chain = world[step.netns].ip4.by_name[step.table].chain(step.chain)
    policy = not isinstance(step.line, ChainRule)
    yield StateLine(
        f":{chain.name} {chain.policy or '-'} [0:0]", policy, tr("no rule ended it: the policy") if policy else ""
    )
    for near, some in groupby(chain.rules, _near(chain, step)):
        rules = tuple(some)
        yield from (_rule(rule, step) for rule in rules) if near else (_passed_over(len(rules)),)


def _native_chain(table: NftTable, step: Step) -> Iterator[StateLine]:
    """Yield a chain of nftables as nft prints it."""
    chain = table.chain(step.chain)
    rules = {f"\t\t{rule}": rule for rule in chain.rules}
    for text in chain.lines():
        rule = rules.get(text)
        if isinstance(step.line, NftChain) and text.strip() == chain.policy_line:
            yield StateLine(text, True, tr("no rule ended it: the policy"))
        elif rule is None or rule == step.line:
            yield StateLine(text, rule is not None, str(rule.origin or "") if rule else "")
        else:
            yield StateLine(text, note=_native_note(rule, table, step))


def _native_note(rule: NftRule, table: NftTable, step: Step) -> str:
    try:
        reason = rule.why_not(step.before, step.context, table.set_of) if step.context else ""
    except McniError as error:
        reason = str(error)
    return tr("not this one: {reason}", reason=reason) if reason else ""


def _near(chain: Chain, step: Step) -> Callable[[ChainRule], bool]:
    """Tell which rules are shown: all of a chain, and of a long one those that were tried, and the one that decided."""
    if len(chain.rules) <= LONG_CHAIN or step.context is None:
        return lambda rule: True
    tried = set(map(id, chain.candidates(step.before, step.context)))
    return lambda rule: id(rule) in tried or rule == step.line


def _passed_over(number: int) -> StateLine:
    note = trn(
        "{number} rule asks for another address, port or device",
        "{number} rules ask for another address, port or device",
        number, number=f"{number:,}",
    )  # fmt: skip
    return StateLine("...", note=note)


def _rule(rule: ChainRule, step: Step) -> StateLine:
    if rule == step.line:
        return StateLine(str(rule), True, str(rule.origin or ""))
    try:
        reason = rule.why_not(step.before, step.context) if step.context else ""
    except McniError as error:
        reason = str(error)
    return StateLine(str(rule), False, tr("not this one: {reason}", reason=reason) if reason else "")


def consulted(journey: Journey, step: Step) -> tuple[Step, ...]:
    """Return the other steps of a packet in the same namespace that were decided by a line of another listing."""
    here = [neighbour for neighbour in journey.within(step.netns) if neighbour.listing and neighbour is not step]
    firsts = {(s.listing, s.chain): s for s in reversed(here)}
    firsts.pop((step.listing, step.chain), None)
    return tuple(reversed(firsts.values()))


def _undecided(step: Step) -> str:
    """Say which part of Linux decided where no line of its state did."""
    part = {Stage.ARP: "ARP", Stage.CONNTRACK: "conntrack"}.get(step.stage)
    if part:
        return tr("no rule or route decided this: {part} did", part=part)
    return tr("no rule or route decided this: the {part} did", part=tr(step.stage.value))


def state_html(world: World, trace: Trace, journey: Journey, step: Step) -> Html:
    """Return the state around a step as HTML.

    First the listing with the deciding line and what conntrack knew; folded away the other listings the packet met in
    that namespace.
    """
    step = sending_step(journey, step)
    command, lines = state_lines(world, step)
    head = f"{step.netns}# {command}" if command else f"{step.netns}: {step.action}"
    shown = lines_html(lines) or element("div", _undecided(step), class_="line")
    more = [_section(world, further) for further in consulted(journey, step)]
    also = tr("also consulted for packet {packet} on {netns}", packet=journey.number, netns=step.netns)
    rest = folded(also, *more) if more else ""
    return element("div", element("h4", head), shown, _connections(trace, journey, step), rest, class_="mcni-state")


def state_around(world: World, trace: Trace, at: tuple[int, int] | None = None) -> Html:
    """Return the state around a step (packet, index), or around the one that decided how the conversation ends."""
    journey = next((one for one in trace.journeys if at and one.number == at[0]), trace.outcome.journey)
    return state_html(world, trace, journey, journey.steps[at[1]] if at else trace.outcome.step)


def _section(world: World, step: Step) -> Html:
    command, lines = state_lines(world, step)
    return joined(element("h4", f"{step.netns}# {command}"), lines_html(lines))


def lines_html(lines: Iterable[StateLine]) -> Html:
    """Return printed lines as HTML, each with its mark and the remark beside it."""
    return joined(*(printed_line(line.columns, decided=line.decided, note=line.note, met=line.met) for line in lines))


def _connections(trace: Trace, journey: Journey, step: Step) -> Html:
    """Print what conntrack of the namespace knows after the packet."""
    entries = conntrack_view(trace, step.netns, journey.number)
    lines = joined(*(printed_line(entry.line(journey.time)) for entry in entries))
    head = element("h4", tr("{netns}# conntrack -L, after packet {packet}", netns=step.netns, packet=journey.number))
    return joined(head, lines or element("div", tr("  (no connection)"), class_="line"))
