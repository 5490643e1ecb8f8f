"""The benchmark of sums: by level what intervals held, beside summed quantiles and independent cells."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import sums


def test_levels_are_measured_once_and_beside_other_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    months = pd.date_range("2014-01", periods=96, freq="MS").strftime("%Y-%m")
    parts = [
        pd.DataFrame({"shop": s, "month": months, "sales": 50 + random.normal(size=96)})
        for s in "abcd"
    ]
    pd.concat(parts).to_csv(tmp_path / "shops.csv", index=False)
    settings = {"id": "shop", "target": "sales", "model": "mean", "baselines": ("mean",)}
    one = sums.SumSet("shops.csv", 3, 3, ("", "horizon"), ("all", "series"), 8, settings)
    monkeypatch.setattr(sums, "SETS", (one,))
    results = tmp_path / "sums.jsonl"
    rows = list(sums.measure(tmp_path, results, ()))
    assert {(row["level"], row["way"]) for row in rows} == {
        (level, way) for level in ("all/horizon", "series/horizon", "all") for way in sums.WAYS
    }
    score = {row["way"]: row["score"] for row in rows if row["level"] == "all/horizon"}
    assert score["independent"] < score["summed"]  # the noise is independent
    assert list(sums.measure(tmp_path, results, ())) == []
    lines = sums.table(sums.rows_of(results))
    assert lines[2].startswith("| shops | all/horizon | 8 | ")
