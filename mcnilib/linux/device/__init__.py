"""ROOM mcnilib/linux/device"""
