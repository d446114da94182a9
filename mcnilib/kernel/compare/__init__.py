"""ROOM mcnilib/kernel/compare"""
