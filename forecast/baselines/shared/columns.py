"""Mean and deviation of columns, such as those known in advance."""

import numpy as np

from forecast.baselines.shared.method import Values

NOISE = 1e-12  # a deviation below this share of the largest value is rounding error


def column_statistics(columns: Values) -> tuple[Values, Values]:
    """Mean and deviation of columns [rows, ...], whatever their unit; 0 where one does not move, NaN left out."""
    seen = np.isfinite(columns)
    count = np.maximum(seen.sum(0), 1)
    largest = np.abs(columns).max(0, where=seen, initial=np.finfo(float).tiny)
    values = np.where(seen, columns / largest, 0.0)
    mean = values.sum(0) / count
    deviation = np.sqrt((seen * (values - mean) ** 2).sum(0) / count)
    return mean * largest, deviation * largest * (deviation > NOISE)
