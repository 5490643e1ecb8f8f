"""What a nightly run adds: pipeline file, sources and sinks, checks, gate, ledger and run record."""
