"""ROOM mcnilib/linux/netfilter/iptables/match"""
