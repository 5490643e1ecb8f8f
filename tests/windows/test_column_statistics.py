"""Columns have a mean and a deviation in any unit."""

import numpy as np
import pytest

from forecast.panel.panel import column_statistics

COLUMNS = np.array(
    [
        [1.0, 0.1, np.nan, 0.0],
        [2.0, 0.1, np.nan, 0.0],
        [np.nan, 0.1, np.nan, 0.0],
        [6.0, 0.1, np.nan, 0.0],
    ]
)


@pytest.mark.parametrize("unit", [1.0, 1e-13, 1e-300, 1e17])
def test_a_blank_does_not_count_and_what_does_not_move_has_no_deviation(unit: float) -> None:
    mean, deviation = column_statistics(COLUMNS * unit)
    np.testing.assert_allclose(mean / unit, [3.0, 0.1, 0.0, 0.0])
    np.testing.assert_allclose(deviation / unit, [np.std([1, 2, 6]), 0.0, 0.0, 0.0])
