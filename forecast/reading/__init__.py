"""Turn a table into a panel, and compare it with the table of the fit."""
