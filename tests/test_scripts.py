"""What a data scientist and an operator do from end to end; parts whose packages are not installed are skipped."""

import importlib.util
import json
import sys
import time
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from forecast import Forecaster, RollingOrigin
from forecast.mlflow import load_model, log_model
from tests._gauges import firing, samples
from tests.conftest import ROOT, At, Run
from tests.jobs.a_job import Job, at, job

__all__ = ["at", "job"]

SMALL = {"model": "gru", "steps": 3, "members": 1, "guard": False, "baselines": ("seasonal-naive",)}


@pytest.fixture(scope="module", params=["pandas", "polars"])
def sales(request: pytest.FixtureRequest, panel_frame: pd.DataFrame) -> Any:
    frame = panel_frame[["shop", "day", "units"]]
    if request.param == "pandas":
        return frame
    return pytest.importorskip("polars").DataFrame(frame.to_dict("list"))


def rows_of(sales: Any) -> pd.DataFrame:
    return pd.DataFrame({name: [*sales[name]] for name in sales.columns})


@pytest.fixture(scope="module")
def best(sales: Any) -> Forecaster:
    """The best of a search."""
    from sklearn.model_selection import GridSearchCV

    search = GridSearchCV(
        Forecaster(horizon=7, id="shop", target="units", **SMALL),
        {"params__hidden_size": [4, 8]},
        cv=RollingOrigin(windows=2, horizon=7),
    )
    search.fit(sales)
    assert search.cv_results_["mean_test_score"].max() == search.best_score_
    assert search.best_params_["params__hidden_size"] in (4, 8)
    found: Forecaster = search.best_estimator_
    return found


def test_a_data_scientist_adds_up_and_compares(best: Forecaster, sales: Any) -> None:
    table = best.predict(sales)
    assert len(table) == 4 * 7
    totals = best.totals(by="all", every="horizon")
    assert totals["steps"].tolist() == [7]
    assert totals["mean"].iloc[0] == pytest.approx(table["forecast"].sum(), rel=0.2)


def test_a_data_scientist_draws(best: Forecaster, tmp_path: Path) -> None:
    pytest.importorskip("altair")
    chart = best.plot(series=2, history=20)
    chart.save(str(tmp_path / "chart.html"))
    assert "s001" in (tmp_path / "chart.html").read_text(encoding="utf-8")


def test_a_data_scientist_logs(
    best: Forecaster, sales: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    with warnings.catch_warnings(action="ignore"), mlflow.start_run():
        logged = log_model(best, "sales", sales)
        model = mlflow.pyfunc.load_model(logged.model_uri)
    expected = best.predict(sales)
    pd.testing.assert_frame_equal(model.predict(rows_of(sales)), expected)
    pd.testing.assert_frame_equal(load_model(logged.model_uri).predict(sales), expected)


def test_a_data_scientist_serves(
    best: Forecaster, sales: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fastapi")
    if not any(importlib.util.find_spec(name) for name in ("httpx2", "httpx")):
        pytest.skip("the test client of fastapi needs httpx2")
    best.save(str(tmp_path / "store"))
    monkeypatch.setenv("FORECAST_STORE", str(tmp_path / "store"))
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "examples"))
    with warnings.catch_warnings(action="ignore"):  # that of a client with httpx is deprecated
        from fastapi.testclient import TestClient
    server: ModuleType = importlib.import_module("serve")
    records = rows_of(sales).to_dict("records")
    with TestClient(server.app, base_url="http://127.0.0.1") as client:
        answer = client.post("/forecast", json={"records": records, "levels": [80]}).json()
        assert client.get("/health").json()["version"] == answer["version"]
    monkeypatch.delitem(sys.modules, "serve")
    expected = best.predict(sales, levels=(80.0,))
    pd.testing.assert_frame_equal(pd.DataFrame(answer["records"]), expected)


def test_an_operator_watches_a_job_and_goes_back(job: Job, forecast: Run, at: At) -> None:
    job.write(top='refit = "daily"', monitoring='path = "job.prom"')

    def alerts(after: float = 0.0) -> set[str]:
        gauges = samples((job.folder / "job.prom").read_text(encoding="utf-8"))
        return firing(gauges, time.time() + after)

    assert forecast("run", job.file, "--check", "--as-of", at(150)).code == 0
    assert not (job.folder / "job.prom").exists()
    for day in (150, 151, 152):
        assert forecast("run", job.file, "--quiet", "--as-of", at(day)).code == 0
    assert alerts() == set()
    # cron no longer starts the job, and nobody writes the file
    assert alerts(after=86_400) == set()
    assert alerts(after=3 * 86_400) == {"ForecastMissed"}

    table = (job.folder / "sales.csv").read_bytes()
    (job.folder / "sales.csv").unlink()
    assert forecast("run", job.file, "--as-of", at(153)).code == 66
    assert forecast("status", job.file).code == 3
    assert alerts() == {"ForecastRunFailed"}

    (job.folder / "sales.csv").write_bytes(table)
    assert forecast("run", job.file, "--as-of", at(153)).code == 0
    assert alerts() == set()
    assert forecast("status", job.file).code == 0

    before = json.loads(forecast("versions", job.file, "--json").out)
    assert forecast("rollback", job.file).code == 0
    after = json.loads(forecast("versions", job.file, "--json").out)
    assert [version["live"] for version in before].index(True) == len(before) - 1
    assert [version["live"] for version in after].index(True) == len(before) - 2
    assert forecast("status", job.file, "--format", "prometheus").code == 0
