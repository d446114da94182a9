"""The sysctls the model reads, with the kernel's defaults, and how `all` and a device's own value combine.

Only what was written is stored; of a listing that somebody collected also which lines it lacks, for nobody knows what
they would say. A device follows `default` until it gets a line or an address of its own; one created
after `default` was written keeps a copy. `net.ipv4.conf.all.forwarding` is another name of `net.ipv4.ip_forward` and is
stored as that. Dots in a device's name are printed as slashes: `net.ipv4.conf.vxlan/0.rp_filter`. Not modelled: what a
new namespace inherits from the first one (net.core.devconf_inherit_init_net); it starts with the compiled defaults.
Source: Documentation/networking/{ip-sysctl,nf_conntrack-sysctl}.rst, net/ipv4/devinet.c, include/linux/inetdevice.h
(Linux 6.18).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from mcnilib.errors import Refused, StateSyntaxError, Unsupported
from mcnilib.language import mark, tr
from mcnilib.linux.origin import Origin
from mcnilib.linux.text import nearest
from mcnilib.linux.unmodelled import Gap

_SWITCH, _BYTE, _INT, _SECONDS = (0, 1), (0, 255), (-(2**31), 2**31 - 1), (0, 2**31 // 1000)

NETFILTER, VS = "net.netfilter.nf_conntrack_", "net.ipv4.vs."

OF_SIZES = tuple(
    f"net.ipv4.{name}" for name in ("ip_forward_use_pmtu", "ip_no_pmtu_disc", "tcp_mtu_probing", "tcp_timestamps")
)
"""Those that are asked only about packets that may be too long."""

RANGES = {
    **{f"net.ipv4.{name}": _SWITCH for name in ("icmp_echo_ignore_all", "icmp_errors_use_inbound_ifaddr")},
    **{f"net.ipv4.{n}": _BYTE for n in ("fwmark_reflect", "ip_nonlocal_bind", "tcp_retries2", "tcp_synack_retries")},
    **dict.fromkeys(OF_SIZES, _BYTE),
    **{NETFILTER + name: _SWITCH for name in ("acct", "tcp_be_liberal", "tcp_ignore_invalid_rst", "tcp_loose")},
    **{NETFILTER + name: _BYTE for name in ("log_invalid", "tcp_max_retrans")},
    **{f"net.ipv4.icmp_{name}": (0, 2**31 - 1) for name in ("msgs_burst", "msgs_per_sec", "ratelimit")},
    **{VS + name: (0, 3) for name in ("drop_entry", "drop_packet", "secure_tcp")},
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
        raise Refused(
            tr("{key} takes a number from {low} to {high}, not {text!r}", key=key, low=low, high=high, text=text),
            error="EINVAL",
        )
    octal = text.lstrip("-").startswith("0") and "x" not in text
    value = int(text, 8 if octal else 0)
    if not low <= value <= high:
        raise Refused(
            tr("{key} takes {low} to {high}, not {text}", key=key, low=low, high=high, text=text), error="EINVAL"
        )
    return str(int(value != 0) if key.startswith("net.bridge.") else value)


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of `sysctl -a`: `key = value`; one that was not in what was collected has a gap and no value."""

    key: str
    value: str
    origin: Origin | None = field(default=None, compare=False)
    gap: Gap | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.key} = {self.value}"


Sysctls = Iterable[Setting] | Mapping[str, Setting]
"""The lines of a namespace, as they stand or by their keys."""

FORWARD = "net.ipv4.ip_forward"

REDIRECTS = "net.ipv4.conf.all.accept_redirects"
"""What writing ip_forward sets to the opposite. Source: inet_forward_change() in net/ipv4/devinet.c."""

