"""Parts of a stored version are what they must be, or are refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.artifacts.specs import as_lists
from forecast.events.closed import Closed
from forecast.events.columns import ColumnEffects
from forecast.events.effects import Effects
from forecast.inference.contents import read_closures, read_column_effects, read_effects
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


SIZES = {"series": 2, "series+1": 3}
CLOSED = Closed(
    np.array([0, 0, 1]), np.array([7, 7, 7]), np.array([5, 6, 0]), np.zeros(3), ((1, "Advent"),)
)
EFFECTS = Effects(
    labels=("Christmas",),
    effect=np.full((2, 1, 8), -0.5),
    typical=np.full((2, 1), -0.5),
    exponent=-1,
    profile=np.ones((3, 7)),
    unit=np.zeros(3),
    reaction=np.ones(3),
    always_zero=np.zeros((3, 1), np.int64),
)


def test_closed_positions_and_effects_come_back_from_lists() -> None:
    assert as_lists(read_closures(as_lists(CLOSED), SIZES)) == as_lists(CLOSED)
    assert as_lists(read_effects(as_lists(EFFECTS), SIZES)) == as_lists(EFFECTS)


@pytest.mark.parametrize(
    "change",
    [
        {"series": [0, 1, 0]},  # not in order
        {"series": [0, 0, 2]},  # there are two
        {"phase": [5, 7, 0]},  # beyond the season
        {"season": [7, 7, 0]},
        {"value": [0.0, 0.0, 1e300]},
        {"value": [0.0, 0.0]},
        {"opened": [[3, "Advent"]]},
        {"opened": [[1, "x" * 401]]},
        {"more": []},
    ],
)
def test_closed_positions_that_contradict_each_other_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):  # each with a reason of its own
        read_closures(as_lists(CLOSED) | change, SIZES)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ["x" * 401]},
        {"labels": [1]},
        {"exponent": 5},
        {"exponent": True},
        {"always_zero": [[0], [2], [0]]},
        {"unit": [0.0, -1.0, 0.0]},
        {"profile": np.zeros((3, 7)).tolist()},
        {"reaction": [1.0, 1.0]},
        {"reaction": [1.0, 1.0, 1e300]},
        {"more": []},
    ],
)
def test_effects_that_contradict_each_other_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        read_effects(as_lists(EFFECTS) | change, SIZES)


COLUMN_EFFECTS = ColumnEffects(
    multiplies=True,
    season=24,
    year=0.0,
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


def test_effects_of_columns_come_back_from_lists(panel_schema: Schema) -> None:
    read = read_column_effects(as_lists(COLUMN_EFFECTS), SIZES, panel_schema)
    assert as_lists(read) == as_lists(COLUMN_EFFECTS)


@pytest.mark.parametrize(
    "change",
    [
        {"multiplies": 1},
        {"season": 0},
        {"season": 24.0},
        {"lags": [0, -1]},
        {"lags": [0, 1, 2]},
        {"means": [0]},
        {"logarithm": [2, 0]},
        {"unit": [0.0, 1.0]},
        {"knots": [[0.0]]},
        {"weights": np.full((2, 8), 1e300).tolist()},
        {"scale": [1.0, -1.0, 1.0]},
        {"reaction": np.ones((2, 2)).tolist()},
        {"more": []},
    ],
)
def test_effects_of_columns_that_contradict_each_other_are_refused(
    panel_schema: Schema, change: dict[str, Any]
) -> None:
    with pytest.raises((ValueError, TypeError)):
        read_column_effects(as_lists(COLUMN_EFFECTS) | change, SIZES, panel_schema)


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
