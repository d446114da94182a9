"""Why a conversation fails where the line that decided does not say it: what did not match, and what had no route."""
