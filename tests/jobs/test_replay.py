"""What a run forecast from fits a panel of another shape; the steps of a change add up to it."""

import numpy as np
import pytest

from forecast import Forecaster
from forecast.jobs import replay
from forecast.jobs.replay import (
    BOUNDS,
    REFIT_STEP,
    REPLAY_STEPS,
    REPLAYED,
    REST,
    SERIES_STEP,
    by_step,
    pack_run,
    rows_differ,
)
from forecast.settings import OutputSettings
from forecast.tables.synthetic import synthesize


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1.0, np.nan, np.nan, 2.0], [1.0, np.nan, 3.0, np.nan], [False, False, True, True]),
        ([[1.0, np.nan], [1.0, 2.0]], [[1.0, np.nan], [1.0, 3.0]], [False, True]),
    ],
)
def test_blanks_are_equal_to_blanks_only(one: list, other: list, expected: list[bool]) -> None:
    np.testing.assert_array_equal(rows_differ(np.array(one), np.array(other)), expected)


def test_steps_add_up_to_the_change_and_what_no_replay_explains_is_named() -> None:
    old, new, both = (
        np.array([10.0, 20.0, 0.0]),
        np.array([13.0, 26.0, 7.0]),
        np.array([True, True, False]),
    )
    points = {
        REPLAYED: np.array([10.0, 21.0]),
        REFIT_STEP: np.array([12.0, 24.0]),
        BOUNDS: np.array([12.0, 25.0]),
    }
    parts = dict(
        zip(
            REPLAY_STEPS,
            by_step(old, new, both, points),
            strict=True,
        )
    )
    np.testing.assert_allclose(sum(parts.values()), new - old)
    np.testing.assert_allclose(
        parts[SERIES_STEP], [0, 0, 7]
    )  # a series that the earlier run did not have
    np.testing.assert_allclose(parts[REFIT_STEP], [2, 3, 0])
    np.testing.assert_allclose(parts[BOUNDS], [0, 1, 0])
    np.testing.assert_allclose(parts[REST], [1, 2, 0])


def test_of_a_single_series_all_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = Forecaster(model="last", horizon=2).fit(synthesize("seasonal", length=40)).fitted_
    whole = pack_run(fitted, fitted.history, OutputSettings())
    monkeypatch.setattr(replay, "MAX_REPLAYED_NUMBERS", 1)
    assert pack_run(fitted, fitted.history, OutputSettings()) == whole
