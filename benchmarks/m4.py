"""M4 hourly: 414 series of 700 to 960 hours, 48 hours ahead, scored as the competition scored."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.files import find_file
from benchmarks.scores import Values, competition_scores, seasonal_scale
from benchmarks.work import Work

NAME = "m4-hourly"
HORIZONS = (48,)
SEASON = 24
WHERE = "https://github.com/Mcompetitions/M4-methods, folder Dataset"


@dataclass(frozen=True)
class Hourly:
    """The training series, and what came after them.

    Attributes
    ----------
    path : of the training file
    ids : of the series, in the training file's order
    values : the training series, without padding
    actual : [series, 48]
    """

    path: Path
    ids: list[str]
    values: list[Values]
    actual: Values


def load(folder: Path) -> Hourly:
    """Read both files.

    Raises
    ------
    ValueError
        If a file is missing, or a series of one is not in the other.
    """
    path = find_file(folder, "M4-Hourly-train.csv", WHERE)
    train = pd.read_csv(path, index_col=0)
    test = pd.read_csv(find_file(folder, "M4-Hourly-test.csv", WHERE), index_col=0)
    if set(train.index) != set(test.index):
        raise ValueError(f"{path}: its series are not those of M4-Hourly-test.csv")
    values = [row[np.isfinite(row)] for row in train.to_numpy(float)]
    return Hourly(path, [str(name) for name in train.index], values, test.loc[train.index].to_numpy(float))


def prepare(data: Hourly, horizon: int, folder: Path) -> Work:
    """The work of all methods; peers need times, which the file has not: all series start at the same midnight."""
    long = folder / "long.csv"
    if not long.exists():
        hours = pd.date_range("2000-01-01", periods=max(map(len, data.values)), freq="h")
        parts = [
            pd.DataFrame({"unique_id": name, "ds": hours[: len(own)], "y": own})
            for name, own in zip(data.ids, data.values, strict=True)
        ]
        pd.concat(parts).to_csv(long, index=False)
    return Work(
        data=NAME,
        train=data.path,
        flags=("--layout", "rows"),
        table=None,
        long_train=long,
        long_table=None,
        origins=range(0),
        ids=tuple(data.ids),
        horizon=horizon,
        season=SEASON,
        freq="h",
    )


def score(data: Hourly, work: Work, forecast: Values) -> dict[str, float]:
    """sMAPE, MASE, OWA, MSIS and coverage, means over series; of fewer than 48 steps the first ones count."""
    scale = np.array([seasonal_scale(own, SEASON) for own in data.values])
    return competition_scores(data.actual[:, : work.horizon], forecast, scale)
