"""A panel made ready: transformed and back, cut into windows, closed slots at their value."""

import numpy as np
import pytest

from forecast.windows.inputs import Inputs, Transform, fit_statistics, make_inputs
from tests._inputs import LEVELS, inputs_of, read_days

DAYS = [1.0, 4, 9, 16, 25, 36]


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_what_is_restored_is_in_the_unit_of_the_table(power: float) -> None:
    inputs = inputs_of(DAYS, power=power)
    windows = np.zeros(1, np.int64), np.array([4])
    ahead = inputs.panel.values[4:6][None]
    assert inputs.restored(ahead, windows)[0] == pytest.approx([25, 36])
    assert inputs.restored(ahead[..., None], windows).shape == (1, 2, 1)


def test_a_series_that_the_fit_did_not_see_has_index_zero() -> None:
    reading = read_days(DAYS, DAYS)
    panel, schema = reading.panel, reading.schema
    statistics = fit_statistics(panel, schema, np.asarray(panel.lengths))
    inputs = make_inputs(
        panel, schema, statistics, transform=Transform(1.0), lags=(), levels=LEVELS, ids=(("z",), ("b",)), horizon=2
    )
    assert inputs.series_index.tolist() == [0, 2]
    assert inputs.series == 2


def test_windows_have_the_lookback_and_scaling_that_are_asked_for() -> None:
    inputs = inputs_of(DAYS)
    batch = inputs.windows(3).batch(np.zeros(1, np.int64), np.array([4]))
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
    return make_inputs(panel, schema, statistics, transform=transform, lags=(), levels=LEVELS, ids=panel.ids, horizon=2)


def test_closed_slots_are_put_back_into_what_follows() -> None:
    inputs = with_closed(1.0)
    assert inputs.closed is not None
    assert np.flatnonzero(np.isfinite(inputs.closed)).tolist() == [2, 5]
    windows = np.zeros(1, np.int64), np.array([4])
    assert inputs.restored(np.array([[8.0, 9.0]]), windows).tolist() == [[8.0, 0.0]]
    assert inputs_of(DAYS).closed is None


def test_what_comes_after_a_window_is_not_in_its_past() -> None:
    windows = np.zeros(1, np.int64), np.array([4])
    before = inputs_of(DAYS, power=0.5).windows(3).batch(*windows)
    after = inputs_of([*DAYS[:4], 900.0, 900.0], power=0.5).windows(3).batch(*windows)
    for name in ("past", "mask", "location", "scale", "weight", "past_covariates"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    assert not np.array_equal(before.target, after.target)
