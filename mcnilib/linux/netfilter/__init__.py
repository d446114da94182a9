"""ROOM mcnilib/linux/netfilter"""