CONF = {
    "accept_redirects": ("1", mark("believe a router that tells of a shorter way")),
    "accept_local": ("0", mark("accept packets whose source is one of the namespace's own addresses")),
    "arp_announce": ("0", mark("which source address an ARP request carries")),
    "arp_filter": ("0", mark("answer ARP only on the device an answer to the sender would leave by")),
    "arp_ignore": ("0", mark("for which of its addresses a device answers ARP")),
    "forwarding": ("0", mark("pass packets on that came in by this device")),
    "proxy_arp": ("0", mark("answer ARP for addresses that are reached by another device")),
    "proxy_arp_pvlan": ("0", mark("answer ARP also for addresses that are reached by the same device")),
    "route_localnet": ("0", mark("treat 127.0.0.0/8 like any other network")),
    "rp_filter": (
        "0",
        mark("check that the source is reached by the device the packet came from: 0 off, 1 strict, 2 loose"),
    ),
    "send_redirects": ("1", mark("tell a sender on the same wire of a shorter way")),
    "src_valid_mark": ("0", mark("let the packet's mark take part in the source check")),
}
"""net.ipv4.conf.DEVICE.*: kernel default and meaning."""

NEVER_FOLLOWING = ("forwarding", "route_localnet")
"""What devices that are there already do not take over from `default`."""

BRIDGE_CALLS = "net.bridge.bridge-nf-call-iptables"
"""Is there only while the module br_netfilter is loaded, at first with 1; without it no bridged packet is shown to
iptables, which is taken to be so where nobody gave a value."""

GLOBAL = {
    FORWARD: ("0", mark("pass packets on; writing it writes every device's `forwarding`")),
    BRIDGE_CALLS: ("0", mark("show bridged packets to iptables")),
    "net.ipv4.fwmark_reflect": ("0", mark("give the kernel's own answers the mark of what they answer")),
    "net.ipv4.icmp_echo_ignore_all": ("0", mark("answer no ping")),
    "net.ipv4.icmp_errors_use_inbound_ifaddr": ("0", mark("send ICMP errors from the device the packet came in by")),
    "net.ipv4.icmp_msgs_burst": ("50", mark("ICMP messages of limited types that may be sent at once")),
    "net.ipv4.icmp_msgs_per_sec": ("1000", mark("ICMP messages of limited types in a second, to all peers")),
    "net.ipv4.icmp_ratelimit": ("1000", mark("milliseconds between ICMP messages of limited types to one peer")),
    "net.ipv4.icmp_ratemask": ("6168", mark("which types of ICMP messages are limited, a bit for each")),
    "net.ipv4.ip_default_ttl": ("64", mark("time to live of the namespace's own packets")),
    "net.ipv4.ip_forward_use_pmtu": ("0", mark("forward by what was learned of path MTUs, too")),
    "net.ipv4.ip_no_pmtu_disc": (
        "0",
        mark("0: sockets forbid that their packets are fragmented, and learn the path MTU"),
    ),
    "net.ipv4.ip_nonlocal_bind": ("0", mark("let sockets have addresses that are not the namespace's own")),
    "net.ipv4.tcp_l3mdev_accept": ("0", mark("let TCP servers that are bound to no VRF take what comes by one")),
    "net.ipv4.tcp_mtu_probing": ("0", mark("1: TCP tries smaller segments when its data is not acknowledged")),
    "net.ipv4.tcp_retries2": ("15", mark("retransmissions of data before a connection is given up")),
    "net.ipv4.tcp_syn_retries": ("6", mark("retransmissions of a SYN before connect() fails")),
    "net.ipv4.tcp_synack_retries": (
        "5",
        mark("retransmissions of a SYN-ACK before the half-open connection is forgotten"),
    ),
    "net.ipv4.tcp_timestamps": ("1", mark("let each TCP segment carry the time: 12 bytes")),
    "net.ipv4.udp_l3mdev_accept": ("0", mark("let UDP servers that are bound to no VRF take what comes by one")),
    VS + "backup_only": ("0", mark("IPVS takes no request while it is the backup of another machine")),
    VS + "cache_bypass": ("0", mark("IPVS sends a marked packet without a server where it was sent to")),
    VS + "conn_reuse_mode": ("1", mark("IPVS chooses anew for a SYN of a connection that is over")),
    VS + "conntrack": ("0", mark("conntrack keeps the connections that IPVS forwards")),
    VS + "drop_entry": ("0", mark("IPVS forgets some half-open connections: 1, 2 while memory is short, 3 always")),
    VS + "drop_packet": ("0", mark("IPVS drops some new connections: 1, 2 while memory is short, 3 always")),
    VS + "expire_nodest_conn": ("0", mark("IPVS forgets connections whose server is gone, when a packet comes")),
    VS + "expire_quiescent_template": ("0", mark("IPVS forgets which server a client has, when its weight is 0")),
    VS + "ignore_tunneled": ("0", mark("IPVS takes no request out of a packet of a protocol it does not know")),
    VS + "nat_icmp_send": ("0", mark("IPVS refuses what a real server sends outside of its connections")),
    VS + "schedule_icmp": ("0", mark("IPVS chooses a server also for an ICMP error about no connection it knows")),
    VS + "secure_tcp": ("0", mark("IPVS is stricter with TCP: 1, 2 while memory is short, 3 always")),
    VS + "sloppy_tcp": ("0", mark("IPVS chooses a server also for a segment that is no SYN")),
    VS + "snat_reroute": ("1", mark("IPVS looks up the route of an answer again, with its new source")),
    NETFILTER + "acct": ("0", mark("count packets and bytes of connections")),
    NETFILTER + "generic_timeout": ("600", mark("seconds a connection of another protocol is remembered")),
    NETFILTER + "icmp_timeout": ("30", mark("seconds an ICMP exchange is remembered")),
    NETFILTER + "log_invalid": ("0", mark("log packets found INVALID of this protocol number")),
    NETFILTER + "tcp_be_liberal": ("0", mark("find only RSTs outside the window INVALID")),
    NETFILTER + "tcp_ignore_invalid_rst": ("0", mark("do not find RSTs outside the window INVALID")),
    NETFILTER + "tcp_loose": ("1", mark("pick up connections that are already open")),
    NETFILTER + "tcp_max_retrans": ("3", mark("unanswered retransmissions until tcp_timeout_max_retrans applies")),
    NETFILTER + "tcp_timeout_close": ("10", "seconds"),
    NETFILTER + "tcp_timeout_close_wait": ("60", "seconds"),
    NETFILTER + "tcp_timeout_established": ("432000", "seconds"),
    NETFILTER + "tcp_timeout_fin_wait": ("120", "seconds"),
    NETFILTER + "tcp_timeout_last_ack": ("30", "seconds"),
    NETFILTER + "tcp_timeout_max_retrans": ("300", "seconds"),
    NETFILTER + "tcp_timeout_syn_recv": ("60", "seconds"),
    NETFILTER + "tcp_timeout_syn_sent": ("120", "seconds"),
    NETFILTER + "tcp_timeout_time_wait": ("120", "seconds"),
    NETFILTER + "tcp_timeout_unacknowledged": ("300", "seconds"),
    NETFILTER + "udp_timeout": ("30", mark("seconds until a UDP flow without answer is forgotten")),
    NETFILTER + "udp_timeout_stream": ("120", mark("seconds until an answered UDP flow is forgotten")),
}
"""Sysctls of a whole namespace: kernel default and meaning."""

