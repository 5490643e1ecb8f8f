"""Which models serve: candidates, validation losses, weights."""
