"""How many ICMP errors a namespace sends: a few at once to each peer, then one in a while; and so many in all.

A conversation finds both limits untouched, as on a machine that was quiet for a minute. Where what the namespace told
others before would decide, that is unknown.
Source: icmpv4_xrlim_allow() and icmp_global_allow() in net/ipv4/icmp.c, inet_peer_xrlim_allow() and inet_getpeer() in
net/ipv4/inetpeer.c, ip_error() in net/ipv4/route.c (Linux 6.18); Documentation/networking/ip-sysctl.rst.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from mcnilib.errors import Unknown
from mcnilib.linux.sysctl import setting
from mcnilib.trace.host import Host

MASK, INTERVAL = "net.ipv4.icmp_ratemask", "net.ipv4.icmp_ratelimit"
PER_SECOND, BURST = "net.ipv4.icmp_msgs_per_sec", "net.ipv4.icmp_msgs_burst"
AT_ONCE = 6
"""Errors a peer gets at once (XRLIM_BURST_FACTOR)."""
QUIET = 60.0
"""Seconds of silence a peer that is new is taken to have had (inet_getpeer())."""
ROUTE_ERRORS, ROUTE_INTERVAL = 5.0, 1.0
"""Of no-route errors: seconds saved at most, seconds one costs (net.ipv4.route.error_burst, route.error_cost)."""


def silenced(host: Host, kind: int, peer: IPv4Address, now: float, *, near: bool) -> str:
    """Say which limit keeps an ICMP error of a type from being sent; empty when it is sent, which is counted.

    `near`: it would leave by the loopback device, where no peer is limited. Raises: Unknown.
    """
    if not host.number(MASK) >> kind & 1:
        return ""
    _check_total(host, now)
    seconds = host.number(INTERVAL) / 1000
    if near or _take(host, peer, seconds, AT_ONCE * seconds, now):
        return ""
    if seconds > QUIET:
        why = f"{setting(host.sysctls, INTERVAL)} on {host.name}: whether {peer} was told anything lately"
        raise Unknown(f"{why} decides whether it is told now", collect="")
    return str(setting(host.sysctls, INTERVAL))


def route_error_allowed(host: Host, peer: IPv4Address, now: float) -> bool:
    """Tell whether a peer is told that there is no route. Both limits take from what the peer has saved."""
    return _take(host, peer, ROUTE_INTERVAL, ROUTE_ERRORS, now)


def _take(host: Host, peer: IPv4Address, cost: float, most: float, now: float) -> bool:
    """Take the cost of an error, in seconds, from the silence a peer has saved; False when it has not enough."""
    saved, last = host.silence.get(peer, (0.0, now - QUIET))
    saved = min(saved + now - last, most)
    enough = saved >= cost
    host.silence[peer] = (saved - cost if enough else saved, now)
    return enough


def _check_total(host: Host, now: float) -> None:
    """Count an error; each takes 0 to 2 of the credit, by chance, which is filled up when a second has passed.

    Raises: Unknown where chance, or what was sent before, decides.
    """
    sent, last = host.errors_sent if now - host.errors_sent[1] < 1 else (0, now)
    rate, most = host.number(PER_SECOND), host.number(BURST)
    if (sent and 2 * sent >= min(rate, most)) or not rate:
        key = BURST if most <= rate else PER_SECOND
        why = f"{setting(host.sysctls, key)} on {host.name}: what it sent just before"
        raise Unknown(f"{why} decides whether it sends this ICMP error", collect="")
    host.errors_sent = (sent + 1, last)
