"""What IPVS does with a packet's connection in conntrack: it changes what answers look like, or leaves none.

Source: net/netfilter/ipvs/ip_vs_nfct.c, ip_vs_notrack() in include/net/ip_vs.h (Linux 6.1).
"""

from __future__ import annotations

from dataclasses import replace

from mcnilib.linux.netfilter.conntrack import ConnState, Entry, Tracked
from mcnilib.linux.netfilter.ipvs.connection import IpvsConnection
from mcnilib.trace.ipvs.point import IpvsPoint


def sync_conntrack(at: IpvsPoint, connection: IpvsConnection, *, request: bool) -> None:
    """Tell conntrack of the rewritten packet: its answers come from the real server, or nobody tracks it."""
    tracked = at.skb.tracked
    if not tracked or not tracked.number:
        return
    table = at.host.connections
    if not connection.nfct:
        table.drop_unconfirmed(tracked)
        at.skb.tracked = Tracked(ConnState.UNTRACKED)
        return
    entry = table[tracked.number]
    if not entry.confirmed and not tracked.reply:
        table[tracked.number] = _altered(entry, connection, request=request)


def _altered(entry: Entry, connection: IpvsConnection, *, request: bool) -> Entry:
    """Return a connection with other answers. Source: ip_vs_update_conntrack()."""
    if request:
        reply = replace(entry.reply, src=connection.server.address)
        return entry._replace(reply=reply if reply.icmp else replace(reply, sport=connection.dport))
    reply = replace(entry.reply, dst=connection.address)
    return entry._replace(reply=reply if reply.icmp else replace(reply, dport=connection.port))


def is_stored(at: IpvsPoint, connection: IpvsConnection) -> bool:
    """Tell whether a packet belongs to a stored connection. Source: ip_vs_conn_uses_old_conntrack()."""
    tracked = at.skb.tracked
    return bool(connection.nfct and tracked and tracked.number and at.host.connections[tracked.number].confirmed)
