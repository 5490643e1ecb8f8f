"""The benchmark of rolling origins."""

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from benchmarks.__main__ import cli
from benchmarks.methods import choose, own_methods
from benchmarks.plan import Wanted
from benchmarks.rolling import SETS, comparison, rolling_runs

WANTED = Wanted([], [None], 1, None)


def rows_of(name: str, **mase: float | None) -> list[dict[str, object]]:
    return [
        {"data": f"rolling/{name}", "method": method.replace("_", "-"), "mase": mase[method]}
        for method in mase
    ]


def test_now_is_ahead_only_where_it_beats_the_best_baseline() -> None:
    rows = [
        *rows_of("won", now=0.8, seasonal_naive=2.0, theta=1.0, holt_winters=1.5),
        *rows_of("tied", now=1.0, seasonal_naive=1.0, theta=1.2, holt_winters=1.5),
        *rows_of("unfinished", now=0.5, theta=1.0),
        {"data": "m4-hourly", "method": "default", "mase": 0.1},
    ]
    assert comparison(rows) == [
        "| set | now | seasonal-naive | theta | holt-winters | now / best |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| won | 0.800 | 2.000 | 1.000 | 1.500 | 0.800 |",
        "| tied | 1.000 | 1.000 | 1.200 | 1.500 | 1.000 |",
        "| unfinished | 0.500 |  | 1.000 |  |  |",
        "",
        "now is ahead of the best of seasonal-naive, theta, holt-winters on 1 of 2 sets",
    ]


@pytest.mark.slow
def test_a_set_is_forecast_from_twenty_origins_by_a_real_backtest(tmp_path: Path) -> None:
    for one in SETS:
        (tmp_path / one.file).touch()
    days = pd.date_range("2012-01-01", "2014-12-31")
    births = pd.DataFrame(
        {"date": days, "births": 8000 + 500 * (days.day_of_week < 5) + days.day_of_year**2 / 50}
    )
    births.to_csv(tmp_path / "us_births_2000_2014_daily.csv", index=False)
    runs = list(rolling_runs(tmp_path, choose(own_methods(), ["theta"]), WANTED))
    assert [run.row["data"] for run in runs] == [f"rolling/{one.name}" for one in SETS]
    run = next(run for run in runs if run.row["data"] == "rolling/us_births_2000_2014_daily")
    assert run.row["horizon"] == 30
    scores = run.measure(tmp_path)
    assert scores["mase"] > 0
    assert "origins  20, " in (tmp_path / "log.txt").read_text()


def test_missing_set_is_named(tmp_path: Path) -> None:
    found = CliRunner().invoke(cli, ["rolling", "--data", str(tmp_path)])
    assert found.exit_code == 1
    assert "no file aus_retail_monthly.csv.gz in it" in found.output


@pytest.mark.parametrize("name", ["now", "holt-winters"])
def test_the_methods_of_the_comparison_exist(name: str) -> None:
    assert choose(own_methods(), [name])[0].name == name
