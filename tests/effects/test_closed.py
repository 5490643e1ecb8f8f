"""Positions of a season that always held one value are found in the past alone, and runs of one value are suspects."""

import json
from dataclasses import replace
from pathlib import Path
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
from tests.conftest import DATA, Run

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


SHOP_DAYS = pd.date_range("2023-01-02", periods=200)


def shops() -> pd.DataFrame:
    draw, week = (
        np.random.default_rng(0),
        np.array([0.8, 0.9, 0.9, 1.0, 1.1, 1.3, 0.0])[SHOP_DAYS.day_of_week],
    )
    sold = {shop: draw.poisson(60 * week) for shop in "abc"}
    return pd.concat(
        [pd.DataFrame({"day": SHOP_DAYS, "shop": shop, "sold": of}) for shop, of in sold.items()]
    )


def test_runs_and_outliers_are_named_as_lines_of_events_that_can_be_pasted(
    forecast: Run, tmp_path: Path
) -> None:
    data = shops()
    a, b = data["shop"] == "a", data["shop"] == "b"
    data.loc[data["day"].between("2023-02-06", "2023-02-11"), "sold"] = (
        0  # all are closed, on Sundays as ever
    )
    data.loc[
        a
        & data["day"].between("2023-03-06", "2023-03-20")
        & (data["day"].dt.day_name() != "Sunday"),
        "sold",
    ] = 41
    data.loc[b & (data["day"] == "2023-05-10"), "sold"] = 6000
    data.to_csv(tmp_path / "shops.csv", index=False)
    shown = forecast("inspect", tmp_path / "shops.csv", "--id", "shop")
    lines = shown.out.splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("suspects "))
    assert lines[start].startswith("suspects 3 runs of one value or of low ones, lone outliers, ")
    pasted = "\n".join(line.strip() for line in lines[start + 1 :] if line.startswith("   "))
    assert pasted.splitlines() == [
        "start,end,name,kind,shop",
        "2023-02-06,2023-02-11,zeros,closed,",
        "2023-03-06,2023-03-20,one value,ignore,a",
        "2023-05-10,2023-05-10,outlier,ignore,b",
    ]
    (tmp_path / "events.csv").write_text(pasted + "\n")
    known = forecast(
        "inspect",
        tmp_path / "shops.csv",
        "--id",
        "shop",
        "--events",
        tmp_path / "events.csv",
        "--json",
    )
    facts = json.loads(known.out)
    assert facts["suspects"] == []
    assert {event["kind"] for event in facts["table"]["dated_events"]} == {"closed", "ignore"}


@pytest.mark.parametrize("share", [0.05, 0.15])
@pytest.mark.parametrize("first", ["2023-03-07", "2023-07-07"])
def test_two_weeks_of_a_tenth_of_the_usual_are_suspected_as_a_stock_out(
    forecast: Run, tmp_path: Path, share: float, first: str
) -> None:
    """In the middle, and as the newest days."""
    data = shops()
    last = str(pd.Timestamp(first) + pd.Timedelta(days=13))[:10]
    sold_out = (data["shop"] == "b") & data["day"].between(first, last)
    draw = np.random.default_rng(1)
    data.loc[sold_out, "sold"] = draw.binomial(data.loc[sold_out, "sold"], share)
    (row,) = suspected(forecast, tmp_path, data, "--id", "shop")
    assert (row["kind"], row["name"], row["ids"]) == ("stock_out", "low", ["b"])
    assert (row["start"], row["end"]) == (first, min(last, "2023-07-20"))


STRIKES = ["2023-04-05", "2023-04-28", "2023-04-29", "2023-05-01", "2023-06-20"]
STRIKE_ROWS = [("2023-04-05", "2023-04-05"), ("2023-04-28", "2023-05-01"), ("2023-06-20",) * 2]


def strikes(shops: int, rate: float, closed: float) -> pd.DataFrame:
    """Sales of shops that rest on Sundays; a share of the shops is `closed` on days of strike."""
    draw = np.random.default_rng(5)
    off = SHOP_DAYS.strftime("%Y-%m-%d").isin(STRIKES)
    sunday = SHOP_DAYS.day_of_week == 6
    sold = draw.poisson(rate, (shops, len(SHOP_DAYS))) * ~sunday
    sold[: round(closed * shops), off] = 0
    sold[round(closed * shops) :, off] = 7
    table = pd.DataFrame(sold.T, columns=[f"shop {n}" for n in range(shops)])
    table.insert(0, "day", SHOP_DAYS)
    return table


def suspected(forecast: Run, folder: Path, table: pd.DataFrame, *words: object) -> list[Any]:
    table.to_csv(folder / "strikes.csv", index=False)
    shown = forecast("inspect", folder / "strikes.csv", "--json", *words)
    assert shown.code == 0, shown.err
    found: list[Any] = json.loads(shown.out)["suspects"]
    return found


@pytest.mark.parametrize(("shops", "rate", "closed"), [(5, 20, 1), (60, 1, 1), (30, 20, 0.95)])
def test_days_on_which_all_are_closed_at_once_are_named_once(
    forecast: Run, tmp_path: Path, shops: int, rate: float, closed: float
) -> None:
    table = strikes(shops, rate, closed)
    found = suspected(forecast, tmp_path, table)
    assert [(row["start"], row["end"]) for row in found] == STRIKE_ROWS  # over the closed Sunday
    assert {(row["kind"], row["name"], *row["ids"]) for row in found} == {("closed", "zeros")}
    shown = forecast("inspect", tmp_path / "strikes.csv").out
    pasted = [line.strip() for line in shown.splitlines() if line.startswith("     ")]
    assert pasted[1:] == [f"{start},{end},zeros,closed" for start, end in STRIKE_ROWS]
    for kind in ("closed", "ignore", "effect"):
        events = tmp_path / f"{kind}.csv"
        events.write_text("\n".join(pasted).replace("closed", kind))
        assert suspected(forecast, tmp_path, table, "--events", events) == []


@pytest.mark.parametrize(("shops", "rate", "closed"), [(4, 20, 1), (5, 0.5, 1), (40, 20, 0.6)])
def test_zeros_of_few_series_or_by_chance_are_not_named(
    forecast: Run, tmp_path: Path, shops: int, rate: float, closed: float
) -> None:
    assert suspected(forecast, tmp_path, strikes(shops, rate, closed)) == []


@pytest.mark.parametrize(
    "name", ["air_passengers.csv", "jfk_temperature.csv", "us_unemployment.csv", "lumpy", "shops"]
)
def test_ordinary_tables_and_lumpy_sales_have_no_suspects(
    forecast: Run, tmp_path: Path, name: str
) -> None:
    path = DATA / name
    if name == "lumpy":
        draw, months = np.random.default_rng(3), pd.date_range("2018-01-01", periods=51, freq="MS")
        sold = draw.poisson(3, (51, 60)) * (draw.random((51, 60)) < np.linspace(0.05, 0.6, 60))
        table = pd.DataFrame(sold, columns=[f"part {n}" for n in range(60)])
        table.insert(0, "month", months)
    if name in ("lumpy", "shops"):
        path = tmp_path / "data.csv"
        path.write_text((table if name == "lumpy" else shops()).to_csv(index=False))
    words = ("--id", "shop") if name == "shops" else ()
    assert "suspects" not in forecast("inspect", path, *words).out
