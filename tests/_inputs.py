"""Daily series of a few values, read as a table is, and made ready for networks and baselines."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from forecast.panel.infer import Reading, read
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame
from forecast.windows.inputs import Inputs, Transform, fit_statistics, make_inputs

LEVELS = (0.1, 0.5, 0.9)


def read_days(*series: Sequence[float], horizon: int = 2, **settings: object) -> Reading:
    """Series named a, b and so on, which end on one day; NaN where missing."""
    frames = [
        pd.DataFrame(
            {
                "id": name,
                "day": pd.date_range(end="2024-12-31", periods=len(values)),
                "value": values,
            }
        )
        for name, values in zip("abcdefgh", series, strict=False)
    ]
    known = {"id": ("id",), "time": ("day",), "target": ("value",), "max_missing": 1.0}
    return read(
        table_from_frame(pd.concat(frames)), TableSettings(**{**known, **settings}), horizon=horizon
    )


def inputs_of(
    *series: Sequence[float], horizon: int = 2, power: float = 1.0, lags: tuple[int, ...] = ()
) -> Inputs:
    """The same series, ready."""
    reading = read_days(*series, horizon=horizon)
    panel, schema = reading.panel, reading.schema
    statistics, transform = (
        fit_statistics(panel, schema, np.asarray(panel.lengths)),
        Transform(power),
    )
    return make_inputs(
        panel,
        schema,
        statistics,
        transform=transform,
        lags=lags,
        levels=LEVELS,
        ids=panel.ids,
        horizon=horizon,
    )


def toy_windows(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Inputs [n, 10, 5], independent standard normals, and targets [n], the sums of their means."""
    inputs = np.random.default_rng(seed).standard_normal((n, 10, 5))
    return inputs, inputs.mean(axis=2).sum(axis=1)
