"""The time stands in one column; one that repeats beside a finer part of it is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.errors import BadData, UsageError
from forecast.panel.schema import Schema
from forecast.settings import TextSettings
from forecast.tables.reading import read_table

WHOLE = "write each time as a whole in one column, such as 2024-01 or 2024-01-31 13:00"


def fitted(frame: pd.DataFrame, path: Path, **settings: Any) -> Schema:
    """The schema of a frame that is written and read as CSV."""
    frame.to_csv(path / "data.csv", index=False)
    table = read_table(str(path / "data.csv"), TextSettings())
    return Forecaster(model="seasonal-naive", horizon=2, **settings).fit(table).schema_


MONTHS = pd.date_range("1990-01-01", periods=96, freq="MS")
HOURS = pd.date_range("2023-01-01", periods=480, freq="h")
DATES = HOURS.strftime("%Y-%m-%d")


@pytest.mark.parametrize(
    ("columns", "time", "finer"),
    [
        ({"year": MONTHS.year, "month": MONTHS.month}, "year", "month"),
        ({"month": MONTHS.strftime("%b"), "year": MONTHS.year}, "year", "month"),
        ({"year": MONTHS.year, "quarter": MONTHS.quarter}, "year", "quarter"),
        ({"date": DATES, "hr": HOURS.hour}, "date", "hr"),
        ({"date": DATES, "time": HOURS.strftime("%H:%M")}, "date", "time"),
    ],
)
@pytest.mark.parametrize("shops", [(), ("a", "b")])
def test_a_time_that_repeats_beside_a_finer_part_is_refused(
    columns: dict[str, Any], time: str, finer: str, shops: tuple[str, ...], tmp_path: Path
) -> None:
    frame = pd.DataFrame(columns)
    if finer == "quarter":
        frame = frame.drop_duplicates()
    frame["y"] = np.arange(len(frame)) % 9 / 2
    if shops:
        frame = pd.concat([frame.assign(shop=shop) for shop in shops])
    repeats = f"times repeat in column '{time}', and '{finer}' looks like a finer part of them"
    with pytest.raises(BadData, match=f"{repeats}; {WHOLE}"):
        fitted(frame, tmp_path)


def test_several_columns_of_times_are_refused_by_name(tmp_path: Path) -> None:
    frame = pd.DataFrame({"year": MONTHS.year, "month": MONTHS.month, "y": np.arange(96.0)})
    with pytest.raises(UsageError, match=f"the time is in one column; {WHOLE}"):
        fitted(frame, tmp_path, time=("year", "month"))


def test_an_hour_beside_numbered_series_is_no_part_of_the_time(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=60).strftime("%Y-%m-%d")
    busiest = np.random.default_rng(0).integers(0, 24, 180)
    frame = pd.DataFrame(
        {"date": np.tile(days, 3), "store": np.repeat([1, 2, 3], 60), "hour": busiest}
    )
    schema = fitted(frame.assign(y=np.arange(180) % 7 / 2), tmp_path, target=("y",))
    assert (schema.time, schema.ids) == (("date",), ("store",))


def test_one_column_that_tells_rows_apart_is_enough(tmp_path: Path) -> None:
    days = pd.date_range("2020-01-01", periods=400)
    parts = {"year": days.year, "month": days.month, "hour": np.arange(400) % 24}
    frame = pd.DataFrame({**parts, "date": days.strftime("%Y-%m-%d"), "y": np.arange(400) % 9})
    assert fitted(frame, tmp_path, target=("y",)).time == ("date",)
    shops = pd.concat([frame.assign(shop=shop) for shop in "ab"])
    assert fitted(shops, tmp_path, target=("y",)).time == ("date",)


def test_a_column_whose_name_has_a_comma(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"Date, UTC": pd.date_range("2024-01-01", periods=40).strftime("%F"), "y": range(40)}
    )
    assert fitted(frame, tmp_path, time=("Date", "UTC")).time == ("Date, UTC",)
