"""What a fit rests on: what is held out is not seen, and series that are too short are refused with a way out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecast.engine.stages import prepare
from forecast.errors import BadData, UsageError
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema
from forecast.reading.reading import read
from forecast.settings import TableSettings, TrainSettings
from forecast.tables.reading import table_from_frame

HORIZON = 7


def read_days(values: np.ndarray, horizon: int = HORIZON) -> tuple[Panel, Schema]:
    frame = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=len(values)), "value": values})
    reading = read(table_from_frame(frame), TableSettings(), horizon=horizon)
    return reading.panel, reading.schema


@pytest.fixture(scope="module")
def week() -> np.ndarray:
    """A closed Sunday, and growth that asks for a transform."""
    days = np.arange(210)
    return np.where(days % 7 == 6, 0.0, np.exp(days / 60) * (10 + days % 7))


def test_what_is_held_out_changes_nothing_that_a_fit_rests_on(week: np.ndarray) -> None:
    panel, schema = read_days(week)
    ready = prepare(panel, schema, TrainSettings(), "days.csv", None)
    end = int(ready.split.train_end[0])
    assert 0 < end < panel.lengths[0]
    assert len(ready.closed) == 1
    later = np.arange(len(panel.values)) >= end
    other = prepare(
        replace(panel, values=np.where(later, 1e6, panel.values)), schema, TrainSettings(), "days.csv", None
    )
    assert other.transform.power == ready.transform.power
    assert (other.closed.phase == ready.closed.phase).all()
    assert other.lookback == ready.lookback
    assert other.statistics == ready.statistics


def test_a_lookback_that_no_series_holds_names_the_longest(week: np.ndarray) -> None:
    panel, schema = read_days(week[:60])
    with pytest.raises(UsageError, match=r"longest series of days\.csv, which has 60 steps"):
        prepare(panel, schema, TrainSettings(lookback=5_000), "days.csv", None)


def test_series_that_are_too_short_for_a_network_name_the_pretrained_one(week: np.ndarray) -> None:
    panel, schema = read_days(week[:5], 20)
    with pytest.raises(BadData, match="5 values, too few to learn a horizon of 20 from") as refused:
        prepare(panel, schema, TrainSettings(model="gru"), "days.csv", None)
    assert "pretrained" in str(refused.value)
    assert not prepare(panel, schema, TrainSettings(model="pretrained"), "days.csv", None).trains


def test_a_model_that_is_a_baseline_trains_no_network(week: np.ndarray) -> None:
    panel, schema = read_days(week)
    assert not prepare(panel, schema, TrainSettings(model="theta"), "days.csv", None).trains
    assert prepare(panel, schema, TrainSettings(model="gru"), "days.csv", None).trains
