"""From the columns of a table to a panel, and how a table differs from that of the fit."""
