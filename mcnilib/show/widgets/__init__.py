"""ROOM mcnilib/show/widgets"""
