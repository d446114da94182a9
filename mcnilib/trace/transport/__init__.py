"""The ends of a conversation: sockets, and TCP as far as its packets show."""
