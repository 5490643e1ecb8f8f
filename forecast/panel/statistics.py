"""Mean and standard deviation of columns that have blanks."""

import numpy as np

from forecast.panel.panel import Numbers

NOISE = 1e-12  # a standard deviation below this share of the largest value is rounding error


def column_statistics(columns: Numbers) -> tuple[Numbers, Numbers]:
    """Return the mean and standard deviation of columns [rows, ...], without NaN.

    The standard deviation of a constant column is exactly 0.
    """
    seen = np.isfinite(columns)
    count = np.maximum(seen.sum(0), 1)
    # in units of the largest value, so that squares cannot overflow
    tiny = np.finfo(float).tiny
    largest = np.abs(columns).max(0, where=seen, initial=tiny)
    values = np.where(seen, columns / largest, 0.0)
    mean = values.sum(0) / count
    squares = seen * (values - mean) ** 2
    deviation = np.sqrt(squares.sum(0) / count)
    return mean * largest, deviation * largest * (deviation > NOISE)
