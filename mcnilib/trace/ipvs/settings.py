"""Settings of IPVS that are asked where they decide: those of which only the usual value is modelled.

Source: Documentation/networking/ipvs-sysctl.rst; ip_vs_in_hook(), ip_vs_out_hook(), ip_vs_in_icmp() and ip_vs_leave()
in net/netfilter/ipvs/ip_vs_core.c, update_defense_level() in ip_vs_ctl.c (Linux 6.1).
"""

from __future__ import annotations

from mcnilib.errors import Unsupported
from mcnilib.language import tr
from mcnilib.linux.sysctl import VS, setting, stored
from mcnilib.trace.ipvs.point import IpvsPoint

NEW_CONNECTION = {"backup_only": ("0",)} | dict.fromkeys(("drop_entry", "drop_packet", "secure_tcp"), ("0", "1"))
"""Asked for each new connection, with the values that leave it alone; 1 is 2 while memory is short."""


def asks(at: IpvsPoint, name: str) -> bool:
    """Tell whether a setting may be on, also where nobody knows its value; it is asked when it decides."""
    return stored(at.host.netns.settings, VS + name).value != "0"


def refuse(at: IpvsPoint, name: str, usual: tuple[str, ...] = ("0",)) -> None:
    """End the packet where a setting has a value that is not modelled. Raises: Unsupported; Unknown without a value."""
    found = setting(at.host.netns.settings, VS + name)
    if found.value not in usual:
        raise Unsupported(tr("`{setting}` on {name}", setting=found, name=at.host.name))


def refuse_unusual(at: IpvsPoint) -> None:
    """End a packet that begins a connection where IPVS does more than choose a server. Raises: see `refuse`."""
    for name, usual in NEW_CONNECTION.items():
        refuse(at, name, usual)
