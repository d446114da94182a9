"""ROOM mcnilib/trace/stack"""
