"""What else may be at work in a namespace beside what is modelled, as far as the tools tell.

Source: nft(8), tc(8), iptables(8), ipvsadm(8); Documentation/networking/filter.rst (programs on clsact and ingress).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcnilib.linux.netfilter import BUILT_IN
from mcnilib.linux.netns import Gap

FILTERING = ("clsact", "ingress")
"""Queueing disciplines that exist to carry filters and programs."""


FOREIGN = (
    (r"table (ip|ip6|inet|arp|bridge|netdev) \S+( \{.*)?|\{\s*\"nftables\".*", "nft"),
    (
        r"IP Virtual Server version .*|Prot LocalAddress:Port .*|-A -[tuf] \S+ -s \S+.*|(TCP|UDP|SCTP|FWM) +\S+ +\w+.*",
        "ipvsadm",
    ),
)
"""How the text of other tools begins: a dump of rules of their own, or a list of virtual servers."""


def other_tool(line: str) -> str:
    """Name the tool that prints such a line, where iptables-save prints none like it; empty when none is known."""
    return next((tool for pattern, tool in FOREIGN if re.fullmatch(pattern, line.strip())), "")


def foreign_tables(text: str, source: str) -> Iterator[Gap]:
    """Read `nft list tables`; yield the tables whose rules `iptables-save` does not print."""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        family, name = (words[1], words[2]) if words[:1] == ["table"] and len(words) == 3 else ("", "")
        if family in ("inet", "netdev", "bridge") or (family == "ip" and name not in BUILT_IN):
            yield Gap(f"{source}:{number}: the nftables table {family} {name} is not modelled", rules=True)


def filtered_devices(text: str, source: str) -> dict[str, str]:
    """Read `tc qdisc show`; return the devices that may carry filters or programs, each with the reason."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = re.match(r"qdisc (\S+) \S+ dev (\S+)", line)
        if words and words[1] in FILTERING:
            what = f"{words[2]} has a qdisc {words[1]}, whose filters and programs are not modelled"
            found[words[2]] = f"{source}:{number}: {what}"
    return found


def both_backends(nft: str, legacy: str, source: str) -> Iterator[Gap]:
    """Yield a gap when both backends of iptables hold rules: their order among each other is not modelled."""
    if "\n-A " in nft and "\n-A " in legacy:
        yield Gap(f"{source}: both iptables-nft and iptables-legacy hold rules, which is not modelled", rules=True)
