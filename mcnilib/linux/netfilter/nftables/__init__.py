"""Native nftables: tables, chains, sets and rules as `nft list ruleset` prints them, and the walk of a packet through
them.
"""
