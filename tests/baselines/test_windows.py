"""Windows that are forecast together: each by itself, by the seasons that it spans."""

import numpy as np
import pytest

from forecast.baselines import theta
from forecast.baselines.shared.gaps import MAX_SMOOTHED
from forecast.baselines.shared.method import Counts, Mask, Method, Values
from forecast.baselines.shared.windows import (
    BASELINE_WINDOWS_AT_ONCE,
    forecast_baseline,
    forecast_own_quantiles,
)
from forecast.errors import UsageError

LEVELS = (0.1, 0.5, 0.9)


def never(values: Values, seen: Mask, horizon: int, season: int) -> Values:
    raise AssertionError("points are not asked for")


def own(called: list[tuple[float, tuple[int, ...]]], as_read: bool = False) -> Method:
    """A method whose quantiles are the newest value and twice its size around it, out of order."""

    def quantiles(
        network: object,
        values: Values,
        seen: Mask,
        horizon: int,
        seasons: tuple[int, ...],
        levels: tuple[float, ...],
    ) -> Values:
        called.append((float(np.abs(values).max()), seasons))
        newest = np.broadcast_to(values[:, -1:], (len(values), horizon))
        return np.stack([newest + 2, newest, newest - 2], -1)

    return Method(never, quantiles=quantiles, as_read=as_read, threads=False)


def test_more_windows_than_go_at_once_are_all_forecast() -> None:
    past = np.arange(1.0, 2 * BASELINE_WINDOWS_AT_ONCE + 4)[:, None] * np.ones(3)
    assert (forecast_baseline("last", past, past > 0, 2, 1) == past[:, :2]).all()


def test_no_window_and_nothing_observed() -> None:
    assert forecast_baseline("last", np.zeros((0, 5)), np.zeros((0, 5), bool), 3, 1).shape == (0, 3)
    assert not forecast_baseline("theta", np.ones((2, 5)), np.zeros((2, 5), bool), 3, 1).any()


def test_values_that_are_no_numbers_count_as_not_observed() -> None:
    past = np.array([[3.0, 4.0, np.inf, np.nan]])
    assert forecast_baseline("last", past, np.ones((1, 4), bool), 2, 1).tolist() == [[4.0, 4.0]]


def test_a_window_is_forecast_by_the_seasons_that_it_spans() -> None:
    called: list[tuple[float, tuple[int, ...]]] = []
    past = np.ones((3, 30))
    observed = np.arange(30) >= np.array([[27], [20], [0]])
    forecast_own_quantiles(own(called), past, observed, 2, (24, 7), LEVELS)
    assert sorted(seasons for _, seasons in called) == [(), (7,), (24, 7)]


def test_quantiles_ascend_whatever_order_a_method_has() -> None:
    found = forecast_own_quantiles(
        own([], as_read=True), np.full((1, 4), 5.0), np.ones((1, 4), bool), 2, (), LEVELS
    )
    assert found.tolist() == [[[3.0, 5.0, 7.0]] * 2]


@pytest.mark.parametrize(("as_read", "largest"), [(False, 0.75), (True, 96.0)])
def test_a_method_sees_values_of_at_most_one_unless_it_asks_for_them_as_read(
    as_read: bool, largest: float
) -> None:
    called: list[tuple[float, tuple[int, ...]]] = []
    found = forecast_own_quantiles(
        own(called, as_read), np.full((1, 4), 96.0), np.ones((1, 4), bool), 1, (), LEVELS
    )
    assert called == [(largest, ())]
    assert found[0, 0, 1] == 96.0


def test_a_method_without_quantiles_and_an_unknown_one_are_refused() -> None:
    ones = np.ones((1, 4))
    with pytest.raises(TypeError, match="no quantiles"):
        forecast_own_quantiles(Method(never, threads=False), ones, ones > 0, 1, (), LEVELS)
    with pytest.raises(UsageError, match="seasonal-naive"):
        forecast_baseline("seasonal-naiv", ones, ones > 0, 1, 1)


def test_windows_of_a_long_season_are_smoothed_together_over_their_newest_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    smoothed = []

    class Counted(theta._Smoothing):
        def __init__(self, lines: Values, start: Counts) -> None:
            super().__init__(lines, start)
            smoothed.append(min(lines.shape[-1], MAX_SMOOTHED))

    monkeypatch.setattr(theta, "_Smoothing", Counted)
    lengths = np.linspace(8_640, 25_920, 32).astype(int)
    seen = np.arange(25_920) >= 25_920 - lengths[:, None]
    past = np.random.default_rng(0).normal(size=seen.shape)
    forecast_baseline("theta", past, seen, 4, 8_640)
    assert sum(smoothed) <= 32 * MAX_SMOOTHED
    assert len(smoothed) <= 12  # not one for each length
