"""Words of `ip route` and `ip rule` that are not modelled: how far each reaches, so that the rest of the line is read.

A route keeps them, and ends a packet's way when it is chosen; a rule, when its other selectors hold.
Source: print_route() in ip/iproute.c, print_rule() in ip/iprule.c (iproute2 6.1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv6Address

from mcnilib.linux.text import Grammar, Words

L3MDEV = "[l3mdev-table]"
"""Stands for the table of the VRF a packet belongs to."""

NAME = r"[A-Za-z_][A-Za-z0-9_.+-]{0,63}"
"""Names of tables and protocols that rt_tables and rt_protos of the machine may give. Source: rtnl_tab_initialize()."""


def _value(words: Words) -> object:
    return words.take("a value")


def _flag(words: Words) -> object:
    return True


def gateway(words: Words) -> object:
    """Read a gateway; one of IPv6 is returned as the words it is printed with."""
    if words.next != "inet6":
        return words.address()
    words.take()
    address = words.take("an address")
    try:
        return f"via inet6 {IPv6Address(address)}"
    except ValueError:
        raise words.wrong(f"{address!r} is not an IPv6 address") from None


def _metric(words: Words) -> object:
    """Read the value of a route's metric; `lock` before it says that the kernel does not adapt it."""
    lock = f"{words.take()} " if words.next == "lock" else ""
    return f"{lock}{words.take('a value')}"


def _encapsulation(words: Words) -> object:
    """Read what a route wraps packets in, up to the way it sends them."""
    taken = [words.take("an encapsulation")]
    while words and words.next not in ("via", "dev", "nexthop"):
        taken.append(words.take())
    return taken


def _features(words: Words) -> object:
    taken = [words.take("a feature")]
    while words.next in ("ecn", "tcp_usec_ts"):
        taken.append(words.take())
    return taken


def _next_hops(words: Words) -> object:
    """Read all next hops of a route, which stand behind everything else."""
    if words.next not in ("via", "dev", "encap"):
        raise words.error("a next hop is missing")
    return words.rest()


METRICS: Grammar = {
    word: (word, _metric)
    for word in (
        *("mtu", "advmss", "window", "rtt", "rttvar", "cwnd", "initcwnd", "initrwnd", "ssthresh", "reordering"),
        *("rto_min", "quickack", "congctl", "fastopen_no_cookie"),
    )
}
"""Settings of a route for the connections over it. They change sizes and times, and nothing that is modelled: packets
have no size here, so `mtu` does not cut or refuse any.
"""

ROUTE_KEPT: Grammar = {
    **{word: (word, _value) for word in ("realm", "realms", "tos", "dsfield", "from", "pref", "error", "as")},
    **{word: (word, _value) for word in ("expires", "hoplimit", "ttl-propagate", "uid", "mark")},
    **{word: (word, _flag) for word in ("dead", "offload", "trap", "pervasive", "notify", "unresolved")},
    **{word: (word, _flag) for word in ("rt_offload", "rt_trap", "offload_failed", "rt_offload_failed")},
    "encap": ("encap", _encapsulation),
    "features": ("features", _features),
    "nexthop": ("nexthop", _next_hops),
}
ROUTE_TYPES_KEPT = ("anycast", "multicast", "nat", "xresolve")

RULE_KEPT: Grammar = {
    **{word: (word, _value) for word in ("tos", "dsfield", "dscp", "goto", "realms", "suppress_ifgroup")},
    **{word: (word, _value) for word in ("ipproto", "sport", "dport", "uidrange", "tun_id")},
    "map-to": ("map-to", _value),
    **{word: (word, _flag) for word in ("nop", "masquerade", "l3mdev", "[unresolved]", L3MDEV)},
}
RULE_ACTIONS = ("goto", "nop", "map-to", "masquerade", "l3mdev", L3MDEV)
"""What a rule may do instead of looking into a table of its own."""


def named_here(words: Words, names: Mapping[str, int], limit: int) -> str:
    """Read a number or a name; one that is not among `names` is the machine's own."""
    if re.fullmatch(NAME, words.next, re.ASCII) or words.next == L3MDEV:
        return words.take()
    return words.named(names, limit)
