"""Forecast from many origins of a table by a saved forecaster, all windows of all series in one process."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.format import open_memmap

from benchmarks.scores import Values

if TYPE_CHECKING:
    from forecast.forecaster import Forecaster
    from forecast.tables.table import Table

CHUNK = 128  # origins at a time: bounds the memory, for a quantile of every step of every window is kept until written


def main(store: str, table: str, output: str, origins: Sequence[int]) -> None:
    """Write [origins, series, horizon, columns] as a .npy file of float32.

    Parameters
    ----------
    store : a saved forecaster
    table : a wide or aligned table without gaps in its calendar, all series over the same times
    output : .npy file
    origins : numbers of rows; a forecast from origin n sees rows 0 to n - 1
    """
    from forecast.forecaster import Forecaster
    from forecast.panel.dated import normalise
    from forecast.settings import TextSettings
    from forecast.tables.reading import read_table

    forecaster = Forecaster.load(store)
    source = normalise(read_table(table, TextSettings()))
    written = None
    for start in range(0, len(origins), CHUNK):
        part = forecast_from(forecaster, source, origins[start : start + CHUNK])
        if written is None:
            written = open_memmap(output, "w+", np.float32, (len(origins), *part.shape[1:]))
        written[start : start + CHUNK] = part
    if written is not None:
        written.flush()


def forecast_from(forecaster: "Forecaster", table: "Table", origins: Sequence[int]) -> Values:
    """Points and intervals from each origin, [origins, series, horizon, columns]; the one place that knows how."""
    from forecast.inference.forecasting import reading_to_forecast
    from forecast.intervals.interval_ends import apply_bounds, unbounded_numbers
    from forecast.settings import OutputSettings

    panel = reading_to_forecast(forecaster.fitted_, table).panel
    series = np.tile(panel.order, len(origins))
    position = np.repeat(np.asarray(origins, np.int64), len(panel.order))
    quantiles = forecaster.predictor_.quantiles(
        panel, series, position
    )  # [windows, horizon, levels]
    output = OutputSettings()
    unbounded = unbounded_numbers(quantiles, forecaster.fitted_.config.levels, output)
    numbers = apply_bounds(unbounded, output, np.full(len(series), -np.inf))
    return numbers.reshape(len(origins), len(panel.order), *numbers.shape[1:])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], range(int(sys.argv[4]), int(sys.argv[5])))
