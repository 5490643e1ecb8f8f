"""Times as seconds since 1970-01-01, of UTC where there is a zone: how they are written, and the grid they lie on."""
