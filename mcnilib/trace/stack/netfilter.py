"""One packet at one netfilter hook: what stands there is asked in the order of priorities, every decision noted.

What stands where is said in `mcnilib.linux.netfilter.hooks`; how a chain, conntrack and NAT decide in
`iptables.traverse`, `conntrack` and `nat` beside it. Here is only who is asked, and what is written down of the answer.
Source: nf_hook_slow() in net/netfilter/core.c (Linux 6.18).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address
from operator import attrgetter

from mcnilib.errors import McniError, Unsupported
from mcnilib.language import tr
from mcnilib.linux.chance import Chance
from mcnilib.linux.netfilter.conntrack import DEFAULT_ZONE, ConnState, Entry, Tracked, Zone
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.hooks import LEGACY, HookEntry, HookKind, NfVerdict, Priority
from mcnilib.linux.netfilter.iptables.rule import Chain, ChainRule, Table
from mcnilib.linux.netfilter.iptables.target.nat import Nat
from mcnilib.linux.netfilter.iptables.target.verdict import Reject
from mcnilib.linux.netfilter.iptables.traverse import traverse
from mcnilib.linux.netfilter.nat import SOURCE_HOOKS, NatPoint, NatTarget, asks_table, decide, oif_changed, translate
from mcnilib.linux.netfilter.nftables.rule import NftChain, NftRule
from mcnilib.linux.netfilter.nftables.walk import Passed, pass_chain
from mcnilib.linux.packet import Packet
from mcnilib.linux.routing.fib import Decision
from mcnilib.linux.routing.source import source_address
from mcnilib.trace.ipvs.replies import rewrite_reply
from mcnilib.trace.ipvs.requests import take_request
from mcnilib.trace.stack.recorder import Recorder
from mcnilib.trace.trace import Fate

_Heard = Callable[[ChainRule | NftRule, str, Packet, Packet], None]
"""Hears of each rule that matched, in words what it did, with the packet before and after it."""


def _unheard(rule: ChainRule | NftRule, action: str, before: Packet, after: Packet) -> None:
    """Hear nothing of it."""


class Hook:
    """One packet at one hook of one namespace."""

    __slots__ = (
        "decision",
        "expired",
        "host",
        "iif",
        "log",
        "name",
        "next_hop",
        "now",
        "oif",
        "rejected",
        "reroute",
        "route_again",
        "sent",
        "skb",
        "zone",
    )

    def __init__(self, name: str, log: Recorder, *, iif: str = "", oif: str = "") -> None:
        """Stand at the hook where the packet is."""
        self.host, self.skb, self.name, self.log, self.now = log.host, log.skb, name, log, log.net.now
        self.iif, self.oif = iif, oif
        self.next_hop: IPv4Address | None = None  # for MASQUERADE
        self.rejected: Reject | None = None
        self.expired = False
        self.reroute: Callable[[], Decision | None] | None = None  # in OUTPUT: look up again, note it
        self.route_again: Callable[[], Decision | None] | None = None  # for IPVS, in FORWARD too
        self.sent: Decision | None = None  # IPVS sends the packet there, from OUTPUT on
        self.zone: Callable[[Packet], Zone] | None = None  # that a CT rule of this hook asks for
        self.decision: Decision | None = None  # what the last of these lookups found

    def run(self) -> bool:
        """Ask what stands at the hook, in order; False when the packet ended here.

        Raises: Unknown where nobody knows the rules.
        """
        for gap in self.host.netns.missing:
            if gap.at(self.name):
                gap.meet(netns=self.host.name)
        if self.skb.packet.fragment:
            self._defragment()
        for entry in self._entries():
            before = self.skb.packet
            if not EVALUATORS[entry.kind](self, entry):
                return False
            if self.reroute and self.skb.packet is not before and not self._reroutes(entry, before):
                return False
        return True

    def _entries(self) -> Sequence[HookEntry]:
        """Return what stands at the hook, in order: of what has one priority chance tells which was registered last and
        comes first, but for the chains of one table."""
        ip4 = self.host.netns.ip4
        entries = self._placed(ip4.hooks[self.name]) if ip4.nft else ip4.hooks[self.name]
        if not ip4.legacy:
            return entries
        ordered = list(entries)
        for at, entry in enumerate(entries):
            if entry.table.startswith(LEGACY) and self._legacy_first(entry.table.removeprefix(LEGACY)):
                ordered[at - 1 : at + 1] = entry, ordered[at - 1]
        return ordered

    def _placed(self, entries: Sequence[HookEntry]) -> Sequence[HookEntry]:
        """Put native chains, which stand before others of their priority, behind those that chance has registered
        later."""
        placed: list[HookEntry] = []
        for entry in reversed(entries):
            place = 0
            for at, other in enumerate(placed if entry.chain else ()):
                if other.priority != entry.priority:
                    break
                if other.table != entry.table and self._is_behind(entry, other):
                    place = at + 1
            placed.insert(place, entry)
        return placed

    def _is_behind(self, native: HookEntry, other: HookEntry) -> bool:
        """Tell whether a native chain is asked after another that has its priority. Where it cannot matter, nobody is
        asked."""
        host, here = self.host, (self.name, f"{native.title} {other.title}")
        if not self._order_decides(native, other):
            return False
        if here not in host.registered:
            where = {"one": native.title, "other": other.title, "hook": self.name, "netns": host.name}
            question = tr("of {one} and {other} at {hook} of {netns}, the one registered last", **where)
            which = tr("is {what}", what=native.title), tr("is {what}", what=other.title)
            host.registered[here] = host.chance.pick(question, which) == 1
        return host.registered[here]

    def _order_decides(self, one: HookEntry, other: HookEntry) -> bool:
        """Tell whether the packet may fare otherwise if two entries change places; where chance draws, whether both do
        something."""
        if one.kind is not other.kind:
            return True
        there, back = self._tried(one, other), self._tried(other, one)
        if there and back:
            return there != back
        nothing = self._tried()
        return nothing not in (self._tried(one), self._tried(other))

    def _tried(self, *entries: HookEntry) -> tuple[object, ...]:
        """Return what becomes of the packet in some chains, of which nothing is noted; empty where chance has a say, or
        it is unknown."""
        at = self.host.context(self.name, self.skb, self.iif, self.oif, self.now)
        at.socket, at.memory, at.chance = self.skb.socket, None, Chance()
        packet, drawn, nat = self.skb.packet, at.chance.turns, None
        try:
            for entry in entries:
                passed = self._native(entry, packet, at) if entry.chain else self._iptables(entry.table, packet, at)
                packet, nat = passed.packet, passed.nat
                if passed.verdict is NfVerdict.DROP or nat:
                    return () if drawn else (packet, at.entry, passed.verdict, passed.rejected, nat)
        except McniError:
            return ()
        return () if drawn else (packet, at.entry, NfVerdict.ACCEPT, at.notrack, at.socket, at.zone is None)

    def _legacy_first(self, name: str) -> bool:
        """Tell whether iptables-legacy's table of a name is asked before that of iptables-nft: it was registered later.

        Where it cannot matter, nobody is asked.
        """
        host, here = self.host, (self.name, name)
        twins = [host.tables[which] for which in (name, f"{LEGACY}{name}") if which in host.tables]
        if len(twins) < 2 or not _order_matters(self.name, *twins):
            return False
        if here not in host.registered:
            where = {"table": name, "hook": self.name, "netns": host.name}
            question = tr("the table {table} registered last at {hook} of {netns}", **where)
            which = tr("is that of iptables-nft"), tr("is that of iptables-legacy")
            host.registered[here] = host.chance.pick(question, which) == 1
        return host.registered[here]

    def _defragment(self) -> None:
        """Refuse fragments that rules would see one by one, only the first with its ports: nothing tracks connections.

        Otherwise they are put together before. Source: ipv4_conntrack_defrag() in net/ipv4/netfilter/nf_defrag_ipv4.c.
        """
        ip4 = self.host.netns.ip4
        if not ip4.tracks and self.host.has_rules(self.name):
            raise Unsupported(
                tr(
                    "fragments of a packet meet rules of {host} at {hook}, without connection tracking to put them "
                    "together",
                    host=self.host.name,
                    hook=self.name,
                )
            )

    def _reroutes(self, entry: HookEntry, before: Packet) -> bool:
        """Look the way out up again right after an entry that changed what Linux compares; False when there is none."""
        packet = self.skb.packet
        if self.reroute is None or all(getattr(packet, x) == getattr(before, x) for x in entry.reroutes):
            return True
        self.decision = self.reroute()
        return self.decision is not None

    def track(self, entry: HookEntry) -> bool:
        """Look up the packet's connection, or begin one."""
        skb, host = self.skb, self.host
        if not (skb.tracked and skb.tracked.state) or skb.tracked.state is ConnState.INVALID:  # an entry, on loopback
            zone = self.zone(skb.packet) if self.zone else DEFAULT_ZONE
            tracked = skb.tracked = host.connections.track(skb.packet, self.now, zone)
            why = tracked.complaint  # of the kernel, which is not translated, or a marked sentence
            self._note(tr("{state}: {why}", state=tracked.state, why=why) if why else f"{tracked.state}")
        elif skb.tracked.state is ConnState.UNTRACKED:  # left out by NOTRACK; any other state: seen before, on loopback
            self._note(ConnState.UNTRACKED)
        return True

    def confirm(self, entry: HookEntry) -> bool:
        """Store a new connection; False when another one has its addresses and ports: Linux drops the packet."""
        tracked, table = self.skb.tracked, self.host.connections
        if not tracked or not tracked.number or tracked.reply or table[tracked.number].confirmed:
            return True
        if table.clashes(tracked.number):
            return self._clash(tracked.number)
        table.confirm(tracked.number)
        self._note(tr("connection stored"))
        return True

    def _clash(self, number: int) -> bool:
        """Drop a packet whose connection cannot be stored.

        Source: nf_ct_resolve_clash(), which helps UDP alone, and only where no other connection has its answers.
        """
        if self.skb.packet.proto == "udp" and not self.host.connections.clashes(number, answers=True):
            host = self.host.name
            raise Unsupported(tr("a new connection of {host} with the addresses and ports of another one", host=host))
        self._note(tr("dropped: another connection has these addresses and ports, in another zone"))
        self.log.amend(fate=Fate.DROPPED)
        return False

    def _note(self, action: str, before: Packet | None = None) -> None:
        """Note what conntrack or NAT did; `before` is the packet as it was, where it was changed."""
        tracked, packet = self.skb.tracked, self.skb.packet
        if tracked:
            connection = self.host.connections[tracked.number] if tracked.number else None
            self.log.connection(self.name, action, before or packet, packet, tracked, connection)

    def chain(self, entry: HookEntry) -> bool:
        """Walk the table's chain of this hook; False when it dropped the packet."""
        if not entry.chain:
            base = self.host.tables[entry.table].by_name.get(self.name)
            if base is None or base.idle:
                return True
        at = self.host.context(self.name, self.skb, self.iif, self.oif, self.now)
        at.socket = self.skb.socket
        passed = self._traverse(entry, at)
        self.skb.socket = at.socket
        if passed.verdict is NfVerdict.DROP:
            self._drop(entry.table, at, passed)
            return False
        self.zone = self.zone or at.zone
        if at.notrack:
            self.skb.tracked = Tracked(ConnState.UNTRACKED)
        return True

    def _traverse(self, entry: HookEntry, at: Context) -> Passed:
        """Walk a chain and note every rule that matched."""
        connection = at.entry
        log, table = self.log, entry.table

        def note(rule: ChainRule | NftRule, action: str, before: Packet, after: Packet) -> None:
            log.rule(at, table, rule, action, before, after)

        packet = self.skb.packet
        passed = self._native(entry, packet, at, note) if entry.chain else self._iptables(table, packet, at, note)
        self.skb.packet = passed.packet
        if at.entry is not connection and at.entry and self.skb.tracked:
            self.host.connections[self.skb.tracked.number] = at.entry
        return passed

    def _iptables(self, name: str, packet: Packet, at: Context, heard: _Heard = _unheard) -> Passed:
        def note(rule: ChainRule, before: Packet, after: Packet) -> None:
            heard(rule, rule.action, before, after)

        verdict, packet, decider = traverse(self.host.tables[name], self.name, packet, at, note)
        target = decider.target if isinstance(decider, ChainRule) else None
        nat, rejected = target if isinstance(target, Nat) else None, target.kind if isinstance(target, Reject) else ""
        return Passed(verdict, packet, decider, nat, rejected)

    def _native(self, entry: HookEntry, packet: Packet, at: Context, heard: _Heard = _unheard) -> Passed:
        table = self.host.netns.ip4.native[entry.table]
        return pass_chain(table, table.chain(entry.chain), packet, at, heard)

    def _drop(self, table: str, at: Context, passed: Passed) -> None:
        """Make the last step, or a new one for a chain's policy, the packet's end."""
        reject = Reject(passed.rejected) if passed.rejected else None
        if isinstance(passed.decider, Chain | NftChain):
            packet = self.skb.packet
            self.log.rule(at, table, passed.decider, tr("dropped by the chain's policy"), packet, packet)
        else:
            self.log.amend(action=tr("rejected with {kind}", kind=reject.kind) if reject else tr("dropped"))
        self.log.amend(fate=Fate.REJECTED if reject else Fate.DROPPED)
        self.rejected = reject
        if not reject:
            self.host.connections.drop_unconfirmed(self.skb.tracked)

    def nat(self, entry: HookEntry) -> bool:
        """Rewrite the packet as its connection says, which the table decides for the first one; False when dropped."""
        tracked, connections = self.skb.tracked, self.host.connections
        if not tracked or not tracked.number:
            return True
        before, connection = self.skb.packet, connections[tracked.number]
        if asks_table(before, tracked, connection, self.name):
            return self._decide(tracked)
        if oif_changed(tracked, connection, self.name, self.oif):
            connections.forget(tracked.number)
            action = tr("dropped: leaves through another device than the one it was masqueraded for")
            self.log.connection(self.name, action, before, before, tracked, None)
            self.log.amend(fate=Fate.DROPPED)
            return False
        source = self.name in SOURCE_HOOKS
        self.skb.packet = translate(before, connection, source=source, reply=tracked.reply)
        if self.skb.packet is not before:
            self._note(_translated(source), before)
        return True

    def _decide(self, tracked: Tracked) -> bool:
        """Ask the nat tables about a new connection, and rewrite its first packet."""
        host, source = self.host, self.name in SOURCE_HOOKS
        at = host.context(self.name, self.skb, self.iif, self.oif, self.now)
        asked, target = self._ask_nat(at)
        if not asked:
            return False
        point = NatPoint(self.name, self.oif, host.connections[tracked.number], self._own_address)
        decided = decide(host.connections, point, target, chance=host.chance, now=self.now)
        if decided is None:
            self.log.amend(action=tr("dropped: the device has no address to take"), fate=Fate.DROPPED)
            return False
        if decided.confirmed:
            if target:
                self.log.amend(action=tr("{target}: too late, the connection is stored already", target=target))
            return True
        host.connections[tracked.number] = at.entry = decided
        before = self.skb.packet  # rules of the table may have marked it
        self.skb.packet = translate(before, decided, source=source, reply=tracked.reply)
        if target:
            self.log.amend(action=_rewritten(decided, source), after=self.skb.packet, entry=decided)
        elif self.skb.packet is not before:
            self._note(tr("id changed: it was taken") if before.icmp else tr("port changed: it was taken"), before)
        return True

    def _ask_nat(self, at: Context) -> tuple[bool, NatTarget | None]:
        """Walk the nat chains up to the first that has a target; False first when one dropped the packet."""
        for entry in self._nat_chains():
            passed = self._traverse(entry, at)
            if passed.verdict is NfVerdict.DROP:
                self._drop(entry.table, at, passed)
                return False, None
            if passed.nat:
                return True, passed.nat
        return True, None

    def _nat_chains(self) -> Sequence[HookEntry]:
        """Return the nat chains in the order in which they are asked."""
        there = [name for name in ("nat", f"{LEGACY}nat") if name in self.host.tables]
        names = there[::-1] if self._legacy_first("nat") else there
        priority = Priority.NAT_SRC if self.name in SOURCE_HOOKS else Priority.NAT_DST
        iptables = [HookEntry(priority, HookKind.NAT, name) for name in names]
        native = self.host.netns.ip4.native_nat(self.name)
        return self._placed(sorted((*native, *iptables), key=attrgetter("priority")))

    def _own_address(self) -> IPv4Address | None:
        """Choose the address of this machine that MASQUERADE takes on the way out, REDIRECT on the way in."""
        if self.oif:
            return source_address(self.host.netns, self.oif, self.next_hop or self.skb.packet.dst)
        return next((address.ip for address in self.host.links[self.iif].addresses), None)


