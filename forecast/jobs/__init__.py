"""What a nightly run adds: pipeline file, source and sinks, gate, publication and its record."""
