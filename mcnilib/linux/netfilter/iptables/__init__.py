"""iptables: tables, chains and rules, their text, and the way of a packet through them."""
