"""What is checked of a table, a fit and a forecast before any of it counts."""
