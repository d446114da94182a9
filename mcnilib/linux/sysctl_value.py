"""Which values a sysctl takes, as `sysctl -w` writes them. Measured on Linux 6.18 for every key the model reads."""

from __future__ import annotations

import re

from mcnilib.errors import Refused

_SWITCH, _BYTE, _INT, _SECONDS = (0, 1), (0, 255), (-(2**31), 2**31 - 1), (0, 2**31 // 1000)
_TRACKING = "net.netfilter.nf_conntrack_"
RANGES = {
    **{f"net.ipv4.{name}": _SWITCH for name in ("icmp_echo_ignore_all", "icmp_errors_use_inbound_ifaddr")},
    **{f"net.ipv4.{n}": _BYTE for n in ("fwmark_reflect", "ip_nonlocal_bind", "tcp_retries2", "tcp_synack_retries")},
    **{_TRACKING + name: _SWITCH for name in ("acct", "tcp_be_liberal", "tcp_ignore_invalid_rst", "tcp_loose")},
    **{_TRACKING + name: _BYTE for name in ("log_invalid", "tcp_max_retrans")},
    **{f"net.ipv4.icmp_{name}": (0, 2**31 - 1) for name in ("msgs_burst", "msgs_per_sec", "ratelimit")},
    "net.ipv4.ip_default_ttl": (1, 255),
    "net.ipv4.tcp_syn_retries": (1, 127),
}
"""The least and the largest value, where that is neither any number of 32 bits nor a time."""

_NUMBER = re.compile("-?(0x[0-9a-fA-F]{1,8}|0[0-7]{0,11}|[1-9][0-9]{0,9})")


def taken(key: str, text: str) -> str:
    """Return the value that is printed after a text was written; as strtol(3) it takes 0x10 and 010 too.

    A time is taken in seconds up to 2**31 milliseconds, which every kernel can hold; a negative one, which Linux takes
    for the longest, is refused. Raises: Refused (EINVAL) for what the kernel does not take.
    """
    low, high = RANGES.get(key, _SECONDS if "_timeout" in key else _INT)
    if not _NUMBER.fullmatch(text):
        raise Refused(f"{key} takes a number from {low} to {high}, not {text!r}", error="EINVAL")
    octal = text.lstrip("-").startswith("0") and "x" not in text
    value = int(text, 8 if octal else 0)
    if not low <= value <= high:
        raise Refused(f"{key} takes {low} to {high}, not {text}", error="EINVAL")
    return str(int(value != 0) if key.startswith("net.bridge.") else value)