def _order_matters(hook: str, *twins: Table) -> bool:
    """Tell whether a packet may fare differently when the tables change places: each may end it, or one may see what
    the other did."""
    chains = [table.by_name.get(hook) for table in twins]
    if any(chain is None or chain.idle for chain in chains):
        return False
    rules = [table.samples(hook) for table in twins]
    if twins[0].name in ("raw", "nat") or any(rule.changes or rule.remembers for met in rules for rule in met):
        return True
    drops = (chain and chain.policy == NfVerdict.DROP for chain in chains)
    return all(drop or any(rule.ends is NfVerdict.DROP for rule in met) for drop, met in zip(drops, rules, strict=True))


EVALUATORS: Mapping[HookKind, Callable[[Hook, HookEntry], bool]] = {
    HookKind.CHAIN: Hook.chain,
    HookKind.CONNTRACK: Hook.track,
    HookKind.NAT: Hook.nat,
    HookKind.CONFIRM: Hook.confirm,
    HookKind.IPVS_REQUEST: take_request,
    HookKind.IPVS_REPLY: rewrite_reply,
}
"""What is asked at an entry; False ends the packet."""


def _translated(source: bool) -> str:
    if source:
        return tr("source rewritten as the connection says")
    return tr("destination rewritten as the connection says")


def _rewritten(connection: Entry, source: bool) -> str:
    wanted = connection.reply.inverse()
    if source:
        return tr("SNAT to {address}:{port}", address=wanted.src, port=wanted.sport)
    return tr("DNAT to {address}:{port}", address=wanted.dst, port=wanted.dport)
