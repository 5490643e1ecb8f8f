"""What events do is found in the past alone, taken out of it, and put back."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.effects.chain import Adjusted, Effects, remove_effects
from forecast.effects.event_effects import EventEffects, fit_events
from forecast.panel.infer import Reading, read
from forecast.panel.panel import Integers, series_index
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame
from forecast.tables.table import Table

WEEK = np.array([1.0, 1.05, 1.05, 1.1, 1.2, 0.8, 0.7])


def rides(seed: int, years: int = 3, effect: float = -0.6, name: str = "rides") -> pd.DataFrame:
    """Daily counts with a week, a wandering level, noise of 8 %, and a Christmas."""
    draw, days = np.random.default_rng(seed), pd.date_range("2018-01-01", periods=365 * years)
    level = 2000 * np.exp(draw.normal(0, 0.005, len(days)).cumsum())
    mean = level * WEEK[days.day_of_week] * np.exp(draw.normal(0, 0.08, len(days)))
    mean[is_christmas(days)] *= 1 + effect
    return pd.DataFrame({"day": days, name: draw.poisson(mean)})


def is_christmas(days: pd.DatetimeIndex) -> np.ndarray:
    return np.asarray((days.month == 12) & (days.day == 25))


def with_events(settings: TableSettings, events: Table) -> TableSettings:
    return settings.model_copy(update={"events": events})


def christmases(frame: pd.DataFrame, **settings: Any) -> Reading:
    """A table of series with the event Christmas in its past and future."""
    dates = pd.to_datetime([f"{year}-12-25" for year in range(2017, 2026)])
    events = table_from_frame(pd.DataFrame({"date": dates, "name": "christmas"}))
    return read(table_from_frame(frame), with_events(TableSettings(**settings), events), horizon=14)


def found_in(reading: Reading, before: Integers | None = None) -> EventEffects:
    return fit_events(
        reading.panel, reading.schema, reading.panel.lengths if before is None else before
    )


def adjusted(reading: Reading, effects: EventEffects) -> Adjusted:
    """The table without effects."""
    panel = reading.panel
    index = series_index(panel.ids, panel.ids)
    return remove_effects(panel, reading.schema, Effects(events=effects), index, None)


def of(effects: EventEffects, label: str = "christmas") -> float:
    return float(effects.typical[0, effects.labels.index(label)])


@pytest.mark.parametrize("seed", range(5))
def test_an_effect_is_found_from_three_times(seed: int) -> None:
    assert of(found_in(christmases(rides(seed)))) == pytest.approx(-0.6, rel=0.2)


def test_what_comes_later_changes_nothing() -> None:
    reading = christmases(rides(1))
    before = np.array([800])
    changed = reading.panel.values.copy()
    changed[800:] *= 7
    later = fit_events(
        type(reading.panel)(**{**vars(reading.panel), "values": changed}), reading.schema, before
    )
    then = found_in(reading, before)
    for name, value in vars(then).items():
        np.testing.assert_array_equal(getattr(later, name), value)


def test_chance_is_no_effect() -> None:
    sizes = [
        np.abs(found_in(christmases(rides(seed, effect=0.0))).typical).max() for seed in range(8)
    ]
    assert np.median(sizes) == 0
    assert max(sizes) < 0.15


def test_an_effect_seen_once_needs_a_strong_sign() -> None:
    once = found_in(christmases(rides(3, years=1)))
    assert of(once) == pytest.approx(-0.6, rel=0.3)


def test_effects_are_taken_out_and_put_back() -> None:
    reading = christmases(rides(2))
    panel, effects = reading.panel, found_in(reading)
    moved = adjusted(reading, effects)
    days = pd.date_range("2018-01-01", periods=len(panel.values))
    christmas = np.flatnonzero(is_christmas(days) & panel.observed)
    neighbours = (panel.values[christmas - 7] + panel.values[christmas - 14]) / 2
    np.testing.assert_allclose(moved.panel.values[christmas] / neighbours, 1, atol=0.25)
    slots = np.arange(len(panel.values))[None]
    np.testing.assert_allclose(moved.restore(moved.panel.values[None], slots)[0], panel.values)


def test_a_closed_day_is_forecast_as_zero_and_hidden_from_models() -> None:
    frame = rides(2)
    frame.loc[is_christmas(pd.DatetimeIndex(frame["day"])), "rides"] = 0
    reading = christmases(frame)
    panel = reading.panel
    moved = adjusted(reading, found_in(reading))
    closed = np.flatnonzero(panel.observed & (panel.values == 0))
    assert len(closed) == 3
    assert (moved.factor[closed] == 0).all()
    assert not moved.panel.observed[closed].any()


def test_series_share_an_effect_and_each_reacts_in_its_own_way() -> None:
    effects = (-0.6, -0.6, -0.6, 0.5, 0.0)
    frames = [
        rides(10 + place, effect=effect, name=f"s{place}") for place, effect in enumerate(effects)
    ]
    wide = frames[0]
    for place, frame in enumerate(frames[1:], start=1):
        wide[f"s{place}"] = frame[f"s{place}"] * 10**place
    reading = christmases(wide)
    panel = reading.panel
    moved = adjusted(reading, found_in(reading))
    days = pd.date_range("2018-01-01", periods=int(np.diff(panel.offsets)[0]))
    first = int(np.flatnonzero(is_christmas(days))[0])
    np.testing.assert_allclose(moved.factor[panel.offsets[:-1] + first] - 1, effects, atol=0.15)


def test_values_below_zero_move_by_a_sum() -> None:
    frame = rides(4)
    frame["rides"] -= 2000
    reading = christmases(frame)
    panel = reading.panel
    moved = adjusted(reading, found_in(reading))
    assert (moved.factor == 1).all()
    days = pd.date_range("2018-01-01", periods=len(panel.values))
    assert (moved.shift[is_christmas(days)] < -600).all()
    assert (
        not moved.shift[~is_christmas(days)].any()
        or np.abs(moved.shift[~is_christmas(days)]).max() < 300
    )


def test_a_holiday_that_only_takes_the_place_of_a_busy_day_falls_less_on_a_quiet_one() -> None:
    """As of births: on a holiday wards work as on a Sunday, whatever day of the week it is."""
    draw, days = np.random.default_rng(5), pd.date_range("2005-01-01", periods=3650)
    week = np.array([1.1, 1.15, 1.15, 1.15, 1.1, 0.75, 0.6])[days.day_of_week]
    mean = np.where(is_christmas(days), 0.55, week)
    frame = pd.DataFrame(
        {"day": days, "births": 10_000 * mean * np.exp(draw.normal(0, 0.02, len(days)))}
    )
    dates = pd.to_datetime([f"{year}-12-25" for year in range(2005, 2016)])
    events = table_from_frame(pd.DataFrame({"date": dates, "name": "christmas"}))
    reading = read(table_from_frame(frame), with_events(TableSettings(), events), horizon=400)
    panel, effects = reading.panel, found_in(reading)
    moved = adjusted(reading, effects)
    all_days = pd.date_range("2005-01-01", periods=len(panel.values))
    christmas = np.flatnonzero(is_christmas(all_days))
    quiet = all_days[christmas].day_of_week == 6
    np.testing.assert_allclose(moved.factor[christmas[quiet]], 0.92, atol=0.08)
    np.testing.assert_allclose(
        moved.factor[christmas[all_days[christmas].day_of_week == 2]], 0.48, atol=0.05
    )
    assert effects.exponent > 0


def test_hours_of_a_day_share_its_effect() -> None:
    draw, hours = np.random.default_rng(6), pd.date_range("2020-01-01", periods=24 * 800, freq="h")
    profile = np.where(hours.hour < 6, 2.0, 20.0)
    frame = pd.DataFrame(
        {"at": hours, "y": draw.poisson(profile * np.where(is_christmas(hours), 0.4, 1.0))}
    )
    reading = christmases(frame)
    panel = reading.panel
    moved = adjusted(reading, found_in(reading))
    factors = moved.factor[
        is_christmas(pd.date_range("2020-01-01", periods=len(panel.values), freq="h"))
    ]
    assert np.ptp(factors[:24]) < 1e-12
    np.testing.assert_allclose(factors, 0.4, atol=0.08)


def test_two_names_of_one_day_share_its_effect_even_without_noise() -> None:
    days = pd.date_range("2018-01-01", periods=1100)
    frame = pd.DataFrame(
        {"day": days, "y": 100 * WEEK[days.day_of_week] * np.where(is_christmas(days), 0.5, 1.0)}
    )
    dates = pd.to_datetime([f"{year}-12-25" for year in range(2018, 2022)])
    events = table_from_frame(
        pd.DataFrame({"date": [*dates, *dates], "name": ["christmas"] * 4 + ["yule"] * 4})
    )
    reading = read(table_from_frame(frame), with_events(TableSettings(), events), horizon=400)
    panel = reading.panel
    moved = adjusted(reading, found_in(reading))
    all_days = pd.date_range("2018-01-01", periods=len(panel.values))
    np.testing.assert_allclose(moved.factor, np.where(is_christmas(all_days), 0.5, 1.0), atol=1e-3)


def test_nothing_is_found_where_nothing_happened() -> None:
    quiet = christmases(rides(7, years=1)[:100])
    effects = found_in(quiet)
    assert effects.labels == ()
    moved = adjusted(quiet, effects)
    assert (moved.factor == 1).all()


def test_holidays_on_which_all_values_were_0_are_0() -> None:
    dates = pytest.importorskip("holidays").country_holidays("DE", years=(2022, 2023))
    days = pd.date_range("2022-01-01", "2023-12-31")
    is_holiday = np.array([day in dates for day in days])
    is_eve = np.append(is_holiday[1:], False)
    draw = np.random.default_rng(0)
    tables = []
    for shop in range(3):
        mean = 300 * WEEK[days.day_of_week] * np.where(is_eve, 1 + 0.5 * shop, 1.0)
        units = np.round(mean * np.exp(draw.normal(0, 0.1, len(days))))
        units[is_holiday] *= 0.5 * (shop == 2)  # the last one is open
        tables.append(pd.DataFrame({"id": f"shop {shop}", "day": days, "units": units}))
    table = pd.concat(tables)
    model = Forecaster(model="seasonal-mean", horizon=31, holidays="DE")
    found = model.fit(table[table["day"] < "2023-12-01"]).predict()
    found = found[found["day"].dt.day.isin([25, 26])]
    is_closed = found["id"] < "shop 2"
    assert not found.loc[is_closed, ["forecast", "lo_95", "hi_95"]].to_numpy().any()
    assert (found.loc[~is_closed, "forecast"] > 0).all()
