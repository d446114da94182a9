"""The five hooks of netfilter, and the order in which each of them consults the tables.

    device ──► PREROUTING ──► routing ──► FORWARD ──► routing done ──► POSTROUTING ──► device
                                 │                        ▲
                                 ▼                        │ (again, when mangle or nat changed what it asks for)
                               INPUT ──► socket ──► OUTPUT ┘

Source: include/uapi/linux/netfilter_ipv4.h (priorities), net/ipv4/netfilter/ip_tables.c, iptables(8).
"""

from __future__ import annotations

HOOKS = {
    "PREROUTING": ("raw", "conntrack", "mangle", "nat"),
    "INPUT": ("mangle", "filter", "security", "nat", "confirm"),
    "FORWARD": ("mangle", "filter", "security"),
    "OUTPUT": ("raw", "conntrack", "mangle", "nat", "filter", "security"),
    "POSTROUTING": ("mangle", "nat", "confirm"),
}
"""What each hook consults, in order; `conntrack` looks the packet up, `confirm` stores a new connection."""

BUILT_IN = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}
"""Built-in chains of each table, in the order iptables-save prints them."""
