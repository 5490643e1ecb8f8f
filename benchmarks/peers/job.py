"""What a peer is told to do, and how it reads series and writes forecasts; nothing here needs this project."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

COLUMNS = ("forecast", "lo_80", "hi_80", "lo_95", "hi_95")
QUANTILES = {0.5: "forecast", 0.1: "lo_80", 0.9: "hi_80", 0.025: "lo_95", 0.975: "hi_95"}
CHUNK = 100  # origins at a time: a window of a peer is a series of its own, and all at once would not fit

Forecast = Callable[[pd.DataFrame, pd.DataFrame | None], pd.DataFrame]
"""A frame ``unique_id, ds, y`` and what is known of the steps ahead, ``unique_id, ds`` and the columns known in advance
(None if there are none) -> a frame with ``unique_id`` and some of `COLUMNS`, each series' steps in order."""


@dataclass(frozen=True)
class Job:
    """Files and settings of one run; a peer saves what it needs in the working folder.

    Attributes
    ----------
    train, table : CSV files ``unique_id, ds, y``; `table` has later rows too
    origins : numbers of the rows of each series of `table` to forecast from; none: from the end of `train`
    model : name of the model, where the peer has several
    budget : seconds of training, None where there is no bound
    steps : training steps, None for the peer's own default
    output : a CSV file, or with origins a .npy file
    """

    train: str
    table: str | None
    origins: list[int]
    horizon: int
    season: int
    freq: str
    model: str
    seed: int
    budget: float | None
    steps: int | None
    output: str


def read_job(path: str) -> Job:
    """The job of a file."""
    return Job(**json.loads(Path(path).read_text(encoding="utf-8")))


def read_series(path: str) -> pd.DataFrame:
    """Series end to end, in the order of the file."""
    return pd.read_csv(path, parse_dates=["ds"], dtype={"unique_id": str, "y": "float32"})


def predict_end(job: Job, forecast: Forecast) -> None:
    """Forecast what comes after the training series, and write it."""
    frame = read_series(job.train)
    ids = frame["unique_id"].unique()
    numbers = _in_order(forecast(frame, None), ids, job.horizon).reshape(-1, len(COLUMNS))
    table = pd.DataFrame(numbers, columns=list(COLUMNS))
    table.insert(0, "unique_id", np.repeat(ids, job.horizon))
    table.insert(1, "step", np.tile(np.arange(1, job.horizon + 1), len(ids)))
    table.to_csv(job.output, index=False)


def predict_windows(job: Job, forecast: Forecast, lookback: int) -> None:
    """Forecast from each origin, each window as a series of its own with its last values, and write all."""
    frame = read_series(str(job.table))
    ids = frame["unique_id"].unique()
    steps = len(frame) // len(ids)  # aligned and without gaps
    columns = {
        name: frame[name].to_numpy().reshape(len(ids), steps)
        for name in frame.columns.drop("unique_id")
    }
    known = [name for name in columns if name not in ("ds", "y")]
    lookback = min(lookback, job.origins[0])
    parts = []
    for start in range(0, len(job.origins), CHUNK):
        origins = np.array(job.origins[start : start + CHUNK])
        names = [f"{origin}|{name}" for origin in origins for name in ids]
        past = _windows(columns, ["ds", "y", *known], names, origins, range(-lookback, 0))
        future = (
            _windows(columns, ["ds", *known], names, origins, range(job.horizon)) if known else None
        )
        numbers = _in_order(forecast(past, future), names, job.horizon)
        parts.append(
            numbers.reshape(len(origins), len(ids), job.horizon, len(COLUMNS)).astype(np.float32)
        )
    np.save(job.output, np.concatenate(parts))


def _windows(
    columns: dict[str, np.ndarray],
    wanted: list[str],
    names: list[str],
    origins: np.ndarray,
    steps: range,
) -> pd.DataFrame:
    """Steps about each origin as series of their own, the series of the first origin first."""
    rows = origins[:, None] + np.arange(steps.start, steps.stop)  # [origins, steps]
    cut = {name: columns[name][:, rows].transpose(1, 0, 2).ravel() for name in wanted}
    return pd.DataFrame({"unique_id": np.repeat(names, len(steps)), **cut})


def _in_order(found: pd.DataFrame, ids: "list[str] | np.ndarray", horizon: int) -> np.ndarray:
    """[series, horizon, columns], in the order of `ids`, NaN where a peer gives no interval."""
    rank = {name: i for i, name in enumerate(ids)}
    order = np.argsort(found["unique_id"].map(rank).to_numpy(), kind="stable")
    numbers = found.reindex(columns=list(COLUMNS)).to_numpy(float)[order]
    return numbers.reshape(len(ids), horizon, len(COLUMNS))
