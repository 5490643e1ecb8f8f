"""A newest value far outside all others does not count until a second one confirms it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster

Run = Callable[..., "object"]
HORIZON = 12


def months(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {"t": pd.date_range("2015-01-01", periods=len(values), freq="MS"), "y": values}
    )


@pytest.fixture
def usual() -> np.ndarray:
    steps = np.arange(72)
    noise = np.random.default_rng(4).normal(0, 2, 72)
    return 100 + 20 * np.sin(2 * np.pi * steps / 12) + noise


def forecast_of(values: np.ndarray) -> np.ndarray:
    model = Forecaster(model="pretrained", horizon=HORIZON)
    return model.fit(months(values)).predict()["forecast"].to_numpy()


def test_a_lone_newest_value_changes_little_and_a_second_one_does(usual: np.ndarray) -> None:
    wrong = usual.copy()
    wrong[-1] *= 5
    right = forecast_of(usual)
    np.testing.assert_allclose(forecast_of(wrong), right, atol=4)

    confirmed = usual.copy()
    confirmed[-2:] *= 5
    assert forecast_of(confirmed).mean() > 1.2 * right.mean()


def test_a_constant_series_and_a_short_one_follow_their_newest_value() -> None:
    jump = np.append(np.full(40, 7.0), 70.0)
    short = np.append(np.arange(10.0), 500.0)
    for values in (jump, short):
        before = forecast_of(values[:-1]).mean()
        assert forecast_of(values).mean() > before + 1


def test_it_is_said(forecast: Run, usual: np.ndarray, tmp_path: Path) -> None:
    usual[-1] *= 5
    path = tmp_path / "months.csv"
    months(usual).to_csv(path, index=False)
    ran = forecast("now", path, "--horizon", HORIZON)
    assert (
        "months.csv: the newest value of 1 series (y) lies far outside all values before" in ran.err
    )
    months(usual[:-1]).to_csv(path, index=False)
    assert "newest value" not in forecast("now", path, "--horizon", HORIZON).err
