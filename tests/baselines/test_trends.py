"""Lines that windows clearly follow, and are forecast along."""

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.baselines.shared.trends import clear_lines
from forecast.baselines.shared.windows import forecast_baseline

WINDOWS, COUNT, HORIZON = 50, 15, 6
STEPS = np.arange(COUNT + HORIZON)
NOISE = np.random.default_rng(0).normal(0, 1, (WINDOWS, COUNT + HORIZON))


def errors(name, values):
    """Mean absolute errors of the method and of a straight line by least squares."""
    past, actual = values[:, :COUNT], values[:, COUNT:]
    ahead = forecast_baseline(name, past, np.ones(past.shape, bool), HORIZON, 1)
    lines = np.polynomial.polynomial.polyfit(STEPS[:COUNT], past.T, 1)
    best = np.polynomial.polynomial.polyval(STEPS[COUNT:], lines)
    return np.abs(ahead - actual).mean(), np.abs(best - actual).mean()


@pytest.mark.parametrize(("name", "times"), [("pretrained", 1.2), ("autoregression", 1.5)])
def test_a_line_with_noise_is_continued_nearly_as_well_as_by_least_squares(name, times):
    ours, best = errors(name, 50 + 1.5 * STEPS + NOISE)
    assert ours < times * best


def test_growth_by_a_factor_is_continued_as_such():
    values = 100 * np.exp(0.15 * STEPS[:COUNT] + 0.03 * NOISE[0, :COUNT])
    times = pd.date_range("2000", periods=COUNT, freq="YS")
    frame = pd.DataFrame({"year": times, "value": values})
    table = Forecaster(model="pretrained", horizon=HORIZON).fit(frame).predict()
    growth = np.log(table.forecast / 100).to_numpy()
    assert growth == pytest.approx(0.15 * STEPS[COUNT:], abs=0.1)


@pytest.mark.parametrize("count", [30, 60])
def test_neither_noise_nor_random_walks_follow_a_line(count):
    noise = np.random.default_rng(1).normal(0, 1, (WINDOWS, count))
    both = np.concatenate([noise, noise.cumsum(1)])
    lines, _ = clear_lines(both, np.ones(both.shape, bool), HORIZON, 1)
    assert lines.any(1).mean() <= 0.03


def test_a_line_is_found_below_a_season_and_beside_gaps():
    steps = np.arange(60)
    values = (50 + 0.5 * steps) * (1 + 0.2 * np.sin(steps * np.pi / 6))
    values += np.random.default_rng(2).normal(0, 1, 60)
    observed = steps != 30
    lines, in_logs = clear_lines(np.where(observed, values, 0)[None], observed[None], 12, 12)
    assert not in_logs.any()
    assert lines[0] == pytest.approx(50 + 0.5 * np.arange(72), abs=2)


def test_short_and_long_windows_have_no_line():
    for count, horizon in ((7, 3), (10, 11), (61, 5)):
        values = np.arange(count, dtype=float)[None]
        lines, _ = clear_lines(values, np.ones(values.shape, bool), horizon, 1)
        assert not lines.any()
