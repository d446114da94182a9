"""ROOM mcnilib/show/html"""
