"""ROOM mcnilib/linux/netfilter/iptables/target"""
