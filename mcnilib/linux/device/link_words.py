"""The words of `ip -d address show`, by the line they stand on.

Source: ip/{ipaddress,iplink_vxlan,iplink_macvlan,iplink_bridge,iplink_bridge_slave,link_iptnl}.c (iproute2 6.1).
"""

from __future__ import annotations

from collections.abc import Iterable

from mcnilib.linux.text import Grammar

MODES = ("bridge", "private", "vepa", "passthru")
"""Modes of a macvlan child that are modelled."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


COMMON = _words(
    """
    promiscuity allmulti minmtu maxmtu numtxqueues numrxqueues gso_max_size gso_max_segs tso_max_size tso_max_segs
    gro_max_size gso_ipv4_max_size gro_ipv4_max_size parentbus parentdev addrgenmode portid portname switchid
    permaddr group qlen mode state qdisc
    """
)
"""Words with one value that may follow any link and change nothing here."""

BRIDGE = _words(
    """
    forward_delay hello_time max_age ageing_time stp_state priority bridge_id designated_root root_port
    root_path_cost topology_change topology_change_detected hello_timer tcn_timer topology_change_timer gc_timer
    vlan_default_pvid vlan_stats_enabled vlan_stats_per_port vlan_protocol group_fwd_mask group_fwd_mask_str
    group_address mcast_snooping no_linklocal_learn mcast_vlan_snooping mcast_router mcast_query_use_ifaddr
    mcast_querier mcast_hash_elasticity mcast_hash_max mcast_last_member_count mcast_startup_query_count
    mcast_last_member_interval mcast_querier_interval mcast_membership_interval mcast_query_interval
    mcast_query_response_interval mcast_startup_query_interval mcast_stats_enabled mcast_igmp_version
    mcast_mld_version nf_call_ip6tables fdb_n_learned fdb_max_learned
    """
)
"""Settings of a bridge that change nothing here."""

BRIDGE_SWITCHES = ("vlan_filtering", "nf_call_iptables", "nf_call_arptables")

PORT_ON = ("learning", "flood", "bcast_flood")

PORT_OFF = (
    *("hairpin", "isolated", "locked", "mab", "proxy_arp", "proxy_arp_wifi"),
    *("neigh_suppress", "neigh_vlan_suppress", "vlan_tunnel"),
)
"""Settings that change a frame's way unless they are 0, on, off."""

PORT = _words(
    """
    priority cost guard root_block fastleave port_id port_no designated_port designated_cost
    designated_bridge designated_root hold_timer message_age_timer forward_delay_timer topology_change_ack
    config_pending mcast_router mcast_fast_leave mcast_flood mcast_to_unicast group_fwd_mask group_fwd_mask_str
    """
)
"""Settings of a bridge port that change nothing here."""

MACVLAN = _words(
    """
    bcqueuelen usedbcqueuelen bclim
    """
)

VXLAN = _words(
    """
    ttl ageing
    """
)

VXLAN_FLAGS = _words(
    """
    udpcsum noudp6zerocsumtx noudp6zerocsumrx udp6zerocsumtx udp6zerocsumrx
    """
)

VXLAN_REFUSED = _words(
    """
    group group6 remote remote6 local6 learning proxy rsc l2miss l3miss external gbp gpe vnifilter localbypass tos
    flowlabel maxaddr remcsumtx remcsumrx
    """
)
"""Settings of a VXLAN device that would change where packets go."""

IPIP = _words(
    """
    ttl tos 6rd-prefix
    """
)

IPIP_REFUSED = _words(
    """
    encap encap-sport encap-dport encap-csum encap-csum6 encap-remcsum fwmark dev external
    """
)
"""Settings of an IPIP device that would change where packets go, or what they are."""

IPIP_FLAGS = _words(
    """
    nopmtudisc pmtudisc ignore-df noencap-csum noencap-csum6 noencap-remcsum
    """
)

ADDRESS_FLAGS = _words(
    """
    secondary dynamic noprefixroute mngtmpaddr deprecated nodad home tentative
    """
)
"""What may stand between the scope of an address and its label."""


def passed_over(*groups: Iterable[str], flags: Iterable[str] = ()) -> Grammar:
    """Build the grammar of words that change nothing: those with a value, and those without."""
    grammar: Grammar = {word: (word, lambda words: words.take("a value")) for group in groups for word in group}
    return {**grammar, **{word: (word, lambda words: True) for word in ("netns-immutable", *flags)}}
