"""Losses of validation windows, by known answers; a past that does not vary has no scale."""

from dataclasses import replace

import numpy as np
import pytest

from forecast.ensemble.validation import ValidationForecasts, ValidationSet, window_scale
from forecast.intervals.own_past import PRIOR, error_unit, step_share, step_sizes
from forecast.windows.inputs import Inputs, apply_power
from forecast.windows.windows import WindowIndex
from tests._inputs import inputs_of

NAN = float("nan")
RAMP, GAPPED, FLAT = [float(n) for n in range(10)], [0.0, 1, 2, 3, 4, 5, 6, 7, NAN, 9], [4.0] * 10
LOOKBACK = 6


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return inputs_of(RAMP, GAPPED, FLAT)


def at(*windows: tuple[int, int]) -> WindowIndex:
    series, position = np.array(windows, np.int64).T
    return series, position


def validation_of(
    inputs: Inputs, windows: WindowIndex, power: float = 1.0, metric: str = "mase"
) -> ValidationSet:
    return ValidationSet.measure(replace(inputs, power=power), windows, LOOKBACK, metric, LOOKBACK)


def test_errors_are_counted_in_the_unit_of_each_series_and_gaps_not_at_all(inputs: Inputs) -> None:
    found = validation_of(inputs, at((0, 8), (1, 8), (0, 10)))
    assert found.actual[0].tolist() == [8, 9]
    assert found.observed.tolist() == [[True, True], [False, True], [False, False]]
    losses = found.losses(np.array([[9.0, 11], [99, 11], [1, 1]])[..., None])
    assert losses[:2] == pytest.approx([1.5, 2.0])  # neighbours of both series differ by 1
    assert np.isnan(losses[2])
    assert found.mean_loss(np.array([[9.0, 11], [99, 11], [1, 1]])[..., None]) == pytest.approx(
        1.75
    )
    assert np.isnan(validation_of(inputs, at((0, 10))).mean_loss(np.zeros((1, 2, 1))))


def test_losses_are_those_in_the_own_unit_of_a_target_that_is_transformed() -> None:
    inputs = inputs_of(RAMP, power=0.5)
    found = validation_of(inputs, at((0, 8)), power=0.5)
    points = apply_power(np.array([[9.0, 11]]), np.ones((1, 2), bool), 0.5)
    assert found.losses(points[..., None]) == pytest.approx([1.5])


@pytest.mark.parametrize("metric", ["mase", "rmsse"])
def test_a_forecast_is_exact_below_a_thousandth_of_the_unit(inputs: Inputs, metric: str) -> None:
    found = validation_of(inputs, at((0, 8), (0, 6)), metric=metric)
    assert found.is_exact(found.actual[..., None] + 0.0009)
    assert not found.is_exact((found.actual + np.array([[0.0, 0.0], [0.0, 0.003]]))[..., None])
    assert not validation_of(inputs, at((0, 10)), metric=metric).is_exact(np.zeros((1, 2, 1)))


def test_a_constant_past_has_no_scale_and_later_values_change_none(inputs: Inputs) -> None:
    windows = at((0, 8), (2, 8))
    scale = window_scale(inputs, windows, LOOKBACK)
    assert scale[0] > 0
    assert scale[1] == 0
    changed = inputs_of([*RAMP[:8], 1e6, -1e6], GAPPED, [*FLAT[:8], 1e6, -1e6])
    np.testing.assert_array_equal(window_scale(changed, windows, LOOKBACK), scale)


def test_sizes_of_changes_follow_the_season_of_the_past_and_later_values_change_none() -> None:
    past = [0.0, 5, 0, 6, 0, 7, 0, 8]  # every second value moves by 1 a season, the others never
    found = step_sizes(inputs_of(past, [1.0] * 8, lags=(2,), horizon=3), at((0, 8), (1, 8)), 8)
    few, many = (
        PRIOR / (3 + PRIOR),
        (3 / 0.5 + PRIOR) / (3 + PRIOR),
    )  # three changes of each, of 0.5 on average
    assert found == pytest.approx(np.array([[few, many, few], [1, 1, 1]]))
    later = step_sizes(
        inputs_of([*past, 1e6, -1e6], [1.0] * 10, lags=(2,), horizon=3), at((0, 8), (1, 8)), 8
    )
    np.testing.assert_array_equal(later, found)
    assert (step_sizes(inputs_of(past, horizon=3), at((0, 8)), 8) == 1).all()


def test_errors_grow_with_the_sizes_of_steps_as_far_as_they_did() -> None:
    random = np.random.default_rng(0)
    sizes, noise = np.exp(random.normal(scale=0.5, size=(600, 4))), random.normal(size=(600, 4))
    for share in (0.0, 0.5, 1.0):
        errors = noise * (1 + share * (sizes - 1))
        assert step_share(errors, sizes) == pytest.approx(share, abs=0.15)
        assert step_share(np.where(sizes > 3, NAN, errors), sizes) == pytest.approx(share, abs=0.15)
    assert step_share(noise, np.ones((600, 4))) == 0
    assert step_share(np.full((3, 2), NAN), np.ones((3, 2))) == 0
    assert error_unit(np.array([2.0, 0.0]), np.array([[1.0, 3], [1, 3]]), 0.5).tolist() == [
        [2, 4],
        [0, 0],
    ]


def test_windows_without_points_are_left_out_of_what_is_kept(inputs: Inputs) -> None:
    found = validation_of(inputs, at((0, 8), (1, 8), (2, 7)))
    points = np.array([[8.0, 9], [NAN, NAN], [5, 6]])
    quantiles = np.repeat(points[..., None], len(inputs.levels), -1)
    kept = ValidationForecasts.measure(found, inputs, quantiles, rival=quantiles + 1)
    assert kept is not None
    assert kept.series.tolist() == [0, 2]
    assert (kept.first - inputs.panel.starts[[0, 2]]).tolist() == [8, 7]
    assert kept.losses(kept.quantiles)[0] == 0
    assert kept.rival is not None
    assert kept.losses(kept.rival)[0] == pytest.approx(1.0)
    assert ValidationForecasts.measure(found, inputs, NAN * quantiles, rival=None) is None


def test_some_windows_and_steps_are_selected_together(inputs: Inputs) -> None:
    found = validation_of(inputs, at((0, 8), (0, 6)))
    kept = ValidationForecasts.measure(found, inputs, found.actual[..., None], rival=None)
    assert kept is not None
    seen = np.array([[True, True], [True, False]])
    one = kept.select(np.array([False, True]), seen)
    assert one.first.tolist() == [kept.first[1]]
    assert one.losses((one.actual + np.array([[0.0, 50.0]]))[..., None]).tolist() == [0.0]
    assert (
        replace(one, observed=seen[:1]).losses((one.actual + np.array([[0.0, 50.0]]))[..., None])[0]
        > 0
    )
