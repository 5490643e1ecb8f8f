"""A table that was read is read again only where another schema differs."""

import logging

import numpy as np
import pandas as pd
import pytest

from forecast.calendar.parsing import parse_times
from forecast.reading.dated import dated_table
from forecast.reading.reading import read, read_as
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame


def days(count: int) -> pd.DataFrame:
    day = pd.date_range("2024-01-01", periods=count).strftime("%Y-%m-%d")
    return pd.DataFrame({"day": day, "y": np.arange(count) % 7})


def test_another_schema_reads_only_what_it_reads_otherwise() -> None:
    frame = days(60).assign(kind=["a", "b", "c"] * 20)
    reading = read(table_from_frame(frame), TableSettings(known=("kind",)), horizon=5)
    same = read_as(reading, reading.schema, horizon=5)
    assert same.panel.values is reading.panel.values
    fewer = reading.schema.model_copy(update={"categories": {"kind": ("a", "b")}})
    other = read_as(reading, fewer, horizon=5)
    assert other.grid is reading.grid
    np.testing.assert_array_equal(other.panel.known[:3, 0], [1, 2, 0])
    summed = read_as(reading, reading.schema.model_copy(update={"on_duplicate": "sum"}), horizon=5)
    assert summed.grid is not reading.grid


def test_a_status_is_reported_once_unless_it_changes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "forecast")
    frame = days(60).assign(ended=lambda table: table["y"].where(table.index < 40), constant=5)
    reading = read(table_from_frame(frame), TableSettings(), horizon=5, lookback=30)
    assert reading.panel.status == ("constant", "ok", "ok")
    read_as(reading, reading.schema, horizon=5, lookback=30)
    assert caplog.text.count("series never change") == 0
    assert caplog.text.count("ended more than a lookback") == 0
    assert read_as(reading, reading.schema, horizon=5, lookback=10).panel.status == ("constant", "ended", "ok")
    assert caplog.text.count("ended more than a lookback") == 1


def test_times_that_depend_on_their_series_are_parsed_again_by_series() -> None:
    hours = pd.date_range("2024-10-26", periods=72, freq="h", tz="Europe/Berlin")
    text = [str(hour)[:19] for hour in hours]
    frame = pd.concat([pd.DataFrame({"shop": shop, "hour": text, "y": np.arange(72)}) for shop in ("a", "b")])
    settings = TableSettings(timezone="Europe/Berlin")
    dated = dated_table(table_from_frame(frame), settings)
    assert dated.times is not None
    assert dated.times.needs_series
    reading = read(dated, settings, horizon=3)
    by_series = parse_times(dated.table, ("hour",), reading.schema.time_settings, reading.observations.series)
    np.testing.assert_array_equal(reading.observations.row_timestamps, by_series.timestamps)
    assert reading.panel.observed.sum() == 144
