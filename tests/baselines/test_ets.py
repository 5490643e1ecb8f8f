"""ETS, from the optional package statsmodels."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from forecast.baselines.shared.method import baseline_method
from forecast.baselines.shared.windows import forecast_baseline
from forecast.errors import Unavailable
from forecast.registry import baseline_names


def forecast(
    name: str, past: NDArray[np.float64], horizon: int, season: int
) -> NDArray[np.float64]:
    """Forecast windows in which NaN stands for a missing value."""
    return forecast_baseline(name, past, np.isfinite(past), horizon, season)


@pytest.mark.parametrize(
    "name", [name for name in baseline_names() if baseline_method(name).extra == "stats"]
)
def test_without_the_package_the_error_names_the_command(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "statsmodels.tsa.exponential_smoothing.ets", None)
    with pytest.raises(Unavailable, match=r"pip install '\.\[stats\]'"):
        forecast(name, np.ones((1, 12)), 1, 1)


def test_ets_beats_repeating_the_season(passengers: Path) -> None:
    values = pd.read_csv(passengers)["passengers"].to_numpy(float)[-84:]
    past, actual = values[None, :-12], values[-12:]
    errors = {
        name: np.abs(forecast(name, past, 12, 12) - actual).mean()
        for name in ("ets", "seasonal-naive")
    }
    assert errors["ets"] < errors["seasonal-naive"] / 2


def test_a_season_too_long_to_smooth_is_taken_out() -> None:
    steps = np.arange(5 * 48)
    wave = 20 + 5 * np.sin(2 * np.pi * steps / 48)
    assert forecast("ets", wave[None, :192], 48, 48)[0] == pytest.approx(wave[192:], abs=0.5)


def test_series_that_cannot_be_fitted_are_forecast_by_theta() -> None:
    past = np.full((5, 30), np.nan)
    past[0] = 3.0  # constant
    past[1, -4:] = [1, 2, 3, 4]  # short
    past[2, -1] = 5.0
    past[3] = np.where(np.arange(30) % 6, 0.0, 1e8)  # zeros and spikes
    found = forecast("ets", past, 4, 6)
    assert (found[[0, 1, 2, 4]] == forecast("theta", past, 4, 6)[[0, 1, 2, 4]]).all()
    assert np.isfinite(found).all()
