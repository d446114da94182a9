"""Why a packet went where it went: look-ups of routes, the rules that were passed over, the path back to a sender."""
