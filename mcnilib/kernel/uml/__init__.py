"""A second kernel: user-mode Linux, which is built once, boots in seconds and runs the same lab as this machine's."""
