"""ARIMA, CES and ETS of the optional package statsforecast, and of one that stands for it."""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from forecast import Forecaster
from forecast.baselines.shared import auto_models
from forecast.baselines.shared.auto_models import MODEL_CONTEXT, AutoModel
from forecast.engine.fit import fit
from forecast.engine.requests import FitRequest
from forecast.ensemble import baseline_forecasts
from forecast.ensemble.baseline_forecasts import FEW_SLOW_SERIES, MIN_COMPARED
from forecast.ensemble.names import FROM_PACKAGE
from forecast.errors import Unavailable
from forecast.panel.dated import normalise
from forecast.settings import TrainSettings
from forecast.tables.reading import table_from_frame
from tests.baselines._windows import forecast_windows

Array = NDArray[np.float64]
PACKAGE = "statsforecast"


class Level:
    """A model that repeats the mean of what it was fitted to, and the newest value."""

    fits = 0

    def __init__(self, season_length: int, approximation: bool = False) -> None:
        self.season = season_length

    def fit(self, values: Array) -> "Level":
        Level.fits += 1
        self.values = values
        return self

    def predict(self, horizon: int) -> dict[str, Array]:
        return self.forward(self.values, horizon)

    def forward(self, values: Array, horizon: int) -> dict[str, Array]:
        level = (self.values.mean() + values[-1]) / 2
        return {"mean": np.full(horizon, level)}


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> type[Level]:
    """Put models that are quickly fitted in the place of the package."""
    package = ModuleType(PACKAGE)
    package.__spec__ = ModuleSpec(PACKAGE, None)
    models: Any = ModuleType("models")
    models.AutoARIMA = models.AutoCES = models.AutoETS = Level
    package.models = models  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, PACKAGE, package)
    monkeypatch.setitem(sys.modules, f"{PACKAGE}.models", models)
    auto_models._fit.cache_clear()
    Level.fits = 0
    return Level


def panel(series: int, months: int = 30) -> pd.DataFrame:
    random = np.random.default_rng(3)
    times = pd.date_range("2020-01-01", periods=months, freq="MS")
    values = 50 + random.normal(size=(months, series)).cumsum(0)
    wide = pd.DataFrame(values, times, [f"shop {number}" for number in range(series)])
    return wide.rename_axis("month").reset_index()


def compared(table: pd.DataFrame, **settings: Any) -> set[str]:
    """The candidates of a fit that came with the package."""
    model = Forecaster(horizon=4, **settings).fit(table)
    return model.fitted_.ensemble.scores.keys() & set(FROM_PACKAGE)


def forecast(name: str, past: Array, horizon: int, season: int) -> Array:
    """Forecast windows in which NaN stands for a missing value."""
    return forecast_windows(name, past, np.isfinite(past), horizon, season)


