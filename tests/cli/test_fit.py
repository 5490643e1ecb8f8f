"""What `forecast fit` says, saves and refuses; a table beyond memory is read as an even sample of its series."""

from pathlib import Path
from shlex import split

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from tests.conftest import Run

SHOPS, DAYS = 60, 50
QUICK = ("--steps", 6, "-p", "hidden_size=8", "--baselines", "last")
LINEAR = ("--model", "linear", "--steps", 2, "--members", 1, "--baselines", "last")


@pytest.fixture
def frame() -> pd.DataFrame:
    day = pd.date_range("2024-01-01", periods=DAYS)
    shop = [f"{number:03d}" for number in range(SHOPS)]
    random = np.random.default_rng(0)
    values = np.round(50 + random.normal(size=SHOPS * DAYS), 2)
    return pd.DataFrame(
        {"shop": np.repeat(shop, DAYS), "day": np.tile(day, SHOPS), "units": values}
    )


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize("sort", ["shop", "day"])
def test_a_sample_of_whole_series_is_drawn_by_seed(
    forecast: Run,
    frame: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    sort: str,
) -> None:
    frame = frame.sort_values([sort, "shop"])
    table = tmp_path / f"sales.{suffix}"
    frame.to_parquet(table, index=False) if suffix == "parquet" else frame.to_csv(
        table, index=False
    )
    # a quarter of what the whole is thought to take
    monkeypatch.setattr("forecast.panel.large.free_memory", lambda: len(frame) * 3 * 80 // 3)
    monkeypatch.setattr("forecast.panel.large.BYTES_AT_ONCE", 1 << 14)
    drawn = []
    for seed in (0, 0, 1):
        ran = forecast(
            "fit",
            table,
            *split("--model last --horizon 3"),
            "--seed",
            seed,
            "--artifact",
            tmp_path / "store",
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


def test_a_table_that_fits_into_memory_is_read_as_a_whole(
    forecast: Run, frame: pd.DataFrame, tmp_path: Path
) -> None:
    frame.to_parquet(tmp_path / "sales.parquet")
    ran = forecast(
        "fit", tmp_path / "sales.parquet", "--model", "last", "--artifact", tmp_path / "store"
    )
    assert "one series in" not in ran.err
    assert f"long: {SHOPS} series" in ran.err


def test_a_bad_row_of_a_sample_is_named_by_its_place(
    forecast: Run, frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pd.concat([frame, frame.iloc[-DAYS:]])  # the last shop comes twice
    frame.to_csv(tmp_path / "sales.csv", index=False)
    monkeypatch.setattr("forecast.panel.large.free_memory", lambda: len(frame) * 3 * 80 // 2)
    for seed in range(20):
        words = (*split("--id shop --model last"), "--seed", seed, "--artifact", tmp_path / "store")
        ran = forecast("fit", tmp_path / "sales.csv", *words)
        if ran.code == 65:
            assert f"sales.csv line {len(frame) - DAYS + 2}, column 'day'" in ran.err
            return
    pytest.fail("no seed has drawn the last shop")


def test_fit_then_predict_prints_eighteen_months(
    forecast: Run, passengers: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    fitted = forecast("fit", passengers, "--artifact", store, *QUICK)
    assert fitted.code == 0
    assert fitted.out == ""
    assert "month: 1949-01 to 1960-12, every MS" in fitted.err
    assert "season   12" in fitted.err
    found = forecast("predict", "--artifact", store)
    assert found.code == 0
    lines = found.out.splitlines()
    assert lines[0] == "series,month,forecast,lo_80,hi_80,lo_95,hi_95"
    assert [line.split(",")[1] for line in lines[1:]] == [
        f"{y}-{m:02}" for y in (1961, 1962) for m in range(1, 13)
    ][:18]
    assert found.err == ""


def test_what_cannot_be_learned_is_refused_and_what_hardly_was_is_said(
    forecast: Run, passengers: Path, tmp_path: Path
) -> None:
    few = forecast("fit", passengers, "--artifact", tmp_path / "s", "--horizon", 200, "--steps", 2)
    assert few.code == 65
    assert "--horizon" in few.err
    words = ("fit", passengers, "--artifact", tmp_path / "s", "--model", "segrnn")
    short = forecast(*words, "--budget", 0.5)
    assert short.code == 0
    assert "larger --budget" in short.err
    assert forecast("predict", "--artifact", tmp_path / "s", "--min", 60, "--max", 50).code == 2


@pytest.mark.parametrize("words", [["--steps", 10**21], ["--patience", 10**21], ["--wait", -1]])
def test_a_number_beyond_all_sense_is_refused(
    forecast: Run, passengers: Path, tmp_path: Path, words: list
) -> None:
    ran = forecast("fit", passengers, "--model", "gru", "--artifact", tmp_path / "store", *words)
    assert ran.code == 2
    assert words[0] in ran.err
