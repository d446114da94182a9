"""ROOM mcnilib/linux/netfilter/iptables"""
