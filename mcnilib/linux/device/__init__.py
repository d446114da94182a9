"""Network devices: how `ip -d address` prints each kind, where its other end is, what it does with a frame."""
