"""One packet in one namespace, as the rule trace tells it: hooks, rules matched, connection state, addresses.

The trace of a namespace is one stream for all packets; the private probe chains mark where each packet begins
and which hooks it reached.
Source: net/netfilter/nf_tables_trace.c (Linux 6.18).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from mcnilib.kernel.observe.capture import Matched, Watch
from mcnilib.kernel.observe.decode import Decoded, Fingerprint, decode
from mcnilib.kernel.observe.netlink import TraceEvent
from mcnilib.linux.netfilter.conntrack import ConnState
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
    line: Matched
    verdict: str
    before: Packet
    after: Packet
    iif: str
    oif: str


@dataclass(slots=True)
class Traversal:
    """What happened to one packet in one namespace. `passed`: the packet as it left each hook it survived."""

    netns: str
    mark: Fingerprint
    begins: str  # PREROUTING or OUTPUT
    iif: str
    packet: Packet
    oif: str = ""
    hits: list[Hit] = field(default_factory=list)
    states: dict[str, ConnState] = field(default_factory=dict)  # hook -> conntrack state
    passed: dict[str, Packet] = field(default_factory=dict)
    at: tuple[str, str] = ("", "")  # table and hook being traversed
    devices: tuple[str, str] = ("", "")  # in and out, at that hook
    sent_on: Traversal | None = None  # IPVS sent the packet on, which begins in OUTPUT anew
    current: Packet = field(init=False)

    def __post_init__(self) -> None:
        """Start with the packet as it came."""
        self.current = self.packet

    @property
    def dropped_by(self) -> Hit | None:
        """The rule or policy that ended the packet, if one did."""
        return self.hits[-1] if self.hits and self.hits[-1].verdict == "DROP" else None


def traversals(watch: Watch) -> list[Traversal]:
    """Sort a namespace's rule trace by packets, in order of arrival."""
    arrived: list[Traversal] = []
    open_: dict[int, Traversal] = {}
    for event in watch.events:
        if event.handle and event.chain in ("probe_pre", "probe_out"):
            seen = _seen(event)
            begun = Traversal(
                watch.netns, seen.mark, PROBE_HOOKS[event.chain], watch.devices.get(event.iif, ""), seen.packet
            )
            before, open_[event.packet] = open_.get(event.packet), begun
            if before and begun.begins == "OUTPUT" and before.mark == begun.mark and not _is_over(before):
                before.sent_on = begun
            else:
                arrived.append(begun)
        elif event.network and _is_over(open_.get(event.packet)) and (visit := _passed_up(arrived, event, watch)):
            open_[event.packet] = visit
        if event.packet in open_:
            _add(open_[event.packet], event, watch)
    return arrived


def _is_over(visit: Traversal | None) -> bool:
    """Tell whether a packet's visit has ended, so that its number may be another packet's."""
    return visit is None or bool({"INPUT", "POSTROUTING"} & visit.passed.keys()) or visit.dropped_by is not None


def _passed_up(arrived: list[Traversal], event: TraceEvent, watch: Watch) -> Traversal | None:
    """Return the visit a packet goes on with another number: a bridge showed it to PREROUTING and took it for itself.

    The number is made of the device it came in by, which was the port; what a rule of INPUT changes is told of only
    afterwards. Source: nft_trace_init().
    """
    packet, iif = _seen(event).packet, watch.devices.get(event.iif, "")
    for visit in reversed(arrived):
        same = visit.current.but(ttl=packet.ttl, tos=packet.tos, mark=packet.mark) == packet
        if same and (visit.begins, visit.iif) == ("PREROUTING", iif) and not visit.passed:
            return visit
    return None


def _seen(event: TraceEvent) -> Decoded:
    return decode(event.network, event.transport, mark=event.mark)


def _add(traversal: Traversal, event: TraceEvent, watch: Watch) -> None:
    before = traversal.current
    if event.network:
        before = _seen(event).packet.but(mark=traversal.current.mark)
        traversal.devices = watch.devices.get(event.iif, ""), watch.devices.get(event.oif, "")
        _complete(traversal, before)
    packet = traversal.current = before.but(mark=event.mark)
    traversal.oif = watch.devices.get(event.oif, traversal.oif)
    if event.table == "mcni":
        _add_probe(traversal, event, packet, watch)
        return
    if base := watch.bases.get((event.table, event.chain)):
        traversal.at = (base[0], base[1].hook.upper())
    elif event.chain in _BUILT_IN:
        traversal.at = (event.table, event.chain)
    table, hook = traversal.at
    evidence = _line(event, watch)
    if evidence is not None:
        traversal.hits.append(Hit(table, hook, evidence, event.verdict, before, packet, *traversal.devices))


def _complete(traversal: Traversal, packet: Packet) -> None:
    """Give a NAT rule the packet it made: the next chain is the first to show it.

    What a rule before the route lookup left alone, the source, may have changed meanwhile: ports that would clash.
    """
    hit = traversal.hits[-1] if traversal.hits else None
    if hit and not isinstance(hit.line, str) and hit.line.rewrites:
        early = hit.hook in ("PREROUTING", "OUTPUT")
        after = packet.but(src=hit.before.src, sport=hit.before.sport) if early else packet
        traversal.hits[-1] = replace(hit, after=after)


def _line(event: TraceEvent, watch: Watch) -> Matched | None:
    """Return the World's rule with that handle, or the text of a policy that drops. A chain's end has no handle."""
    if event.handle:
        return watch.rules[event.table, event.chain, event.handle]
    dropped = event.type == "policy" and event.verdict == "DROP"
    if dropped and (base := watch.bases.get((event.table, event.chain))):
        return base[1].policy_line
    return f":{event.chain} DROP [0:0]" if dropped else None


def _add_probe(traversal: Traversal, event: TraceEvent, packet: Packet, watch: Watch) -> None:
    hook = PROBE_HOOKS[event.chain]
    if event.chain in ("probe_ctpre", "probe_ctout"):
        if event.handle:
            traversal.states[hook] = ConnState(str(watch.rules["mcni", event.chain, event.handle]))
    elif event.type == "policy" and event.chain in ("probe_fwd", "probe_in", "probe_post"):
        traversal.passed[hook] = packet
