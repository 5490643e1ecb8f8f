"""The benchmark of intervals on synthetic series."""

import pytest

from benchmarks.coverage import coverage_rows


def test_a_row_says_coverage_and_what_forecast() -> None:
    (row,) = coverage_rows(["noise"], ["theta"], series=4, budget=None, seeds=1, steps=None)
    assert row["data"] == "synth/noise"
    assert 0.5 < row["coverage_80"] <= row["coverage_95"] <= 1
    assert row["network"] == 0
    assert row["over_best_baseline"] >= 1


def test_an_unknown_kind_is_said() -> None:
    with pytest.raises(ValueError, match="unknown kind 'nosuch'"):
        list(coverage_rows(["nosuch"], ["theta"], 2, None, 1, None))
