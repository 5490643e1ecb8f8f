"""What runs side by side gives what runs alone."""

import os
import signal
from pathlib import Path

import joblib
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.inference.predictor import Predictor
from forecast.tables.synthetic import synthesize
from tests.conftest import Run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table, and a store with exported networks where onnx is installed."""
    place = tmp_path_factory.mktemp("parallel")
    frame = synthesize("seasonal", series=4, length=120, seed=3)
    frame.to_csv(place / "t.csv", index=False)
    Forecaster(model="gru", params={"hidden_size": 4}, steps=5, members=1, horizon=6).fit(
        frame
    ).save(str(place / "s"))
    return place


REFIT = ("--model", "linear", "--steps", "5", "--members", "1", "--refit")


@pytest.mark.parametrize("words", [pytest.param(REFIT, marks=pytest.mark.slow), ("--artifact",)])
def test_a_backtest_side_by_side_is_that_of_one_process(
    forecast: Run, folder: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    command = (
        "backtest",
        folder / "t.csv",
        *words,
        *([folder / "s"] if words == ("--artifact",) else []),
    )
    more = () if "--artifact" in words else ("--horizon", 6)
    for jobs in (1, 2):
        ran = forecast(
            *command, *more, "--windows", 3, "--jobs", jobs, "--forecasts", tmp_path / f"{jobs}.csv"
        )
        assert ran.code == 0, ran.err
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()


def test_a_predictor_is_sent_without_its_networks_and_loads_them_again(folder: Path) -> None:
    for engine in ("torch", "auto"):
        model = Forecaster.load(str(folder / "s"), engine=engine)
        (there,) = joblib.Parallel(n_jobs=2)([(_forecast, (model.predictor_,), {})])
        pd.testing.assert_frame_equal(there, pd.DataFrame(_forecast(model.predictor_)))


def _forecast(predictor: Predictor) -> pd.DataFrame:
    return pd.DataFrame(predictor.predict_quantiles(predictor.fitted.history)[..., 4])


def test_a_process_that_is_killed_is_reported_as_a_lack_of_memory(
    forecast: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "forecast.engine.backtest._run_fold", lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    )
    words = ("--model", "last,drift", "--horizon", 6, "--windows", 3, "--jobs", 2)
    ran = forecast("backtest", folder / "t.csv", *words)
    assert ran.code == 69
    assert "killed, most often because memory ran out; pass --jobs 1" in ran.err
