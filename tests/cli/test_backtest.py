"""`forecast backtest` on real files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

Run = Callable[..., Any]
QUICK = ("--steps", 6, "-p", "hidden_size=8")


def test_models_and_baselines_stand_side_by_side_as_csv(forecast: Run, passengers: Path) -> None:
    found = forecast("backtest", passengers, "--model", "segrnn,theta", "--windows", 2, *QUICK)
    assert found.code == 0
    assert found.frame["model"].tolist() == ["seasonal-naive", "segrnn", "theta"]
    assert found.frame.columns[:3].tolist() == ["model", "skill", "mase"]
    assert "month: 1949-01 to 1960-12, every MS" in found.err
    assert "origins  2, 1957-12 to 1959-06; fits: one at the oldest; season of mase: 12" in found.err


def test_json_holds_all_tables(forecast: Run, passengers: Path, tmp_path: Path) -> None:
    place, rows = tmp_path / "all.json", tmp_path / "rows.parquet"
    words = ("--windows", 2, "--step", 6, "--horizon", 3, "--refit", "--output", place, "--forecasts", rows, "--json")
    found = forecast("backtest", passengers, *words, *QUICK, "--quiet")
    assert found.code == 0
    assert found.err == ""
    told = json.loads(found.out)
    assert told == json.loads(place.read_text())
    assert told["origins"] == ["1960-03", "1960-09"]
    assert (told["horizon"], told["season"]) == (3, 12)
    assert [row["model"] for row in told["overall"]] == ["seasonal-naive", "auto"]
    assert len(told["by_series"]) == 2
    assert len(told["by_step"]) == 6
    assert len(pd.read_parquet(rows)) == 12


@pytest.mark.parametrize(("by", "columns", "count"), [("series", ["shop", "model"], 4), ("step", ["step", "model"], 5)])
def test_a_table_by_series_or_by_step(
    forecast: Run, panel_frame: pd.DataFrame, tmp_path: Path, by: str, columns: list[str], count: int
) -> None:
    panel_frame[["shop", "day", "units"]].to_csv(tmp_path / "data.csv", index=False)
    out = tmp_path / "table.csv"
    words = ("--model", "last", "--horizon", 5, "--windows", 2, "--by", by, "--output", out)
    found = forecast("backtest", tmp_path / "data.csv", *words)
    assert found.code == 0
    assert found.out == ""
    table = pd.read_csv(out)
    assert table.columns[:3].tolist() == [*columns, "skill"]
    assert len(table) == 2 * count


def test_a_saved_forecaster_is_judged_without_a_fit(forecast: Run, passengers: Path, store: Path) -> None:
    before = sorted(store.iterdir())
    found = forecast("backtest", passengers, "--artifact", store, "--windows", 3, "--model", "drift")
    assert found.code == 0
    assert found.frame["model"].tolist() == ["seasonal-naive", "auto", "drift"]
    assert "3 of 3 origins lie before 1960-12, the end of the fit" in found.err
    assert sorted(store.iterdir()) == before
    refused = forecast("backtest", passengers, "--artifact", store, "--steps", 5)
    assert refused.code == 2
    assert "--steps" in refused.err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--windows", 0), 2, "windows"),
        (("--horizon", 100), 65, "wants at least 202: 102 to fit, 100 to judge; pass a smaller --horizon"),
        (("--model", "segrnn,thta"), 2, "thta"),
        (("--version", "x"), 2, "--artifact"),
        (("--output", "x.xlsx", "--model", "last"), 73, "--output x.xlsx"),
    ],
)
def test_what_cannot_be_is_refused(
    forecast: Run, passengers: Path, words: tuple[object, ...], code: int, message: str
) -> None:
    found = forecast("backtest", passengers, *words, *(QUICK if "last" not in words else ()))
    assert found.code == code
    assert message in found.err
