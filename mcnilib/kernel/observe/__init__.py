"""ROOM mcnilib/kernel/observe"""
