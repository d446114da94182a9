"""A conversation as packet captures: what a sniffer in each namespace would have written. Standard library only.

Read `octets` for the bytes of a frame, `pcapng` for the file, `capture` for who sees which frame when.
"""
