"""The five hooks, and what stands at each: the lowest priority first, as the kernel calls it.

    device ──► PREROUTING ──► routing ──► FORWARD ──► routing done ──► POSTROUTING ──► device
                                 │                        ▲
                                 ▼                        │ (again, when mangle or nat changed what it asks for)
                               INPUT ──► socket ──► OUTPUT ┘

Whatever else looks at packets (base chains of nftables, IPVS) is one more entry with a priority of its own. IPVS stands
there once a namespace has a virtual server: ip_vs_ops4 in net/netfilter/ipvs/ip_vs_core.c (Linux 6.1).
Not modelled: defragmentation (-400), packets here are whole; SELinux (-225, 225); helpers (300).
Source: include/uapi/linux/netfilter_ipv4.h (enum nf_ip_hook_priorities), net/netfilter/core.c (Linux 6.18).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import IntEnum, StrEnum
from functools import cache
from operator import attrgetter
from typing import NamedTuple


class Priority(IntEnum):
    """NF_IP_PRI_*: when an entry's turn comes at its hook."""

    RAW = -300
    CONNTRACK = -200
    MANGLE = -150
    NAT_DST = -100
    IPVS_OWN_REPLY = -99
    IPVS_OWN_REQUEST = -98
    FILTER = 0
    SECURITY = 50
    IPVS_REPLY = 98
    IPVS_REQUEST = 99
    NAT_SRC = 100
    IPVS_FORWARD = 100
    CONNTRACK_CONFIRM = 2**31 - 1


class NfVerdict(StrEnum):
    """What a table says of a packet (NF_ACCEPT, NF_DROP); one that is rejected is dropped as well, after the answer."""

    ACCEPT = "ACCEPT"
    DROP = "DROP"


class HookKind(StrEnum):
    """What is done with a packet at an entry."""

    CHAIN = "chain"  # walk the table's chain of this hook
    CONNTRACK = "conntrack"  # look up the packet's connection, or begin one
    NAT = "nat"  # rewrite an address; the table's chain is asked for the first packet of a connection
    CONFIRM = "confirm"  # store a new connection: its first packet came through
    IPVS_REQUEST = "ipvs request"  # for a virtual server: choose a real one, and send it there
    IPVS_REPLY = "ipvs reply"  # of a real server: give it the address of the virtual one


class HookEntry(NamedTuple):
    """One function of the kernel at a hook (struct nf_hook_ops).

    `reroutes` names the fields of a packet that, changed in OUTPUT, make the kernel look up the route again, at once
    and with the mark of that moment. No other table asks: raw, filter and security may set marks, which no lookup sees
    unless mangle or nat comes later.
    Source: ipt_mangle_out() in net/ipv4/netfilter/iptable_mangle.c, nf_route_table_hook4() in
    net/netfilter/nft_chain_route.c (iptables-nft makes mangle OUTPUT a chain of type route, the others are not),
    nf_nat_ipv4_local_fn() in net/netfilter/nf_nat_proto.c.
    """

    priority: int
    kind: HookKind
    table: str = ""
    reroutes: tuple[str, ...] = ()
    chain: str = ""  # of nftables; iptables calls the chain like the hook

    @property
    def title(self) -> str:
        """What stands there, by name."""
        if self.chain:
            return f"{self.chain} of {self.table}"
        return f"iptables {self.table}" if self.table else str(self.kind)


REROUTES = ("src", "dst", "mark", "tos")
"""What a chain of type route, and mangle, looks for in OUTPUT."""

_RAW = HookEntry(Priority.RAW, HookKind.CHAIN, "raw")
_TRACK = HookEntry(Priority.CONNTRACK, HookKind.CONNTRACK)
_MANGLE = HookEntry(Priority.MANGLE, HookKind.CHAIN, "mangle", REROUTES)
_DST_NAT = HookEntry(Priority.NAT_DST, HookKind.NAT, "nat", ("dst",))
_FILTER = HookEntry(Priority.FILTER, HookKind.CHAIN, "filter")
_SECURITY = HookEntry(Priority.SECURITY, HookKind.CHAIN, "security")
_SRC_NAT = HookEntry(Priority.NAT_SRC, HookKind.NAT, "nat")
_CONFIRM = HookEntry(Priority.CONNTRACK_CONFIRM, HookKind.CONFIRM)

HOOKS: Mapping[str, tuple[HookEntry, ...]] = {
    "PREROUTING": (_RAW, _TRACK, _MANGLE, _DST_NAT),
    "INPUT": (_MANGLE, _FILTER, _SECURITY, _SRC_NAT, _CONFIRM),
    "FORWARD": (_MANGLE, _FILTER, _SECURITY),
    "OUTPUT": (_RAW, _TRACK, _MANGLE, _DST_NAT, _FILTER, _SECURITY),
    "POSTROUTING": (_MANGLE, _SRC_NAT, _CONFIRM),
}
"""What the kernel may register at each hook; a namespace has what its rules ask for."""

_IPVS_REPLY, _IPVS_REQUEST = HookKind.IPVS_REPLY, HookKind.IPVS_REQUEST

IPVS: Mapping[str, tuple[HookEntry, ...]] = {
    "INPUT": (HookEntry(Priority.IPVS_REPLY, _IPVS_REPLY), HookEntry(Priority.IPVS_REQUEST, _IPVS_REQUEST)),
    "OUTPUT": (HookEntry(Priority.IPVS_OWN_REPLY, _IPVS_REPLY), HookEntry(Priority.IPVS_OWN_REQUEST, _IPVS_REQUEST)),
    "FORWARD": (HookEntry(Priority.IPVS_REQUEST, _IPVS_REQUEST), HookEntry(Priority.IPVS_FORWARD, _IPVS_REPLY)),
}
"""What IPVS adds; in FORWARD it takes only ICMP errors for requests."""

BUILT_IN = {
    table: tuple(hook for hook, entries in HOOKS.items() if any(entry.table == table for entry in entries))
    for table in ("raw", "mangle", "nat", "filter", "security")
}
"""Built-in chains of each table, in the order iptables-save prints them."""


LEGACY = "iptables-legacy "
"""What the names of a namespace's tables of iptables-legacy begin with, where iptables-nft has rules as well.

Of two tables with one priority at a hook the one that was registered last is asked first: iptables-legacy registers a
table when it is first used, iptables-nft each chain when it makes it. Nothing that is printed tells when that was.
Source: nf_hook_entries_grow() in net/netfilter/core.c (Linux 6.18), and measured.
"""


@cache
def hook_entries(tables: tuple[str, ...], tracks: bool) -> Mapping[str, tuple[HookEntry, ...]]:
    """Return what stands at each hook of a namespace with these tables, in the order its packets meet it.

    A table of iptables-legacy stands behind the one of iptables-nft with its name, though it may come first. The nat
    tables of both are asked at one entry: nf_nat_inet_fn() asks the next one while the connection has no mapping.
    Every address family has hooks of its own (struct netns_nf), so a table sees the packets of one family only.
    """
    there = {*tables, *([""] if tracks else [])}
    return {hook: tuple(sorted(_there(entries, there), key=attrgetter("priority"))) for hook, entries in HOOKS.items()}


def _there(entries: Iterable[HookEntry], there: Collection[str]) -> Iterator[HookEntry]:
    for entry in entries:
        legacy = f"{LEGACY}{entry.table}" if entry.table else ""
        if entry.table in there or (entry.kind is HookKind.NAT and legacy in there):
            yield entry
        if legacy in there and entry.kind is HookKind.CHAIN:
            yield entry._replace(table=legacy)
