"""Positions of a season that always held one value are found in the past alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.effects.closed import (
    NONE_CLOSED,
    closed_groups,
    closed_now,
    drop_contradictions,
    find_closures,
    fixed_values,
)
from forecast.panel.infer import Reading, read
from forecast.panel.panel import series_index
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame

DAYS = pd.date_range("2022-01-03", periods=700)  # from a Monday to a Sunday
SUNDAY = np.asarray(DAYS.day_of_week == 6)


def sales(seed: int = 0, days: pd.DatetimeIndex = DAYS) -> np.ndarray:
    """Daily sales of a shop that is closed on Sundays."""
    draw, week = np.random.default_rng(seed), np.array([1, 1, 1, 1.1, 1.3, 1.5, 0])
    return np.round(100 * np.exp(draw.normal(0, 0.1, len(days))) * week[days.day_of_week])


def table(
    events: pd.DataFrame | None = None, season: int | tuple[int, ...] = (), **columns: Any
) -> Reading:
    frame = pd.DataFrame({"time": columns.pop("time", DAYS), **columns})
    named = None if events is None else table_from_frame(events)
    settings = TableSettings(season=season).model_copy(update={"events": named})
    return read(table_from_frame(frame), settings, horizon=14)


def found(reading: Reading) -> list[tuple[int, str, float]]:
    return closed_groups(
        find_closures(reading.panel, reading.schema, reading.panel.lengths), reading.schema
    )


def fixed(reading: Reading) -> np.ndarray:
    """The values of all slots of one series, those ahead included."""
    panel, schema = reading.panel, reading.schema
    values = fixed_values(find_closures(panel, schema, panel.lengths), panel, schema)
    return np.full(len(panel.values), np.nan) if values is None else values


def test_closed_sundays_are_found() -> None:
    assert found(table(a=sales(1), b=sales(2) + 5, c=sales(3) + np.arange(700))) == [
        (1, "on Sundays", 0.0),
        (1, "on Sundays", 5.0),
    ]
    np.testing.assert_array_equal(np.flatnonzero(fixed(table(a=sales())) == 0) % 7, 6)


def test_eight_cycles_are_needed_and_no_exception() -> None:
    assert found(table(time=DAYS[:56], a=sales()[:56])) == [(1, "on Sundays", 0.0)]
    assert found(table(time=DAYS[:55], a=sales()[:55])) == []
    once = sales()
    once[6] = 1
    assert found(table(a=once)) == []


def test_a_wave_that_repeats_but_for_rounding_closes_at_no_hour() -> None:
    hours = pd.date_range("2022-01-03", periods=24 * 40, freq="h")
    assert found(table(time=hours, wave=np.sin(2 * np.pi * np.arange(24 * 40) / 24))) == []


def test_what_repeats_as_a_whole_and_what_never_moves_stay_as_they_are() -> None:
    assert found(table(week=np.tile([1.0, 2, 3, 4, 5, 6, 0], 100), constant=np.zeros(700))) == []
    week = np.tile([1.0, 2, 3, 4, 5, 6, 0], 8)[:-3]  # too short for three days of the week
    assert found(table(time=DAYS[: len(week)], week=week)) == []


def test_rare_sales_are_not_taken_for_closed_days() -> None:
    draw = np.random.default_rng(5)
    rare = {f"s{n:04}": (draw.random(700) < 0.1) * draw.integers(1, 9, 700) for n in range(300)}
    assert sum(count for count, _, _ in found(table(**rare))) <= 1


def test_nights_follow_the_clock_of_the_zone() -> None:
    utc = pd.date_range("2024-01-31 23:00", periods=24 * 90, freq="h", tz="UTC")
    local = utc.tz_convert("Europe/Berlin")
    load = np.round(np.random.default_rng(3).uniform(50, 90, len(utc)), 1) * (
        (local.hour >= 5) & (local.hour < 22)
    )
    reading = read(
        table_from_frame(
            pd.DataFrame({"time": local.map(lambda at: at.isoformat()), "load": load})
        ),
        TableSettings(timezone="Europe/Berlin"),
        horizon=48,
    )
    assert found(reading) == [(1, "at 00:00 to 04:00, 22:00 to 23:00", 0.0)]
    slots = fixed(reading)
    np.testing.assert_array_equal(np.isfinite(slots[: len(load)]), load == 0)
    ahead = pd.date_range(local[-1], periods=49, freq="h")[1:].hour
    np.testing.assert_array_equal(slots[-48:] == 0, (ahead < 5) | (ahead >= 22))


def test_months_weekdays_hours_of_a_week_and_steps_are_named() -> None:
    draw = np.random.default_rng(4)
    months = pd.date_range("2010-01-01", periods=120, freq="MS")
    assert found(table(time=months, a=draw.uniform(1, 9, 120) * (months.month != 8))) == [
        (1, "in August", 0.0)
    ]
    days = pd.bdate_range("2022-01-03", periods=300)
    assert found(table(time=days, a=draw.uniform(1, 9, 300) * (days.day_of_week != 4))) == [
        (1, "on Fridays", 0.0)
    ]
    hours = pd.date_range("2024-01-01", periods=24 * 140, freq="h")
    weekend = (hours.day_of_week == 6) & (hours.hour >= 20)
    assert found(table(time=hours, a=draw.uniform(1, 9, len(hours)) * ~weekend)) == [
        (1, "at Sun 20:00 to Sun 23:00", 0.0)
    ]
    steps = np.arange(1, 201)
    every_fifth = table(season=5, time=steps, a=draw.uniform(1, 9, 200) * (steps % 5 != 3))
    assert found(every_fifth) == [(1, "at step 3 of 5", 0.0)]


def test_later_values_change_nothing() -> None:
    reading, before = table(a=sales(1), b=sales(2)), np.array([500, 300])
    panel, schema = reading.panel, reading.schema
    first = find_closures(panel, schema, before)
    late = np.arange(len(panel.values)) - np.repeat(
        panel.offsets[:-1], np.diff(panel.offsets)
    ) >= np.repeat(before, 714)
    other = replace(panel, values=np.where(late, panel.values * 3 + 7, panel.values))
    for name, value in vars(find_closures(other, schema, before)).items():
        np.testing.assert_array_equal(value, getattr(first, name))
    assert len(first) == 2
    kept = drop_contradictions(first, other, schema, np.array([500, panel.lengths[1]]))
    assert kept.series.tolist() == [0]


def test_a_new_series_is_searched_by_itself() -> None:
    reading = table(a=sales(1), b=sales(2))
    panel, schema = reading.panel, reading.schema
    index = series_index((("a",),), panel.ids)
    closed = find_closures(panel.select(np.array([0])), schema, panel.lengths[:1])
    assert closed_now(closed, panel, schema, index, panel.lengths, 1).series.tolist() == [0, 1]
    assert closed_now(NONE_CLOSED, panel, schema, index, panel.lengths, 1).series.tolist() == [1]


@pytest.mark.parametrize("named", ["open", "all"])
def test_an_event_that_opens_a_day_is_left_open(named: str) -> None:
    """Two Sundays a year are open; others may have a name, too."""
    opened = [27, 48, 79, 99]  # Sundays, by number
    values, sundays = sales(), np.flatnonzero(SUNDAY)
    values[sundays[opened]] = [80, 95, 70, 88]
    weeks = pd.date_range(DAYS[6], periods=102, freq="7D")
    ahead = pd.DataFrame({"date": [weeks[101]], "name": "open"})
    events = pd.concat([pd.DataFrame({"date": weeks[opened], "name": "open"}), ahead])
    if named == "all":
        rest = [number for number in range(101) if number not in opened]
        events = pd.concat([events, pd.DataFrame({"date": weeks[rest], "name": "closed"})])
    assert found(table(a=values)) == []
    reading = table(events, a=values)
    assert found(reading) == [(1, "on Sundays", 0.0)]
    slots = fixed(reading)[6::7]
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(slots)), [*opened, 101])


def test_a_new_event_may_open_a_day_later() -> None:
    events = pd.DataFrame({"date": [DAYS[-1], DAYS[-1] + pd.Timedelta(days=7)], "name": "fair"})
    values = sales()
    values[-1] = 90
    reading = table(events, a=values)
    panel, schema = reading.panel, reading.schema
    closed = find_closures(panel, schema, np.array([600]))
    kept = drop_contradictions(closed, panel, schema, panel.lengths)
    assert kept.opened == ((0, "fair"),)
    slots = fixed_values(kept, panel, schema)
    assert slots is not None
    assert np.isnan(slots[706])
    assert slots[713] == 0
