"""Scores against numbers worked out by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.etth1 import Transformer, score
from benchmarks.scores import (
    competition_scores,
    coverage,
    interval_score,
    owa,
    scaled_error,
    seasonal_scale,
    smape,
)
from benchmarks.work import Work

ACTUAL = np.array([[10.0, 20.0], [0.0, 4.0]])
POINT = np.array([[12.0, 20.0], [0.0, 2.0]])


def test_smape_is_the_competitions_and_two_zeros_are_no_error() -> None:
    # 200 * 2 / 22, 0; 0 / 0, 200 * 2 / 6
    np.testing.assert_allclose(smape(ACTUAL, POINT), [100 * 2 / 22, 100 * 2 / 6])


def test_mase_divides_by_the_seasonal_naive_error_in_sample() -> None:
    scale = seasonal_scale(np.array([1.0, 2.0, 4.0, 6.0]), 2)  # |4 - 1|, |6 - 2|
    assert scale == 3.5
    np.testing.assert_allclose(scaled_error(ACTUAL, POINT, np.array([3.5, 2.0])), [1 / 3.5, 0.5])


def test_owa_of_naive2_itself_is_one() -> None:
    assert owa(18.383, 2.395, (18.383, 2.395)) == pytest.approx(1)


def test_interval_score_pays_for_width_and_forty_times_for_what_lies_outside() -> None:
    low, high = ACTUAL - 1.0, ACTUAL + 1.0
    low[0, 0], high[1, 1] = 10.5, 3.0  # half a unit and one unit outside
    # series 1: widths 0.5 and 2, outside 0.5; series 2: widths 2 and 0, outside 1
    np.testing.assert_allclose(
        interval_score(ACTUAL, low, high, np.array([1.0, 2.0])),
        [(2.5 + 40 * 0.5) / 2, (2 + 40 * 1) / 2 / 2],
    )
    assert coverage(ACTUAL, low, high) == 0.5


def test_a_method_without_intervals_has_neither_coverage_nor_interval_score() -> None:
    forecast = np.full((2, 2, 5), np.nan)
    forecast[..., 0] = POINT
    scores = competition_scores(ACTUAL, forecast, np.array([1.0, 1.0]))
    assert scores["mase"] == pytest.approx(1.0)
    assert all(np.isnan(scores[name]) for name in ("msis", "coverage_80", "coverage_95"))


def test_errors_of_all_windows_count_in_units_of_the_training_deviation() -> None:
    values = np.arange(12.0).reshape(6, 2)  # rows 0, 1 / 2, 3 / ...
    data = Transformer(pd.DataFrame(), values, np.array([1.0, 2.0]))
    none = Path()
    work = Work(
        "etth1", none, (), none, none, none, range(3, 5), ("a", "b"), horizon=2, season=1, freq="h"
    )
    actual = np.array([[[6, 8], [7, 9]], [[8, 10], [9, 11]]], float)  # [origins, series, horizon]
    forecast = np.stack([actual + 2, actual - 1, actual, actual + 1, actual + 2], -1)
    scores = score(data, work, forecast)
    assert scores == {
        "mse": (4 + 1) / 2,
        "mae": (2 + 1) / 2,
        "coverage_80": 1.0,
        "coverage_95": 0.0,
    }


def test_series_without_a_unit_are_left_out_and_counted() -> None:
    assert seasonal_scale(np.array([3.0, 4.0]), 2) == 0  # not longer than a season
    forecast = np.stack([POINT, ACTUAL - 1, ACTUAL + 1, ACTUAL - 2, ACTUAL + 2], -1)
    scores = competition_scores(ACTUAL, forecast, np.array([0.0, 2.0]))
    assert scores["left_out"] == 1
    assert scores["mase"] == pytest.approx((0 + 2) / 2 / 2)
    assert scores["msis"] == pytest.approx(4 / 2)
    assert scores["coverage_80"] == scores["coverage_95"] == 1
    assert "owa" not in scores
    assert "left_out" not in competition_scores(ACTUAL, forecast, np.array([1.0, 2.0]))
