"""Times: how a column writes them, which zone they are in, and the grid that they lie on.

Timestamps are seconds since 1970-01-01, of UTC where there is a zone. `parsing` reads and writes them,
`frequency` infers the grid on which they lie, and `calendar` counts them as its positions.
"""
