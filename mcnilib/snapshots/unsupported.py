"""What else may be at work in a namespace beside what is modelled, as far as the tools tell.

Rules of other kinds, IPsec; queueing disciplines, filters and programs on devices and at hooks. A discipline that drops
only where there is a crowd does nothing here: a conversation is a few packets.
Source: nft(8), iptables(8), ipvsadm(8), tc(8), tc-filter(8), bpftool-net(8); Documentation/networking/filter.rst
(programs on clsact and ingress); net/sched/sch_*.c (Linux 6.18): which ones take filters is in `tcf_block` of their
class operations.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from itertools import pairwise

from mcnilib.errors import StateSyntaxError
from mcnilib.language import tr
from mcnilib.linux.netfilter.hooks import BUILT_IN
from mcnilib.linux.netfilter.iptables.save import matching_lines
from mcnilib.linux.unmodelled import Gap

TABLE = re.compile(r"table (ip|ip6|inet|arp|bridge|netdev) (\S+)( \{)?\s*")

TABLE_FLAGS = re.compile(r"\s+flags (\w+(?:, ?\w+)*)")

ODD = re.compile(
    r"^net\.ipv4\.((tcp_fwmark_accept|conf\.\S+\.(ignore_routes_with_linkdown|medium_id)|neigh\.(?!default\.)\S+\.app_solicit)"
    r" ?= ?-?0*[1-9]\d*|neigh\.(?!default\.)\S+\.mcast_solicit ?= ?0+$)",
    re.ASCII | re.MULTILINE,
)
"""Settings that are the same almost everywhere: marks of connections, routes without carrier, proxy ARP between media,
ARP that asks a program, or does not ask at all.

Source: Documentation/networking/ip-sysctl.rst.
"""

USE = ("count", "max")

POLICIES = re.compile(r"\s*SPD IN\s+(\d{1,10}) OUT (\d{1,10}) FWD (\d{1,10})(?: \(Sock: .*\))?", re.ASCII)

HOLDING = re.compile(r"^(?:(?:\[\d+:\d+\] )?-A |:\S+ DROP\b)", re.MULTILINE)
"""A line that does something to packets: a rule, or a policy that drops."""


def foreign_tables(text: str, source: str, read: Collection[tuple[str, str]] = ()) -> Iterator[Gap]:
    """Read `nft list tables`; yield the tables whose rules `iptables-save` does not print, but for those that were
    `read` (family and name).

    Tables of the families arp and netdev count before the first ARP packet is answered; for those of the family bridge
    see `filtered_bridges`.
    Raises: StateSyntaxError for text nft does not print.
    """
    for number, family, name, dormant in _tables(text, source):
        if dormant or (family, name) in read:
            continue
        if family in ("inet", "netdev", "arp") or (family == "ip" and name not in BUILT_IN):
            yield _foreign(source, number, family, name)._replace(rules=family in ("ip", "inet"))


def filtered_bridges(text: str, source: str) -> Gap | None:
    """Read `nft list tables`; return which table of the family bridge decides about frames there, None for none."""
    active = ((number, family, name) for number, family, name, dormant in _tables(text, source) if not dormant)
    return next((_foreign(source, *table) for table in active if table[1] == "bridge"), None)


def dormant_tables(text: str, source: str) -> frozenset[tuple[str, str]]:
    """Read `nft list ruleset`, of which only tables and their flags are left; return those that no packet meets."""
    return frozenset((family, name) for _, family, name, dormant in _tables(text, source) if dormant)


def tells_flags(text: str) -> bool:
    """Tell whether tables are printed with their flags."""
    return any(line.rstrip().endswith("{") for _, line in told_lines(text))


def _tables(text: str, source: str) -> Iterator[tuple[int, str, str, bool]]:
    """Yield line, family and name of each table, and whether it is dormant."""
    lines = [*told_lines(text), (0, "")]
    for (number, line), (_, following) in pairwise(lines):
        match, flags = TABLE.fullmatch(line), TABLE_FLAGS.fullmatch(following)
        if match:
            yield number, match[1], match[2], flags is not None and "dormant" in flags[1]
        elif not TABLE_FLAGS.fullmatch(line):
            raise wrong_line(tr("expected table FAMILY NAME, as `nft list tables` prints it"), line, source, number)


def _foreign(source: str, number: int, family: str, name: str) -> Gap:
    named = {"family": family, "name": name}
    if family in ("ip", "inet"):
        what, command = (
            tr("of the nftables table {family} {name} only the name was collected", **named),
            tr("the output of `nft list ruleset`"),
        )
        return Gap(what, f"{source}:{number}", collect=command)
    return Gap(tr("the nftables table {family} {name} is not modelled", **named), f"{source}:{number}")


def arp_rules(text: str, source: str) -> Iterator[Gap]:
    """Read `arptables-legacy-save`, or the names of its tables where it is not installed; yield a gap for rules."""
    if holds_something(text) or any(re.fullmatch(r"[a-z]\w*", line) for _, line in told_lines(text)):
        yield Gap(tr("arptables-legacy has a table with rules, which are not modelled"), source)


def bridge_rules(text: str, source: str) -> Gap | None:
    """Read the lines of /proc/modules about ebtables-legacy; return which table of it holds rules, None for none.

    A module of a table is in use while the table has rules in some namespace of the machine.
    Source: do_replace_finish() in net/bridge/netfilter/ebtables.c (Linux 6.18).
    """
    for number, line in told_lines(text):
        if match := re.match(r"(ebtable_\w+) \d+ [1-9]", line):
            what = tr("ebtables-legacy has rules in {table} of this machine, which are not modelled", table=match[1])
            return Gap(what, f"{source}:{number}")
    return None


def transforms(text: str, source: str) -> Iterator[Gap]:
    """Read `ip xfrm policy count`; yield a gap when IPsec policies may take packets out of their way.

    Source: ip/xfrm_policy.c (iproute2 6.1). Raises: StateSyntaxError for text ip does not print.
    """
    for number, line in told_lines(text):
        match = POLICIES.fullmatch(line)
        if not match:
            raise wrong_line(
                tr("expected SPD IN N OUT N FWD N, as `ip xfrm policy count` prints it"), line, source, number
            )
        if any(int(count) for count in match.groups()):
            yield Gap(
                tr("the namespace has XFRM policies (IPsec), which are not modelled"), f"{source}:{number}", rules=True
            )


def full_table(sysctls: str, source: str) -> Iterator[Gap]:
    """Read `sysctl -a`; yield a gap when conntrack has no room: then it drops packets, or forgets others' connections.

    Source: __nf_conntrack_alloc() and early_drop() in net/netfilter/nf_conntrack_core.c.
    """
    matches = {what: re.search(rf"^net\.netfilter\.nf_conntrack_{what} = (\d{{1,10}})$", sysctls, re.M) for what in USE}
    count, most = (int(match[1]) if match else 0 for match in (matches[what] for what in USE))
    if count and count >= most:
        yield Gap(f"conntrack is full, nf_conntrack_count is {count} of {most}", source, rules=True)


def odd_sysctls(sysctls: str, source: str) -> Iterator[Gap]:
    """Read `sysctl -a`; yield a gap for each setting that is not modelled and, as it is set, changes packets' ways."""
    for number, match in matching_lines(ODD, sysctls):
        yield Gap(tr("{feature} is not modelled", feature=match[0]), f"{source}:{number}")


