"""ROOM mcnilib/show/picture"""
