"""Measures by the values of a column, the worst first, in Python and by the commands."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster, score
from forecast.errors import UsageError
from forecast.settings import TableSettings
from tests.conftest import Run
from tests.jobs.a_job import Job
from tests.jobs.a_job import at as at
from tests.jobs.a_job import job as job

COLUMNS = {"id": ("shop", "item"), "static": ("family",), "target": "units"}
FLAGS = ("--id", "shop,item", "--static", "family", "--target", "units")


def sales() -> pd.DataFrame:
    """Two shops and two items; toys jump about, food repeats its week."""
    draw = np.random.default_rng(0)
    day = pd.date_range("2024-01-01", periods=70)
    frames = []
    for shop in ("n", "s"):
        for item, family in (("a", "food"), ("b", "toys"), ("c", "toys")):
            noise = draw.normal(0, 20 if family == "toys" else 2, len(day))
            units = 100 + 10 * (np.arange(len(day)) % 7) + noise
            names = {"shop": shop, "item": item, "family": family, "day": day, "units": units}
            frames.append(pd.DataFrame(names))
    return pd.concat(frames, ignore_index=True)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "sales.csv"
    sales().to_csv(path, index=False)
    return path


def test_each_value_has_the_measures_of_its_series_alone_and_the_worst_comes_first() -> None:
    frame = sales()
    settings = {"model": "last", "horizon": 7, **COLUMNS}
    result = Forecaster(**settings).backtest(frame, windows=2)
    rows = result.rows_by("family")
    assert rows["family"].tolist() == ["food", "food", "toys", "toys"]
    alone = Forecaster(**settings).backtest(frame[frame["family"] == "toys"], windows=2)
    points = ["model", "skill", "mase", "rmsse", "mae", "smape"]  # intervals learn from all series
    toys = rows[rows["family"] == "toys"].reset_index(drop=True)
    pd.testing.assert_frame_equal(toys[points], alone.overall[points])
    last = rows[rows["model"] == "last"]["skill"]
    assert last.is_monotonic_increasing
    rows = result.rows_by(("item", "shop"))
    assert list(rows.columns[:3]) == ["shop", "item", "model"]
    assert rows.equals(result.rows_by("item,shop"))
    assert len(result.rows_by("series")) == 12
    with pytest.raises(UsageError, match="did you mean 'family'"):
        result.rows_by("famly")


def test_a_saved_table_is_scored_by_the_values_of_a_column() -> None:
    frame = sales()
    later = frame[frame["day"] >= "2024-03-04"]
    made = later.rename(columns={"units": "forecast"}).drop(columns="family")
    made.loc[made["item"] == "b", "forecast"] += 9
    rows = score(made, frame, TableSettings(static=("family",))).rows_by("family")
    assert rows["family"].tolist() == ["toys", "food"]
    assert rows["mae"].tolist() == pytest.approx([4.5, 0])


def test_the_commands_write_the_rows(forecast: Run, table: Path) -> None:
    words = ("backtest", table, *FLAGS, "--horizon", 7, "--windows", 2, "--model", "last")
    ran = forecast(*words, "--by", "family", "--quiet")
    assert ran.frame["family"].tolist() == ["food", "food", "toys", "toys"]
    told = json.loads(forecast(*words, "--by", "family", "--json", "--quiet").out)
    assert [row["family"] for row in told["by_group"]] == ran.frame["family"].tolist()
    assert "by_series" in told
    refused = forecast(*words, "--by", "brand")
    assert refused.code == 2
    assert "'brand' is no id column and no static one; there are shop, item, family" in refused.err


def test_a_column_may_be_called_as_a_word_of_the_command(forecast: Run, tmp_path: Path) -> None:
    frame = sales().rename(columns={"shop": "step"})
    frame.to_csv(tmp_path / "steps.csv", index=False)
    words = ("backtest", tmp_path / "steps.csv", "--id", "step,item", "--target", "units")
    words = (*words, "--horizon", 7, "--windows", 2, "--model", "last", "--quiet", "--by")
    assert forecast(*words, "step").frame["step"].tolist() == sorted([*range(1, 8)] * 2)
    assert set(forecast(*words, "column:step").frame["step"]) == {"n", "s"}


def test_the_status_of_a_job_has_them(forecast: Run, job: Job, at: Callable[[int], str]) -> None:
    job.write(table='id = "shop"')
    for days in (196, 197, 198):
        frame = job.table(days)
        jumps = (frame["shop"] == "north") & (frame["day"] > "2024-07-12")
        frame.loc[jumps, "units"] += 15.0
        frame.to_csv(job.folder / "sales.csv", index=False)
        assert forecast("run", job.file, "--as-of", at(days - 1), "--quiet").code in (0, 5)
    (state,) = json.loads(forecast("status", job.file, "--by", "shop", "--json").out)
    groups = state["groups"]
    assert [row["shop"] for row in groups] == ["north", "south"]
    assert groups[0]["mase"] > groups[1]["mase"] > 0
    assert sum(row["count"] for row in groups) == sum(day["count"] for day in state["days"])
    assert "north" in forecast("status", job.file, "--by", "shop").out
    refused = forecast("status", job.file, "--by", "town")
    assert refused.code == 2
    assert "there are shop" in refused.err


def test_a_report_has_the_groups_of_its_backtest(
    forecast: Run, table: Path, tmp_path: Path
) -> None:
    words = ("backtest", table, *FLAGS, "--horizon", 7, "--windows", 2, "--model", "last")
    tests = tmp_path / "tests.json"
    assert forecast(*words, "--by", "family", "--output", tests, "--quiet").code == 0
    page = tmp_path / "report.html"
    report = ("report", "--backtest", tests, "--output", page, "--by")
    assert forecast(*report, "family").code == 0
    assert "By family, the worst first" in page.read_text()
    refused = forecast(*report, "item")
    assert refused.code == 2
    assert "`forecast backtest DATA --by item --output FILE`" in refused.err
