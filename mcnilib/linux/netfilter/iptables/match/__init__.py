"""The matches of iptables, by extension: how each is read, printed and decided."""
