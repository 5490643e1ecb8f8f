"""A panel made ready: columns standardised by the past alone, the target transformed and back, cut into windows."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecast.panel.infer import read, read_as
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema, build_calendar
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame
from forecast.windows.inputs import (
    Inputs,
    Statistics,
    Transform,
    apply_power,
    category_sizes,
    fit_power,
    fit_statistics,
    make_columns,
    make_inputs,
    numeric_count,
    undo_power,
)
from tests._inputs import LEVELS, inputs_of, read_days

DAYS = [1.0, 4, 9, 16, 25, 36]


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_what_is_restored_is_in_the_unit_of_the_table(power: float) -> None:
    inputs = inputs_of(DAYS, power=power)
    windows = np.zeros(1, np.int64), np.array([4])
    ahead = inputs.panel.values[4:6][None]
    assert inputs.restore(ahead, windows)[0] == pytest.approx([25, 36])
    assert inputs.restore(ahead[..., None], windows).shape == (1, 2, 1)


def test_a_series_that_the_fit_did_not_see_has_index_minus_one() -> None:
    reading = read_days(DAYS, DAYS)
    panel, schema = reading.panel, reading.schema
    statistics = fit_statistics(panel, schema, np.asarray(panel.lengths))
    inputs = make_inputs(
        panel,
        schema,
        statistics,
        transform=Transform(1.0),
        lags=(),
        levels=LEVELS,
        ids=(("z",), ("b",)),
        horizon=2,
    )
    assert inputs.series_index.tolist() == [-1, 1]
    assert inputs.series == 2


def test_windows_have_the_lookback_and_scaling_that_are_asked_for() -> None:
    inputs = inputs_of(DAYS)
    batch = inputs.arrays.cut(3, "standard").batch(np.zeros(1, np.int64), np.array([4]))
    assert batch.past.shape == (1, 3)
    assert (batch.location + batch.scale * batch.past)[0] == pytest.approx([4, 9, 16], rel=1e-5)
    assert inputs.arrays.lookback == 1
    assert inputs.horizon == 2


def with_closed(power: float) -> Inputs:
    """Every third day is closed, at zero."""
    reading = read_days([5.0, 6, 0, 5, 7, 0])
    panel, schema = reading.panel, reading.schema
    fixed = np.where(np.arange(8) % 3 == 2, 0.0, np.nan)
    statistics = fit_statistics(panel, schema, np.asarray(panel.lengths))
    transform = Transform(power, fixed=fixed)
    return make_inputs(
        panel,
        schema,
        statistics,
        transform=transform,
        lags=(),
        levels=LEVELS,
        ids=panel.ids,
        horizon=2,
    )


def test_closed_slots_are_put_back_into_what_follows() -> None:
    inputs = with_closed(1.0)
    assert inputs.closed is not None
    assert np.flatnonzero(np.isfinite(inputs.closed)).tolist() == [2, 5]
    windows = np.zeros(1, np.int64), np.array([4])
    assert inputs.restore(np.array([[8.0, 9.0]]), windows).tolist() == [[8.0, 0.0]]
    assert inputs_of(DAYS).closed is None


def test_what_comes_after_a_window_is_not_in_its_past() -> None:
    windows = np.zeros(1, np.int64), np.array([4])
    before = inputs_of(DAYS, power=0.5).arrays.cut(3, "standard").batch(*windows)
    after = (
        inputs_of([*DAYS[:4], 900.0, 900.0], power=0.5).arrays.cut(3, "standard").batch(*windows)
    )
    for name in ("past", "mask", "location", "scale", "weight", "past_covariates"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    assert not np.array_equal(before.target, after.target)


NAN = float("nan")


@pytest.fixture
def table() -> tuple[Panel, Schema]:
    """Six days and two to come, with a number and a category known in advance."""
    reading = read_days([1.0, 2, 3, 2, 1, 2])
    known = np.array([[1.0, 1], [3, 2], [1, 1], [3, 2], [50, 1], [NAN, 2], [1, 0], [3, NAN]])
    schema = reading.schema.model_copy(
        update={"known": ("price", "kind"), "categories": {"kind": ("a", "b")}}
    )
    return replace(reading.panel, known=known), schema


def test_statistics_are_of_the_slots_before_the_limit_and_codes_have_none(
    table: tuple[Panel, Schema],
) -> None:
    panel, schema = table
    assert fit_statistics(panel, schema, np.array([4])).known == ((2.0, 1.0), (0.0, 1.0))
    changed = replace(panel, known=np.where(np.arange(8)[:, None] >= 4, 1e6, panel.known))
    assert fit_statistics(changed, schema, np.array([4])) == fit_statistics(
        panel, schema, np.array([4])
    )


@pytest.mark.parametrize(
    ("column", "statistics"), [([5.0] * 8, (5.0, 1.0)), ([NAN] * 8, (0.0, 1.0))]
)
def test_a_constant_or_blank_column_is_divided_by_one(
    table: tuple[Panel, Schema], column: list[float], statistics: tuple[float, float]
) -> None:
    panel, schema = table
    known = np.stack([np.array(column), panel.known[:, 1]], -1)
    assert fit_statistics(replace(panel, known=known), schema, np.array([6])).known[0] == statistics


def test_blanks_are_the_mean_and_unknown_categories_zero(table: tuple[Panel, Schema]) -> None:
    panel, schema = table
    statistics = Statistics(known=((2.0, 1.0), (0.0, 1.0)))
    columns = make_columns(panel, schema, statistics, build_calendar(schema))
    assert columns.known[:, 0].tolist() == [
        -1,
        1,
        -1,
        1,
        10,
        0,
        -1,
        1,
    ]  # a number far outside is cut
    assert columns.known_codes[:, 0].tolist() == [1, 2, 1, 2, 1, 2, 0, 0]
    assert columns.past.shape == (8, 0)
    assert columns.first == panel.starts[0]


def test_columns_are_counted_by_their_kind(table: tuple[Panel, Schema]) -> None:
    _, schema = table
    assert numeric_count(schema.known, schema) == 1
    assert category_sizes(schema.known, schema) == (3,)
    assert (numeric_count((), schema), category_sizes((), schema)) == (0, ())


def panel_of(frame: pd.DataFrame, ahead: int = 5) -> Panel:
    table = table_from_frame(frame)
    return read_as(table, read(table, TableSettings()).schema, horizon=ahead).panel


@pytest.mark.parametrize("power", [0.0, 0.2, 0.5, 1.0])
def test_a_transform_is_undone(power: float) -> None:
    values = np.array([0.01, 1, 7, 1e5])
    values = values if power == 0 else np.concatenate([-values, values])
    moved = apply_power(values, np.ones(len(values), bool), power)
    np.testing.assert_allclose(undo_power(moved, power), values, rtol=1e-4)
    assert (np.diff(undo_power(np.sort(moved), power)) > 0).all()


def test_the_power_evens_out_what_grows_with_the_level() -> None:
    time = pd.date_range("2000-01-01", periods=240, freq="MS")
    level = np.exp(np.linspace(0, 4, 240))
    growing = pd.DataFrame(
        {"time": time, "y": level * (1 + 0.3 * np.sin(np.arange(240) * np.pi / 6))}
    )
    steady = pd.DataFrame(
        {"time": time, "y": 10 * np.linspace(1, 9, 240) + 5 * np.sin(np.arange(240) * np.pi / 6)}
    )
    assert fit_power("power", panel_of(growing), 12, panel_of(growing).lengths) < 0.2
    assert fit_power("power", panel_of(steady), 12, panel_of(steady).lengths) > 0.8
