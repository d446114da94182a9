"""What stands behind devices that need more than a command: programs and peers."""