def holds_something(text: str) -> bool:
    """Tell whether the text of iptables-save has a rule, or a policy that drops."""
    return HOLDING.search(text) is not None


def told_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are neither empty nor a comment, with their numbers."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            yield number, line


def wrong_line(what: str, line: str, source: str, number: int) -> StateSyntaxError:
    """Build the error that points to the begin of a line."""
    return StateSyntaxError(what, source=source, line=number, column=1, text=line)


FILTERING = ("clsact", "ingress")
"""Queueing disciplines that exist to carry filters and programs."""

HARMLESS = ("noqueue", "noop", "pfifo_fast", "mq", "fq", "codel", "pie", "fq_codel", "fq_pie", "sfq", "cake")
"""Disciplines that pass on what comes one by one, unless filters are attached to them (`filters`)."""

_FEW = 10
"""Packets that a discipline must have room for, to be harmless; an unscaled number of bytes is too few."""

UNSHOWN = (5, 9)
"""Linux from which on there are programs that no other tool shows: sk_lookup, then netfilter (6.4) and tcx (6.6)."""

QDISC = re.compile(r"qdisc (\S+) \S+ (?:\[offloaded\] )?dev (\S+)(.*)")

_ROOT = re.compile(r"\d{1,10}: ([^\s@:]+)[@:].*? qdisc (\S+)")

ROOM = re.compile(r"\b(?:flow_)?limit (\d+)p\b|\bmem(?:ory_)?limit \d+b\b")

FILTER = re.compile(r"(\S+) +filter ")

SECTION = re.compile(r"(xdp|tc|flow_dissector|netfilter):")

PROGRAM = re.compile(r"(\S+)\(\d+\) (\S+).*")

HOOK = re.compile(r"\s+(\S+) (prerouting|input|forward|output|postrouting)\b.*")

