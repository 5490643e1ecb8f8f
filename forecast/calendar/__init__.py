"""Time formats, zones, frequency and arithmetic on a grid of times."""
