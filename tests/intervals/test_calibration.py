"""Calibration makes intervals hold, by step and for whole paths, outwards and inwards."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.intervals import calibration
from forecast.intervals.calibration import (
    Calibration,
    at_least,
    cap,
    moved_by,
    warn_uncalibrated,
)
from forecast.intervals.own_past import Pasts, Recent
from forecast.metrics.quantiles import LEVELS, compute_mean

ALL = np.ones((500, 8), bool)
STEPS = np.arange(1, 9)


def past_of(count: int) -> Pasts:
    """The past of windows of one series that are neither rough, at rest nor bounded."""
    same = np.zeros(count, np.int64)
    limit = np.full((count, 1), np.inf)
    sizes = np.ones((count, 8))
    recent = Recent(*np.zeros((3, count)))
    return Pasts(same, np.arange(count), 1, same + np.nan, sizes, recent, limit)


def calibrate(
    quantiles: np.ndarray, actual: np.ndarray, observed: np.ndarray, scale: np.ndarray, levels: tuple[float, ...],
    size: float = 1e12, pasts: Pasts | None = None,
) -> Calibration:  # fmt: skip
    return calibration.calibrate(
        quantiles, actual, observed, scale, levels, size, pasts or past_of(len(scale)), np.inf
    )


def coverage(new: np.ndarray, moved: np.ndarray, low: int, high: int) -> np.ndarray:
    return np.asarray(((new >= moved[..., low]) & (new <= moved[..., high])).mean(0))


@pytest.mark.parametrize("width", [0.4, 40.0], ids=["too narrow", "too wide"])
@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_intervals_hold_afterwards(width: float, scale: float) -> None:
    random = np.random.default_rng(0)
    scales = np.full(500, scale)
    quantiles = scale * np.broadcast_to(
        np.linspace(-width, width, len(LEVELS)), (500, 8, len(LEVELS))
    )
    made = calibrate(quantiles, scale * random.normal(size=(500, 8)) * STEPS, ALL, scales, LEVELS)
    new = scale * random.normal(size=(4000, 8)) * STEPS
    moved = moved_by(quantiles[:1], made.margins.astype(float), scales[:1], tied=False)
    for low, high, wanted in ((2, 6, 0.8), (1, 7, 0.95)):
        assert coverage(new, moved, low, high).mean() == pytest.approx(wanted, abs=0.04)
    assert (made.margins[:, 4] == 0).all()
    assert made.windows == 500


def test_zeros_stay_inside_where_many_values_are_equal() -> None:
    random = np.random.default_rng(2)
    actual = np.where(random.random((500, 8)) < 0.6, 0.0, random.gamma(2.0, size=(500, 8)))
    noise = 0.01 * random.normal(size=(500, 8, 1))
    quantiles = np.sort(np.linspace(-0.02, 9.0, len(LEVELS)) + noise, -1)
    made = calibrate(quantiles, actual, ALL, np.ones(500), LEVELS)
    moved = moved_by(quantiles, made.margins.astype(float), np.ones(500), tied=False)
    assert (moved[..., 2] <= quantiles[..., 2]).all()
    assert coverage(actual, moved, 2, 6).mean() > 0.79


def test_margins_shrink_where_windows_are_few() -> None:
    random = np.random.default_rng(3)
    quantiles = np.broadcast_to(np.linspace(-1, 1, len(LEVELS)), (40, 8, len(LEVELS)))
    actual = 3 * random.normal(size=(40, 8))
    seen = np.ones((40, 8), bool)
    many, some, few = (
        calibrate(quantiles, actual, seen, np.ones(40), LEVELS, size) for size in (1e12, 8, 1)
    )
    assert (
        many.margins[:, 6].mean() > some.margins[:, 6].mean() > few.margins[:, 6].mean() > 0
    ).all()
    assert (
        few.margins[:, 6].std() < 0.2 * many.margins[:, 6].std()
    )  # all steps share what few windows say


def test_quantiles_keep_their_distance_from_the_median() -> None:
    quantiles = np.array([[[-1.0, 0.0, 3.0]]])
    np.testing.assert_array_equal(at_least(quantiles, np.array([[-2.0, 0.0, 2.0]])), [[[-2, 0, 3]]])


def test_masked_values_flat_windows_and_no_values_move_nothing() -> None:
    quantiles = np.zeros((3, 4, len(LEVELS)))
    wild, seen = np.full((3, 4), 1e6), np.ones((3, 4), bool)
    for made in (
        calibrate(quantiles, wild, ~seen, np.ones(3), LEVELS),
        calibrate(quantiles, wild, seen, np.zeros(3), LEVELS),
        calibrate(quantiles[:0], wild[:0], seen[:0], np.ones(0), LEVELS),
    ):
        assert (made.margins == 0).all()
        assert made.windows == 0


def test_quantiles_stay_in_order_whatever_the_margins() -> None:
    random = np.random.default_rng(1)
    quantiles = np.sort(random.normal(size=(5, 3, 9)), -1)
    moved = moved_by(quantiles, random.normal(size=(3, 9)), np.ones(5), tied=False)
    assert (np.diff(moved, axis=-1) >= 0).all()


def test_intervals_that_nothing_calibrates_are_said(caplog: pytest.LogCaptureFixture) -> None:
    warn_uncalibrated(1)
    assert caplog.text == ""
    warn_uncalibrated(0)
    assert "no values could be held out" in caplog.text


def test_the_mean_of_rare_values_follows_what_came() -> None:
    """The highest quantiles here are far beyond any value, and would make a mean of 12 times what came."""
    actual = (np.random.default_rng(0).random((500, 8)) < 0.2).astype(float)
    quantiles = np.broadcast_to([0, 0, 0, 0, 0, 0.1, 1, 40, 80], (500, 8, len(LEVELS))).astype(
        float
    )
    shares = [
        calibrate(quantiles, actual, ALL, np.ones(500), LEVELS, size).mean_share
        for size in (1e12, 4)
    ]
    assert shares[0] * compute_mean(quantiles, LEVELS).mean() == pytest.approx(
        actual.mean(), rel=0.05
    )
    assert shares[1] == pytest.approx((shares[0] + 1) / 2, rel=1e-6)
    none = np.zeros_like(ALL)
    assert calibrate(quantiles, actual, none, np.ones(500), LEVELS).mean_share == 1


def test_intervals_grow_with_roughness_as_far_as_errors_do() -> None:
    random = np.random.default_rng(4)
    series = np.repeat(np.arange(40), 10)
    rough = random.normal(size=40)[series]
    quantiles = np.broadcast_to(np.linspace(-2, 2, len(LEVELS)), (400, 8, len(LEVELS)))
    actual = random.normal(size=(400, 8))
    seen, scale = np.ones((400, 8), bool), np.ones(400)
    pasts = replace(past_of(400), series=series + 1, count=40, roughness=rough)
    growing = calibrate(
        quantiles, actual * np.exp(0.6 * rough)[:, None], seen, scale, LEVELS, 40, pasts
    )
    same = calibrate(quantiles, actual, seen, scale, LEVELS, 40, pasts)
    assert growing.slope == pytest.approx(0.6, abs=0.1)
    assert same.slope < 0.1
    new = np.full(1, -1)
    sizes = np.ones((1, 8))
    unknown = growing.adjust(quantiles[:1], scale[:1], np.array([np.nan]), sizes, new)
    usual = growing.adjust(quantiles[:1], scale[:1], np.array([growing.mean_roughness]), sizes, new)
    assert (unknown == usual).all()


def test_intervals_grow_by_the_errors_of_their_series_unless_these_are_chance() -> None:
    random = np.random.default_rng(5)
    series, seen, scale = np.repeat(np.arange(2), 20), np.ones((40, 8), bool), np.ones(40)
    quantiles = np.broadcast_to(np.linspace(-2, 2, len(LEVELS)), (40, 8, len(LEVELS)))
    actual = random.normal(size=(40, 8))
    pasts = replace(past_of(40), series=series, count=2)
    unlike = calibrate(
        quantiles, actual * np.where(series, 100.0, 1.0)[:, None], seen, scale, LEVELS, 40, pasts
    )
    alike = calibrate(quantiles, actual, seen, scale, LEVELS, 40, pasts)
    assert np.ptp(unlike.growth[:-1]) == pytest.approx(np.log(100), abs=0.2)
    assert np.ptp(alike.growth[:-1]) < 0.1
    assert unlike.growth[-1] == alike.growth[-1] == 0


def test_intervals_are_wider_at_noisy_steps_of_the_season() -> None:
    """Steps 1 and 5 are three times as noisy, but all intervals have the same width."""
    random = np.random.default_rng(3)
    quantiles = np.broadcast_to(np.linspace(-2, 2, len(LEVELS)), (400, 8, len(LEVELS)))
    noise = np.tile([3.0, 1.0, 1.0, 1.0], 2)
    actual = random.normal(size=(400, 8))
    seen, scale = np.ones((400, 8), bool), np.ones(400)
    pasts = replace(past_of(400), sizes=np.tile(noise / noise.mean(), (400, 1)))
    noisy = calibrate(quantiles, actual * noise, seen, scale, LEVELS, 4, pasts)
    even = calibrate(quantiles, actual, seen, scale, LEVELS, 4, pasts)
    unknown, series = np.full(400, np.nan), pasts.series
    moved = noisy.adjust(quantiles, scale, unknown, pasts.sizes, series)
    inside = coverage(actual * noise, moved, 1, 7)
    assert np.ptp(inside) < 0.1
    assert even.step_share < 0.05


def test_margins_of_intervals_without_width_carry_over_to_wide_ones() -> None:
    """On half of the windows the interval has no width, and a sale lies thousands of half widths beyond it."""
    random = np.random.default_rng(0)
    width = np.where(np.arange(500) % 2, 2.0, 0.0)[:, None, None]
    quantiles = width * np.broadcast_to([0, 0, 0, 0, 0, 0.1, 0.5, 0.8, 1], (500, 8, len(LEVELS)))
    actual = np.where(random.random((500, 8)) < 0.25, random.gamma(4, 1.0, (500, 8)), 0.0)
    made = calibrate(quantiles, actual, ALL, np.ones(500), LEVELS)
    unknown = np.full(500, np.nan)
    moved = made.adjust(
        quantiles, np.ones(500), unknown, np.ones((500, 8)), np.zeros(500, np.int64)
    )
    assert moved.max() < 2 * actual.max()
    assert (moved[:, :, 7] > 0).all()
    assert coverage(actual, moved, 1, 7).mean() > 0.94


def test_the_highest_quantiles_are_bounded_and_stay_in_order() -> None:
    found = cap(np.array([[[0, 1, 2, 3, 4, 5, 60, 70, 80.0]]]), np.array([[10.0]]))
    np.testing.assert_array_equal(found, [[[0, 1, 2, 3, 4, 5, 10, 10, 10]]])
    found = cap(np.array([[[0, 1, 2, 3, 4, 50, 60, 70, 80.0]]]), np.array([[10.0]]))
    np.testing.assert_array_equal(found, [[[0, 1, 2, 3, 4, 50, 50, 50, 50]]])


def test_quantiles_give_the_mean_of_series_at_rest_where_held_out_values_say_so() -> None:
    random = np.random.default_rng(0)
    level = np.repeat(
        random.uniform(2, 12, 500)[:, None], 8, 1
    )  # what quantiles know, and the recent mean does not
    quantiles = level[..., None] + np.linspace(-1, 1, len(LEVELS))
    at_rest = replace(past_of(500), recent=Recent(np.full(500, 7.0), np.ones(500), np.zeros(500)))
    for actual, trusted in ((level, 1.0), (7 + random.normal(size=(500, 8)), 0.0)):
        made = calibrate(quantiles, actual, ALL, np.ones(500), LEVELS, 20.0, at_rest)
        assert made.mean_weight == pytest.approx(trusted, abs=0.05)
    assert calibrate(quantiles, level, ~ALL, np.ones(500), LEVELS, 20.0, at_rest).mean_weight == 0
    assert calibrate(quantiles, level, ALL, np.ones(500), LEVELS, 20.0).mean_weight == 1


@pytest.mark.parametrize("share", [0.15, 0.35])
def test_the_median_of_rare_sales_is_nothing_and_their_mean_is_not(share: float) -> None:
    sold = []
    for seed in range(3):
        random = np.random.default_rng(seed)
        sales = np.where(random.random(72) < share, random.poisson(5, 72) + 1.0, 0.0)
        months = pd.date_range("2015-01-01", periods=len(sales), freq="MS")
        frame = pd.DataFrame({"month": months, "sales": sales})
        model = Forecaster(model="pretrained", horizon=12).fit(frame)
        sold.append(model.predict()["forecast"].to_numpy())
        assert (model.totals(every="horizon")["mean"] > 0).all()
    assert (np.array(sold) == 0).mean() > 0.6


def test_sales_of_one_day_of_the_week_keep_their_median() -> None:
    random = np.random.default_rng(0)
    saturdays = np.arange(210) % 7 == 5
    sales = np.where(saturdays, 20 + random.poisson(9, 210), 0)
    frame = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=210), "sales": sales})
    ahead = Forecaster(model="pretrained", horizon=14).fit(frame).predict()
    ahead = ahead["forecast"].to_numpy()
    assert (ahead[saturdays[:14]] > 15).all()
    assert (ahead[~saturdays[:14]] < 1).all()
