"""A job on hourly loads, which follow the heat, and a night on which the hours of a day have moved."""

from pathlib import Path

import numpy as np
import pandas as pd

from forecast.errors import ForecastError
from forecast.jobs.pipeline import read_pipeline
from forecast.jobs.run import run_job

DAYS = 30  # before the first night
FIRST_DAY = pd.Timestamp("2025-06-01")
WRONG_DAY = FIRST_DAY + pd.Timedelta(days=DAYS - 3)
JOB = """\
store = "model"
refit = "never"

[source]
path = "loads.csv"

[table]
id = "station"
target = "load"
known = "heat"

[train]
model = "seasonal-mean"
horizon = 24

[sink]
path = "forecasts.csv"
"""


def moved_hours(folder: Path, hours: int, seed: int = 0) -> tuple[int, list[str]]:
    """Run two nights; on the second one, the heat of a past day is moved. Returns how it ended."""
    folder.mkdir(parents=True)
    job = folder / "job.toml"
    job.write_text(JOB, encoding="utf-8")
    table = _loads(seed)
    for night in (0, 1):
        last = FIRST_DAY + pd.Timedelta(days=DAYS + night)
        known = table[table["hour"] < last + pd.Timedelta(days=1)]
        fed = known.assign(load=known["load"].where(known["hour"] < last))
        if night:
            wrong = fed["hour"].dt.normalize() == WRONG_DAY
            moved = fed.groupby("station")["heat"].shift(hours)
            fed["heat"] = fed["heat"].mask(wrong, moved)
        fed.to_csv(folder / "loads.csv", index=False)
        as_of = (last + pd.Timedelta(hours=1)).isoformat() + "+00:00"
        try:
            record = run_job(read_pipeline(str(job)), as_of=as_of)
        except ForecastError as error:
            return error.exit_code, [str(error)]
    return record.exit_code, record.warnings


def _loads(seed: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    hours = pd.date_range(FIRST_DAY, periods=24 * (DAYS + 3), freq="h")
    daily = 15 - 5 * np.cos(2 * np.pi * (hours.hour.to_numpy() - 4) / 24)
    frames = []
    for station in ("north", "south", "west"):
        heat = (daily + generator.normal(0, 1, len(hours))).round(1)
        load = 80 + 3 * heat + generator.normal(0, 4, len(hours))
        frames.append(pd.DataFrame({"station": station, "hour": hours, "load": load, "heat": heat}))
    return pd.concat(frames)
