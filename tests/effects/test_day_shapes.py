"""In tables finer than days, holidays have the shape of the days that they resemble."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster

WEEKS = 20
HOURS = np.arange(24)
RUSH = 900 + 5600 * np.exp(-((HOURS - 7.5) ** 2) / 3) + 5000 * np.exp(-((HOURS - 17) ** 2) / 6)
QUIET = 500 + 2200 * np.exp(-((HOURS - 14) ** 2) / 32)
HOLIDAYS = (8, 23, 37, 51, 66, 80, 94, 109)  # days, each a working day
AHEAD = 7 * WEEKS + 3  # a Thursday
DAYS = pd.date_range("2023-01-02", periods=7 * WEEKS + 7).strftime("%Y-%m-%d").to_numpy()


def trips(seed: int = 0, per_hour: int = 1) -> pd.DataFrame:
    """Trips by hour, with rush hours on working days that are no holidays; one week is ahead."""
    draw = np.random.default_rng(seed)
    number = np.arange(len(DAYS))
    rests = (number % 7 > 4) | np.isin(number, (*HOLIDAYS, AHEAD))
    mean = np.where(rests[:, None], QUIET, RUSH).repeat(per_hour, 1).ravel() / per_hour
    times = pd.date_range(DAYS[0], periods=len(mean), freq=f"{60 // per_hour}min")
    trips = np.round(mean * draw.normal(1, 0.03, len(mean)))
    return pd.DataFrame({"hour": times.strftime("%Y-%m-%d %H:%M"), "trips": trips})


def events(**kinds: list[int]) -> pd.DataFrame:
    rows = [(DAYS[day], kind, kind) for kind, days in kinds.items() for day in days]
    return pd.DataFrame(rows, columns=["date", "name", "kind"])


def forecaster(
    table: pd.DataFrame | None, model: str = "pretrained", **settings: Any
) -> Forecaster:
    return Forecaster(model=model, horizon=168, events=table, **settings)


def ahead(table: pd.DataFrame, model: str = "seasonal-mean", **settings: Any) -> np.ndarray:
    """Forecasts, [days, hours]."""
    found = forecaster(table, model, **settings).fit(trips()[:-168]).predict()
    return found["forecast"].to_numpy().reshape(7, 24)


def error(forecast: np.ndarray, actual: np.ndarray) -> float:
    return float(np.abs(forecast - actual).mean() / actual.mean())


def test_a_holiday_has_the_shape_of_a_day_of_rest() -> None:
    actual = trips()["trips"].to_numpy()[-168:].reshape(7, 24)
    found = ahead(events(effect=[*HOLIDAYS, AHEAD]))
    assert error(found[3], actual[3]) < 0.1
    others = np.arange(7) != 3
    assert error(found[others], actual[others]) < 0.1


def test_a_table_of_quarters_of_an_hour_shares_the_shape_of_hours() -> None:
    frame = trips(per_hour=4)
    table = events(effect=[*HOLIDAYS, AHEAD])
    model = Forecaster(model="seasonal-mean", season=(672,), horizon=672, events=table)
    found = model.fit(frame[:-672]).predict()["forecast"].to_numpy()
    actual = frame["trips"].to_numpy()[-672:]
    assert error(found[288:384], actual[288:384]) < 0.1


def test_an_event_that_changes_the_level_alone_keeps_the_shape_of_its_day() -> None:
    frame = trips()
    promotions = [3, 17, 31, 45, 60]
    day = np.arange(len(frame)) // 24
    frame.loc[np.isin(day, promotions), "trips"] *= 1.5
    table = events(effect=[*HOLIDAYS, AHEAD], promotion=[*promotions, AHEAD + 1])
    fitted = forecaster(table.assign(kind="effect")).fit(frame[:-168])
    found = fitted.predict()["forecast"].to_numpy().reshape(7, 24)
    np.testing.assert_allclose(found[4], 1.5 * RUSH, rtol=0.15)


@pytest.mark.parametrize(("model", "days_ago"), [("seasonal-naive", 5), ("pretrained", 3)])
def test_an_ignored_day_changes_no_forecast_of_other_days(model: str, days_ago: int) -> None:
    ignored = 7 * WEEKS - days_ago
    baselines = ("seasonal-naive", "seasonal-mean")  # of days, and of weeks
    usual = ahead(events(effect=[*HOLIDAYS, AHEAD]), model, baselines=baselines)
    table = events(effect=[*HOLIDAYS, AHEAD], ignore=[ignored])
    found = ahead(table, model, baselines=baselines)
    same_day = np.arange(7) == 7 - days_ago
    assert error(found[~same_day], usual[~same_day]) < 0.02
    assert error(found[same_day], usual[same_day]) < 0.05


def test_shapes_are_saved(tmp_path: Path) -> None:
    model = forecaster(events(effect=[*HOLIDAYS, AHEAD])).fit(trips()[:-168])
    model.save(str(tmp_path / "store"))
    loaded = Forecaster.load(str(tmp_path / "store"))
    pd.testing.assert_frame_equal(loaded.predict(), model.predict())
