"""Means and ends of lumpy series, and whole numbers within bounds, through the commands."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast.errors import UsageError
from forecast.settings import OutputSettings
from tests.conftest import Run

SHAPE = ("--point", "mean", "--levels", "80,95,99")


def sales(path: Path, incidence: float, seed: int) -> np.ndarray:
    """Three years of days, of which some have a sale of about 100."""
    generator = np.random.default_rng(seed)
    values = np.round(np.where(generator.random(1095) < incidence, generator.gamma(4, 25, 1095), 0))
    days = pd.date_range("2023-01-01", periods=1095).strftime("%Y-%m-%d")
    pd.DataFrame({"day": days, "sold": values}).to_csv(path, index=False)
    return np.asarray(values)


@pytest.mark.parametrize(("incidence", "seed"), [(0.1, 5), (0.059, 0)])
def test_means_and_ends_of_lumpy_series_stay_near_what_was_seen(
    forecast: Run, tmp_path: Path, incidence: float, seed: int
) -> None:
    values = sales(tmp_path / "sales.csv", incidence, seed)
    found = forecast("now", tmp_path / "sales.csv", *SHAPE).frame
    assert found["forecast"].mean() == pytest.approx(values[-365:].mean(), rel=0.25)
    assert found["forecast"].mean() == pytest.approx(100 * incidence, rel=0.3)
    assert found["hi_99"].max() <= 2 * values.max()
    assert (found["hi_95"] > found["forecast"]).all()


def test_means_are_the_same_from_a_saved_version_and_from_its_table(
    forecast: Run, tmp_path: Path
) -> None:
    table, store = tmp_path / "sales.csv", tmp_path / "store"
    sales(table, 0.1, 2)
    assert forecast("fit", table, "--artifact", store, "--model", "seasonal-mean").code == 0
    kept, read = (
        forecast("predict", *data, "--artifact", store, *SHAPE).frame for data in ((), (table,))
    )
    pd.testing.assert_frame_equal(kept, read)
    assert kept["forecast"].mean() == pytest.approx(7.7, rel=0.25)


def test_whole_numbers_stay_within_bounds(forecast: Run, tmp_path: Path) -> None:
    table, store = tmp_path / "t.csv", tmp_path / "store"
    days = pd.date_range("2024-01-01", periods=60).strftime("%Y-%m-%d")
    pd.DataFrame({"day": days, "sold": np.random.default_rng(0).normal(9, 5, 60)}).to_csv(
        table, index=False
    )
    assert forecast("fit", table, "--artifact", store, "--model", "mean", "--horizon", 5).code == 0
    found = forecast(
        "predict", "--artifact", store, "--integer", "--min", "8.4", "--max", "11.6"
    ).frame
    numbers = found[["forecast", "lo_80", "hi_80", "lo_95", "hi_95"]].to_numpy()
    assert numbers.min() == 9
    assert numbers.max() == 11
    for command in (("predict", "--artifact", store), ("now", table)):
        refused = forecast(*command, "--integer", "--min", "8.2", "--max", "8.7")
        assert refused.code == 2
        assert "no whole number lies between min 8.2 and max 8.7" in refused.err
    assert forecast("predict", "--artifact", store, "--min", "8.2", "--max", "8.7").code == 0
    with pytest.raises(UsageError, match="no whole number"):
        OutputSettings.check({"integer": True, "min": 8.2, "max": 8.7})
