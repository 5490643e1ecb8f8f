"""What is wrong with columns known in advance beside those of the last run."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.jobs.checks.finding import Finding
from forecast.jobs.checks.known_columns import check_known
from forecast.panel.infer import read
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame

HOURS = 24 * 12
DAY = slice(24 * 6, 24 * 7)


def panel_of(known: Any) -> tuple[Panel, Schema]:
    times = pd.date_range("2026-03-02", periods=HOURS, freq="h")
    values = np.where(np.arange(HOURS) < HOURS - 24, 5.0 + np.arange(HOURS) % 7, np.nan)
    frame = pd.DataFrame({"time": times, "load": values, "heat": known})
    settings = TableSettings(target="load", known=("heat",))
    reading = read(table_from_frame(frame), settings, horizon=24)
    return reading.panel, reading.schema


def find_wrong(panel: Panel, before: Panel, schema: Schema) -> Finding:
    tonight: Any = SimpleNamespace(
        panel=panel, schema=schema, before=SimpleNamespace(panel=before, schema=schema), past=()
    )
    finding = check_known(tonight)
    assert finding is not None
    return finding


@pytest.mark.parametrize("hours", [1, 6, -6])
def test_hours_of_a_day_that_moved_are_found(hours: int) -> None:
    known = 10 + np.random.default_rng(0).normal(0, 1, HOURS)
    before, schema = panel_of(known)
    moved = known.copy()
    moved[DAY] = np.roll(known, hours)[DAY]
    tonight, _ = panel_of(moved)
    finding = find_wrong(tonight, before, schema)
    assert finding.share == 24
    assert "2026-03-08 00:00" in finding.text
    assert "24 moved by hours" in finding.text
    assert find_wrong(before, before, schema).share == 0


@pytest.mark.parametrize(("level", "wrong"), [(1.0, 0), (20.0, 12)])
def test_a_flag_has_no_scale_and_a_price_has_one(level: float, wrong: int) -> None:
    known = np.full(HOURS, level)
    before, schema = panel_of(known)
    known[-12:] = 0.0
    tonight, _ = panel_of(known)
    assert find_wrong(tonight, before, schema).share == wrong


def test_a_series_of_less_than_a_horizon_has_no_range() -> None:
    known = np.full(HOURS, 20.0)
    before, schema = panel_of(known)
    before = before.tail(23)
    known[-12:] = 0.0
    tonight, _ = panel_of(known)
    assert find_wrong(tonight, before, schema).share == 0


def test_new_forecasts_of_the_weather_are_no_fault() -> None:
    generator = np.random.default_rng(1)
    known = 10 + generator.normal(0, 1, HOURS)
    before, schema = panel_of(known)
    known[-24:] += generator.normal(0, 1, 24)
    tonight, _ = panel_of(known)
    assert find_wrong(tonight, before, schema).share == 0
