"""How one fit reads tables in another way than the one before, in words."""

import logging

import pandas as pd
import pytest

from forecast import Forecaster
from forecast.panel.schema import Schema
from forecast.reading.comparing import schema_differences


def schema(frame: pd.DataFrame, **knobs: object) -> Schema:
    return Forecaster(model="last", horizon=2, **knobs).fit(frame).schema_


def wide(columns: int, freq: str = "D") -> pd.DataFrame:
    days = pd.date_range("2024-01-01", periods=40, freq=freq)
    return pd.DataFrame({"day": days} | {f"s{place}": [n * n % 37 for n in range(40)] for place in range(columns)})


def test_each_field_that_differs_is_named_with_what_it_was(panel_frame: pd.DataFrame) -> None:
    before = schema(panel_frame, target="units", known="promo")
    now = schema(panel_frame, target="price", past="promo", season=3, on_duplicate="sum")
    assert schema_differences(before, now) == [
        "target price, was units",
        "season 3, was 12",
        "known none, was promo",
        "past promo, was none",
        "left out units, size, was price, size",
        "on duplicate sum, was error",
    ]
    assert schema_differences(now, now) == []


def test_columns_of_a_wide_table_that_came_and_went_are_named(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    found = schema_differences(schema(wide(9)), schema(wide(8).rename(columns={"s3": "t"})))
    assert found == ["series with t and without s3, s8"]
    assert schema_differences(schema(wide(2)), schema(wide(2, "h")))[0] == "freq h, was D"
