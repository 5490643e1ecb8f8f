"""`forecast backtest` on real files."""

import json
import re
from pathlib import Path
from shlex import split

import pandas as pd
import pytest

from forecast import Forecaster
from forecast.engine.requests import Callbacks
from forecast.errors import BadData, UsageError
from tests.conftest import Run

QUICK = ("--steps", 6, "-p", "hidden_size=8", "--baselines", "last")


def test_models_and_baselines_stand_side_by_side_as_csv(forecast: Run, passengers: Path) -> None:
    found = forecast("backtest", passengers, "--model", "segrnn,theta", "--windows", 2, *QUICK)
    assert found.code == 0
    assert found.frame["model"].tolist() == ["seasonal-naive", "segrnn", "theta"]
    assert found.frame.columns[:3].tolist() == ["model", "skill", "mase"]
    assert "month: 1949-01 to 1960-12, every MS" in found.err
    assert (
        "origins  2, 1957-12 to 1959-06; fits: one at the oldest; season of mase: 12" in found.err
    )


def test_json_holds_all_tables(forecast: Run, passengers: Path, tmp_path: Path) -> None:
    place, rows = tmp_path / "all.json", tmp_path / "rows.parquet"
    words = (
        *split("--windows 2 --step 6 --horizon 3 --refit"),
        "--output",
        place,
        "--forecasts",
        rows,
        "--json",
    )
    found = forecast("backtest", passengers, *words, *QUICK, "--quiet")
    assert found.code == 0
    assert found.err == ""
    told = json.loads(found.out)
    assert told == json.loads(place.read_text())
    assert told["origins"] == ["1960-03", "1960-09"]
    assert (told["horizon"], told["season"], told["seen"]) == (3, 12, 0)
    assert [row["model"] for row in told["overall"]] == ["seasonal-naive", "auto"]
    assert len(told["by_series"]) == 2
    assert len(told["by_step"]) == 6
    assert len(pd.read_parquet(rows)) == 12


@pytest.mark.parametrize(
    ("by", "columns", "count"), [("series", ["shop", "model"], 4), ("step", ["step", "model"], 5)]
)
def test_a_table_by_series_or_by_step(
    forecast: Run,
    panel_frame: pd.DataFrame,
    tmp_path: Path,
    by: str,
    columns: list[str],
    count: int,
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


def test_a_saved_forecaster_is_judged_without_a_fit(
    forecast: Run, passengers: Path, store: Path
) -> None:
    before = sorted(store.iterdir())
    found = forecast(
        "backtest", passengers, "--artifact", store, "--windows", 3, "--model", "drift"
    )
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
        (
            ("--horizon", 100),
            65,
            "needs at least 202: 102 to fit, 100 to compare; pass --horizon 71 or less",
        ),
        (("--model", "segrnn,thta"), 2, "thta"),
        (("--version", "x"), 2, "--artifact"),
        (("--output", "x.ods", "--model", "last"), 73, "x.ods: forecasts are written as .csv"),
    ],
)
def test_what_cannot_be_is_refused(
    forecast: Run, passengers: Path, words: tuple[object, ...], code: int, message: str
) -> None:
    found = forecast("backtest", passengers, *words, *(QUICK if "last" not in words else ()))
    assert found.code == code
    assert message in found.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model", "segrnn,thta"), "unknown model 'thta'; did you mean 'theta'?"),
        (
            ("--model", "segrnn,linear", "-p", "hidden_size=8"),
            "model linear: unknown setting 'hidden_size'",
        ),
        (
            ("--model", "segrnn", "--baselines", "last,thta"),
            "unknown baseline 'thta'; did you mean 'theta'?",
        ),
    ],
)
def test_a_name_that_is_unknown_is_refused_before_the_table_is_read(
    forecast: Run, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    for command in ("backtest", "fit") if "," not in words[1] else ("backtest",):
        found = forecast(command, tmp_path / "no table.csv", *words)
        assert found.code == 2
        assert message in found.err


def test_python_refuses_an_unknown_name_before_a_fit(panel_frame: pd.DataFrame) -> None:
    fits = []
    with pytest.raises(UsageError, match="did you mean 'theta'"):
        Forecaster(model="linear", steps=2).backtest(
            panel_frame[["shop", "day", "units"]],
            models=("linear", "thta"),
            callbacks=Callbacks(on_step=fits.append),
        )
    assert not fits


def test_a_horizon_that_is_too_long_is_answered_with_one_that_fits(
    forecast: Run, tmp_path: Path
) -> None:
    path = tmp_path / "d.csv"
    pd.DataFrame({"day": pd.date_range("2024-01-01", periods=40), "units": range(40)}).to_csv(
        path, index=False
    )
    few = forecast("backtest", path, "--model", "last", "--horizon", 25)
    assert few.code == 65
    assert few.err.endswith("pass --horizon 19 or less\n")
    assert forecast("backtest", path, "--model", "last", "--horizon", 19).code == 0
    some = forecast("backtest", path, "--model", "last", "--horizon", 8)
    assert (
        "2 origins instead of 8, as the longest series has 40 steps; for all of them pass --step "
        in some.err
    )
    step = re.findall("--step ([0-9]+)", some.err)[0]
    found = forecast("backtest", path, "--model", "last", "--horizon", 8, "--step", step)
    assert "origins  8," in found.err
    fit = forecast("fit", path, "--model", "last", "--horizon", 60, "--artifact", tmp_path / "s")
    assert fit.code == 65
    assert (
        "too few to learn a horizon of 60 from; pass --horizon 40 or less, or --model pretrained"
        in fit.err
    )
    assert (
        forecast("fit", path, "--model", "last", "--horizon", 40, "--artifact", tmp_path / "s").code
        == 0
    )
    again = forecast("fit", path, "--model", "last", "--horizon", 38, "--artifact", tmp_path / "s")
    assert again.code == 0, again.err
    with pytest.raises(BadData, match="pass horizon=19 or less"):
        Forecaster(model="last", horizon=25).backtest(pd.read_csv(path))


def test_what_a_fold_says_names_flags(forecast: Run, passengers: Path) -> None:
    words = (*split("--model segrnn -p hidden_size=64 --windows 2 --refit"), "--budget", 0.1)
    found = forecast("backtest", passengers, *words)
    assert "pass a larger --budget" in found.err
    assert "budget=" not in found.err


def test_a_fit_that_held_nothing_out_says_what_its_intervals_rest_on(
    forecast: Run, tmp_path: Path
) -> None:
    days = pd.date_range("2024-01-01", periods=10)
    pd.DataFrame({"day": days, "y": [3, 5, 2, 6, 4, 7, 5, 8, 6, 9]}).to_csv(
        tmp_path / "ten.csv", index=False
    )
    found = forecast("fit", tmp_path / "ten.csv", "--horizon", 5, "--artifact", tmp_path / "store")
    assert found.code == 0
    assert "warning: no values could be held out: intervals are not calibrated" in found.err
    pd.DataFrame({"day": pd.date_range("2024-01-01", periods=200), "y": 5}).to_csv(
        tmp_path / "flat.csv", index=False
    )
    assert (
        "held out: intervals"
        not in forecast("fit", tmp_path / "flat.csv", "--artifact", tmp_path / "flat").err
    )
