"""Panels with a series in each row of a training and a test file: M4 hourly, M1 and car parts, scored as M4 scored."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.files import find_file
from benchmarks.scores import Values, competition_scores, seasonal_scale
from benchmarks.work import Dataset, Work

SOURCES = "the source in benchmarks/README.md"


@dataclass(frozen=True)
class Panel:
    """Names of the files, without .csv, and how the series are forecast.

    Attributes
    ----------
    freq : step of the calendar that peers are given, as pandas names it
    where : the source of the files
    naive2 : sMAPE and MASE of Naive2, where OWA is known
    """

    name: str
    train: str
    test: str
    horizon: int
    season: int
    freq: str
    where: str = SOURCES
    naive2: tuple[float, float] | None = None


@dataclass(frozen=True)
class Series:
    """The training series, and what came after them.

    Attributes
    ----------
    path : of the training file
    ids : of the series, in the training file's order
    values : the training series, without padding
    actual : [series, horizon]
    """

    path: Path
    ids: list[str]
    values: list[Values]
    actual: Values


M4_HOURLY = Panel(
    "m4-hourly",
    "M4-Hourly-train",
    "M4-Hourly-test",
    48,
    24,
    "h",
    where="https://github.com/Mcompetitions/M4-methods, folder Dataset",
    naive2=(18.383, 2.395),  # as the competition published them
)
CLASSICAL = tuple(
    Panel(f"classical/{file}", f"{file}_train", f"{file}_test", horizon, season, freq)
    for file, horizon, season, freq in (
        ("m1_yearly", 6, 1, "YS"),
        ("m1_quarterly", 8, 4, "QS"),
        ("m1_monthly", 18, 12, "MS"),
        ("carparts_quarter", 12, 12, "MS"),
    )
)


def datasets(panels: tuple[Panel, ...]) -> Iterator[Dataset]:
    """The panels as data sets."""
    for panel in panels:
        parts = (partial(load, panel), partial(prepare, panel), partial(score, panel))
        yield Dataset((panel.horizon,), *parts)


def load(panel: Panel, folder: Path) -> Series:
    """Read both files.

    Raises
    ------
    ValueError
        If a file is missing, or a series of one is not in the other.
    """
    path = find_file(folder, f"{panel.train}.csv", panel.where)
    train = pd.read_csv(path, index_col=0)
    test = pd.read_csv(find_file(folder, f"{panel.test}.csv", panel.where), index_col=0)
    if set(train.index) != set(test.index):
        raise ValueError(f"{path}: its series are not those of {panel.test}.csv")
    values = [row[np.isfinite(row)] for row in train.to_numpy(float)]
    return Series(
        path, [str(name) for name in train.index], values, test.loc[train.index].to_numpy(float)
    )


def prepare(panel: Panel, data: Series, horizon: int, folder: Path) -> Work:
    """The work of all methods; peers need times, which the file has not: all series start at the same one.

    Raises
    ------
    ValueError
        If the horizon is longer than the test file.
    """
    if horizon > data.actual.shape[1]:
        raise ValueError(f"--horizon {horizon}: {panel.test} has {data.actual.shape[1]} steps")
    long = folder / f"{panel.train}-long.csv"
    if not long.exists():
        times = pd.date_range("1950-01-01", periods=max(map(len, data.values)), freq=panel.freq)
        parts = [
            pd.DataFrame({"unique_id": name, "ds": times[: len(own)], "y": own})
            for name, own in zip(data.ids, data.values, strict=True)
        ]
        pd.concat(parts).to_csv(long, index=False)
    return Work(
        data=panel.name,
        train=data.path,
        flags=("--layout", "rows"),
        table=None,
        long_train=long,
        long_table=None,
        origins=range(0),
        ids=tuple(data.ids),
        horizon=horizon,
        season=panel.season,
        freq=panel.freq,
    )


def score(panel: Panel, data: Series, work: Work, forecast: Values) -> dict[str, float]:
    """sMAPE, MASE, OWA, MSIS and coverage, means over series; a shorter horizon is scored on the first steps."""
    scale = np.array([seasonal_scale(own, panel.season) for own in data.values])
    return competition_scores(data.actual[:, : work.horizon], forecast, scale, panel.naive2)
