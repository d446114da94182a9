"""Names of ICMP types as iptables accepts them; it prints numbers. Source: libxt_icmp.h (iptables 1.8.9)."""

from __future__ import annotations

_UNREACHABLE = (
    "network-unreachable", "host-unreachable", "protocol-unreachable", "port-unreachable", "fragmentation-needed",
    "source-route-failed", "network-unknown", "host-unknown", "", "network-prohibited", "host-prohibited",
    "tos-network-unreachable", "tos-host-unreachable", "communication-prohibited", "host-precedence-violation",
    "precedence-cutoff",
)  # fmt: skip
_REDIRECTS = ("network-redirect", "host-redirect", "tos-network-redirect", "tos-host-redirect")

ICMP_WORDS: dict[str, tuple[int, int | None]] = {
    "any": (255, None), "echo-reply": (0, None), "pong": (0, None), "destination-unreachable": (3, None),
    "source-quench": (4, None), "redirect": (5, None), "echo-request": (8, None), "ping": (8, None),
    "router-advertisement": (9, None), "router-solicitation": (10, None), "time-exceeded": (11, None),
    "ttl-exceeded": (11, None), "ttl-zero-during-transit": (11, 0), "ttl-zero-during-reassembly": (11, 1),
    "parameter-problem": (12, None), "ip-header-bad": (12, 0), "required-option-missing": (12, 1),
    "timestamp-request": (13, None), "timestamp-reply": (14, None), "address-mask-request": (17, None),
    "address-mask-reply": (18, None),
    **{name: (3, code) for code, name in enumerate(_UNREACHABLE) if name},
    **{name: (5, code) for code, name in enumerate(_REDIRECTS)},
}  # fmt: skip
"""Name in small letters to type and code; None: any code."""
