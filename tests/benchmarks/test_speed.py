"""The benchmark of the seconds that `forecast now` takes."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from benchmarks.__main__ import cli
from benchmarks.pairs import Pairs
from benchmarks.processes import Cost


def test_the_ratio_is_of_pairs_and_not_of_medians() -> None:
    slow = np.array([1.0, 10.0, 1.0])  # the machine was busy during the second pair
    assert Pairs(slow * [0.5, 0.6, 0.8], slow).ratio == pytest.approx((0.6, 0.55, 0.7))


def test_predict_by_each_engine_and_the_import_of_torch_run_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.speed_predict.HOURS", 60)

    def run(words: list[str], folder: Path) -> Cost:
        assert (folder / "hours.csv").exists()
        return Cost(1.0 if "onnx" in words else 3.0 if "torch" in words else 2.0, 1.0)

    monkeypatch.setattr("benchmarks.speed_predict.run_measured", run)
    found = CliRunner().invoke(cli, ["speed", "predict", "--pairs", "3"])
    assert found.exit_code == 0, found.output
    assert "onnx: 1.00 s, import torch 2.00 s\n  ratio 0.50" in found.output
    assert "torch, from a table: 3.00 s, import torch 2.00 s\n  ratio 1.50" in found.output


def test_panels_grow_and_are_compared_with_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []

    def run(words: list[str], folder: Path) -> Cost:
        if "predict" in words:
            rows.append(pq.read_metadata(folder / "panel.parquet").num_rows)
        return Cost(rows[-1] / 1000 if rows else 9.0, 100.0)

    monkeypatch.setattr("benchmarks.speed_panels.run_measured", run)
    found = CliRunner().invoke(cli, ["speed", "panels", "--methods", "last", "--series", "10,40"])
    assert found.exit_code == 0, found.output
    assert rows == [10 * 200, 40 * 200]
    assert found.output.splitlines() == [
        "last: 10 series in 2.0 s, 5 series/s, peak 100 MB",
        "last: 40 series in 8.0 s, 5 series/s, peak 100 MB; ratio of memory 1.00, exponent of time 1.00",
    ]


def test_now_and_the_import_of_torch_run_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[str] = []

    def run(words: list[str], folder: Path) -> Cost:
        commands.append("now" if "now" in words else words[-1])
        return Cost(99.0 if len(commands) <= 2 else 2.0 if "now" in words else 4.0, 100.0)

    monkeypatch.setattr("benchmarks.speed_now.run_measured", run)
    found = CliRunner().invoke(cli, ["speed", "now", "--pairs", "3"])
    assert found.exit_code == 0, found.output
    assert commands == ["now", "import torch"] * 4  # the first pair does not count
    assert found.output.splitlines() == [
        "forecast now 2.00 s, import torch 4.00 s",
        "ratio 0.50, quartiles 0.50 to 0.50, of 3 pairs",
    ]


def test_both_precisions_train_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from benchmarks import speed_precision

    tried: list[tuple[str, str, int]] = []
    real = speed_precision._fit

    def fit(name: str, precision: str, steps: int, *more: object) -> object:
        tried.append((name, precision, steps))
        return real(name, precision, min(steps, 8), *more)  # type: ignore[arg-type]

    for name, value in {"_fit": fit, "MODELS": {"gru": 1}, "UNITS": 4, "SEEDS": 1}.items():
        monkeypatch.setattr(speed_precision, name, value)
    found = CliRunner().invoke(cli, ["speed", "precision", "--pairs", "3"])
    assert found.exit_code == 0, found.output
    assert [precision for _, precision, _ in tried] == ["bfloat16", "float32"] * 4
    assert "gru: bfloat16 " in found.output
    assert "  time of a step, ratio " in found.output