KERNEL_DEFAULT = Origin(mark("the kernel"), mark("its default; no program wrote this key"))
"""Who is behind a value that was never written."""

_DEVICE_KEY = re.compile(r"net\.ipv4\.conf\.(.+)\.([a-z_]+)")


def conf_key(name: str, dev: str) -> str:
    """Return the key of a device's setting as `sysctl -a` prints it; `dev` may be `all` or `default`."""
    if (name, dev) == ("forwarding", "all"):
        return FORWARD
    return f"net.ipv4.conf.{dev.replace('.', '/')}.{name}"


def canonical(key: str) -> str:
    """Return a key as it is stored. Raises: Unsupported when it is not modelled, naming the nearest that is."""
    stored = _stored(key)
    if stored is None:
        device_key = _DEVICE_KEY.fullmatch(key)
        near = nearest(device_key[2], CONF) if device_key else nearest(key, GLOBAL)
        raise Unsupported(tr("sysctl {key} is not modelled{near}", key=key, near=near))
    return stored


def _stored(key: str) -> str | None:
    """Return a key as it is stored; None when it is not modelled."""
    if key in GLOBAL:
        return key
    device_key = _DEVICE_KEY.fullmatch(key)
    return conf_key(device_key[2], device_key[1]) if device_key and device_key[2] in CONF else None


