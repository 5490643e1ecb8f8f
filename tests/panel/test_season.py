"""Seasons are those that the data show, usual ones and exact periods of any length; lags and lookback follow."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast import Forecaster
from forecast.calendar.spec import CalendarSpec
from forecast.panel.infer import read, read_as
from forecast.panel.panel import Panel
from forecast.panel.season import choose_lags, choose_lookback, repeat_period, shown_seasons
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame
from forecast.tables.synthetic import synthesize

DAILY = CalendarSpec(kind="seconds", every=86_400, anchor=0, name="D")
HOURLY = CalendarSpec(kind="seconds", every=3_600, anchor=0, name="h")
DAY = np.arange(300)


def walks(count: int, seed: int = 0) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).normal(size=(count, 300)).cumsum(1))


def test_one_column_keeps_its_season_among_others_that_have_none() -> None:
    weekly = 2 * np.sin(2 * np.pi * DAY / 7) + np.random.default_rng(1).normal(size=300)
    assert shown_seasons(DAILY, walks(9)) == ()
    assert shown_seasons(DAILY, [*walks(9), weekly]) == (7,)
    assert shown_seasons(DAILY, [*walks(30), weekly]) == ()  # one in thirty may be chance


def test_a_column_is_forecast_by_its_own_season() -> None:
    weekly = 50 + np.array([0, 1, 5, 2, 8, 20, 14])[np.arange(314) % 7]
    walk = np.random.default_rng(2).normal(size=314).cumsum() + 100
    frame = pd.DataFrame(
        {"day": pd.date_range("2024-01-01", periods=314), "walk": walk, "weekly": weekly}
    )
    fitted = Forecaster(steps=20, params={"hidden_size": 4}).fit(frame[:-14])
    found = fitted.predict().set_index("series")["forecast"]
    assert fitted.schema_.season == (7,)
    np.testing.assert_allclose(found["weekly"], weekly[-14:], rtol=0.01)


@pytest.mark.parametrize("season", [9.3, 63, 150])
def test_a_slow_wave_is_no_week(season: float) -> None:
    assert 7 not in shown_seasons(DAILY, [np.sin(2 * np.pi * DAY / season)])


@pytest.mark.parametrize("period", [2, 5, 31, 150])
@pytest.mark.parametrize("trend", [0.0, 0.5])
def test_an_exact_period_is_found_through_gaps_and_trend(period: int, trend: float) -> None:
    draw = np.random.default_rng(period)
    values = draw.normal(size=period)[DAY % period] + trend * DAY
    assert repeat_period(values) == period
    if period < 100:
        values[draw.random(300) < 0.1] = np.nan
        assert repeat_period(values) == period


@pytest.mark.parametrize(("period", "at"), [(5, 150), (13, 60)])
def test_an_exact_period_is_found_after_the_level_has_moved(period: int, at: int) -> None:
    step = np.arange(320)
    values = np.random.default_rng(3).integers(0, 100, period)[step % period] + np.where(
        step > at, 500.0, 0.0
    )
    assert repeat_period(values[:300]) == period
    frame = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=320), "y": values})
    found = Forecaster(horizon=20, steps=20).fit(frame[:300]).predict()["forecast"]
    np.testing.assert_allclose(found, values[300:], atol=1)


def test_walks_and_noise_have_no_period() -> None:
    draw = np.random.default_rng(3)
    assert {repeat_period(walk) for walk in walks(200)} == {1}
    assert {repeat_period(draw.normal(size=300)) for _ in range(200)} == {1}
    assert repeat_period(np.ones(50)) == 1
    assert repeat_period(DAY.astype(float)) == 1


def test_multiples_of_a_season_are_no_seasons_and_a_week_of_days_is() -> None:
    draw = np.random.default_rng(4)
    hour = np.arange(24 * 30)
    day, week = draw.normal(size=24)[hour % 24], draw.normal(size=168)[hour % 168]
    assert shown_seasons(HOURLY, [day]) == (24,)
    assert shown_seasons(HOURLY, [day + week]) == (24, 168)


def test_a_small_pattern_on_a_large_level_is_found() -> None:
    assert repeat_period(1e13 + DAY % 7) == 7
    assert shown_seasons(DAILY, [1e13 + DAY % 7]) == (7,)


def test_a_few_values_after_a_level_shift_have_no_season_of_their_own() -> None:
    days = pd.date_range("2024-01-01", periods=120)
    values = np.random.default_rng(2).normal(50, 3, 120).round(1)
    values[-6:] = 105.4, 99.1, 94.2, 110.1, 104.6, 100.3
    shift = pd.DataFrame({"date": [days[114]], "name": ["new shop"], "kind": ["level_shift"]})
    model = Forecaster(model="last", horizon=7, events=shift)
    assert model.fit(pd.DataFrame({"day": days, "y": values})).schema_.season == ()


def test_a_season_does_not_depend_on_the_unit() -> None:
    weekly = 9 + 2 * np.sin(2 * np.pi * DAY / 7) + np.random.default_rng(1).normal(size=300)
    assert [shown_seasons(DAILY, [weekly * unit]) for unit in (1e-20, 1e-15, 1, 1e15)] == [(7,)] * 4


def panel_of(frame: pd.DataFrame, ahead: int = 5) -> Panel:
    table = table_from_frame(frame)
    return read_as(table, read(table, TableSettings()).schema, horizon=ahead).panel


def test_a_week_of_hours_is_found_where_it_is() -> None:
    hours = synthesize("multi-season", series=2, length=1400)
    assert choose_lags(panel_of(hours), (24,)) == (24, 168)
    daily = pd.DataFrame({"time": pd.date_range("2024-01-01", periods=800, freq="h")})
    noise = np.random.default_rng(0).normal(size=800).cumsum()
    daily["y"] = 10 * np.sin(np.arange(800) * 2 * np.pi / 24) + noise
    assert choose_lags(panel_of(daily), (24,)) == (24,)


@given(
    st.integers(1, 500),
    st.lists(st.integers(2, 400), max_size=2, unique=True),
    st.integers(1, 5000),
)
def test_a_lookback_holds_a_season_and_no_padding(
    horizon: int, seasons: list[int], longest: int
) -> None:
    lookback = choose_lookback(horizon, tuple(sorted(seasons)), longest)
    assert 1 <= lookback <= max(1, longest - 1)
    if longest > 5000 // 2 and seasons:
        assert lookback >= min(min(seasons), 168)
