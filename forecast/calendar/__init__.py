"""Handle times: formats, time zones, frequencies, grids, holidays, and the instants of runs."""
