"""The table of bad input."""
