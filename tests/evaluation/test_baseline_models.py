"""Baselines as models of a backtest: points by the baseline, and widths from its own past errors."""

import numpy as np

from forecast.evaluation.backtest import fit_baseline
from tests.evaluation.panels import panel_of

LEVELS = (0.1, 0.5, 0.9)


def test_the_median_repeats_the_season_and_exact_forecasts_have_no_width() -> None:
    week = [5.0, 1, 2, 3, 4, 8, 9]
    panel = panel_of((0, week * 8), horizon=3)
    found = fit_baseline("seasonal-naive", 7, LEVELS, panel)(panel)
    np.testing.assert_allclose(found[0], np.repeat([[5], [1], [2]], 3, 1))


def test_widths_grow_with_the_changes_of_a_series_and_along_the_horizon() -> None:
    random = np.random.default_rng(0)
    walk = random.normal(size=200).cumsum()
    panel = panel_of((0, walk.tolist()), (0, (10 * walk).tolist()), horizon=6)
    found = fit_baseline("last", 1, LEVELS, panel)(panel)
    np.testing.assert_allclose(found[:, :, 1], np.repeat([[walk[-1]], [10 * walk[-1]]], 6, 1))
    width = found[..., 2] - found[..., 0]
    np.testing.assert_allclose(width[1], 10 * width[0])
    assert width[0, -1] > 1.5 * width[0, 0] > 0


def test_a_past_too_short_for_errors_has_no_width() -> None:
    panel = panel_of((0, [3.0, 4.0]), horizon=3)
    np.testing.assert_allclose(fit_baseline("last", 1, LEVELS, panel)(panel), 4.0)
