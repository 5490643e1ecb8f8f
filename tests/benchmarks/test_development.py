"""The benchmark that chooses rules on older origins and other sources, and judges them on what is left."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from benchmarks.__main__ import cli
from benchmarks.development import MEASURES, Task, change_number, judge, measure_task
from forecast.ensemble import weights


def rows(older: dict[str, float], newest: dict[str, float]) -> pd.DataFrame:
    """Errors of one series of each source at an older origin and the newest one."""
    made = []
    for origin, errors in ((0, newest), (1, older)):
        for source, error in errors.items():
            row = {"kind": "panel", "source": source, "set": source, "series": "a"}
            made.append(row | {"origin": origin} | dict.fromkeys(MEASURES, error))
    return pd.DataFrame(made)


def test_a_gain_on_one_source_counts_only_where_other_sources_choose_it() -> None:
    """The change helps `c` much and hurts the others: only for `a` and `b` it would be kept."""
    even = dict.fromkeys("abc", 1.0)
    base = rows(even, even)
    changed = rows({"a": 1.1, "b": 1.1, "c": 0.2}, {"a": 1.1, "b": 1.2, "c": 0.2})
    (judged,) = judge(base, changed).to_dict("records")
    assert judged["kept"] == pytest.approx(2 / 3)
    assert judged["mase_older"] < 1
    assert judged["mase_judged"] == pytest.approx((1.1 * 1.2) ** (1 / 3))


def test_a_change_that_older_origins_refuse_is_judged_as_none() -> None:
    even = dict.fromkeys("abcd", 1.0)
    changed = rows(dict.fromkeys("abcd", 1.2), dict.fromkeys("abcd", 0.5))
    (judged,) = judge(rows(even, even), changed).to_dict("records")
    assert (judged["kept"], judged["mase_judged"], judged["mase_error"]) == (0, 1, 0)


def test_a_number_is_changed_wherever_it_is_imported() -> None:
    before = weights.WEIGHT_PRIORS.trimmed
    try:
        change_number("ensemble.weights.WEIGHT_PRIORS.trimmed=0")
        assert weights.WEIGHT_PRIORS.trimmed == 0
    finally:
        change_number(f"ensemble.weights.WEIGHT_PRIORS.trimmed={before}")
    assert weights.WEIGHT_PRIORS.trimmed == before
    with pytest.raises(ValueError, match=r"no number ensemble\.weights\.WEIGHT_PRIORS\.trimed"):
        change_number("ensemble.weights.WEIGHT_PRIORS.trimed=0")


def test_a_series_is_measured_at_each_origin_in_units_of_its_own_past(tmp_path: Path) -> None:
    time = pd.date_range("2020-01-01", periods=60, freq="MS")
    values = np.round(50 + 10 * np.sin(np.arange(60) * np.pi / 6), 3)
    task = Task(
        "single",
        "made",
        "wave",
        [pd.DataFrame({"id": "a", "time": time, "y": values})],
        freq="MS",
        horizon=6,
        season=12,
        apart=6,
    )
    for origin in (0, 1):
        assert measure_task(task, origin) == []  # a unit of 0
    task.series[0]["y"] += np.arange(60) % 5
    found = [row for origin in (0, 1) for row in measure_task(task, origin)]
    assert [row["origin"] for row in found] == [0, 1]
    assert all(0 < row["mase"] < row["score_95"] for row in found)


def test_the_command_prints_what_changes_are_worth(tmp_path: Path) -> None:
    even = dict.fromkeys("ab", 1.0)
    rows(even, even).to_csv(tmp_path / "base.csv", index=False)
    rows(dict.fromkeys("ab", 0.9), even).to_csv(tmp_path / "less.csv", index=False)
    ran = CliRunner().invoke(cli, ["judge", str(tmp_path / "base.csv"), str(tmp_path / "less.csv")])
    assert ran.exit_code == 0, ran.output
    assert ran.output.startswith("less\n")
    assert "0.9000" in ran.output
