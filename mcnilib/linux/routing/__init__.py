"""ROOM mcnilib/linux/routing"""
