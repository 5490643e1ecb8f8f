"""ETTh1: transformer load and oil temperature, 7 hourly columns, every window of the last 4 of 20 months."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.files import find_file
from benchmarks.scores import Values
from benchmarks.work import Dataset, Work

NAME = "etth1"
SEASON = 24
MONTH = 30 * 24
TRAIN_END, TEST_START, TEST_END = 12 * MONTH, 16 * MONTH, 20 * MONTH
CHUNK = 64  # windows that are scored at a time
WHERE = "https://github.com/zhouhaoyi/ETDataset, folder ETT-small"


@dataclass(frozen=True)
class Transformer:
    """The columns over the 20 months that are used.

    Attributes
    ----------
    frame : with the column ``date``, 14400 rows
    values : [rows, 7]
    deviation : [7], of the first 12 months; errors are in its unit, as if the columns had been standardised
    """

    frame: pd.DataFrame
    values: Values
    deviation: Values


def load(folder: Path) -> Transformer:
    """Read the file.

    Raises
    ------
    ValueError
        If it is missing or shorter than 20 months of 30 days.
    """
    path = find_file(folder, "ETTh1.csv", WHERE)
    frame = pd.read_csv(path, nrows=TEST_END)
    if len(frame) < TEST_END:
        raise ValueError(
            f"{path}: {len(frame)} rows, fewer than the {TEST_END} of 20 months of 30 days"
        )
    values = frame.drop(columns="date").to_numpy(float)
    return Transformer(frame, values, values[:TRAIN_END].std(0))


def prepare(data: Transformer, horizon: int, folder: Path) -> Work:
    """The fit sees 16 months; forecasts start at each hour of the last 4 whose horizon ends within them."""
    train, table = folder / "train.csv", folder / "table.csv"
    long_train, long_table = folder / "long-train.csv", folder / "long-table.csv"
    if not long_table.exists():
        for wide, long, rows in ((train, long_train, TEST_START), (table, long_table, TEST_END)):
            part = data.frame.head(rows)
            part.to_csv(wide, index=False)
            melted = part.melt("date", var_name="unique_id", value_name="y").rename(
                columns={"date": "ds"}
            )
            melted[["unique_id", "ds", "y"]].to_csv(long, index=False)
    return Work(
        data=NAME,
        train=train,
        flags=(),
        table=table,
        long_train=long_train,
        long_table=long_table,
        origins=range(TEST_START, TEST_END - horizon + 1),
        ids=tuple(data.frame.columns.drop("date")),
        horizon=horizon,
        season=SEASON,
        freq="h",
    )


def score(data: Transformer, work: Work, forecast: Values) -> dict[str, float]:
    """MSE and MAE of the standardised columns, and coverage, over all windows, steps and columns.

    Parameters
    ----------
    forecast : [origins, columns of the table, horizon, columns of a forecast], in the table's own units
    """
    shape = (len(work.origins), len(work.ids), work.horizon)
    if forecast.shape[:3] != shape:
        raise ValueError(
            f"{NAME}: forecasts of shape {forecast.shape[:3]} where {shape} are wanted"
        )
    windows = np.lib.stride_tricks.sliding_window_view(
        data.values[work.origins.start :], work.horizon, 0
    )
    sums = np.zeros(4)
    for start in range(0, len(forecast), CHUNK):
        actual = windows[start : start + CHUNK]  # [windows, series, horizon]
        point, low80, high80, low95, high95 = np.moveaxis(
            forecast[start : start + CHUNK].astype(float), -1, 0
        )
        error = (point - actual) / data.deviation[:, None]
        inside80 = np.where(np.isnan(low80), np.nan, (actual >= low80) & (actual <= high80))
        inside95 = np.where(np.isnan(low95), np.nan, (actual >= low95) & (actual <= high95))
        sums += [(error**2).sum(), np.abs(error).sum(), inside80.sum(), inside95.sum()]
    names = ("mse", "mae", "coverage_80", "coverage_95")
    return dict(zip(names, (sums / np.prod(shape)).tolist(), strict=True))


DATASET = Dataset((96, 192, 336, 720), load, prepare, score)
