"""Saved effects come back as they were, or are refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.artifacts.specs import build_record, split_record
from forecast.effects.closed import Closed
from forecast.effects.columns import ColumnEffects
from forecast.effects.event_effects import EventEffects
from forecast.panel.infer import read
from forecast.panel.schema import Schema
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame


@pytest.fixture
def panel_schema() -> Schema:
    """The schema of a table with two columns known in advance."""
    columns = {"day": pd.date_range("2024-01-01", periods=40), "units": range(40)}
    frame = pd.DataFrame(columns | {"price": 2.5, "promo": 0})
    settings = TableSettings.check({"known": ("price", "promo"), "target": ("units",)})
    return read(table_from_frame(frame), settings).schema


SIZES = {"series": 2}
CLOSED = Closed(
    np.array([0, 0, 1]), np.array([7, 7, 7]), np.array([5, 6, 0]), np.zeros(3), ((1, "Advent"),)
)
EFFECTS = EventEffects(
    labels=("Christmas",),
    effect=np.full((2, 1), -0.5),
    typical=np.full((2, 1), -0.5),
    exponent=-1,
    profile=np.ones((3, 7)),
    unit=np.zeros(3),
    reaction=np.ones(3),
    always_zero=np.zeros((3, 1), np.int64),
)


COLUMN_EFFECTS = ColumnEffects(
    multiplies=True,
    of_table=2,
    season=24,
    year=np.zeros(0),
    month=np.zeros(31),
    lags=np.array([0, 1]),
    means=np.array([1]),
    logarithm=np.array([1, 0]),
    middle=np.zeros(2),
    unit=np.ones(2),
    limits=np.array([[-2.0, 2], [-1, 1]]),
    knots=np.zeros((2, 1)),
    weights=np.zeros((2, 4)),
    typical=np.zeros(2),
    scale=np.ones(3),
    centre=np.zeros((3, 2)),
    reaction=np.ones((3, 2)),
    draws=np.zeros((0, 2, 4)),
)


@pytest.mark.parametrize("record", [CLOSED, EFFECTS, COLUMN_EFFECTS])
def test_effects_and_closed_positions_come_back(record: Any) -> None:
    arrays, values = split_record(record)
    again = build_record(type(record), arrays, values, SIZES)
    for name, value in vars(record).items():
        np.testing.assert_array_equal(getattr(again, name), value)


@pytest.mark.parametrize(
    ("record", "change"),
    [
        (CLOSED, {"series": np.array([0, 0, 2])}),  # there are two
        (CLOSED, {"value": np.array([0.0, 0.0, 1e300])}),
        (CLOSED, {"value": np.array([0.0, 0.0])}),
        (EFFECTS, {"exponent": np.array(5)}),
        (EFFECTS, {"always_zero": np.array([[0], [2], [0]])}),
        (EFFECTS, {"unit": np.array([0.0, -1.0, 0.0])}),
        (EFFECTS, {"profile": np.zeros((3, 7))}),
        (EFFECTS, {"reaction": np.array([1.0, 1.0])}),
        (COLUMN_EFFECTS, {"season": np.array(0)}),
        (COLUMN_EFFECTS, {"lags": np.array([0, -1])}),
        (COLUMN_EFFECTS, {"logarithm": np.array([2, 0])}),
        (COLUMN_EFFECTS, {"knots": np.array([[0.0]])}),
        (COLUMN_EFFECTS, {"reaction": np.ones((2, 2))}),
    ],
)
def test_other_arrays_are_refused(record: Any, change: dict[str, Any]) -> None:
    arrays, values = split_record(record)
    with pytest.raises(ValueError, match=next(iter(change))):
        build_record(type(record), arrays | change, values, SIZES)


def test_an_effect_does_not_depend_on_the_series_beside(panel_schema: Schema) -> None:
    random = np.random.default_rng(0)
    count = 4 * 200
    frame = pd.DataFrame(
        {
            "item": np.repeat(list("abcd"), 200),
            "time": np.tile(pd.date_range("2024-01-01", periods=200, freq="h").astype(str), 4),
            "units": random.normal(size=count),
            "price": 100 + random.normal(size=count),
            "promo": random.normal(size=count) / 3,
        }
    )
    settings = TableSettings.check({"known": ("price", "promo"), "target": ("units",)})
    panel = read(table_from_frame(frame), settings).panel
    effects = replace(COLUMN_EFFECTS, weights=random.normal(size=(2, 4)))
    ((_, together),) = effects.by_part(panel, panel_schema)
    ((_, alone),) = effects.by_part(panel.select(np.array([3])), panel_schema)
    np.testing.assert_array_equal(together[panel.offsets[3] :], alone)
