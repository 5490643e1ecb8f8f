"""A fit on a table that does not fit into memory sees an even sample of its series, and says so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster

Run = Callable[..., Any]
SHOPS, DAYS = 60, 50


@pytest.fixture
def frame() -> pd.DataFrame:
    day = pd.date_range("2024-01-01", periods=DAYS)
    shop = [f"{number:03d}" for number in range(SHOPS)]
    random = np.random.default_rng(0)
    values = np.round(50 + random.normal(size=SHOPS * DAYS), 2)
    return pd.DataFrame({"shop": np.repeat(shop, DAYS), "day": np.tile(day, SHOPS), "units": values})


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize("sort", ["shop", "day"])
def test_a_sample_of_whole_series_is_drawn_by_seed(
    forecast: Run, frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, sort: str
) -> None:
    frame = frame.sort_values([sort, "shop"])
    table = tmp_path / f"sales.{suffix}"
    frame.to_parquet(table, index=False) if suffix == "parquet" else frame.to_csv(table, index=False)
    # a quarter of what the whole is thought to take
    monkeypatch.setattr("forecast.reading.large.free_memory", lambda: len(frame) * 3 * 80 // 3)
    monkeypatch.setattr("forecast.reading.large.BYTES_AT_ONCE", 1 << 14)
    drawn = []
    for seed in (0, 0, 1):
        ran = forecast(
            "fit", table, "--model", "last", "--horizon", 3, "--seed", seed, "--artifact", tmp_path / "store"
        )
        assert ran.code == 0, ran.err
        assert "are free: the fit sees one series in 4, drawn by the hashes of their ids" in ran.err
        history = Forecaster.load(str(tmp_path / "store")).fitted_.history
        drawn.append(history.ids)
        assert SHOPS // 10 < len(history) < SHOPS // 2
        assert f"long: {len(history)} series (ids: shop), {len(history) * DAYS:,} values" in ran.err
    assert drawn[0] == drawn[1] != drawn[2]
    ran = forecast("predict", table, "--artifact", tmp_path / "store")
    assert ran.frame["shop"].nunique() == SHOPS


def test_a_table_that_fits_into_memory_is_read_as_a_whole(forecast: Run, frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.to_parquet(tmp_path / "sales.parquet")
    ran = forecast("fit", tmp_path / "sales.parquet", "--model", "last", "--artifact", tmp_path / "store")
    assert "one series in" not in ran.err
    assert f"long: {SHOPS} series" in ran.err


def test_a_bad_row_of_a_sample_is_named_by_its_place(
    forecast: Run, frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pd.concat([frame, frame.iloc[-DAYS:]])  # the last shop comes twice
    frame.to_csv(tmp_path / "sales.csv", index=False)
    monkeypatch.setattr("forecast.reading.large.free_memory", lambda: len(frame) * 3 * 80 // 2)
    for seed in range(20):
        words = ("--id", "shop", "--model", "last", "--seed", seed, "--artifact", tmp_path / "store")
        ran = forecast("fit", tmp_path / "sales.csv", *words)
        if ran.code == 65:
            assert f"sales.csv line {len(frame) - DAYS + 2}, column 'day'" in ran.err
            return
    pytest.fail("no seed has drawn the last shop")
