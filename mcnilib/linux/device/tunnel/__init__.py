"""Kinds of devices that carry packets inside packets."""
