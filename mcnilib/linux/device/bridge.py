"""Bridges: their settings, those of their ports, and the entries somebody wrote into them.

Source: ip/{iplink_bridge,iplink_bridge_slave}.c (iproute2 6.1); br_handle_frame_finish() in net/bridge/br_input.c,
br_do_proxy_suppress_arp() in net/bridge/br_arp_nd_proxy.c, br_nf_pre_routing() in net/bridge/br_netfilter_hooks.c.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import ClassVar

from mcnilib.language import mark, tr
from mcnilib.linux.device.base import DeviceRole, FarEnds, Head, Keyword, Kind, KindLine
from mcnilib.linux.device.port import BridgePort, FdbEntry
from mcnilib.linux.text import Words

BRIDGE_SWITCHES = ("nf_call_arptables",)

PORT_ON = ("learning", "flood", "bcast_flood")

PORT_OFF = (
    *("locked", "mab", "proxy_arp", "proxy_arp_wifi"),
    *("neigh_suppress", "neigh_vlan_suppress", "vlan_tunnel"),
)
"""Settings that change a frame's way unless they are 0, on, off."""


def _switch(words: Words) -> bool:
    return words.one_of(("on", "off")) == "on"


@dataclass(frozen=True, slots=True)
class Bridge(Kind):
    """A software switch; its ports are the links whose `master` is its name.

    `fdb` leaves out the entries the kernel makes for the MACs of the bridge and its ports. `nf_call_iptables`: what
    crosses it passes iptables, whatever the sysctl says.
    """

    word: ClassVar[str] = "bridge"
    probe: ClassVar[str] = "link add p5 type bridge"
    role: ClassVar[DeviceRole] = DeviceRole.BRIDGE
    line: ClassVar[KindLine] = KindLine(
        mark("a bridge"),
        Keyword("vlan_filtering", "vlan_filtering", lambda words: words.one_of(("0", "1")).strip("0")),
        Keyword("nf_call_iptables", "nf_call_iptables", lambda words: words.one_of(("0", "1")).strip("0")),
        passed="""
        forward_delay hello_time max_age ageing_time stp_state priority bridge_id designated_root root_port
        root_path_cost topology_change topology_change_detected hello_timer tcn_timer topology_change_timer gc_timer
        vlan_default_pvid vlan_stats_enabled vlan_stats_per_port group_fwd_mask group_fwd_mask_str
        group_address mcast_snooping no_linklocal_learn mcast_vlan_snooping mcast_router mcast_query_use_ifaddr
        mcast_querier mcast_hash_elasticity mcast_hash_max mcast_last_member_count mcast_startup_query_count
        mcast_last_member_interval mcast_querier_interval mcast_membership_interval mcast_query_interval
        mcast_query_response_interval mcast_startup_query_interval mcast_stats_enabled mcast_igmp_version
        mcast_mld_version nf_call_ip6tables fdb_n_learned fdb_max_learned
        """,
        usual={"vlan_protocol": ("802.1Q",), **dict.fromkeys(BRIDGE_SWITCHES, ("0",))},
    )
    slave: ClassVar[KindLine] = KindLine(
        mark("a bridge port"),
        *(Keyword(switch.name, switch.name, _switch) for switch in fields(BridgePort)),
        passed="""
        priority cost guard root_block fastleave port_id port_no designated_port designated_cost
        designated_bridge designated_root hold_timer message_age_timer forward_delay_timer topology_change_ack
        config_pending mcast_router mcast_fast_leave mcast_flood mcast_to_unicast group_fwd_mask group_fwd_mask_str
        """,
        usual={
            "state": ("forwarding", "disabled"),
            **dict.fromkeys(PORT_OFF, ("off",)),
            **dict.fromkeys(PORT_ON, ("on",)),
        },
    )
    made_with: ClassVar[str] = "mcast_snooping 0 stp_state 0"

    fdb: tuple[FdbEntry, ...] = ()
    nf_call_iptables: str = ""  # or 1
    vlan_filtering: str = ""  # or 1

    @classmethod
    def begin(cls, words: Words, head: Head) -> None:
        """Refuse a name with another end. Raises: StateSyntaxError."""
        if head.other:
            device = f"{head.name}@{head.other}"
            raise words.wrong(tr("{device} is a bridge, which has no other end", device=device))

    @classmethod
    def read_slave(cls, words: Words, *, up: bool) -> BridgePort:
        """Read the settings of a bridge port; refuse those that would change a frame's way and are not modelled.

        A port that is up is disabled only when somebody said so, or the bridge is down. Source:
        br_port_carrier_check(). Raises: StateSyntaxError, Unsupported.
        """
        return BridgePort(**cls.slave.read(words, {"state": ("forwarding",)} if up else {}))

    @property
    def calls_iptables(self) -> bool:
        """Tell whether iptables sees what crosses it, whatever the sysctl for all bridges says."""
        return self.nf_call_iptables == "1"

    @property
    def making(self) -> str:
        """The words after `type` of the `ip link add` that makes such a device: no port gets a VLAN by itself."""
        return f"{super(Bridge, self).making}{' vlan_default_pvid 0' if self.vlan_filtering else ''}"

    @property
    def filters_vlans(self) -> bool:
        """Tell whether its ports let only frames of their VLANs through."""
        return self.vlan_filtering == "1"

    @property
    def stations(self) -> tuple[FdbEntry, ...]:
        """Which MAC is behind which port, as far as somebody wrote it or it was learned."""
        return self.fdb

    def entries(self, name: str) -> Iterator[str]:
        """Yield the lines of `bridge fdb show` for its stations."""
        for station in self.fdb:
            which = f"{f' vlan {station.vlan}' if station.vlan else ''}{' sticky' if station.sticky else ''}"
            yield f"{station.mac} dev {station.port}{which} master {name} {station.state}"

    def with_entries(self, far_ends: FarEnds, stations: tuple[FdbEntry, ...]) -> Bridge:
        """Return the same with other stations."""
        return replace(self, fdb=stations)
