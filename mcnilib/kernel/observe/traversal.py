"""One packet's stay in one namespace, as the rule trace tells it: hooks, rules matched, connection state, addresses.

The trace of a namespace is one stream for all packets; the private probe chains mark where each packet's stay begins
and which hooks it reached.
Source: net/netfilter/nf_tables_trace.c (Linux 6.18).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from mcnilib.kernel.observe.capture import Watch
from mcnilib.kernel.observe.decode import Mark, Seen, read
from mcnilib.kernel.observe.netlink import TraceEvent
from mcnilib.linux.netfilter.conntrack import ConnState
from mcnilib.linux.netfilter.iptables.rule import ChainRule
from mcnilib.linux.netfilter.iptables.target.nat import Nat
from mcnilib.linux.packet import Packet

PROBE_HOOKS = {
    "probe_pre": "PREROUTING", "probe_ctpre": "PREROUTING", "probe_out": "OUTPUT", "probe_ctout": "OUTPUT",
    "probe_dnat": "PREROUTING", "probe_fwd": "FORWARD", "probe_in": "INPUT", "probe_post": "POSTROUTING",
}  # fmt: skip

_BUILT_IN = frozenset(PROBE_HOOKS.values())


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that matched, or the policy (`line` is its text) that dropped, with the packet before and after."""

    table: str
    hook: str
    line: ChainRule | str
    verdict: str
    before: Packet
    after: Packet
    iif: str
    oif: str


@dataclass(slots=True)
class Stay:
    """What happened to one packet in one namespace. `passed`: the packet as it left each hook it survived."""

    netns: str
    mark: Mark
    begins: str  # PREROUTING or OUTPUT
    iif: str
    packet: Packet
    oif: str = ""
    hits: list[Hit] = field(default_factory=list)
    states: dict[str, ConnState] = field(default_factory=dict)  # hook -> conntrack state
    passed: dict[str, Packet] = field(default_factory=dict)
    at: tuple[str, str] = ("", "")  # table and hook being traversed
    devices: tuple[str, str] = ("", "")  # in and out, at that hook
    current: Packet = field(init=False)

    def __post_init__(self) -> None:
        """Start with the packet as it came."""
        self.current = self.packet

    @property
    def dropped_by(self) -> Hit | None:
        """The rule or policy that ended the packet, if one did."""
        return self.hits[-1] if self.hits and self.hits[-1].verdict == "DROP" else None


def stays(watch: Watch) -> list[Stay]:
    """Sort a namespace's rule trace by packets, in order of arrival."""
    found: list[Stay] = []
    open_: dict[int, Stay] = {}
    for event in watch.events:
        if event.handle and event.chain in ("probe_pre", "probe_out"):
            seen = _seen(event)
            open_[event.packet] = Stay(
                watch.netns, seen.mark, PROBE_HOOKS[event.chain], watch.devices.get(event.iif, ""), seen.packet
            )
            found.append(open_[event.packet])
        if event.packet in open_:
            _add(open_[event.packet], event, watch)
    return found


def _seen(event: TraceEvent) -> Seen:
    return read(event.network, event.transport, mark=event.mark)


def _add(stay: Stay, event: TraceEvent, watch: Watch) -> None:
    before = stay.current
    if event.network:
        before = _seen(event).packet.but(mark=stay.current.mark)
        stay.devices = watch.devices.get(event.iif, ""), watch.devices.get(event.oif, "")
        _complete(stay, before)
    packet = stay.current = before.but(mark=event.mark)
    stay.oif = watch.devices.get(event.oif, stay.oif)
    if event.table == "mcni":
        _add_probe(stay, event, packet, watch)
        return
    if event.chain in _BUILT_IN:
        stay.at = (event.table, event.chain)
    table, hook = stay.at
    line = _line(event, watch)
    if line is not None:
        stay.hits.append(Hit(table, hook, line, event.verdict, before, packet, *stay.devices))


def _complete(stay: Stay, packet: Packet) -> None:
    """Give a NAT rule the packet it made: the next chain is the first to show it.

    What a rule before the route lookup left alone, the source, may have changed meanwhile: ports that would clash.
    """
    hit = stay.hits[-1] if stay.hits else None
    if hit and isinstance(hit.line, ChainRule) and isinstance(hit.line.target, Nat):
        early = hit.hook in ("PREROUTING", "OUTPUT")
        after = packet.but(src=hit.before.src, sport=hit.before.sport) if early else packet
        stay.hits[-1] = replace(hit, after=after)


def _line(event: TraceEvent, watch: Watch) -> ChainRule | str | None:
    """Return the World's rule with that handle, or the text of a policy that drops. A chain's end has no handle."""
    if event.handle:
        return watch.rules[event.table, event.chain, event.handle]
    dropped = event.type == "policy" and event.verdict == "DROP"
    return f":{event.chain} DROP [0:0]" if dropped else None


def _add_probe(stay: Stay, event: TraceEvent, packet: Packet, watch: Watch) -> None:
    hook = PROBE_HOOKS[event.chain]
    if event.chain in ("probe_ctpre", "probe_ctout"):
        if event.handle:
            stay.states[hook] = ConnState(str(watch.rules["mcni", event.chain, event.handle]))
    elif event.type == "policy" and event.chain in ("probe_fwd", "probe_in", "probe_post"):
        stay.passed[hook] = packet
