"""Bonds and VRFs: devices that others have as their master, as those that are ports of a bridge have it.

A bond is several NICs as one. Which of them carries a frame depends on the mode; the switch takes them for one port. A
VRF routes what comes and goes by its devices by a table of its own.
Source: ip/{iplink_bond,iplink_bond_slave,iplink_vrf}.c (iproute2 6.1); bond_start_xmit(), bond_handle_frame(),
bond_should_deliver_exact_match() in drivers/net/bonding/bond_main.c, drivers/net/vrf.c, net/l3mdev/l3mdev.c (Linux
6.18), Documentation/networking/{bonding,vrf}.rst.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mcnilib.errors import Unsupported
from mcnilib.language import mark, tr
from mcnilib.linux.device.base import DeviceRole, Keyword, Kind, KindLine
from mcnilib.linux.text import Words

ACTIVE_BACKUP = "active-backup"
BOND_MODES = (ACTIVE_BACKUP, "balance-rr", "balance-xor", "802.3ad")
"""Modes that are modelled."""

_REFUSED = ("broadcast", "balance-tlb", "balance-alb")
"""Modes that send copies, or choose MACs of their own."""


def _mode(words: Words) -> str:
    if words.next in _REFUSED:
        raise Unsupported(f"{words.source}:{words.number}: {tr('a bond in mode {mode}', mode=words.next)}")
    return words.one_of(BOND_MODES)


@dataclass(frozen=True, slots=True)
class Bond(Kind):
    """Several NICs as one, those whose `master` is its name; in mode active-backup the `active` one carries all."""

    word: ClassVar[str] = "bond"
    probe: ClassVar[str] = "link add p16 type bond mode active-backup"
    role: ClassVar[DeviceRole] = DeviceRole.BOND
    line: ClassVar[KindLine] = KindLine(
        mark("a bond"),
        Keyword("mode", "mode", _mode, required=True),
        Keyword("active_slave", "active", lambda words: words.take("a device")),
        passed="""
        miimon updelay downdelay peer_notify_delay use_carrier arp_interval arp_missed_max arp_validate arp_all_targets
        arp_ip_target ns_ip6_target primary primary_reselect fail_over_mac xmit_hash_policy resend_igmp num_grat_arp
        num_unsol_na min_links lp_interval packets_per_slave lacp_active lacp_rate ad_select ad_aggregator ad_num_ports
        ad_actor_key ad_partner_key ad_partner_mac ad_actor_sys_prio ad_user_port_key ad_actor_system tlb_dynamic_lb
        coupled_control broadcast_neighbor
        """,
        usual={"all_slaves_active": ("0",)},
    )
    slave: ClassVar[KindLine] = KindLine(
        mark("a slave of a bond"),
        passed="""
        mii_status link_failure_count perm_hwaddr queue_id prio ad_aggregator_id ad_actor_oper_port_state
        ad_actor_oper_port_state_str ad_partner_oper_port_state ad_partner_oper_port_state_str
        """,
    )
    flags: ClassVar[str] = "BROADCAST,MULTICAST,MASTER"

    mode: str = ACTIVE_BACKUP
    active: str = ""

    @property
    def making(self) -> str:
        """The words after `type` of the `ip link add` that makes such a device, without the NIC it will have."""
        return f"{self.word} mode {self.mode} miimon 100"

    def carrying(self, ports: list[str]) -> list[str]:
        """Return which of its NICs, all of which are up, may carry its frames: the active one, or the first."""
        if self.mode != ACTIVE_BACKUP:
            return ports
        return [port for port in ports if port == self.active] if self.active else ports[:1]

    @property
    def settling(self) -> str:
        """The words that choose the active NIC, once they are there."""
        return f"{self.word} active_slave {self.active}" if self.active else ""


@dataclass(frozen=True, slots=True)
class Vrf(Kind):
    """The domain of the devices whose `master` is its name; `table` (a number) has their routes."""

    word: ClassVar[str] = "vrf"
    probe: ClassVar[str] = "link add p18 type vrf table 77"
    role: ClassVar[DeviceRole] = DeviceRole.VRF
    line: ClassVar[KindLine] = KindLine(
        mark("a vrf"), Keyword("table", "table", lambda words: str(words.number_upto(0xFFFFFFFF)), required=True)
    )
    slave: ClassVar[KindLine] = KindLine(mark("a device of a VRF"), passed="table")
    flags: ClassVar[str] = "NOARP,MASTER"

    table: str

    @property
    def l3_table(self) -> str:
        """The table its packets are routed by."""
        return self.table
