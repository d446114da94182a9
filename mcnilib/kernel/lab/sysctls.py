"""Sysctls of a lab namespace: the kernel's defaults first, whatever the host has, then what the World lists.

A new namespace copies net.ipv4.conf from the host (net.core.devconf_inherit_init_net), so the defaults are written
explicitly.
Source: Documentation/networking/ip-sysctl.rst, Documentation/admin-guide/sysctl/net.rst.
"""

from __future__ import annotations

from pathlib import Path

from mcnilib.errors import McniError
from mcnilib.linux.netns import Netns
from mcnilib.linux.sysctl import BRIDGE_CALLS, CONF, FORWARD, conf_key, get
from mcnilib.writing import inside

PROC_SYS = Path("/proc/sys")

_REDIRECTS = ("send_redirects", "accept_redirects")
"""Off in the lab unless a World lists them: the simulator does not model redirects."""

_MASK, _LIMITS = "net.ipv4.icmp_ratemask", ("icmp_ratelimit", "icmp_msgs_burst", "icmp_msgs_per_sec")

_LAB = {
    BRIDGE_CALLS: get((), BRIDGE_CALLS),  # a kernel that has br_netfilter gives every namespace a 1
    _MASK: "0",  # no ICMP error is limited, unless a World lists a limit: several conversations share one lab
    "net.ipv4.tcp_no_metrics_save": "1",  # no conversation learns from the one before
    "net.ipv6.conf.all.disable_ipv6": "1",  # no router solicitations among the captures
    "net.ipv6.conf.default.disable_ipv6": "1",
}


def baseline() -> None:
    """Give the current namespace the kernel's defaults; to be called before it has devices."""
    write_sysctl(FORWARD, "0")
    for key, value in _LAB.items():
        write_sysctl(key, value, missing_ok=True)
    defaults = {name: default for name, (default, _) in CONF.items() if name != "forwarding"}
    for name, value in (defaults | dict.fromkeys(_REDIRECTS, "0")).items():
        for scope in ("all", "default", "lo"):
            write_sysctl(conf_key(name, scope), value)


def answer_at_once(netns: Netns) -> None:
    """Let proxy ARP answer with next to none of its random delay of up to 0.8 s: just after whose address it is."""
    for link in netns.links:
        write_sysctl(f"net.ipv4.neigh.{link.name.replace('.', '/')}.proxy_delay", "1", missing_ok=True)


def change_sysctls(old: Netns, new: Netns) -> None:
    """Turn what one namespace lists into what another lists; ip_forward first, because it writes others."""
    before, after = _listed(old), _listed(new)
    gone = {key: _unlisted(new, key) for key in before if key not in after}
    changed = {key: value for key, value in (gone | after).items() if before.get(key) != value}
    for key, value in sorted(changed.items(), key=lambda item: item[0] != FORWARD):
        write_sysctl(key, value)


def _listed(netns: Netns) -> dict[str, str]:
    """Return the keys a World sets; a device without a line of its own follows `default`."""
    values = {_MASK: get((), _MASK)} if limits(netns) else {}
    for setting in netns.sysctls:
        values[setting.key] = setting.value
        if setting.key.startswith("net.ipv4.conf.default."):
            for link in netns.links:
                key = conf_key(setting.key.rpartition(".")[2], link.name)
                values[key] = get(netns.sysctls, key)
    return values


def limits(netns: Netns) -> bool:
    """Tell whether a World says how many ICMP errors a namespace sends."""
    return any(setting.key == _MASK or setting.key.rpartition(".")[2] in _LIMITS for setting in netns.sysctls)


def _unlisted(netns: Netns, key: str) -> str:
    if key == _MASK:
        return _LAB[_MASK]
    return "0" if key.rpartition(".")[2] in _REDIRECTS else get(netns.sysctls, key)


def read_sysctl(key: str) -> str:
    """Read a sysctl of the current namespace as `sysctl -n` prints it."""
    return _path(key).read_text().rstrip("\n")


def write_sysctl(key: str, value: str, *, missing_ok: bool = False) -> None:
    """Set a sysctl of the current namespace. Raises: McniError for a key this kernel does not have."""
    try:
        _path(key).write_text(value)
    except FileNotFoundError:
        if not missing_ok:
            raise McniError(f"this kernel has no sysctl {key}") from None


def _path(key: str) -> Path:
    """Return the file of a key as `sysctl` spells it: dots separate, a slash stands for a dot in a device name."""
    return inside(PROC_SYS, key.translate(str.maketrans("./", "/.")))
