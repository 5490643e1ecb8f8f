"""The harness on small made-up data, through the real command line of the project."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from benchmarks.__main__ import cli
from benchmarks.accuracy import runs_on
from benchmarks.methods import Method, baseline_names, choose, installed_peers, own_methods
from benchmarks.plan import Wanted, runs_of
from benchmarks.processes import CommandFailed, Cost, run_measured
from benchmarks.samples import SCORES, panel_mase, prepare_panel, sample_runs
from benchmarks.windows import forecast_from
from forecast import Forecaster
from forecast.tables.reading import table_from_frame

DATA = Path(__file__).parents[2] / "data"


def command(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


@pytest.fixture(scope="module")
def hourly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three short series, laid out as the competition's files are."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(1)
    hours = np.arange(300)
    rows = [10 * (i + 2) + 5 * np.sin(hours * np.pi / 12) + rng.normal(size=300) for i in range(3)]
    names = pd.Index(["H1", "H2", "H3"], name="V1")
    ends = [252, 242, 232]
    train = (
        pd.DataFrame(rows, names)
        .where(np.arange(300) < np.array(ends)[:, None])
        .dropna(axis=1, how="all")
    )
    test = pd.DataFrame([row[end : end + 48] for row, end in zip(rows, ends, strict=True)], names)
    (folder / "deep").mkdir()
    train.to_csv(folder / "deep" / "M4-Hourly-train.csv")
    test.to_csv(folder / "M4-Hourly-test.csv")
    return folder


def test_a_table_is_measured_by_real_commands_then_continued_then_shown(
    hourly: Path, tmp_path: Path
) -> None:
    rows, page = tmp_path / "rows.json", tmp_path / "table.md"
    words = ("accuracy", "m4-hourly", "--data", hourly, "--methods", "last", "--json", rows)
    first = command(*words)
    assert first.exit_code == 0, first.output
    (row,) = json.loads(rows.read_text())
    assert {name: row[name] for name in ("data", "method", "horizon", "budget", "seed")} == {
        "data": "m4-hourly",
        "method": "last",
        "horizon": 48,
        "budget": None,
        "seed": 0,
    }
    assert set(row) >= {"smape", "mase", "owa", "msis", "coverage_80", "coverage_95"}
    assert 0 < row["smape"] < 200
    assert row["owa"] == pytest.approx((row["smape"] / 18.383 + row["mase"] / 2.395) / 2, rel=1e-5)
    assert row["fit_seconds"] > 0.1
    assert row["predict_seconds"] > 0.1
    assert 50 < row["peak_mb"] < 5000

    rows.write_text(json.dumps([{**row, "smape": 12.5}]))  # what is there is not measured again
    again = command(*words, "--markdown", page)
    assert again.exit_code == 0
    assert [one["smape"] for one in json.loads(rows.read_text())] == [12.5]
    assert "| last |  | 1 | 12.500 |" in page.read_text()
    assert "Machine: " in page.read_text()


@pytest.mark.slow
def test_now_is_one_command_without_a_fit(hourly: Path, tmp_path: Path) -> None:
    rows, page = tmp_path / "rows.json", tmp_path / "table.md"
    words = (
        "accuracy",
        "m4-hourly",
        "--data",
        hourly,
        "--methods",
        "now",
        "--json",
        rows,
        "--markdown",
        page,
    )
    found = command(*words)
    assert found.exit_code == 0, found.output
    (row,) = json.loads(rows.read_text())
    assert row["method"] == "now"
    assert 0 < row["mase"] < 5
    assert row["fit_seconds"] is None
    assert row["predict_seconds"] > 0.1
    assert "| now |  | 1 |" in page.read_text()


def test_now_looks_at_the_past_of_each_origin_of_a_sample(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commands: list[list[str]] = []

    def run(words: list[str], folder: Path) -> Cost:
        commands.append(words)
        overall = [
            {"model": "seasonal-naive"},
            {"model": "pretrained", **dict.fromkeys(SCORES, 0.5)},
        ]
        Path(words[words.index("--output") + 1]).write_text(json.dumps({"overall": overall}))
        return Cost(1.0, 100.0)

    monkeypatch.setattr("benchmarks.samples.run_measured", run)
    measured = [
        next(
            sample_runs(DATA, tmp_path, choose(own_methods(), [name]), Wanted([], [None], 1, None))
        ).measure(tmp_path)
        for name in ("now", "pretrained")
    ]
    assert [one["mase"] for one in measured] == [0.5, 0.5]
    now, alone = commands
    assert "--refit" in now
    assert "--no-guard" not in now
    assert "--no-guard" in alone
    assert "--refit" not in alone


def test_classical_panels_have_their_horizons_and_seasons(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    for name, horizon in (
        ("m1_yearly", 6),
        ("m1_quarterly", 8),
        ("m1_monthly", 18),
        ("carparts_quarter", 12),
    ):
        names = pd.Index(["A", "B"], name="id")
        long = [rng.normal(10, 1, 60), np.r_[rng.normal(5, 1, 45), np.full(15, np.nan)]]
        pd.DataFrame(long, names).to_csv(tmp_path / f"{name}_train.csv")
        pd.DataFrame(rng.normal(7, 1, (2, horizon)), names).to_csv(tmp_path / f"{name}_test.csv")
    runs = list(
        runs_on(
            "classical",
            tmp_path,
            tmp_path,
            choose(own_methods(), ["now"]),
            Wanted([], [None], 1, None),
        )
    )
    assert [(run.row["data"], run.row["horizon"]) for run in runs] == [
        ("classical/m1_yearly", 6),
        ("classical/m1_quarterly", 8),
        ("classical/m1_monthly", 18),
        ("classical/carparts_quarter", 12),
    ]
    scores = runs[0].measure(tmp_path)
    assert list(scores)[:5] == ["smape", "mase", "msis", "coverage_80", "coverage_95"]
    assert 0 < scores["mase"] < 20

    with pytest.raises(ValueError, match="--horizon 9: m1_yearly_test has 6 steps"):
        list(runs_on("classical", tmp_path, tmp_path, [], Wanted([9], [None], 1, None)))


def test_runs_are_every_budget_and_seed_that_makes_a_difference() -> None:
    methods = [Method("network"), Method("naive", random=False, bounded=False)]
    runs = runs_of(
        "m4-hourly",
        48,
        methods,
        Wanted([], [30.0, 60.0], 2, None),
        lambda method, choice, folder: {},
    )
    assert [(run.row["method"], run.row["budget"], run.row["seed"]) for run in runs] == [
        ("network", 30.0, 0),
        ("network", 30.0, 1),
        ("network", 60.0, 0),
        ("network", 60.0, 1),
        ("naive", None, 0),
    ]


def test_spread_over_seeds_is_shown_beside_the_mean(tmp_path: Path) -> None:
    key = {"data": "etth1", "method": "default", "horizon": 96, "budget": 60.0}
    rows = [{**key, "seed": seed, "mse": 0.4 + seed / 10, "fit_seconds": 1.0} for seed in range(3)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    shown = command("table", tmp_path / "rows.json", "--markdown", tmp_path / "table.md")
    assert shown.exit_code == 0, shown.output
    assert "| default | 60 | 3 | 0.500 (0.200) | 1.0 |" in (tmp_path / "table.md").read_text()


def test_missing_file_is_named_with_its_source(tmp_path: Path) -> None:
    found = command("accuracy", "etth1", "--data", tmp_path)
    assert found.exit_code == 1
    assert "no file ETTh1.csv in it; get it from https://" in found.output


def test_table_of_methods_with_and_without_intervals_has_all_columns(tmp_path: Path) -> None:
    key = {"data": "samples/x", "horizon": None, "budget": None, "seed": 0}
    rows = [
        {**key, "method": "trees", "mase": 2.0},
        {**key, "method": "default", "mase": 1.0, "coverage_80": 0.8},
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    assert (
        command("table", tmp_path / "rows.json", "--markdown", tmp_path / "table.md").exit_code == 0
    )
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert [line for line in lines if line.startswith("| ")][2:] == [
        "| default |  | 1 | 1.000 | 0.800 |  |  |  |",
        "| trees |  | 1 | 2.000 |  |  |  |  |",
    ]


@pytest.mark.slow
def test_a_sample_is_measured_by_backtest(tmp_path: Path) -> None:
    pytest.importorskip("forecast.cli.backtest")
    method = Method("seasonal-naive", "seasonal-naive", random=False, bounded=False)
    run = next(sample_runs(DATA, tmp_path, [method], Wanted([], [None], 1, None)))
    assert run.row["data"] == "samples/air_passengers"
    measured = run.measure(tmp_path)
    assert measured["skill"] == 0
    assert 1 < measured["mase"] < 3


def test_mase_of_the_panel_is_in_units_of_the_values_before_the_oldest_origin(
    tmp_path: Path,
) -> None:
    frame = pd.read_csv(DATA / "nyc_flight_delays.csv")
    work = prepare_panel(frame, 14, tmp_path)
    assert list(work.origins) == list(range(253, 352, 14))
    values = frame["delayed"].to_numpy(float).reshape(26, 365)
    again = [values[:, origin - 7 + np.arange(14) % 7] for origin in work.origins]  # seasonal naive
    assert panel_mase(frame, work, np.stack(again)[..., None]) == pytest.approx(0.8827, abs=5e-5)


def test_unknown_method_is_answered_with_the_nearest(hourly: Path) -> None:
    found = command("accuracy", "m4-hourly", "--data", hourly, "--methods", "segrn")
    assert found.exit_code == 1
    assert "did you mean 'segrnn'" in found.output


def test_json_of_another_kind_is_refused(hourly: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text("{}")
    found = command("accuracy", "m4-hourly", "--data", hourly, "--json", tmp_path / "rows.json")
    assert found.exit_code == 1
    assert "not a list of rows" in found.output


def test_every_method_has_one_name() -> None:
    names = [method.name for method in own_methods()]
    assert names[:2] == ["default", "now"]
    assert {"segrnn", "gru", *baseline_names()} <= set(names)
    assert len(names) == len(set(names))


def test_peers_that_cannot_be_imported_are_named() -> None:
    there, absent = installed_peers([sys.executable])
    assert {"darts-block-lstm", "autogluon"} <= {peer.name for peer in there} | set(absent)


def test_failed_command_shows_the_end_of_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="ended with 3:\nsome reason"):
        run_measured([sys.executable, "-c", "print('some reason'); raise SystemExit(3)"], tmp_path)


def test_a_window_is_forecast_as_the_table_that_ends_there() -> None:
    hours = np.arange(130)
    frame = pd.DataFrame({"date": pd.date_range("2024-01-01", periods=130, freq="h")})
    frame["b"] = np.sin(hours * np.pi / 12) + hours / 50
    frame["a"] = np.cos(hours * np.pi / 12) * 3
    forecaster = Forecaster(horizon=4, steps=3, season=(24,), params={"hidden_size": 8}).fit(
        frame.head(100)
    )
    windows = forecast_from(forecaster, table_from_frame(frame), range(100, 112))
    assert windows.shape == (12, 2, 4, 5)
    alone = forecaster.predict(frame.head(107))
    columns = ["forecast", "lo_80", "hi_80", "lo_95", "hi_95"]
    assert alone["series"].tolist() == ["b"] * 4 + ["a"] * 4
    np.testing.assert_allclose(windows[7].reshape(8, 5), alone[columns], rtol=1e-5, atol=1e-5)
