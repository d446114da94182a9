"""One netfilter hook: its tables in order, conntrack and NAT between them, every decision noted.

Source: include/uapi/linux/netfilter_ipv4.h (order), nf_conntrack_core.c, nf_nat_core.c, iptable_mangle.c (Linux 6.18).
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address

from mcnilib.errors import Unknown
from mcnilib.linux.netfilter.conntrack import Entry, Tracked
from mcnilib.linux.netfilter.context import Context
from mcnilib.linux.netfilter.hooks import HOOKS
from mcnilib.linux.netfilter.iptables.rule import Chain, ChainRule, Table
from mcnilib.linux.netfilter.iptables.target.nat import NATS, Dnat, Masquerade, Nat, Netmap, Snat
from mcnilib.linux.netfilter.iptables.target.verdict import Reject
from mcnilib.linux.netfilter.iptables.traverse import traverse
from mcnilib.linux.netfilter.nat import ANY, NatRange, bind, translate
from mcnilib.linux.packet import Packet
from mcnilib.linux.routing.fib import Decision
from mcnilib.linux.routing.source import source_address
from mcnilib.trace.stack.host import Host, Skb
from mcnilib.trace.stack.recorder import Log
from mcnilib.trace.trace import Fate

SOURCE_HOOKS = ("POSTROUTING", "INPUT")

LOOPBACK = IPv4Address("127.0.0.1")

REROUTES = {"mangle": ("src", "dst", "mark", "tos"), "nat": ("dst",)}
"""What a table of OUTPUT must change for the route to be looked up again, at once and with the mark of that moment.

