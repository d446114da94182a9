"""ROOM mcnilib/show/labels"""
