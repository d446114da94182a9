"""A world in real network namespaces: made, changed, read back and removed."""
