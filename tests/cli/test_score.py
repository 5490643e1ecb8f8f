"""`forecast score` on what `forecast predict` wrote."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import Run

QUICK = ("--steps", 6, "-p", "hidden_size=8", "--baselines", "last")


@pytest.fixture
def predicted(forecast: Run, panel_frame: pd.DataFrame, tmp_path: Path) -> tuple[Path, Path]:
    """Forecasts of the last five days, and all days."""
    actual, past, made = (tmp_path / name for name in ("actual.csv", "past.csv", "made.csv"))
    plain = panel_frame[["shop", "day", "units"]]
    plain.to_csv(actual, index=False)
    plain[plain["day"] <= "2024-03-15"].to_csv(past, index=False)
    store = ("--artifact", tmp_path / "store", "--quiet")
    assert forecast("fit", past, "--horizon", 5, "--season", 7, *store, *QUICK).code == 0
    assert forecast("predict", *store, "--output", made, "--explain").code == 0
    return made, actual


def test_the_score_is_that_of_a_backtest_from_the_same_origin(
    forecast: Run, predicted: tuple[Path, Path]
) -> None:
    made, actual = predicted
    scored = forecast("score", made, actual, "--season", 7)
    assert scored.code == 0
    assert "scored   20 forecasts; a season is 7 steps" in scored.err
    tested = forecast("backtest", actual, "--horizon", 5, "--windows", 1, "--season", 7, *QUICK)
    both = [
        one.frame.drop(
            columns=["model", "revision", "fit_seconds", "predict_seconds"], errors="ignore"
        )
        for one in (scored, tested)
    ]
    pd.testing.assert_frame_equal(both[0], both[1][1:].reset_index(drop=True))


def test_json_file_and_tables(forecast: Run, predicted: tuple[Path, Path], tmp_path: Path) -> None:
    made, actual = predicted
    told = json.loads(forecast("score", made, actual, "--json").out)
    assert told["values"] == 20
    assert {row["shop"] for row in told["by_series"]} == {"s001", "s002", "s003", "s004"}
    by_series = [row["rmsse"] for row in told["by_series"]]
    assert told["overall"][0]["rmsse"] == pytest.approx(sum(by_series) / 4)
    by_step = forecast("score", made, actual, "--by", "step", "--output", tmp_path / "out.parquet")
    assert (by_step.code, by_step.out) == (0, "")
    assert pd.read_parquet(tmp_path / "out.parquet")["step"].tolist() == [1, 2, 3, 4, 5]


def test_forecasts_without_values_end_with_three_and_their_names(
    forecast: Run, predicted: tuple[Path, Path], tmp_path: Path
) -> None:
    made, actual = predicted
    frame = pd.read_csv(actual)
    frame[frame["shop"] != "s003"].to_csv(tmp_path / "less.csv", index=False)
    found = forecast("score", made, tmp_path / "less.csv")
    assert found.code == 3
    assert "1 series are not in less.csv (s003)" in found.err


def test_values_that_are_not_there_yet_are_bad_data(
    forecast: Run, predicted: tuple[Path, Path], tmp_path: Path
) -> None:
    made, _ = predicted
    found = forecast("score", made, tmp_path / "past.csv")
    assert found.code == 65
    assert (
        "past.csv (2024-01-01 to 2024-03-15) has no value for a time of made.csv (2024-03-16 to"
        in found.err
    )
    assert forecast("score", tmp_path / "none.csv", made).code == 66


def test_an_interval_that_ends_below_its_beginning_is_refused(
    forecast: Run, predicted: tuple[Path, Path], tmp_path: Path
) -> None:
    made, actual = predicted
    frame = pd.read_csv(made, dtype=str)
    frame.loc[3, ["lo_95", "hi_95"]] = ["12", "7.5"]
    frame.to_csv(tmp_path / "crossed.csv", index=False)
    refused = forecast("score", tmp_path / "crossed.csv", actual)
    assert refused.code == 65
    columns = "crossed.csv line 5, columns 'lo_95' and 'hi_95'"
    assert (
        f"{columns}: the interval begins at 12 and ends at 7.5; give a table that predict wrote"
        in refused.err
    )


def test_daily_forecasts_against_hourly_values_are_pointed_out(
    forecast: Run, tmp_path: Path
) -> None:
    hours = pd.date_range("2024-01-01", periods=96, freq="h")
    pd.DataFrame({"time": hours, "y": 1.0}).to_csv(tmp_path / "hours.csv", index=False)
    pd.DataFrame({"series": "y", "time": hours[::24], "forecast": 24.0}).to_csv(
        tmp_path / "days.csv", index=False
    )
    scored = forecast("score", tmp_path / "days.csv", tmp_path / "hours.csv")
    assert "days.csv: times lie 24 steps (h) of hours.csv apart" in scored.err
    assert "with --freq and --aggregate" in scored.err
    summed = forecast(
        "score", tmp_path / "days.csv", tmp_path / "hours.csv", "--freq", "D", "--aggregate", "sum"
    )
    assert summed.frame["mae"].item() == 0
    assert "apart; unless" not in summed.err


def test_the_target_is_that_of_the_store(
    forecast: Run, panel_frame: pd.DataFrame, tmp_path: Path
) -> None:
    actual, made, store = (
        tmp_path / "actual.csv",
        tmp_path / "made.csv",
        ("--artifact", tmp_path / "store", "--quiet"),
    )
    frame = panel_frame[["shop", "day", "units"]].rename(columns={"units": "sold"})
    frame["margin"] = frame["sold"] - 90.5
    frame.to_csv(actual, index=False)
    frame[frame["day"] <= "2024-03-15"].to_csv(tmp_path / "past.csv", index=False)
    fit = ("--target", "sold", "--horizon", 5, "--model", "seasonal-naive", *store)
    assert forecast("fit", tmp_path / "past.csv", *fit).code == 0
    assert forecast("predict", *store, "--output", made).code == 0
    by_store = forecast("score", made, actual, *store)
    assert by_store.code == 0, by_store.err
    assert by_store.out == forecast("score", made, actual, "--target", "sold", *store).out
    wide = frame.pivot(index="day", columns="shop", values="sold")
    wide.to_csv(tmp_path / "wide.csv")
    assert "sold" not in forecast("score", made, tmp_path / "wide.csv", *store).err


def test_a_store_that_nobody_named_reads_nothing(
    forecast: Run, panel_frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plain = panel_frame[["shop", "day", "units"]]
    past = plain[plain["day"] <= "2024-03-15"]
    plain.drop(plain[plain["day"] == "2024-03-17"].index).to_csv("actual.csv", index=False)
    past.to_csv("past.csv", index=False)
    fit = ("fit", "past.csv", "--horizon", 5, "--model", "seasonal-naive", "--season", 7, "--quiet")
    assert forecast(*fit, "--artifact", "other").code == 0
    assert forecast("predict", "--artifact", "other", "--output", "made.csv", "--quiet").code == 0
    alone = forecast("score", "made.csv", "actual.csv", "--json")
    drawn = forecast("plot", "actual.csv", "--forecast", "made.csv")
    assert forecast(*fit, "--missing", "zero").code == 0
    assert json.loads(alone.out)["values"] == 16
    assert forecast("score", "made.csv", "actual.csv", "--json").out == alone.out
    assert forecast("plot", "actual.csv", "--forecast", "made.csv").out == drawn.out
    named = forecast("score", "made.csv", "actual.csv", "--json", "--artifact", "forecast-model")
    assert json.loads(named.out)["values"] == 20, "missing values are zeros there"
    refused = forecast("plot", "actual.csv", "--forecast", "made.csv", "--version", "v-1")
    assert refused.code == 2
    assert "--forecast draws a table as it is; leave it out" in refused.err
