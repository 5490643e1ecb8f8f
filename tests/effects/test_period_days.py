"""Months and quarters have the effects of their weekdays and of Easter, and none where there are none."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.calendar.calendar import named_holidays
from forecast.effects.columns import ColumnEffects
from forecast.effects.period_days import count_period_days

AHEAD = 24
EASTER = {2019: date(2019, 4, 21), 2020: date(2020, 4, 12), 2024: date(2024, 3, 31)}
SALES = np.array([1.0, 1.0, 1.0, 1.0, 1.6, 2.0, 0.4])  # of a Monday to a Sunday


def fitted(frame: pd.DataFrame, **settings: object) -> Forecaster:
    return Forecaster(model="last", horizon=AHEAD, **settings).fit(frame)  # type: ignore[arg-type]


def days_of(first: pd.Timestamp, last: pd.Timestamp) -> list[date]:
    return [first.date() + timedelta(number) for number in range((last - first).days + 1)]


@pytest.mark.parametrize(("freq", "months"), [("MS", 1), ("ME", 1), ("QS", 3), ("QE", 3)])
@pytest.mark.parametrize("country", [None, "DE"])
def test_days_of_periods_are_those_of_a_calendar(
    freq: str, months: int, country: str | None
) -> None:
    time = pd.date_range("2019-01-01", periods=6 * 12 // months, freq=freq)
    frame = pd.DataFrame({"time": time, "y": np.arange(len(time)) % 7 + 1.0})
    model = Forecaster(model="last", horizon=2, holidays=country).fit(frame)
    counts = count_period_days(model.fitted_.history.origin - np.arange(len(time)), model.schema_)
    for row, label in zip(counts, time[::-1], strict=True):
        first = label if freq.endswith("S") else label - pd.offsets.MonthBegin(months)
        days = days_of(first, first + pd.offsets.MonthEnd(months))
        ends = (np.datetime64(days[0]).astype(int), np.datetime64(days[-1]).astype(int))
        off = [day for day, _ in named_holidays(*map(int, ends), country)] if country else []
        closed = {date(1970, 1, 1) + timedelta(day) for day in off}
        expected = np.bincount([6 if day in closed else day.weekday() for day in days], minlength=7)
        assert row[:7].tolist() == expected.tolist()
        if first.year in EASTER:
            before = [EASTER[first.year] - timedelta(number) for number in range(1, 9)]
            assert row[7] == len(set(before) & set(days)) / 8


def months(sales: np.ndarray, easter: float, noise: float, seed: int) -> pd.DataFrame:
    """Sales of months by the weekdays that they have, with a season and a trend."""
    time = pd.date_range("2008-01-01", periods=180, freq="MS")
    dates = [days_of(first, first + pd.offsets.MonthEnd()) for first in time]
    weekdays = [np.bincount([day.weekday() for day in days], minlength=7) for days in dates]
    model = fitted(pd.DataFrame({"time": time, "y": np.arange(180.0) + 1}))
    position = model.fitted_.history.origin - np.arange(180)[::-1]
    share = count_period_days(position, model.schema_)[:, 7]
    step = np.arange(180)
    level = 100 * np.exp(0.003 * step + 0.2 * np.sin(2 * np.pi * step / 12))
    random = np.random.default_rng(seed).normal(size=180)
    y = level * (weekdays @ sales) * np.exp(easter * share + noise * random)
    return pd.DataFrame({"time": time, "y": y})


def test_weekends_and_easter_are_found_within_a_tenth_and_lower_the_error() -> None:
    frame = months(SALES, easter=0.08, noise=0.004, seed=0)
    model = Forecaster(model="pretrained", horizon=AHEAD).fit(frame[:-AHEAD])
    effects = model.fitted_.effects.columns
    assert isinstance(effects, ColumnEffects)
    assert effects.multiplies
    by_day = np.log(5 / 4) / effects.unit * effects.weights[:, 0]
    share = SALES / (SALES.sum() * 365.25 / 84)  # of a month, what one more day adds
    assert by_day[5] - by_day[6] == pytest.approx(share[5] - share[6], rel=0.1)
    assert effects.weights[7, 0] / effects.unit[7] == pytest.approx(0.08, rel=0.1)
    ahead = model.predict()["forecast"].to_numpy() / frame["y"][-AHEAD:].to_numpy()
    without = Forecaster(model="pretrained", horizon=AHEAD).fit(
        frame[:-AHEAD].assign(time=np.arange(len(frame) - AHEAD)),
    )
    plain = without.predict()["forecast"].to_numpy() / frame["y"][-AHEAD:].to_numpy()
    assert np.abs(np.log(ahead)).mean() < 0.6 * np.abs(np.log(plain)).mean()


@pytest.mark.parametrize("seed", range(4))
def test_months_without_such_effects_get_none(seed: int) -> None:
    time = pd.date_range("2008-01-01", periods=156, freq="MS")
    step = np.arange(156)
    random = np.random.default_rng(seed).normal(size=156)
    y = 100 * np.exp(0.2 * np.sin(2 * np.pi * step / 12) + 0.05 * random)
    assert fitted(pd.DataFrame({"time": time, "y": y})).fitted_.effects.columns is None


def test_months_after_an_origin_change_no_forecast_from_it() -> None:
    frame = months(SALES, easter=0.08, noise=0.004, seed=1)
    other = frame.assign(y=np.where(np.arange(180) >= 170, 7.0, frame["y"]))
    model = fitted(frame[:-AHEAD])
    origin = frame["time"].iloc[169]
    tables = [model.predict(one, origin=origin) for one in (frame, other)]
    pd.testing.assert_frame_equal(*tables)
