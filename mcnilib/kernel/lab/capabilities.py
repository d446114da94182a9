"""What this kernel and this machine can do, by name; and what a World needs of it."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from contextlib import suppress

from mcnilib.kernel.lab.lab import Lab
from mcnilib.kernel.lab.syscalls import in_netns, make_netns
from mcnilib.kernel.lab.sysctls import read_sysctl
from mcnilib.kernel.lab.tools import IP, IPSET, IPTABLES, IPVSADM, NFT, ToolFailed, finish, missing, start
from mcnilib.kernel.lab.workers import Worker
from mcnilib.kernel.observe.netlink import add_counter
from mcnilib.linux.device.link import KINDS
from mcnilib.linux.sysctl import BRIDGE_CALLS
from mcnilib.world.world import World

Capabilities = Mapping[str, str]
"""Name -> what is missing; empty text: it is there."""

PROBES = {
    **{kind.word: (IP, kind.probe) for kind in KINDS if kind.probe},
    "conntrack": (IPTABLES, "*filter\n-A FORWARD -m conntrack --ctstate INVALID -j DROP\nCOMMIT\n"),
    "nat": (IPTABLES, "*nat\n-A POSTROUTING -j MASQUERADE --random-fully\nCOMMIT\n"),
    "rpfilter match": (IPTABLES, "*raw\n-A PREROUTING -m rpfilter --invert -j DROP\nCOMMIT\n"),
    "ipset": (IPSET, "create probe hash:net\n"),
    "IPVS": (IPVSADM, "-C\n"),
    "nfacct": (IPTABLES, "*filter\n-A FORWARD -m nfacct --nfacct-name probe\nCOMMIT\n"),
    "rule trace": (NFT, "add table ip probe2 { chain c { meta nftrace set 1; } ; }"),
}
"""One attempt per capability: the program and what it is told."""


def capabilities() -> Capabilities:
    """Try everything the lab may need, in a namespace that is thrown away.

    Raises: NoLab when there cannot be a lab at all.
    """
    with Worker() as worker:
        available: Capabilities = worker.run(probe)
    return available


def probe(lab: Lab) -> Capabilities:
    """Try every capability in a namespace that is made for it and given back at the end."""
    netns, absent = make_netns(lab.home), missing()
    try:
        bridged = f"this kernel has no {BRIDGE_CALLS}"
        with in_netns(netns, lab.home), suppress(OSError):
            bridged = read_sysctl(BRIDGE_CALLS) and ""
        with in_netns(netns, lab.home), suppress(OSError):
            add_counter("probe")
        return {"br_netfilter": bridged} | {
            name: _try(lab.home, netns, argv, text, absent) for name, (argv, text) in PROBES.items()
        }
    finally:
        os.close(netns)


def _try(home: int, netns: int, argv: tuple[str, ...], text: str, absent: tuple[str, ...]) -> str:
    if argv[0] in absent:
        return f"{argv[0]} is not installed"
    try:
        finish(start("a probe", netns, home, argv, text))
    except ToolFailed as problem:
        return str(problem).split(": ", 1)[-1].splitlines()[0]
    return ""


def release() -> str:
    """Return the kernel's version without what a distribution or a machine adds to it."""
    return platform.release().split("-")[0]


def needs(world: World) -> tuple[str, ...]:
    """Name the capabilities a world cannot do without, beyond the lab's own."""
    devices = {link.kind.word for netns in world for link in netns.links} & PROBES.keys()
    devices |= {"vlan"} if any(link.kind.filters_vlans for netns in world for link in netns.links) else set()
    rules = {word for netns in world for word in _words(netns.ip4.tables)}
    sets = {"ipset"} if any(netns.sets for netns in world) else set()
    sets |= {"IPVS"} if any(netns.ip4.ipvs for netns in world) else set()
    shown = {"br_netfilter"} if any(netns.number(BRIDGE_CALLS) for netns in world) else set()
    return tuple(sorted(devices | sets | shown | (rules & PROBES.keys())))


def _words(tables: object) -> set[str]:
    from mcnilib.linux.netfilter.iptables.save import print_tables

    text = print_tables(tables)  # type: ignore[arg-type]
    features = {"-m conntrack": "conntrack", "*nat": "nat", "-m rpfilter": "rpfilter match", "-m nfacct": "nfacct"}
    return {name for word, name in features.items() if word in text}


def lacking(world: World, available: Capabilities) -> tuple[str, ...]:
    """Name what a world needs and this kernel does not have."""
    return tuple(name for name in needs(world) if available.get(name))
