"""Times: formats, zones, frequencies, grids, holidays; instants of runs."""
