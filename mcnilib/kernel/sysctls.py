"""Sysctls of a lab namespace: the kernel's defaults first, whatever the host has, then what the World lists.

A new namespace copies net.ipv4.conf from the host (net.core.devconf_inherit_init_net), so the defaults are written explicitly.
Source: Documentation/networking/ip-sysctl.rst, Documentation/admin-guide/sysctl/net.rst.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mcnilib.linux.sysctl import DEFAULTS, Setting

ROOT = Path("/proc/sys")
DEVICE_DEFAULTS = {
    "rp_filter": "0", "accept_local": "0", "route_localnet": "0", "proxy_arp": "0", "arp_ignore": "0", "arp_announce": "0",
    "arp_filter": "0", "src_valid_mark": "0", "send_redirects": "0", "accept_redirects": "0", "log_martians": "0",
}  # fmt: skip
"""Values of net.ipv4.conf.{all,default,lo}. Redirects are off, because the simulator does not model them."""

LAB = {
    "net.ipv4.ip_forward": "0",
    "net.ipv4.icmp_ratelimit": "0",  # several conversations share one lab
    "net.ipv4.tcp_no_metrics_save": "1",  # no conversation learns from the one before
    "net.ipv6.conf.all.disable_ipv6": "1",  # no router solicitations among the captures
    "net.ipv6.conf.default.disable_ipv6": "1",
    "net.bridge.bridge-nf-call-iptables": "0",
}


def baseline() -> None:
    """Give the current namespace the kernel's defaults; to be called before it has devices."""
    for key, value in LAB.items():
        write(key, value, missing_ok=True)
    for scope in ("all", "default", "lo"):
        for name, value in DEVICE_DEFAULTS.items():
            write(f"net.ipv4.conf.{scope}.{name}", value)


def change(old: Iterable[Setting], new: Iterable[Setting]) -> None:
    """Turn what one World lists into what another lists; ip_forward first, because it resets others."""
    listed = {setting.key: setting.value for setting in new}
    gone = {setting.key: default(setting.key) for setting in old if setting.key not in listed}
    for key, value in sorted((gone | listed).items(), key=lambda item: item[0] != "net.ipv4.ip_forward"):
        write(key, value)


def default(key: str) -> str:
    """Return the value a key has in a lab when the World does not list it."""
    if key.startswith("net.ipv4.conf."):
        return DEVICE_DEFAULTS.get(key.rsplit(".", 1)[1], "0")
    return LAB.get(key) or DEFAULTS[key]


def read(key: str) -> str:
    """Read a sysctl of the current namespace as `sysctl -n` prints it."""
    return _path(key).read_text().rstrip("\n")


def write(key: str, value: str, *, missing_ok: bool = False) -> None:
    """Set a sysctl of the current namespace. Raises: FileNotFoundError for a key this kernel does not have."""
    path = _path(key)
    if missing_ok and not path.exists():
        return
    path.write_text(value)


def _path(key: str) -> Path:
    """Return the file of a key as `sysctl` spells it: dots separate, a slash stands for a dot in a device name."""
    return ROOT / key.translate(str.maketrans("./", "/."))
