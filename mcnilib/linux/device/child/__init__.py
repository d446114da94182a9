"""Devices on another one whose frames are told apart by a tag or by addresses, not by MACs: VLAN and ipvlan."""
