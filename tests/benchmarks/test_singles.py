"""The benchmark of intervals on single series: origins, scores and comparisons, and a fit in its own process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.processes import ROOT
from benchmarks.single_series import Single
from benchmarks.singles import read_runs, score, summary


@pytest.fixture
def single() -> Single:
    values = np.random.default_rng(0).normal(size=80)
    return Single(
        "noise/a", pd.Series(values, pd.date_range("2024-01-01", periods=80)), horizon=14, season=7
    )


def forecast_of(single: Single, origin: int, width: float) -> dict[str, object]:
    times = single.values.index[origin : origin + single.horizon].strftime("%Y-%m-%d")
    numbers = [[0.0, -width, width, -2 * width, 2 * width]] * single.horizon
    return {"seconds": 1.0, "times": times.tolist(), "numbers": numbers}


def test_origins_lie_in_the_newer_half_and_leave_a_horizon(single: Single) -> None:
    assert single.origins(3) == [40, 53, 66]
    flat = Single("flat/a", single.values * 0, 14, 7)
    assert flat.origins(3) == []  # errors have no unit


def test_a_run_has_its_scores_and_missing_values_do_not_count(single: Single) -> None:
    single.values.iloc[70] = np.nan
    run = score(single, 66, "default", forecast_of(single, 66, width=100.0))
    assert run["coverage_80"] == run["coverage_95"] == 1
    assert run["msis"] == pytest.approx(2 * run["msis_80"])
    assert run["half"] in ("tune", "check")
    assert sum(value is not None for value in run["actual"]) == 13


def test_summaries_compare_what_both_have(single: Single, tmp_path: Path) -> None:
    narrow = [
        score(single, origin, "default", forecast_of(single, origin, 50.0)) for origin in (53, 66)
    ]
    wide = [
        score(single, origin, "default", forecast_of(single, origin, 100.0)) for origin in (40, 53)
    ]
    table = summary(wide, narrow)
    assert table.loc["all series", "msis_ratio"] == pytest.approx(2)
    assert table.loc["all series", "runs"] == 1
    path = tmp_path / "runs.jsonl"
    path.write_text(json.dumps(wide[0]) + "\n" + json.dumps(wide[1])[:40])  # the second one was cut
    assert read_runs(path) == wide[:1]


@pytest.mark.slow
def test_a_fit_answers_in_a_process_of_its_own(single: Single, tmp_path: Path) -> None:
    path = tmp_path / "series.csv"
    single.values.iloc[:66].rename("value").rename_axis("time").to_csv(path)
    job = {"path": str(path), "horizon": None, "method": "mean"}
    done = subprocess.run(
        [sys.executable, "-P", str(ROOT / "benchmarks" / "single_fit.py")],
        input=json.dumps(job) + "\n",
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    answer = json.loads(done.stdout)
    assert answer["times"][0] == "2024-03-07 00:00:00"
    assert np.shape(answer["numbers"]) == (14, 5)
