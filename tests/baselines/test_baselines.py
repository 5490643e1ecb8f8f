"""What the simple baselines and Theta forecast, against closed formulas and slow loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from forecast.baselines.shared.method import baseline_method
from forecast.errors import UsageError
from forecast.registry import baseline_names
from tests.baselines._textbook import seasonal_index, smooth
from tests.baselines._windows import forecast_windows, gappy_windows

Values = NDArray[np.float64]
NAN = float("nan")

NAMES = [name for name in baseline_names() if baseline_method(name).extra is None]
every_baseline = pytest.mark.parametrize("name", NAMES)
no_line = pytest.mark.parametrize(
    "name", [name for name in NAMES if "theta" not in name and name != "pretrained"]
)
every_theta = pytest.mark.parametrize("name", ["theta", "auto-theta"])


def forecast(name: str, past: object, horizon: int, season: int) -> Values:
    """Forecast windows in which NaN stands for a missing value."""
    windows = np.atleast_2d(np.array(past, np.float64))
    return forecast_windows(name, windows, np.isfinite(windows), horizon, season)


@pytest.mark.parametrize(
    ("name", "past", "expected"),
    [
        ("last", [2, 2, 3, 4, 4, 6], [6, 6, 6, 6]),
        ("seasonal-naive", [2, 2, 3, 4, 4, 6], [4, 6, 4, 6]),
        ("drift", [1, 9, 9, 9, 9, 6], [7, 8, 9, 10]),
        ("mean", [2, 2, 3, 4, 4, 6], [3.5, 3.5, 3.5, 3.5]),
        ("seasonal-mean", [2, 2, 3, 4, 4, 6], [3, 4, 3, 4]),
        ("seasonal-mean", [99, 99] + [1, 2] * 8, [1, 2, 1, 2]),
        ("last", [1, 5, NAN], [5, 5, 5, 5]),
        ("seasonal-naive", [3, 4, NAN, 6], [3, 6, 3, 6]),
        ("drift", [NAN, 1, NAN, 3, NAN], [5, 6, 7, 8]),
        ("mean", [NAN, 1, NAN, 4], [2.5, 2.5, 2.5, 2.5]),
        ("seasonal-mean", [1, 8, NAN, 6, NAN, 4], [1, 6, 1, 6]),
    ],
)
def test_closed_formulas(name: str, past: list[float], expected: list[float]) -> None:
    assert forecast(name, past, 4, 2)[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("seasonal-naive", [4.0] * 3), ("seasonal-mean", [3.0] * 3), ("theta", [4.0] * 3)],
)
def test_a_series_shorter_than_a_season_has_none(name: str, expected: list[float]) -> None:
    assert forecast(name, [NAN] * 20 + [2, 3, 4], 3, 4)[0] == pytest.approx(expected)
    assert forecast(name, [2, 3, 4], 3, 400)[0] == pytest.approx(expected)


@every_baseline
def test_nothing_observed_is_zero(name: str) -> None:
    past = np.array([[NAN, NAN, NAN], [1.0, 1.0, 1.0]])
    assert forecast(name, past, 2, 3).tolist() == [[0, 0], [1, 1]]
    assert forecast(name, np.zeros((0, 3)), 2, 3).shape == (0, 2)


@every_baseline
@given(st.integers(1, 60), st.integers(1, 14), st.sampled_from([0.0, 7.0, -0.1, 1e300, 5e-324]))
@settings(deadline=None)
def test_a_constant_is_continued(name: str, length: int, season: int, value: float) -> None:
    assert forecast(name, [value] * length, 5, season)[0] == pytest.approx([value] * 5, rel=1e-9)


@every_baseline
@given(gappy_windows(), st.integers(1, 14), st.integers(1, 30))
@settings(deadline=None)
def test_each_window_is_forecast_by_its_own_observed_past(
    name: str, past: Values, season: int, horizon: int
) -> None:
    together = forecast(name, past, horizon, season)
    assert np.isfinite(together).all()
    observed = np.isfinite(past)
    longer = np.pad(np.where(observed, past, 1e9), ((0, 0), (3, 0)), constant_values=-1e9)
    apart = forecast_windows(
        name, longer[::-1], np.pad(observed, ((0, 0), (3, 0)))[::-1], horizon, season
    )[::-1]
    size = np.nanmax(np.abs(np.nan_to_num(past)))
    rounding = 5e-6 if name == "pretrained" else 1e-6  # a network in single precision
    assert apart == pytest.approx(together, rel=rounding, abs=rounding * size)


@no_line
@given(gappy_windows(), st.integers(1, 14), st.floats(-5, 5), st.floats(-100, 100))
@settings(deadline=None)
def test_a_forecast_moves_with_scale_and_level(
    name: str, past: Values, season: int, scale: float, level: float
) -> None:
    past = past[np.isfinite(past).any(1)]
    if name == "holt-winters":
        season = 1  # a season is a factor, or a summand, by the level
    moved = forecast(name, scale * past + level, 9, season)
    expected = scale * forecast(name, past, 9, season) + level
    assert moved == pytest.approx(
        expected, rel=1e-6, abs=1e-6 * (1 + np.abs(expected).max(initial=0))
    )


@every_theta
@pytest.mark.parametrize("level", [0.0, 50.0])
def test_theta_moves_with_the_scale(name: str, level: float) -> None:
    past = level + seasonal_series(seed=5, length=60, season=7)
    assert forecast(name, 3 * past, 9, 7) == pytest.approx(3 * forecast(name, past, 9, 7), rel=1e-6)
    # by a power of two exactly, however far
    assert (forecast(name, past * 2.0**900, 9, 7) == forecast(name, past, 9, 7) * 2.0**900).all()


@every_theta
def test_additive_theta_moves_with_the_level(name: str) -> None:
    past = seasonal_series(seed=6, length=60, season=7)
    assert forecast(name, past - 1000, 9, 7) == pytest.approx(
        forecast(name, past, 9, 7) - 1000, rel=1e-6
    )


def seasonal_series(seed: int, length: int, season: int) -> Values:
    """A walk with a season, of both signs."""
    random = np.random.default_rng(seed)
    phase = random.normal(size=season) * 3
    return np.asarray(
        np.cumsum(random.normal(size=length)) * 0.3 + phase[np.arange(length) % season] - 1
    )


def slow_theta(values: Values, horizon: int, season: int, best_theta: bool) -> Values:
    """Theta as in the papers, one series, one coefficient and one theta after another."""
    length = len(values)
    index, multiplicative = seasonal_index(values, season)
    phases = np.arange(length + horizon) % season
    plain = values / index[phases[:length]] if multiplicative else values - index[phases[:length]]
    slope, level = np.polyfit(np.arange(length), plain, 1)
    line = level + slope * np.arange(length + horizon)
    found = []
    for weight in np.linspace(0, 1, 21) if best_theta else [0.5]:
        rest = plain - weight * line[:length]  # the theta line by its own weight
        for coefficient in np.linspace(0.02, 1, 30):
            errors, shares = (
                smooth(rest, coefficient, 0.0)[0],
                -smooth(0 * rest, coefficient, 1.0)[0],
            )
            first = errors @ shares / (shares @ shares)
            errors, newest = smooth(rest, coefficient, first)
            found.append((errors @ errors, newest + weight * line[length:]))
    forecast = min(found, key=lambda pair: pair[0])[1]
    return (
        forecast * index[phases[length:]] if multiplicative else forecast + index[phases[length:]]
    )


@every_theta
@pytest.mark.parametrize("season", [1, 4, 7])
@pytest.mark.parametrize("level", [0.0, 30.0])
def test_theta_equals_the_slow_loop(name: str, season: int, level: float) -> None:
    for seed, length in ((0, 4), (1, 9), (2, 20), (3, 35), (4, 60)):
        past = level + seasonal_series(seed, length, season)
        expected = slow_theta(past, 5, season, name == "auto-theta")
        assert forecast(name, past, 5, season)[0] == pytest.approx(
            expected, abs=0.02 * np.ptp(past)
        ), (seed, length)


@every_theta
def test_theta_continues_trend_and_season(name: str) -> None:
    steps = np.arange(72)
    wave = np.sin(2 * np.pi * steps / 12)
    grown = (100 + steps) * (1 + 0.3 * wave)
    assert forecast(name, grown[:60], 12, 12)[0] == pytest.approx(grown[60:], rel=0.06)
    sunk = -50 - steps + 10 * wave
    assert forecast(name, sunk[:60], 12, 12)[0] == pytest.approx(sunk[60:], rel=0.08)


@every_theta
def test_theta_does_not_explode_where_a_phase_is_close_to_zero(name: str) -> None:
    random = np.random.default_rng(0)
    past = np.tile([1e-6, 5.0, 9.0, 4.0], 15) * random.uniform(0.5, 2, 60)
    assert np.abs(forecast(name, past, 8, 4)).max() < 2 * past.max()


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'theta'"):
        forecast("thetta", [1.0], 1, 1)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "pretrained"])
@given(gappy_windows(), st.integers(1, 14))
@settings(deadline=None, max_examples=30)
def test_windows_beside_a_window_do_not_change_a_bit_of_its_forecast(
    name: str, past: Values, season: int
) -> None:
    repeated = np.tile(past, (9, 1))
    alone = np.concatenate([forecast(name, window, 5, season) for window in past])
    assert (forecast(name, repeated[::-1], 5, season)[::-1] == np.tile(alone, (9, 1))).all()
