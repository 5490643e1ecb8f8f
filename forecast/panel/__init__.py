"""Many series as one: the panel, its schema, names and shards of series, seasons and lookback."""
