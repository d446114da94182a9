"""A conversation with real sockets, captured and told as a Trace."""
