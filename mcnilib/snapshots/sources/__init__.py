"""Snapshots that other tools gathered: which of their files holds which listing."""
