"""Numbers in a small unit forecast as those of a usual one do, or are refused with a sentence."""

from pathlib import Path
from shlex import split
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster, RecurrentRegressor
from tests.conftest import Run

NETWORK = {"steps": 4, "params": {"hidden_size": 4}, "guard": False}
MODELS: dict[str, dict[str, Any]] = {
    "segrnn": NETWORK,
    "trees": {"guard": False},
    "finetuned": {"steps": 4, "guard": False},
    "regression": {},
    "pretrained": {},
}
COLUMNS = ["promo", "weather", "size"]
AHEAD = 7


def shops(target: float = 1.0, columns: float = 1.0) -> pd.DataFrame:
    """Two shops with a column known in advance, one known afterwards and a size, in other units."""
    generator = np.random.default_rng(0)
    days = pd.date_range("2024-01-01", periods=90)
    frames = []
    for shop in (1, 2):
        promo = (generator.random(90) < 0.3) * generator.uniform(0.5, 1.5, 90)
        units = (
            50.1
            + 10 * np.sin(np.arange(90) * 2 * np.pi / 7)
            + 8 * promo
            + generator.normal(0, 3, 90)
        )
        weather = generator.normal(0, 1, 90)
        values = {"units": units, "promo": promo, "weather": weather, "size": shop * 1.5}
        frames.append(pd.DataFrame({"shop": str(shop), "day": days, **values}))
    table = pd.concat(frames, ignore_index=True)
    table["units"] *= target
    table[COLUMNS] *= columns
    return table


def predicted(model: str, table: pd.DataFrame) -> np.ndarray[Any, Any]:
    roles: dict[str, Any] = {
        "id": "shop",
        "target": "units",
        "known": "promo",
        "past": "weather",
        "static": "size",
    }
    fitted = Forecaster(model=model, horizon=AHEAD, season=7, **roles, **MODELS[model]).fit(table)
    future = table.groupby("shop").tail(AHEAD)[["shop", "day", "promo"]]
    future["day"] += pd.Timedelta(days=AHEAD)
    return fitted.predict(future=future)[
        ["forecast", "lo_80", "hi_80", "lo_95", "hi_95"]
    ].to_numpy()


@pytest.mark.parametrize(
    ("model", "unit"),
    [
        ("segrnn", 1e-13),
        ("segrnn", 1e-300),
        ("regression", 1e-13),
        ("regression", 1e-300),
        pytest.param("trees", 1e-300, marks=pytest.mark.slow),
    ],
)
def test_columns_of_any_unit_say_the_same(model: str, unit: float) -> None:
    np.testing.assert_allclose(
        predicted(model, shops(columns=unit)), predicted(model, shops()), rtol=1e-6
    )


def test_a_store_with_columns_of_a_small_unit_is_read_again(tmp_path: Path) -> None:
    table = shops(columns=1e-300)
    roles: dict[str, Any] = {
        "id": "shop",
        "target": "units",
        "past": ("promo", "weather"),
        "static": "size",
    }
    model = Forecaster(model="segrnn", horizon=AHEAD, season=7, **roles, **NETWORK).fit(table)
    model.save(str(tmp_path / "store"))
    pd.testing.assert_frame_equal(
        Forecaster.load(str(tmp_path / "store")).predict(), model.predict()
    )


@pytest.mark.parametrize("model", ["segrnn", "finetuned", "pretrained"])
def test_forecasts_are_of_the_unit_of_the_target(model: str) -> None:
    small = predicted(model, shops(1e-13))
    np.testing.assert_allclose(small / 1e-13, predicted(model, shops()), rtol=1e-5)


def test_intervals_of_whole_paths_are_of_the_unit_of_the_target(
    forecast: Run, tmp_path: Path
) -> None:
    found = {}
    for unit in (1.0, 1e-13):
        shops(unit)[["shop", "day", "units"]].to_csv(tmp_path / "t.csv", index=False)
        store = ("--artifact", tmp_path / f"store-{unit}")
        fit = (
            "fit",
            tmp_path / "t.csv",
            *split("--id shop --model theta"),
            "--horizon",
            AHEAD,
            "--season",
            7,
        )
        assert forecast(*fit, *store).code == 0
        table = forecast("predict", *store).frame
        found[unit] = table[["lo_80", "hi_80", "lo_95", "hi_95"]].to_numpy() / unit
    np.testing.assert_allclose(found[1e-13], found[1.0], rtol=1e-5)


def test_windows_of_any_unit_say_the_same() -> None:
    windows = np.random.default_rng(0).normal(3, 1, (60, 8))
    knobs: dict[str, Any] = {"model": "gru", "params": {"hidden_size": 4}, "steps": 5}
    usual = RecurrentRegressor(**knobs).fit(windows, windows[:, -1]).predict(windows)
    for unit in (1e-13, 1e-300):
        small = (
            RecurrentRegressor(**knobs)
            .fit(windows * unit, windows[:, -1] * unit)
            .predict(windows * unit)
        )
        np.testing.assert_allclose(small / unit, usual, rtol=1e-5)


@pytest.mark.parametrize("command", ["fit", "now", "inspect"])
def test_a_target_too_small_for_the_arithmetic_is_refused(
    forecast: Run, tmp_path: Path, command: str
) -> None:
    table = shops()
    table["units"] = table["units"].where(table["shop"] == "1", table["units"] * 1e-308)
    table[["shop", "day", "units"]].to_csv(tmp_path / "t.csv", index=False)
    refused = forecast(command, tmp_path / "t.csv", "--horizon", 3)
    assert refused.code == 65
    assert "t.csv: the value of 2 at 2024-01-01 is too small (" in refused.err
    assert "numbers from 1e-30 to 1e+18 can be forecast: use another unit" in refused.err


def test_a_value_that_is_nearly_nothing_beside_others_is_read(
    forecast: Run, tmp_path: Path
) -> None:
    table = shops()
    table.loc[[3, 20], "units"] = 1e-308
    table[["shop", "day", "units"]].to_csv(tmp_path / "t.csv", index=False)
    assert (
        forecast(
            "fit",
            tmp_path / "t.csv",
            *split("--horizon 3 --model last"),
            "--artifact",
            tmp_path / "s",
        ).code
        == 0
    )
