"""Devices of packets, without frames and MACs: those of programs (tun) and of WireGuard."""
