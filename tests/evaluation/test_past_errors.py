"""Quantiles of future errors from past ones: they hold for new errors, grow along the horizon, and widen where few."""

import numpy as np
import pytest

from forecast.evaluation.quantiles import LEVELS, error_quantiles, independent_windows, widening

LOW, HIGH = LEVELS.index(0.1), LEVELS.index(0.9)


def quantiles_of(errors: np.ndarray, spacing: int = 1) -> np.ndarray:
    """From errors [windows, horizon] of one series whose windows lie `spacing` steps apart."""
    ends = np.zeros(len(errors), np.int64), spacing * np.arange(len(errors))
    seen = np.isfinite(errors)
    points = np.zeros_like(errors)
    return error_quantiles(points, np.nan_to_num(errors), seen, np.ones(len(errors)), LEVELS, ends)


def test_quantiles_of_many_errors_hold_for_new_ones_at_each_step() -> None:
    random = np.random.default_rng(0)
    growth = np.linspace(1, 3, 12)
    found = quantiles_of(growth * random.normal(size=(128, 12)), spacing=2)
    new = growth * random.normal(size=(4000, 12))
    inside = ((new >= found[:, LOW]) & (new <= found[:, HIGH])).mean(0)
    np.testing.assert_allclose(inside, 0.8, atol=0.08)
    assert inside.mean() == pytest.approx(0.8, abs=0.05)
    assert (found[:, LEVELS.index(0.5)] == 0).all()


@pytest.mark.parametrize("windows", [2, 4, 8])
def test_quantiles_of_few_errors_hold_nearly_as_often_as_those_of_many(windows: int) -> None:
    random = np.random.default_rng(1)
    inside = []
    for _ in range(400):
        found = quantiles_of(random.normal(size=(windows, 1)))  # 95 %; plain quantiles hold 0.36, 0.65 and 0.81
        new = random.normal(size=100)
        inside.append(((new >= found[0, 1]) & (new <= found[0, -2])).mean())
    assert 0.75 < np.mean(inside) < 0.97


def test_steps_that_no_window_has_seen_follow_the_growth_of_the_others() -> None:
    random = np.random.default_rng(2)
    errors = np.cumsum(random.normal(size=(64, 16)), 1)
    errors[:, 12:] = np.nan
    found = quantiles_of(errors, spacing=4)
    assert found[15, HIGH] > 1.05 * found[11, HIGH]
    assert (np.diff(found[:, HIGH]) > -0.2).all()


def test_newer_errors_count_more() -> None:
    random = np.random.default_rng(3)
    calm, loud = random.normal(size=(32, 4)), 5 * random.normal(size=(32, 4))
    now_loud = quantiles_of(np.concatenate([calm, loud]), spacing=4)
    now_calm = quantiles_of(np.concatenate([loud, calm]), spacing=4)
    assert now_loud[0, HIGH] > 1.7 * now_calm[0, HIGH]


def test_a_few_series_that_explode_do_not_widen_the_intervals_of_all() -> None:
    errors = np.random.default_rng(4).normal(size=(200, 8))
    series = np.arange(200), np.zeros(200, np.int64)
    calm, wild = errors, errors.copy()
    wild[:4, 4:] *= 100

    def high(values: np.ndarray) -> np.ndarray:
        seen, scale = np.ones(values.shape, bool), np.ones(len(values))
        return error_quantiles(np.zeros_like(values), values, seen, scale, LEVELS, series)[:, HIGH]

    assert (high(wild) < 1.5 * high(calm)).all()


def test_flat_windows_and_unseen_values_give_no_width() -> None:
    nothing = np.zeros((3, 4))
    ends = np.zeros(3, np.int64), np.arange(3)
    wild = nothing + 1e6
    assert (error_quantiles(nothing, wild, np.zeros((3, 4), bool), np.ones(3), LEVELS, ends) == 0).all()
    assert (error_quantiles(nothing, wild, np.ones((3, 4), bool), np.zeros(3), LEVELS, ends) == 0).all()
    assert (quantiles_of(nothing) == 0).all()


def test_windows_within_a_horizon_are_one_and_those_of_other_series_add_less() -> None:
    one = np.zeros(10, np.int64)
    assert independent_windows((one, np.arange(10)), 5) == 2
    assert independent_windows((one, 5 * np.arange(10)), 5) == 10
    assert 1 < independent_windows((np.arange(10), one), 5) < 10


def test_widening_fades_as_windows_grow() -> None:
    found = widening(np.array([1.0, 10.0, 1e6]), LEVELS)
    assert (np.diff(found[:, -2]) < 0).all()
    np.testing.assert_allclose(found[2], 1, atol=1e-4)
    assert found[0, -1] > found[0, -2] > found[0, LEVELS.index(0.5)] == 1


def test_work_on_a_long_horizon_stays_bounded() -> None:
    random = np.random.default_rng(4)
    horizon = 4_000
    found = quantiles_of(random.normal(size=(20, horizon)) * np.linspace(1, 3, horizon))
    between = found[1:-1, HIGH] - (found[:-2, HIGH] + found[2:, HIGH]) / 2
    assert (np.abs(between) > 1e-9).sum() <= 400  # straight between the steps that are computed
