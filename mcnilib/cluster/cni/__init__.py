"""ROOM mcnilib/cluster/cni"""
