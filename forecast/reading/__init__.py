"""From the columns of a table to a panel: roles, detection, observations, grid, building, comparing."""
