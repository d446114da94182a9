"""The targets of iptables, by extension: how each is read, printed and carried out."""