No other table asks: raw, filter and security may set marks, which no lookup sees unless one of these two comes later.
Source: ipt_mangle_out() in net/ipv4/netfilter/iptable_mangle.c, nf_route_table_hook4() in
net/netfilter/nft_chain_route.c (iptables-nft makes mangle OUTPUT a chain of type route, the others are not),
nf_nat_ipv4_local_fn() in net/netfilter/nf_nat_proto.c.
"""


class Hook:
    """One packet at one hook of one namespace."""

    __slots__ = ("decision", "host", "iif", "log", "name", "next_hop", "now", "oif", "rejected", "reroute", "skb")

    def __init__(self, host: Host, skb: Skb, name: str, log: Log, now: float, *, iif: str = "", oif: str = "") -> None:
        """Remember where the packet stands; `now` is seconds since the run began."""
        self.host, self.skb, self.name, self.log, self.now = host, skb, name, log, now
        self.iif, self.oif = iif, oif
        self.next_hop: IPv4Address | None = None  # for MASQUERADE
        self.rejected: Reject | None = None
        self.reroute: Callable[[], Decision | None] | None = None  # in OUTPUT: look up again, note it
        self.decision: Decision | None = None  # what the last of these lookups found

    def run(self) -> bool:
        """Consult the hook's tables in order; False when the packet ended here.

        Raises: Unknown where nobody knows the rules.
        """
        for gap in self.host.netns.missing:
            if gap.at(self.name):
                raise Unknown(gap.why, collect=gap.collect, netns=self.host.name)
        for part in HOOKS[self.name]:
            before = self.skb.packet
            if part == "conntrack":
                self._track()
            elif part == "confirm":
                self._confirm()
            elif part == "nat":
                if not self._nat():
                    return False
            elif part in self.host.tables and not self._table(self.host.tables[part]):
                return False
            if self.reroute and self.skb.packet is not before and not self._reroutes(part, before):
                return False
        return True

    def _reroutes(self, part: str, before: Packet) -> bool:
        """Look the way out up again right after a table that changed what Linux compares; False when there is none."""
        packet = self.skb.packet
        if self.reroute is None or all(getattr(packet, x) == getattr(before, x) for x in REROUTES.get(part, ())):
            return True
        self.decision = self.reroute()
        return self.decision is not None

    def _track(self) -> None:
        skb, host = self.skb, self.host
        if not host.netns.tracks:
            return
        if skb.tracked and skb.tracked.state:  # seen before (loopback), or left out by NOTRACK
            if skb.tracked.state == "UNTRACKED":
                self.log.connection(host.name, self.name, "UNTRACKED", skb.packet, skb.packet, "UNTRACKED", None)
            return
        tracked = skb.tracked = host.connections.track(skb.packet, self.now)
        entry = host.connections[tracked.number] if tracked.number else None
        action = f"{tracked.state}: {tracked.why}" if tracked.why else tracked.state
        self.log.connection(host.name, self.name, action, skb.packet, skb.packet, tracked.state, entry)

    def _confirm(self) -> None:
        tracked, table = self.skb.tracked, self.host.connections
        if tracked and tracked.number and not tracked.reply and not table[tracked.number].confirmed:
            table.confirm(tracked.number)
            entry = table[tracked.number]
            self.log.connection(
                self.host.name, self.name, "connection stored", self.skb.packet, self.skb.packet, tracked.state, entry
            )

    def _table(self, table: Table) -> bool:
        """Walk one table's chain of this hook; False when it dropped the packet."""
        at = self.host.context(self.name, self.skb, self.iif, self.oif, self.now)
        verdict, line = self._traverse(table, at)
        if verdict in ("DROP", "REJECT"):
            self._drop(table, at, line)
            return False
        if at.notrack:
            self.skb.tracked = Tracked("UNTRACKED")
        return True

    def _traverse(self, table: Table, at: Context) -> tuple[str, ChainRule | Chain | None]:
        """Walk the chain and note every rule that matched."""
        log, netns, name = self.log, self.host.name, table.name
        entry = at.entry

        def note(rule: ChainRule, before: Packet, after: Packet) -> None:
            log.rule(netns, at, name, rule, rule.action, before, after)

        verdict, self.skb.packet, line = traverse(table, self.name, self.skb.packet, at, note)
        if at.entry is not entry and at.entry and self.skb.tracked:
            self.host.connections[self.skb.tracked.number] = at.entry
        return verdict, line

    def _drop(self, table: Table, at: Context, line: ChainRule | Chain | None) -> None:
        """Make the last step, or a new one for a chain's policy, the packet's end."""
        reject = line.target if isinstance(line, ChainRule) and isinstance(line.target, Reject) else None
        if isinstance(line, Chain):
            packet = self.skb.packet
            self.log.rule(self.host.name, at, table.name, line, "dropped by the chain's policy", packet, packet)
        else:
            self.log.amend(action=f"rejected with {reject.kind}" if reject else "dropped")
        self.log.amend(fate=Fate.REJECTED if reject else Fate.DROPPED)
        self.rejected = reject
        if not reject:
            self.host.connections.drop_unconfirmed(self.skb.tracked)

    def _nat(self) -> bool:
        """Decide NAT for a new connection, apply it to every packet.

        Not yet decided and related is REJECT's RST: it carries the connection of the SYN that came no further. An ICMP
        error carries one too, and is only rewritten. Source: nf_nat_inet_fn().
        """
        tracked, host = self.skb.tracked, self.host
        if not tracked or not tracked.number or "nat" not in host.tables:
            return True
        source = self.name in SOURCE_HOOKS
        entry = host.connections[tracked.number]
        asks = tracked.state == "NEW" or (tracked.state == "RELATED" and not self.skb.packet.icmp)
        if asks and not (entry.src_done if source else entry.dst_done):
            return self._bind(tracked, source)
        if self.name == "POSTROUTING" and not tracked.reply and entry.masquerade_oif not in ("", self.oif):
            host.connections.forget(tracked.number)
            self.log.connection(
                host.name, self.name, "dropped: leaves by another device than the one it was masqueraded for",
                self.skb.packet, self.skb.packet, tracked.state, None,
            )  # fmt: skip
            self.log.amend(fate=Fate.DROPPED)
            return False
        after = translate(self.skb.packet, entry, source=source, reply=tracked.reply)
        if after is not self.skb.packet:
            action = f"{'source' if source else 'destination'} rewritten as the connection says"
            self.log.connection(host.name, self.name, action, self.skb.packet, after, tracked.state, entry)
            self.skb.packet = after
        return True

    def _bind(self, tracked: Tracked, source: bool) -> bool:
        """Ask the nat table about a new connection and rewrite its first packet."""
        host = self.host
        at = host.context(self.name, self.skb, self.iif, self.oif, self.now)
        verdict, line = self._traverse(host.tables["nat"], at)
        if verdict == "DROP":
            self._drop(host.tables["nat"], at, line)
            return False
        target = line.target if isinstance(line, ChainRule) else None
        bound = self._decide(host.connections[tracked.number], target, source)
        if bound is None:
            self.log.amend(action="dropped: the device has no address to take", fate=Fate.DROPPED)
            return False
        if bound.confirmed:
            if isinstance(target, NATS):
                self.log.amend(action=f"{target}: too late, the connection is stored already")
            return True
        host.connections[tracked.number] = at.entry = bound
        before = self.skb.packet  # rules of the table may have marked it
        self.skb.packet = translate(before, bound, source=source, reply=tracked.reply)
        if isinstance(target, NATS):
            self.log.amend(action=_nat_action(bound, source), after=self.skb.packet, entry=bound)
        elif self.skb.packet is not before:
            taken = f"{'id' if before.icmp else 'port'} changed: it was taken"
            self.log.connection(host.name, self.name, taken, before, self.skb.packet, tracked.state, bound)
        return True

    def _decide(self, entry: Entry, target: object, source: bool) -> Entry | None:
        """Return the entry bound as the target says; None when MASQUERADE or REDIRECT finds no address.

        One that is stored stays as it is: there was no nat table then. Source: nf_nat_setup_info().
        """
        table, now, span = self.host.connections, self.now, ANY
        if isinstance(target, NATS):
            found = self._span(entry, target, source)
            if found is None:
                return None
            span = found
        if entry.confirmed:
            return entry
        if span is ANY and not source:
            return entry._replace(dst_done=True)
        bound = bind(table, entry, span, source=source, chance=self.host.chance, now=now)
        return bound._replace(masquerade_oif=self.oif) if isinstance(target, Masquerade) else bound

    def _span(self, entry: Entry, target: Nat, source: bool) -> NatRange | None:
        """Return what the target allows here; None where it finds no address."""
        if isinstance(target, Dnat | Snat):
            return target.span
        if isinstance(target, Netmap):
            current = entry.reply.inverse()
            return target.span(current.src if source else current.dst)
        to: IPv4Address | None = LOOPBACK
        if isinstance(target, Masquerade):
            to = source_address(self.host.netns, self.oif, self.next_hop or self.skb.packet.dst)
        elif self.name == "PREROUTING":
            to = next((one.ip for one in self.host.links[self.iif].addresses), None)
        return target.span(to) if to else None


def _nat_action(entry: Entry, source: bool) -> str:
    changed = entry.reply.inverse()
    return f"SNAT to {changed.src}:{changed.sport}" if source else f"DNAT to {changed.dst}:{changed.dport}"
