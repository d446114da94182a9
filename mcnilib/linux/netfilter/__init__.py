"""Netfilter: the hooks, connection tracking, NAT and sets; iptables is the room inside."""
