"""ROOM mcnilib/world"""
