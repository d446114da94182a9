"""ROOM mcnilib/trace/transport"""