@pytest.mark.parametrize("name", FROM_PACKAGE)
def test_without_the_package_the_error_names_the_command(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    with pytest.raises(Unavailable, match=r"pip install '\.\[stats\]'"):
        forecast(name, np.ones((1, 12)), 1, 1)


def test_few_series_are_compared_with_them_where_they_are_installed(
    stand_in: type[Level], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compared(panel(1)) == set(FROM_PACKAGE)
    assert compared(panel(1), baselines=("theta", "last")) == set()
    with monkeypatch.context() as limited:
        limited.setattr(baseline_forecasts, "FEW_SLOW_SERIES", 0)
        assert compared(panel(1)) == set()
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    assert compared(panel(1)) == set()


def test_a_forecast_at_once_has_them_where_they_are_named(stand_in: type[Level]) -> None:
    assert compared(panel(2), model="pretrained") == set()
    named = compared(panel(2), model="pretrained", baselines=("ets", "theta"))
    assert named == {"ets"}


def test_a_version_that_uses_them_says_what_its_forecasts_need(
    stand_in: type[Level], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Forecaster(model="ets", horizon=4).fit(panel(1))
    assert len(model.predict()) == 4
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    with pytest.raises(Unavailable, match=r"pip install '\.\[stats\]'"):
        model.predict()


def test_a_panel_is_compared_on_few_windows(stand_in: type[Level]) -> None:
    table = normalise(table_from_frame(panel(FEW_SLOW_SERIES)))
    fit(FitRequest(table, TrainSettings(model="ces", horizon=4), sums=False))
    assert 0 < stand_in.fits <= 2 * MIN_COMPARED  # held-out windows, and windows in the past


def test_a_fit_serves_the_windows_after_it(stand_in: type[Level]) -> None:
    values = np.random.default_rng(1).normal(10, 1, 200)
    seen = np.ones(200, bool)
    ends = np.arange(101, 201)
    found = AutoModel("AutoETS", 24).forecast_series(values, seen, values, 0, ends, 2, ())
    assert stand_in.fits < 12
    assert len(np.unique(found[:, 0])) == 100, "each window goes on from its own newest value"


@pytest.mark.parametrize("carries", [True, False])
def test_a_forecast_sees_its_past_only(stand_in: type[Level], carries: bool) -> None:
    values = 20 + np.sin(np.arange(500) / 4) + np.random.default_rng(2).normal(0, 0.1, 500)
    observed = np.arange(500) % 7 > 0
    model = AutoModel("AutoETS", 12, carries)

    def ahead(values: Array, start: int, *ends: int) -> Array:
        seen = observed[: len(values)]
        return model.forecast_series(values, seen, values, start, np.array(ends), 3, (48,))

    later = ahead(values, 5, 333, 420, 500)
    auto_models._fit.cache_clear()
    assert (ahead(values[:420], 5, 420) == later[1]).all()
    other = values.copy()
    other[420:] = 1e6
    assert (ahead(other, 5, 333, 420) == later[:2]).all()


def test_steps_before_the_context_do_not_count(stand_in: type[Level]) -> None:
    values = np.random.default_rng(4).normal(10, 1, MODEL_CONTEXT + 100)
    end = np.array([len(values)])
    seen = np.ones(len(values), bool)
    model = AutoModel("AutoARIMA", 12)
    whole = model.forecast_series(values, seen, values, 0, end, 3, (24,))
    newest = model.forecast_series(values[100:], seen[100:], values, 100, end - 100, 3, (24,))
    assert (whole == newest).all()


def test_each_beats_repeating_the_season(passengers: Path) -> None:
    pytest.importorskip(PACKAGE)
    values = pd.read_csv(passengers)["passengers"].to_numpy(float)[-84:]
    past, actual = values[None, :-12], values[-12:]
    errors = {
        name: np.abs(forecast(name, past, 12, 12) - actual).mean()
        for name in (*FROM_PACKAGE, "seasonal-naive")
    }
    for name in FROM_PACKAGE:
        assert errors[name] < errors["seasonal-naive"] / 2


@pytest.mark.parametrize("name", ["arima", "ets"])
def test_a_season_too_long_for_the_model_is_taken_out(name: str) -> None:
    pytest.importorskip(PACKAGE)
    steps = np.arange(5 * 48)
    wave = 20 + 5 * np.sin(2 * np.pi * steps / 48)
    noisy = wave + np.random.default_rng(0).normal(0, 0.1, len(wave))
    assert forecast(name, noisy[None, :192], 48, 48)[0] == pytest.approx(wave[192:], abs=0.5)


@pytest.mark.parametrize("name", FROM_PACKAGE)
def test_series_that_cannot_be_fitted_are_forecast_by_theta(name: str) -> None:
    pytest.importorskip(PACKAGE)
    past = np.full((5, 30), np.nan)
    past[0] = 3.0  # constant
    past[1, -4:] = [1, 2, 3, 4]  # short
    past[2, -1] = 5.0
    past[3] = np.where(np.arange(30) % 6, 0.0, 1e8)  # zeros and spikes
    found = forecast(name, past, 4, 6)
    assert (found[[0, 1, 2, 4]] == forecast("theta", past, 4, 6)[[0, 1, 2, 4]]).all()
    assert np.isfinite(found).all()


def test_now_is_repeatable_with_them() -> None:
    pytest.importorskip(PACKAGE)
    first, second = (
        Forecaster(model="pretrained", horizon=4).fit(panel(1)).predict() for _ in range(2)
    )
    pd.testing.assert_frame_equal(first, second)


def test_a_forecast_that_diverges_is_left_to_theta(
    stand_in: type[Level], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stand_in, "predict", lambda self, horizon: {"mean": np.full(horizon, 1e9)})
    past = np.random.default_rng(5).normal(10, 1, (1, 40))
    assert (forecast("ets", past, 3, 1) == forecast("theta", past, 3, 1)).all()
