"""Measures and their tables against numbers worked out by hand, and what must leave them alike."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecast.metrics.metrics import (
    LOSS_LEVELS,
    MEASURES,
    REFERENCE,
    Axes,
    Evaluation,
    Outcome,
    coverage,
    mae,
    mase,
    mean_error,
    mean_size,
    measure_frames,
    measure_names,
    measures,
    msis,
    naive_errors,
    naive_errors_until,
    quantile_loss,
    rmse,
    rmsse,
    seasonal_naive_errors,
    skill,
    smape,
    width,
    window_losses,
)
from forecast.panel.panel import Panel
from forecast.registry import METRICS
from forecast.settings import OutputSettings
from tests.metrics.panels import panel_of

NAN = float("nan")
ACTUAL = np.array(
    [[[1.0, 2, 3], [4, NAN, 8]], [[10, 20, 30], [0, 0, 0]]]
)  # [series, origins, horizon]
FORECAST = np.array([[[2.0, 2, 1], [4, 5, 4]], [[12, 20, 27], [0, 1, 0]]])
SCALE = np.array([2.0, 4.0])


def share_of_size(measure: Callable[..., np.ndarray], axis: Axes = None) -> np.ndarray:
    return measure(ACTUAL, FORECAST, axis) / mean_size(ACTUAL, axis)


def test_every_measure_of_points_is_what_is_worked_out_by_hand() -> None:
    assert mae(ACTUAL, FORECAST) == pytest.approx(13 / 11)
    assert rmse(ACTUAL, FORECAST) == pytest.approx(np.sqrt(35 / 11))
    assert mase(ACTUAL, FORECAST, SCALE) == pytest.approx((7 / 2 + 6 / 4) / 11)
    assert rmsse(ACTUAL, FORECAST, SCALE) == pytest.approx(
        (np.sqrt(21 / 2 / 5) + np.sqrt(14 / 4 / 6)) / 2
    )
    assert share_of_size(mae) == pytest.approx(13 / 78)
    assert share_of_size(mean_error) == pytest.approx(np.nansum(FORECAST - ACTUAL) / 78)
    shares = [1 / 3, 0, 2 / 4, 0, 4 / 12, 2 / 22, 0, 3 / 57, 0, 1, 0]
    assert smape(ACTUAL, FORECAST) == pytest.approx(200 * np.mean(shares))


def slots_of(values: np.ndarray, observed: np.ndarray, offsets: np.ndarray) -> Panel:
    """A panel of the past only, with nothing beside its values."""
    count = len(offsets) - 1
    nothing = np.zeros((len(values), 0))
    return Panel(
        ids=tuple((str(number),) for number in range(count)),
        order=np.arange(count),
        offsets=offsets,
        starts=np.zeros(count, np.int64),
        ahead=0,
        values=values,
        observed=observed,
        known=nothing,
        past=nothing,
        static=np.zeros((count, 0)),
    )


def test_mase_by_hand() -> None:
    past = np.array([1, 2, 4, 3, 5, 7], np.float32)
    scale = seasonal_naive_errors(slots_of(past, np.ones(6, bool), np.array([0, 4, 6])), 2)
    np.testing.assert_allclose(scale[0], (3 + 1) / 2)
    assert np.isnan(scale[1])
    assert mase(
        np.array([[1.0, NAN], [9, 9]]), np.array([[4.0, 7], [0, 0]]), scale
    ) == pytest.approx(1.5)


def test_one_array_gives_measures_by_series_and_by_step() -> None:
    np.testing.assert_allclose(mae(ACTUAL, FORECAST, (1, 2)), [7 / 5, 1])
    np.testing.assert_allclose(mae(ACTUAL, FORECAST, (0, 1)), [3 / 4, 1 / 3, 9 / 4])
    np.testing.assert_allclose(mase(ACTUAL, FORECAST, SCALE, (1, 2)), [7 / 10, 1 / 4])
    np.testing.assert_allclose(share_of_size(mae, (0, 1)), [3 / 15, 1 / 22, 9 / 41])


def test_rmsse_is_the_mean_of_the_roots_by_series() -> None:
    roots = rmsse(ACTUAL, FORECAST, SCALE, (1, 2))
    np.testing.assert_allclose(roots, [np.sqrt(21 / 2 / 5), np.sqrt(14 / 4 / 6)])
    assert rmsse(ACTUAL, FORECAST, SCALE) == pytest.approx(roots.mean())
    by_step = [
        [np.sqrt((1 + 0) / 2 / 2), np.sqrt(4 / 4 / 2)],
        [0, np.sqrt(1 / 4 / 2)],
        [np.sqrt(20 / 2 / 2), np.sqrt(9 / 4 / 2)],
    ]
    np.testing.assert_allclose(rmsse(ACTUAL, FORECAST, SCALE, (0, 1)), np.mean(by_step, 1))
    np.testing.assert_allclose(rmsse(ACTUAL, FORECAST, SCALE, (0, -2)), np.mean(by_step, 1))
    without_values = np.concatenate([ACTUAL, np.full((1, 2, 3), NAN)])
    without_forecast = np.concatenate([FORECAST, np.full((1, 2, 3), NAN)])
    assert rmsse(without_values, without_forecast, np.append(SCALE, 1)) == pytest.approx(
        roots.mean()
    )
    without_values[2] = 1
    assert np.isnan(rmsse(without_values, without_forecast, np.append(SCALE, 1)))


def test_intervals_are_measured_by_coverage_width_and_interval_score() -> None:
    actual = np.array([[1.0, 5, 12, NAN]])
    lower, upper = np.array([[0.0, 0, 0, 0]]), np.array([[4.0, 5, 10, 100]])
    assert coverage(actual, lower, upper) == pytest.approx(2 / 3)
    assert width(actual, lower, upper, np.ones(1)) == pytest.approx(19 / 3)
    assert width(actual, lower, upper, np.array([2.0])) == pytest.approx(19 / 6)
    assert msis(actual, lower, upper, 0.95, np.array([2.0])) == pytest.approx((19 + 40 * 2) / 3 / 2)
    assert msis(-actual, -upper, -lower, 0.95, np.array([2.0])) == pytest.approx(
        (19 + 40 * 2) / 3 / 2
    )


def test_measures_of_many_values_are_those_of_the_textbook() -> None:
    rng = np.random.default_rng(0)
    actual, forecast = rng.normal(size=(4, 3, 5)), rng.normal(size=(4, 3, 5))
    assert mae(actual, forecast) == pytest.approx(np.abs(actual - forecast).mean())
    assert rmse(actual, forecast) == pytest.approx(np.sqrt(((actual - forecast) ** 2).mean()))
    levels = (0.1, 0.5, 0.8)
    quantiles = np.sort(rng.normal(size=(4, 3, 5, 3)), -1)
    errors = actual[..., None] - quantiles
    pinball = np.where(errors > 0, np.array(levels) * errors, (np.array(levels) - 1) * errors)
    expected = 2 * pinball.mean()
    assert quantile_loss(actual, quantiles, levels) == pytest.approx(expected)
    alike = np.repeat(forecast[..., None], 3, -1)  # a point is its own quantile at all levels
    even = quantile_loss(actual, alike, (0.1, 0.5, 0.9))
    assert even == pytest.approx(mae(actual, forecast))


def test_a_series_without_scale_does_not_count_where_errors_are_scaled() -> None:
    for none in (0.0, NAN):
        scale = np.array([none, 4.0])
        assert mase(ACTUAL, FORECAST, scale) == pytest.approx(1 / 4)
        assert rmsse(ACTUAL, FORECAST, scale) == pytest.approx(np.sqrt(14 / 4 / 6))
        assert np.isnan(mase(ACTUAL, FORECAST, scale, (1, 2))).tolist() == [True, False]
    assert np.isnan(mase(ACTUAL, FORECAST, np.zeros(2)))


def test_zeros_and_nothing_at_all_give_no_infinity_and_no_warning() -> None:
    zero, none = np.zeros((1, 3)), np.full((1, 3), NAN)
    assert smape(zero, zero) == 0
    assert np.isnan(mae(none, zero))
    assert np.isnan(coverage(none, zero, zero))
    assert np.isnan(quantile_loss(none, zero[..., None], (0.5,)))
    assert np.isnan(skill(np.ones(1), np.zeros(1))).all()


def test_a_forecast_that_is_missing_where_a_value_came_is_not_overlooked() -> None:
    forecast = FORECAST.copy()
    forecast[0, 0, 0] = NAN
    assert np.isnan(mae(ACTUAL, forecast))
    assert np.isnan(coverage(ACTUAL, forecast, forecast + 1))
    assert np.isnan(mae(ACTUAL, forecast, (1, 2))).tolist() == [True, False]


def test_the_unit_of_errors_skips_gaps_and_knows_squares() -> None:
    values, observed = (
        np.array([1.0, 4, 9, 9, 5, 5], np.float32),
        np.array([1, 1, 1, 0, 1, 1], bool),
    )
    offsets = np.array([0, 4, 6])
    np.testing.assert_allclose(
        seasonal_naive_errors(slots_of(values, observed, offsets), 1), [4, 0]
    )
    np.testing.assert_allclose(
        seasonal_naive_errors(slots_of(values, observed, offsets), 1, power=2), [17, 0]
    )
    np.testing.assert_array_equal(
        seasonal_naive_errors(slots_of(values, observed, offsets), 2), [8, NAN]
    )


def test_a_series_without_a_seasonal_error_has_another_unit() -> None:
    offsets = np.array([0, 8, 16, 24, 28, 32])
    values = np.concatenate(
        [
            np.tile([1.0, 3], 4),
            np.tile([5.0], 8),
            np.zeros(8),
            [1, 2, 4, 8],
            [1e9 + 2, 1e9, 1e9, 1e9],
        ]
    )
    observed = np.ones(32, bool)
    observed[31] = False
    found = naive_errors(slots_of(values, observed, offsets), 2)
    # repeats exactly: the last value; constant: its size; all zero: none; a season that does not fit
    np.testing.assert_allclose(found, [2, 5, NAN, (3 + 6) / 2, 2])
    np.testing.assert_allclose(
        naive_errors(slots_of(values, observed, offsets), 2, power=2), [4, 25, NAN, (9 + 36) / 2, 4]
    )
    np.testing.assert_allclose(
        naive_errors(slots_of(values, observed, offsets), 5)[3], (1 + 2 + 4) / 3
    )


def test_an_error_that_is_rounding_is_no_unit() -> None:
    wave = np.sin(2 * np.pi * np.arange(48) / 12) + 1e5
    unit = naive_errors(slots_of(wave, np.ones(48, bool), np.array([0, 48])), 12)
    assert unit == pytest.approx(np.abs(np.diff(wave)).mean())


@pytest.mark.parametrize("metric", METRICS)
def test_the_losses_of_windows_are_the_measure_of_their_values(metric: str) -> None:
    draw = np.random.default_rng(0)
    actual, forecast, unit = (
        draw.normal(size=(3, 5)),
        draw.normal(size=(3, 5)),
        np.array([1.0, 4, NAN]),
    )
    actual[0, 2] = NAN
    actual[1] = 0.0
    found = window_losses(metric, actual, forecast[..., None], (0.5,), unit)
    columns = {f"p{100 * level:g}": level for level in LOSS_LEVELS}
    for window in range(3):
        numbers, scale = np.repeat(forecast[window, :, None], 6, -1)[None, None], unit[[window]]
        own = measures(Outcome(actual[None, None, window], numbers, columns, scale, scale))
        size = np.nanmean(np.abs(actual[window])) / np.nanmean(np.abs(actual))
        if metric not in ("wape", "wape_bias", "wql"):
            np.testing.assert_allclose(found[window], own[metric])
        elif size > 0:  # a share is one of the size of all windows
            np.testing.assert_allclose(found[window], own[metric] * size)
        else:
            assert found[window] > 0
    assert np.isnan(found[2]) == (metric in ("mase", "rmsse"))


POINTS = ["mase", "rmsse", "mae", "rmse", "smape", "wape", "bias", "wape_bias"]


def test_all_measures_come_by_name_in_one_order() -> None:
    numbers = np.stack([FORECAST, FORECAST - 1, FORECAST + 1, FORECAST - 3, FORECAST + 3], -1)
    columns = OutputSettings().columns
    found = measures(Outcome(ACTUAL, numbers, columns, SCALE, SCALE))
    intervals = ["coverage_80", "width_80", "coverage_95", "width_95", "msis"]
    assert list(found) == measure_names(columns)
    assert list(found) == [*POINTS, "wql", *intervals]
    assert found["coverage_80"] == pytest.approx(7 / 11)
    plain = measures(Outcome(ACTUAL, numbers[..., :1], {}, SCALE, SCALE))
    assert np.isnan(plain["wql"])
    assert "msis" not in plain


def test_every_choice_of_the_setting_is_a_measure() -> None:
    assert set(METRICS) <= set(MEASURES)


NUMBERS = st.floats(-1e3, 1e3, width=32)
ARRAYS = arrays(np.float64, (2, 3, 4), elements=NUMBERS)


@given(
    actual=ARRAYS,
    forecast=ARRAYS,
    gaps=arrays(bool, (2, 3, 4)),
    unit=st.sampled_from([2.0**-20, 0.125, 2.0, 4096.0]),
)
def test_the_unit_of_the_target_changes_no_relative_measure(
    actual: np.ndarray, forecast: np.ndarray, gaps: np.ndarray, unit: float
) -> None:
    actual = np.where(gaps, NAN, actual)
    numbers = np.stack([forecast, forecast - 5, forecast + 5], -1)
    scale, squared = np.array([3.0, 7.0]), np.array([9.0, 49.0])
    columns = OutputSettings(levels=(80,)).columns
    plain = measures(Outcome(actual, numbers, columns, scale, squared))
    scaled = measures(
        Outcome(unit * actual, unit * numbers, columns, unit * scale, unit**2 * squared)
    )
    for name, value in plain.items():
        expected = value * unit if name in ("mae", "rmse") else value
        np.testing.assert_allclose(scaled[name], expected, rtol=1e-9, err_msg=name)


@given(actual=ARRAYS, forecast=ARRAYS, gaps=arrays(bool, (2, 3, 4)))
def test_measures_are_bounded_and_a_missing_value_counts_as_if_it_were_not_there(
    actual: np.ndarray, forecast: np.ndarray, gaps: np.ndarray
) -> None:
    gaps[0, 0, 0] = False
    held = np.where(gaps, NAN, actual)
    assert 0 <= smape(held, forecast) <= 200 + 1e-9
    kept = ~gaps
    assert mae(held, forecast) == pytest.approx(np.abs(actual - forecast)[kept].mean())
    assert rmse(held, forecast) >= mae(held, forecast) * (1 - 1e-12)
    assert 0 <= coverage(held, forecast - 1, forecast + 1) <= 1
    assert mae(held, held) == 0


PANEL = panel_of((0, [1.0, 3, 5, 7]), (0, [10.0, 10, 14, 10]), horizon=2)


def test_units_are_errors_of_seasonal_naive_up_to_the_origin() -> None:
    absolute, squared = naive_errors_until(PANEL, np.array([3, 2]), 1)
    np.testing.assert_allclose(absolute, [2, 2])  # 2, 2, 2; and 0, 4 without the last change
    np.testing.assert_allclose(squared, [4, 8])


def test_rows_are_by_model_series_and_step() -> None:
    actual = np.array([[[1.0, 2]], [[3.0, NAN]]])  # [series, origins, horizon]
    numbers = {REFERENCE: actual[..., None] + 4, "mine": actual[..., None] + 1}
    schema = SimpleNamespace(ids=("shop",))
    scale = np.array([2.0, 1.0])
    overall, by_series, by_step = measure_frames(
        Evaluation(PANEL, schema, actual, numbers, {}, scale, scale, np.zeros(actual.shape, bool))
    )
    assert overall["model"].tolist() == [REFERENCE, "mine"]
    np.testing.assert_allclose(overall["mae"], [4, 1])
    np.testing.assert_allclose(overall["mase"], [8 / 3, 2 / 3])  # 1/2, 1/2 and 1, over three values
    np.testing.assert_allclose(overall["skill"], [0, 0.75])
    assert by_series["shop"].tolist() == ["a", "a", "b", "b"]
    np.testing.assert_allclose(by_series["mase"], [2, 0.5, 4, 1])
    assert by_step["step"].tolist() == [1, 1, 2, 2]
    np.testing.assert_allclose(by_step["mase"], [3, 0.75, 2, 0.5])
