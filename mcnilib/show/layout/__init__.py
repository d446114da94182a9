"""ROOM mcnilib/show/layout"""
