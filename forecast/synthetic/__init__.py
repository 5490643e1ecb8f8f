"""Synthetic series of many kinds, on which a network learns to forecast series it never saw."""
