"""ROOM mcnilib/kernel/lab"""
