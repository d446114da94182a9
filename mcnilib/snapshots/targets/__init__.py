"""Where a conversation goes, as people write it, and the names of pods and services."""