def by_key(settings: Sysctls) -> Mapping[str, Setting]:
    """Return the lines by their keys, the first of each: who asks for many of them indexes them once."""
    if isinstance(settings, Mapping):
        return settings
    return {entry.key: entry for entry in reversed(tuple(settings))}


def setting(settings: Sysctls, key: str) -> Setting:
    """Return the line `sysctl` prints for a key, the kernel's default where nothing was written.

    Raises: Unsupported for a key that is not modelled, Unknown for a line that was not collected.
    """
    entry = stored(settings, key)
    if entry.gap:
        entry.gap.meet()
    return entry


def stored(settings: Sysctls, key: str) -> Setting:
    """Return what is known of a key: the line `setting` returns, or one without a value."""
    key, entries = canonical(key), by_key(settings)
    for source in _places(key):
        if entry := entries.get(source):
            return entry if source == key else replace(entry, key=key)
    if key == REDIRECTS:
        forward = stored(entries, FORWARD)
        return Setting(key, forward.value and str(int(forward.value == "0")), forward.origin, forward.gap)
    return Setting(key, _default(key), KERNEL_DEFAULT)


def _places(key: str) -> tuple[str, ...]:
    """Name the keys a value may come from, nearest first."""
    device_key = _DEVICE_KEY.fullmatch(key)
    if not device_key or device_key[1] == "all":
        return (key,)
    follow = (key, f"net.ipv4.conf.default.{device_key[2]}")
    return (*follow, FORWARD) if device_key[2] == "forwarding" else follow


def _default(key: str) -> str:
    return GLOBAL[key][0] if key in GLOBAL else CONF[key.rpartition(".")[2]][0]


def get(settings: Sysctls, key: str) -> str:
    """Return the value of a key. Raises: Unsupported for a key that is not modelled."""
    return setting(settings, key).value


def get_number(settings: Sysctls, key: str) -> int:
    """Return the value of a numeric key."""
    return int(get(settings, key))


def get_flag(settings: Sysctls, key: str) -> bool:
    """Return the value of an on/off key: everything but 0 is on."""
    return get_number(settings, key) != 0


def deciding(settings: Sysctls, name: str, dev: str) -> Setting:
    """Return the line that decides for a device: the larger of `all` and its own.

    For `forwarding` it is always its own; where ip_forward, which wrote it, says the same, that line is returned.
    Source: IN_DEV_MAXCONF, IN_DEV_ORCONF and IN_DEV_FORWARD in include/linux/inetdevice.h.
    """
    own = setting(settings, conf_key(name, dev))
    if name == "forwarding":
        common = stored(settings, FORWARD)
        return common if common.value == own.value else own
    common = setting(settings, conf_key(name, "all"))
    return common if int(common.value) > int(own.value) else own


def conf(settings: Sysctls, name: str, dev: str) -> int:
    """Return the value of net.ipv4.conf.*.NAME that holds for a device. Source: see `deciding`."""
    return int(deciding(settings, name, dev).value)


def written(settings: tuple[Setting, ...], new: Setting, devices: Mapping[str, bool]) -> tuple[Setting, ...]:
    """Return the settings after `sysctl -w`, with what the kernel changes along with it.

    `devices` says of each device whether it still follows `default`, that is, has no address yet.
    Source: devinet_conf_proc(), devinet_sysctl_forward() and ipv4_devconf_setall() in net/ipv4/devinet.c.
    Raises: Unsupported for an unknown key, Refused for a value it does not take or a device that is not there.
    """
    new = replace(new, key=canonical(new.key))
    new = replace(new, value=taken(new.key, new.value.strip()))
    device_key = _DEVICE_KEY.fullmatch(new.key)
    if device_key and device_key[1] not in ("all", "default", *(dev.replace(".", "/") for dev in devices)):
        raise Refused(tr("no device {device_key!r} for {key}", device_key=device_key[1], key=new.key), error="ENOENT")
    if new.key == FORWARD and new.value != get(settings, FORWARD):  # writing the value it has changes no device
        settings = tuple(
            entry for entry in settings if not entry.key.endswith(".forwarding") and entry.key != REDIRECTS
        )
    elif device_key and device_key[1] == "default":
        stay = [dev for dev, follows in devices.items() if not follows or device_key[2] in NEVER_FOLLOWING]
        settings = _pinned(settings, [conf_key(device_key[2], dev) for dev in stay], new.value)
    return _put(settings, new)


