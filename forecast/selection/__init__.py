"""Which model serves which series: what is tried, what wins, what is blended."""
