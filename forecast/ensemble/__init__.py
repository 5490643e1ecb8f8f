"""Which models forecast a series: candidates, validation losses, weights."""
