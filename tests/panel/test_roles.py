"""Columns that repeat the calendar or number the rows are no series, and that is said."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.panel.infer import read
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame
from forecast.tables.table import Table
from tests.conftest import Run

DAYS = pd.date_range("2011-06-01", periods=400)


def daily(**columns: Any) -> pd.DataFrame:
    noise = np.random.default_rng(0).normal(100, 5, len(DAYS)).round(1)
    return pd.DataFrame({"date": DAYS.strftime("%Y-%m-%d"), **columns, "cnt": noise})


def left_out(frame: pd.DataFrame, **settings: Any) -> dict[str, str]:
    return read(table_from_frame(frame), TableSettings.check(settings)).schema.calendar_columns


@pytest.fixture
def rides(tmp_path: Path) -> Path:
    """A table as rental services publish them."""
    days = pd.DatetimeIndex(DAYS)
    parts = {"yr": days.year - 2011, "mnth": days.month, "weekday": (days.day_of_week + 1) % 7}
    frame = daily(**parts, holiday=days.day % 9 == 0, temp=np.sin(np.arange(400))).astype(
        {"holiday": int}
    )
    frame.insert(0, "instant", range(1, 401))
    frame.to_csv(tmp_path / "rides.csv", index=False)
    return tmp_path / "rides.csv"


def test_what_is_forecast_and_what_is_left_out_is_said(
    forecast: Run, rides: Path, tmp_path: Path
) -> None:
    store = ("--artifact", tmp_path / "store")
    fit = forecast("fit", rides, "--model", "last", "--horizon", 2, *store)
    assert fit.code == 0
    assert "columns  holiday, temp, cnt: each is forecast by itself" in fit.err
    assert (
        "left out instant (row number), yr (year), mnth (month), weekday (day of the week)"
        in fit.err
    )
    found = forecast("predict", rides, *store)
    assert found.frame["series"].unique().tolist() == ["holiday", "temp", "cnt"]
    assert "left out instant (row number), yr (year)" in forecast("inspect", *store).out


def test_of_many_columns_ten_are_named(forecast: Run, tmp_path: Path) -> None:
    daily(**{f"x{place}": np.cos(np.arange(400) + place) for place in range(14)}).to_csv(
        tmp_path / "d.csv", index=False
    )
    said = forecast("inspect", tmp_path / "d.csv").out
    assert (
        "columns  x0, x1, x2, x3, x4, x5, x6, x7, x8, x9 and 5 more: each is forecast by itself"
        in said
    )


@pytest.mark.parametrize(
    ("name", "kind", "values"),
    [
        ("year", "year", DAYS.year),
        ("Jahr", "year", DAYS.year - 2000),
        ("anything", "year", DAYS.year),
        ("month_nr", "month", DAYS.month),
        ("mes", "month", DAYS.month - 1),
        ("q", "quarter", DAYS.quarter),
        ("day", "day", DAYS.day),
        ("day_of_year", "day of the year", DAYS.day_of_year),
        ("day_of_week", "day of the week", DAYS.day_of_week),
        ("wday", "day of the week", (DAYS.day_of_week + 1) % 7 + 1),
        ("week", "week", DAYS.isocalendar().week.to_numpy(int)),
        ("is_weekend", "weekend", (DAYS.day_of_week >= 5).astype(int)),
        ("rownum", "row number", np.arange(400)),
    ],
)
def test_a_column_of_the_calendar_is_no_series(name: str, kind: str, values: Any) -> None:
    assert left_out(daily(**{name: values})) == {name: kind}


def test_parts_of_the_day_are_none_either() -> None:
    times = pd.date_range("2024-01-01", periods=300, freq="20min", tz="Europe/Berlin")
    frame = pd.DataFrame(
        {"time": times, "hr": times.hour, "minute": times.minute, "y": np.arange(300) % 13}
    )
    assert left_out(frame) == {"hr": "hour", "minute": "minute"}


def test_cells_decide_and_the_name_too() -> None:
    wrong = DAYS.month.to_numpy().copy()
    wrong[7] = 3
    ramps = {
        "month": wrong,
        "saw": DAYS.day_of_week,
        "ramp": np.arange(400),
        "weekday": DAYS.day_of_week + 10,
    }
    assert left_out(daily(**ramps)) == {}


def test_what_the_user_names_is_forecast() -> None:
    frame = daily(month=DAYS.month)
    assert left_out(frame, target=("month", "cnt")) == {}
    assert left_out(frame[["date", "month"]]) == {}
    assert left_out(frame, known=("month",)) == {}


def test_the_target_of_a_long_table_is_open_no_more(tmp_path: Path) -> None:
    frame = pd.concat([daily(year=DAYS.year, mnth=DAYS.month).assign(shop=shop) for shop in "ab"])
    schema = Forecaster(model="last", horizon=1).fit(frame).schema_
    assert (schema.ids, schema.target) == (("shop",), "cnt")


def test_the_names_of_a_wide_table_are_not_gone_through_for_each_column(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[int] = []
    names = Table.names.fget
    monkeypatch.setattr(Table, "names", property(lambda table: calls.append(1) or names(table)))
    days = pd.date_range("2024-01-01", periods=30)
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 200)), index=days)
    read(table_from_frame(frame.rename(columns="s{}".format)), TableSettings())
    assert len(calls) < 50