NETNS = re.compile(r"net:\[(\d+)\]", re.MULTILINE)

LOOKUP = re.compile(r"\s*netns_ino (\d+)\s+attach_type sk_lookup\b")


def filtered_devices(text: str, source: str) -> dict[str, Gap]:
    """Read `tc qdisc show`; return the devices that may carry filters or programs, each with its gap.

    Lines that begin with a space go on about the discipline above.
    Raises: StateSyntaxError for text tc does not print.
    """
    gaps: dict[str, Gap] = {}
    for number, kind, dev, _ in _disciplines(text, source):
        if kind in FILTERING:
            what = tr("{device} has a qdisc {kind}, whose filters and programs are not modelled", device=dev, kind=kind)
            gaps[dev] = Gap(what, f"{source}:{number}")
    return gaps


def queued_devices(text: str, source: str) -> dict[str, Gap]:
    """Read `tc qdisc show`; return the devices of which nobody knows what becomes of packets that leave, and why."""
    gaps: dict[str, Gap] = {}
    for number, kind, dev, options in _disciplines(text, source):
        small = any(not room[1] or int(room[1]) < _FEW for room in ROOM.finditer(options))
        if kind not in FILTERING and (kind not in HARMLESS or small):
            gaps.setdefault(
                dev,
                Gap(
                    tr("{device} has a qdisc {kind}, which is not modelled", device=dev, kind=kind),
                    f"{source}:{number}",
                ),
            )
    return gaps


def root_queues(text: str, source: str) -> dict[str, Gap]:
    """Read `ip address show`, which names the discipline of each device without its options; see `queued_devices`."""
    gaps: dict[str, Gap] = {}
    for number, line in told_lines(text):
        match = _ROOT.match(line)
        if match and match[2] not in HARMLESS:
            gaps[match[1]] = Gap(
                tr("{device} has a qdisc {kind}, which is not modelled", device=match[1], kind=match[2]),
                f"{source}:{number}",
            )
    return gaps


def _disciplines(text: str, source: str) -> Iterator[tuple[int, str, str, str]]:
    """Yield line, kind, device and options of each discipline."""
    for number, line in told_lines(text):
        match = QDISC.match(line)
        if match:
            yield number, match[1], match[2], match[3]
        elif not line[0].isspace():
            what = tr("expected qdisc KIND HANDLE: dev DEVICE, as `tc qdisc show` prints it")
            raise wrong_line(what, line, source, number)


def filters(text: str, source: str) -> dict[str, Gap]:
    """Read `tc filter show` of several devices, whose names stand in front; return those that have filters, and why."""
    gaps: dict[str, Gap] = {}
    for number, line in told_lines(text):
        if match := FILTER.match(line):
            what = tr("{device} has filters in tc, which are not modelled", device=match[1])
            gaps.setdefault(match[1], Gap(what, f"{source}:{number}"))
    return gaps


def programs_on(text: str, source: str) -> dict[str, Gap]:
    """Read `bpftool net`; return the devices that have BPF programs (XDP, tcx, tc), each with its gap."""
    gaps: dict[str, Gap] = {}
    for number, section, line in _attachments(text):
        if section in ("xdp", "tc") and (match := PROGRAM.match(line)):
            what = tr(
                "{device} has a BPF program ({section}, {program})", device=match[1], section=section, program=match[2]
            )
            gaps.setdefault(match[1], Gap(what, f"{source}:{number}"))
    return gaps


def programs_at_hooks(text: str, source: str) -> Iterator[Gap]:
    """Read `bpftool net`, and `bpftool link` behind it; yield a gap for BPF programs at hooks and socket lookups.

    Programs at hooks are those of the whole machine, for bpftool does not say in which namespace they are. Programs of
    type sk_lookup choose a socket behind the last hook, INPUT.
    """
    here = NETNS.search(text)
    for number, section, line in _attachments(text):
        if section == "netfilter" and (match := HOOK.fullmatch(line)) and match[1] in ("ip", "inet"):
            what = tr(
                "a BPF program is at the hook {hook} in a namespace of this machine, bpftool does not say in which",
                hook=match[2],
            )
            yield Gap(what, f"{source}:{number}", rules=True, hooks=(match[2].upper(),))
        elif (lookup := LOOKUP.match(line)) and (here is None or here[1] == lookup[1]):
            yield Gap(
                tr("a BPF program (sk_lookup) chooses sockets"), f"{source}:{number}", rules=True, hooks=("INPUT",)
            )


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
    match = re.match(r"(\d{1,4})\.(\d{1,4})", release)
    return match is not None and (int(match[1]), int(match[2])) >= least
