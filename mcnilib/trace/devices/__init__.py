"""Devices during a run: what hangs on what, who hears whom, and those that hand packets to another IP layer."""
