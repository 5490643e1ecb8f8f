"""What the baselines forecast, against closed formulas and slow loops."""

import numpy as np
import pytest

from forecast.errors import UsageError
from forecast.evaluation.baselines import BASELINES, forecast_baseline

every_baseline = pytest.mark.parametrize("name", BASELINES)


def forecast_one(name: str, values: list[float], horizon: int, season: int) -> list[float]:
    """Forecast one series; NaN stands for a missing value."""
    past = np.array([values], np.float64)
    return forecast_baseline(name, past, np.isfinite(past), horizon, season)[0].tolist()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("last", [6, 6, 6, 6]),
        ("seasonal-naive", [4, 6, 4, 6]),
        ("drift", [7, 8, 9, 10]),
        ("mean", [3.5, 3.5, 3.5, 3.5]),
        ("seasonal-mean", [3, 4, 3, 4]),
    ],
)
def test_closed_formulas(name: str, expected: list[float]) -> None:
    assert forecast_one(name, [1, 2, 3, 4, 5, 6] if name == "drift" else [2, 2, 3, 4, 4, 6], 4, 2) == pytest.approx(
        expected
    )


@every_baseline
def test_nothing_observed_is_zero(name: str) -> None:
    past = np.full((2, 9), np.nan)
    assert (forecast_baseline(name, past, np.zeros((2, 9), bool), 3, 4) == 0).all()


@every_baseline
def test_a_constant_is_continued(name: str) -> None:
    assert forecast_one(name, [7.0] * 40, 5, 12) == pytest.approx([7.0] * 5)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'theta'"):
        forecast_one("thetta", [1.0], 1, 1)