def _put(settings: tuple[Setting, ...], new: Setting) -> tuple[Setting, ...]:
    if any(entry.key == new.key for entry in settings):
        return tuple(new if entry.key == new.key else entry for entry in settings)
    return (*settings, new)


def _pinned(settings: tuple[Setting, ...], keys: Iterable[str], new: str) -> tuple[Setting, ...]:
    """Keep the values of keys that would otherwise follow the new value of `default`."""
    for entry in [stored(settings, key) for key in keys]:
        settings = settings if entry.value == new else _put(settings, entry)
    return settings


def inherited(settings: tuple[Setting, ...], dev: str) -> tuple[Setting, ...]:
    """Return the settings after a device was created: it copies what was written for `default`."""
    for entry in settings:
        device_key = _DEVICE_KEY.fullmatch(entry.key)
        if device_key and device_key[1] == "default":
            origin = Origin(
                mark("the kernel"), mark("copied from {key} when {dev} was created", key=entry.key, dev=dev)
            )
            settings = _put(settings, replace(entry, key=conf_key(device_key[2], dev), origin=origin))
    return settings


def print_settings(settings: tuple[Setting, ...], devices: Iterable[str]) -> str:
    """Print every modelled sysctl as `sysctl -a` does, by key; those of IPVS where one was written."""
    shown = (key for key in GLOBAL if not key.startswith(VS) or any(entry.key.startswith(VS) for entry in settings))
    keys = [*shown, *(conf_key(name, dev) for name in CONF for dev in ("all", "default", *devices))]
    keyed = by_key(settings)
    entries = [stored(keyed, key) for key in dict.fromkeys(keys)]
    return "".join(f"{entry}\n" for entry in sorted(entries, key=lambda entry: entry.key) if entry.value)


LATER = (NETFILTER + "tcp_ignore_invalid_rst", "net.ipv4.icmp_msgs_burst", "net.ipv4.icmp_msgs_per_sec")
"""Sysctls that namespaces of kernels in use do not have yet; these do as with the default (Linux 5.14, 6.13)."""


def with_missing(settings: tuple[Setting, ...], devices: Iterable[str], source: str) -> tuple[Setting, ...]:
    """Return the lines of a whole `sysctl -a`, with a line without a value for each that should be there and is not."""
    there = {entry.key for entry in settings}
    keys = [key for key in GLOBAL if key not in (*LATER, BRIDGE_CALLS)]
    keys += [conf_key(name, dev) for dev in ("all", "default", *devices) for name in CONF]
    lost = {
        key: Gap(tr("{source} has no line {key}", source=source, key=key), collect=f"`sysctl {key}`")
        for key in keys
        if key not in there
    }
    off = (
        []
        if BRIDGE_CALLS in there
        else [Setting(BRIDGE_CALLS, "0", Origin(mark("the kernel"), mark("has no br_netfilter")))]
    )
    return (*settings, *(Setting(key, "", gap=gap) for key, gap in lost.items()), *off)


def parse_setting(line: str, *, source: str = "sysctl", number: int = 1) -> Setting:
    """Read one line of `sysctl -a`. Raises: StateSyntaxError, Unsupported."""
    match = re.fullmatch(r"([^\s=]+) ?= ?(-?[0-9]{1,19})\s*", line)
    if not match:
        column = line.find("=") + 1 or 1
        raise StateSyntaxError(tr("not `key = number`"), source=source, line=number, column=column, text=line)
    return Setting(canonical(match[1]), match[2])


def parse_settings(text: str, *, source: str = "sysctl") -> tuple[Setting, ...]:
    """Read the output of `sysctl -a`, passing over keys that are not modelled."""
    settings: dict[str, Setting] = {}
    for number, line in enumerate(text.splitlines(), 1):
        key = line.partition("=")[0].strip()
        if line.strip() and ("=" not in line or is_modelled(key)):
            entry = parse_setting(line, source=source, number=number)
            settings[entry.key] = entry
    return tuple(settings.values())


def is_modelled(key: str) -> bool:
    """Tell whether the model reads a sysctl."""
    return _stored(key) is not None
