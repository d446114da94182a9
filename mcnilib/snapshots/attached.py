"""What is attached to devices and hooks and may drop or redirect packets: queueing disciplines, filters, programs.

A discipline that drops only where there is a crowd does nothing here: a conversation is a few packets.
Source: tc(8), tc-filter(8), bpftool-net(8); net/sched/sch_*.c (Linux 6.18): which ones take filters is in `tcf_block`
of their class operations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcnilib.linux.gap import Gap
from mcnilib.snapshots.unsupported import told_lines, wrong_line

FILTERING = ("clsact", "ingress")
"""Queueing disciplines that exist to carry filters and programs."""

HARMLESS = ("noqueue", "noop", "pfifo_fast", "mq", "fq", "codel", "pie", "fq_codel", "fq_pie", "sfq", "cake")
"""Disciplines that pass on what comes one by one, unless filters are attached to them (`filters`)."""

FEW = 10
"""Packets that a discipline must have room for, to be harmless; an unscaled number of bytes is too few."""

UNSHOWN = (5, 9)
"""Linux from which on there are programs that no other tool shows: sk_lookup, then netfilter (6.4) and tcx (6.6)."""

QDISC = re.compile(r"qdisc (\S+) \S+ (?:\[offloaded\] )?dev (\S+)(.*)")

ROOT = re.compile(r"\d{1,10}: ([^\s@:]+)[@:].*? qdisc (\S+)")

ROOM = re.compile(r"\b(?:flow_)?limit (\d+)p\b|\bmem(?:ory_)?limit \d+b\b")

FILTER = re.compile(r"(\S+) +filter ")

SECTION = re.compile(r"(xdp|tc|flow_dissector|netfilter):")

PROGRAM = re.compile(r"(\S+)\(\d+\) (\S+).*")

HOOK = re.compile(r"\s+(\S+) (prerouting|input|forward|output|postrouting)\b.*")

NETNS = re.compile(r"net:\[(\d+)\]", re.MULTILINE)

LOOKUP = re.compile(r"\s*netns_ino (\d+)\s+attach_type sk_lookup\b")


def filtered_devices(text: str, source: str) -> dict[str, str]:
    """Read `tc qdisc show`; return the devices that may carry filters or programs, each with the reason.

    Lines that begin with a space go on about the discipline above.
    Raises: StateSyntaxError for text tc does not print.
    """
    found: dict[str, str] = {}
    for number, kind, dev, _ in _disciplines(text, source):
        if kind in FILTERING:
            found[dev] = f"{source}:{number}: {dev} has a qdisc {kind}, whose filters and programs are not modelled"
    return found


def queued_devices(text: str, source: str) -> dict[str, str]:
    """Read `tc qdisc show`; return the devices of which nobody knows what becomes of packets that leave, and why."""
    found: dict[str, str] = {}
    for number, kind, dev, options in _disciplines(text, source):
        small = any(not room[1] or int(room[1]) < FEW for room in ROOM.finditer(options))
        if kind not in FILTERING and (kind not in HARMLESS or small):
            found.setdefault(dev, f"{source}:{number}: {dev} has a qdisc {kind}, which is not modelled")
    return found


def root_queues(text: str, source: str) -> dict[str, str]:
    """Read `ip address show`, which names the discipline of each device without its options; see `queued_devices`."""
    found: dict[str, str] = {}
    for number, line in told_lines(text):
        words = ROOT.match(line)
        if words and words[2] not in HARMLESS:
            found[words[1]] = f"{source}:{number}: {words[1]} has a qdisc {words[2]}, which is not modelled"
    return found


def _disciplines(text: str, source: str) -> Iterator[tuple[int, str, str, str]]:
    """Yield line, kind, device and options of each discipline."""
    for number, line in told_lines(text):
        words = QDISC.match(line)
        if words:
            yield number, words[1], words[2], words[3]
        elif not line[0].isspace():
            what = "expected qdisc KIND HANDLE: dev DEVICE, as `tc qdisc show` prints it"
            raise wrong_line(what, line, source, number)


def filters(text: str, source: str) -> dict[str, str]:
    """Read `tc filter show` of several devices, whose names stand in front; return those that have filters, and why."""
    found: dict[str, str] = {}
    for number, line in told_lines(text):
        if words := FILTER.match(line):
            found.setdefault(words[1], f"{source}:{number}: {words[1]} has filters in tc, which are not modelled")
    return found


def programs_on(text: str, source: str) -> dict[str, str]:
    """Read `bpftool net`; return the devices that have BPF programs (XDP, tcx, tc), each with the reason."""
    found: dict[str, str] = {}
    for number, section, line in _attachments(text):
        if section in ("xdp", "tc") and (words := PROGRAM.match(line)):
            found.setdefault(words[1], f"{source}:{number}: {words[1]} has a BPF program ({section}, {words[2]})")
    return found


def programs_at_hooks(text: str, source: str) -> Iterator[Gap]:
    """Read `bpftool net`, and `bpftool link` behind it; yield a gap for BPF programs at hooks and socket lookups.

    Programs at hooks are those of the whole machine, for bpftool does not say in which namespace they are. Programs of
    type sk_lookup choose a socket behind the last hook, INPUT.
    """
    here = NETNS.search(text)
    for number, section, line in _attachments(text):
        if section == "netfilter" and (words := HOOK.fullmatch(line)) and words[1] in ("ip", "inet"):
            what = (
                f"a BPF program is at the hook {words[2]} in a namespace of this machine, bpftool does not say in which"
            )
            yield Gap(f"{source}:{number}: {what}", rules=True, hooks=(words[2].upper(),))
        elif (found := LOOKUP.match(line)) and (here is None or here[1] == found[1]):
            yield Gap(f"{source}:{number}: a BPF program (sk_lookup) chooses sockets", rules=True, hooks=("INPUT",))


def shows_hooks(text: str) -> bool:
    """Tell whether this `bpftool net` knows of programs at hooks, as it has since Linux 6.4."""
    return any(section == "netfilter" for _, section, _ in _attachments(f"{text}\n-"))


def _attachments(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield the lines below the headings of `bpftool net`: line, heading and text."""
    section = ""
    for number, line in told_lines(text):
        if heading := SECTION.fullmatch(line.strip()):
            section = heading[1]
        else:
            yield number, section, line


def since(release: str, least: tuple[int, int]) -> bool:
    """Tell whether the output of `uname -r` is of a kernel at least that new."""
    found = re.match(r"(\d{1,4})\.(\d{1,4})", release)
    return found is not None and (int(found[1]), int(found[2])) >= least
