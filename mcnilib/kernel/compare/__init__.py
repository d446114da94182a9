"""Model and kernel side by side, and the record of what agreed."""
