"""Forecasts that agree with those of their sums, through the real fit and the real store."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.inference.predictor import _agreed

STATES = {"n": 3.0, "s": 9.0}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Two states with three shops each, whose noise cancels out in the sum of a state."""
    random, rows = np.random.default_rng(0), []
    months = pd.date_range("2012-01", periods=120, freq="MS").strftime("%Y-%m")
    for state, size in STATES.items():
        noise = random.normal(size=(3, 120)) * 4
        noise -= noise.mean(0)
        for shop in range(3):
            season = [20 + size * math.sin(month * math.pi / 6) for month in range(120)]
            values = np.maximum(season + noise[shop], 0)
            rows += [(state, f"{state}{shop}", month, value) for month, value in zip(months, values, strict=True)]
    return pd.DataFrame(rows, columns=["state", "shop", "month", "units"])


@pytest.fixture(scope="module")
def fitted(frame: pd.DataFrame) -> Forecaster:
    return Forecaster(
        model="holt-winters", baselines=("holt-winters",), horizon=6, hierarchy="state", id=("state", "shop")
    ).fit(frame)


def test_sums_are_no_rows_of_a_forecast_and_means_add_up(fitted: Forecaster) -> None:
    assert fitted.fitted_.config.reconciles
    assert fitted.fitted_.config.sums == ((), ("state",))
    rows = fitted.predict()
    assert set(rows["shop"]) == {f"{state}{shop}" for state in STATES for shop in range(3)}
    assert any(line.startswith("sums     3 sums were trained on") for line in fitted.describe())
    totals = fitted.totals(by="state", every="horizon")
    assert set(totals["state"]) == set(STATES)


def test_a_saved_forecaster_gives_the_same_with_its_table_and_without(
    fitted: Forecaster, frame: pd.DataFrame, tmp_path: Path
) -> None:
    fitted.save(str(tmp_path / "s"))
    loaded = Forecaster.load(str(tmp_path / "s"))
    pd.testing.assert_frame_equal(loaded.predict(), fitted.predict())
    pd.testing.assert_frame_equal(loaded.predict(frame), fitted.predict())
    pd.testing.assert_frame_equal(loaded.totals(by="all"), fitted.totals(frame, by="all"))


def test_noise_that_cancels_out_in_sums_is_left_out_of_them(frame: pd.DataFrame) -> None:
    months = sorted(frame["month"].unique())
    past, later = frame[frame["month"] < months[-6]], frame[frame["month"] >= months[-6]]
    actual = later.groupby("state")["units"].sum()
    errors = []
    for hierarchy in ((), ("state",)):
        settings = {"model": "holt-winters", "baselines": ("holt-winters",), "horizon": 6, "id": ("state", "shop")}
        totals = Forecaster(**settings, hierarchy=hierarchy).fit(past).totals(by="state", every="horizon")
        errors.append((totals.set_index("state")["mean"] - actual).abs().mean())
    assert errors[1] < errors[0]


def test_without_a_gain_forecasts_stay_as_they_are(frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forecast.engine.sums.LEAST_GAIN", 1.0)
    settings = {"model": "last", "baselines": ("last",), "horizon": 6, "id": ("state", "shop")}
    plain, hierarchical = (Forecaster(**settings, hierarchy=way).fit(frame) for way in ((), ("state",)))
    assert not hierarchical.fitted_.config.reconciles
    np.testing.assert_allclose(plain.predict()["forecast"], hierarchical.predict()["forecast"])


def test_least_squares_share_a_gap_by_variances() -> None:
    base = np.array([[[9.0, 10.0, 11.0]], [[18.0, 20.0, 22.0]]])  # [series, horizon, levels]
    means = np.array([[10.0], [20.0], [36.0]])
    deviation = np.array([[1.0], [2.0], [1.0]])
    is_sum, members = np.array([False, False, True]), np.array([[True, True]])
    moved = _agreed(base, means, deviation, is_sum, members, np.full(3, -np.inf))
    assert moved[:, 0, 1].tolist() == pytest.approx([10 + 1, 20 + 4])  # 6 * variance / (1 + 4 + 1)
    assert np.diff(moved[0, 0]).tolist() == pytest.approx([1, 1])
    scaled = _agreed(base, means, deviation, is_sum, members, np.zeros(3))
    assert (scaled[1, 0] / base[1, 0]).tolist() == pytest.approx([1.2] * 3)
