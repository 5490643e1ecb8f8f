"""The benchmarks of seconds, ratios and sizes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from benchmarks.__main__ import cli
from benchmarks.methods import Method
from benchmarks.pairs import Pairs
from benchmarks.processes import Cost
from benchmarks.scores import Values
from benchmarks.work import Choice, Work


def test_the_ratio_is_of_pairs_and_not_of_medians() -> None:
    slow = np.array([1.0, 10.0, 1.0])  # the machine was busy during the second pair
    assert Pairs(slow * [0.5, 0.6, 0.8], slow).ratio == pytest.approx((0.6, 0.55, 0.7))


def test_predict_by_each_engine_and_the_import_of_torch_run_in_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
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
    found = CliRunner().invoke(cli, ["speed", "panels", "--models", "last", "--series", "10,40"])
    assert found.exit_code == 0, found.output
    assert rows == [10 * 200, 40 * 200]
    assert found.output.splitlines() == [
        "last: 10 series in 2.0 s, 5 series/s, peak 100 MB",
        "last: 40 series in 8.0 s, 5 series/s, peak 100 MB; ratio of memory 1.00, exponent of time 1.00",
    ]


def test_sums_and_forecasts_alone_run_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[str] = []

    def run(words: list[str], folder: Path) -> Cost:
        assert pq.read_table(folder / "panel.parquet")["region"].unique().to_pylist() == [
            f"region{i}" for i in range(10)
        ]
        commands.append(words[3] if "--sum-by" not in words else words[-1])
        return Cost(9.0, 110.0 if "--sum-by" in words else 100.0, 3.0 + len(commands))

    monkeypatch.setattr("benchmarks.speed_sums.run_measured", run)
    found = CliRunner().invoke(
        cli, ["speed", "sums", "--models", "last", "--series", "20", "--pairs", "3"]
    )
    assert found.exit_code == 0, found.output
    assert commands == ["fit", *["predict", "region"] * 3]
    expected = (
        "last: 20 series in 5.0 s of a core, with sums 6.0 s, ratio 1.20; "
        "peak 100 MB, with sums +10 MB; fit 4.0 s"
    )
    assert found.output.strip() == expected


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


def test_installations_are_measured_and_imports_run_in_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands: list[str] = []

    def run(words: list[str], folder: Path) -> Cost:
        commands.append(words[-1])
        return Cost(2.0 if "torch" in words[-1] else 3.0, 1.0)

    monkeypatch.setattr("benchmarks.speed_install.run_measured", run)
    found = CliRunner().invoke(cli, ["speed", "install", "--pairs", "3"])
    assert found.exit_code == 0, found.output
    whole, only, *times = found.output.splitlines()
    assert whole.startswith("forecast: ")
    assert "ratio 1.00" in whole
    assert only.startswith("forecast, to predict only: ")
    assert 50 < megabytes(only) < megabytes(whole)  # numpy and pandas alone are more
    assert commands == ["from forecast import Forecaster", "import torch"] * 4
    assert times == [
        "from forecast import Forecaster: 3.00 s, import torch 2.00 s",
        "  ratio 1.50, quartiles 1.50 to 1.50, of 3 pairs",
    ]


def megabytes(line: str) -> float:
    return float(line.partition(": ")[2].partition(" MB")[0].replace(",", ""))


def test_a_bare_fit_gets_more_seconds_until_it_is_as_good(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hours = np.arange(120) + np.random.default_rng(0).normal(0, 0.1, (3, 120))
    lines = [
        f"H{row}," + ",".join(f"{value:.3f}" for value in values)
        for row, values in enumerate(hours)
    ]
    (tmp_path / "M4-Hourly-train.csv").write_text(
        "\n".join([",".join(["id", *map(str, range(120))]), *lines])
    )
    seen: list[float | None] = []

    def run(
        method: Method, work: Work, choice: Choice, folder: Path
    ) -> tuple[Values, dict[str, float]]:
        train = pd.read_csv(work.train, index_col=0)
        assert train.shape == (3, 72)  # the last 48 hours are held out
        seen.append(choice.budget)
        miss = 1.0 if method.name == "theta" else 4.0 / (choice.budget or 1.0)
        points = hours[:, 72:, None] + np.array([miss, 0, 0, 0, 0])
        return points, {"fit_seconds": choice.budget or 3.0, "predict_seconds": 1.0}

    monkeypatch.setattr("benchmarks.speed_accuracy.run_method", run)
    found = CliRunner().invoke(cli, ["speed", "accuracy", "--data", str(tmp_path)])
    assert found.exit_code == 0, found.output
    assert seen == [None, 2.0, 4.0]
    assert found.output.splitlines()[-1] == "as good as theta: after 5.0 s, ratio 1.25"


def test_a_number_of_series_that_is_none_is_refused_with_how_to_write_it() -> None:
    found = CliRunner().invoke(cli, ["speed", "panels", "--series", "10k"])
    assert found.exit_code == 2
    assert "'10k' is not a list of whole numbers; write it as 96,192" in " ".join(
        found.output.split()
    )


def test_all_kinds_run_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "benchmarks.speed.KINDS",
        {kind: lambda asked, kind=kind: iter([kind]) for kind in ("a", "b")},
    )
    found = CliRunner().invoke(cli, ["speed", "all"])
    assert found.output.splitlines() == ["## a", "a", "## b", "b"]
