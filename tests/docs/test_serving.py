"""Examples that serve and schedule: the server answers, and commands of schedulers are commands that there are."""

import ast
import importlib.util
import json
import re
import shlex
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pandas as pd
import pytest
import yaml

from forecast import Forecaster
from forecast.cli import cli
from tests.conftest import Run
from tests.docs._pages import ROOT

EXAMPLES = ROOT / "docs" / "examples"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The example, with an empty store."""
    pytest.importorskip("fastapi")
    monkeypatch.setenv("FORECAST_STORE", str(tmp_path / "store"))
    specification = importlib.util.spec_from_file_location("serve", EXAMPLES / "serve.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "serve", module)
    specification.loader.exec_module(module)
    yield module
    module.load.cache_clear()


@pytest.fixture
def client(server: ModuleType) -> Iterator[Any]:
    if not any(importlib.util.find_spec(name) for name in ("httpx2", "httpx")):
        pytest.skip("the test client of fastapi needs httpx2")
    with warnings.catch_warnings(action="ignore"):  # that of one with httpx is deprecated
        from fastapi.testclient import TestClient

    with TestClient(server.app, base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture
def fitted(tmp_path: Path, passengers: Path, without_exports: None) -> Forecaster:
    model = Forecaster(model="theta", horizon=6).fit(pd.read_csv(passengers))
    model.save(str(tmp_path / "store"))
    return model


def test_the_server_forecasts_records(client: Any, fitted: Forecaster, passengers: Path) -> None:
    saved = client.post("/forecast", json={})
    assert saved.status_code == 200, saved.text
    pd.testing.assert_frame_equal(pd.DataFrame(saved.json()["records"]), fitted.predict())
    rows = pd.read_csv(passengers).iloc[:-12]
    question = {"records": rows.to_dict("records"), "horizon": 3, "levels": [50]}
    answer = client.post("/forecast", json=question).json()
    expected = fitted.predict(rows, horizon=3, levels=(50.0,))
    pd.testing.assert_frame_equal(pd.DataFrame(answer["records"]), expected)


def test_the_server_answers_several_questions_at_once(client: Any, fitted: Forecaster) -> None:
    horizons = [1, 2, 3, 4, 5, 6] * 4
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda steps: client.post("/forecast", json={"horizon": steps}), horizons)
        )
    assert [len(answer.json()["records"]) for answer in answers] == horizons


def test_the_server_says_what_is_wrong(client: Any, fitted: Forecaster) -> None:
    lacking = client.post("/forecast", json={"records": [{"month": "1961-01"}]})
    assert lacking.status_code == 422
    assert "passengers" in lacking.json()["detail"]
    assert client.post("/forecast", json={"records": []}).status_code == 422
    assert client.post("/forecast", json={"horizon": 0}).status_code == 422
    assert client.post("/forecast", json={"horizn": 3}).status_code == 422
    for month in (["1961-01"], {"at": "1961-01"}, "\ud800"):
        rows = [{"month": month, "passengers": 1}, {"month": "1960-12", "passengers": 432}]
        text = json.dumps({"records": rows})
        kind = {"content-type": "application/json"}
        refused = client.post("/forecast", content=text, headers=kind)
        assert refused.status_code == 422
        assert "column 'month'" in refused.json()["detail"]


def test_the_server_refuses_what_is_too_large(
    client: Any, server: ModuleType, fitted: Forecaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_BYTES", 100)
    refused = client.post("/forecast", json={"records": [{"month": 101 * "1"}]})
    assert refused.status_code == 413
    assert refused.json()["detail"] == "a question has at most 100 bytes"
    assert client.post("/forecast", json={"horizon": 3}).status_code == 200


def test_health_is_that_of_the_live_version(
    client: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    assert client.get("/health").status_code == 503  # there is no version yet
    model: Forecaster = request.getfixturevalue("fitted")
    first = client.get("/health").json()
    assert first["data_age_seconds"] > 60 * 365 * 86_400  # the passengers flew until 1960
    version = model.save(str(tmp_path / "store"))
    second = client.get("/health").json()
    assert second["version"] == version.id != first["version"]
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/forecast", "/health"} <= paths.keys()


def _accepted(command: str) -> None:
    """Parse a command of forecast as the command line does; UsageError if it is none."""
    program, name, *words = shlex.split(command)
    assert program == "forecast"
    found = cli.get_command(click.Context(cli), name)
    assert found is not None, command
    found.make_context(name, words)


def test_each_command_of_the_dag_is_one(forecast: Run) -> None:
    tree = ast.parse((EXAMPLES / "airflow_dag.py").read_text(encoding="utf-8"))
    arguments = [
        keyword.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "BashOperator"
        for keyword in node.keywords
        if keyword.arg == "bash_command"
    ]
    assert len(arguments) == 3
    for argument in arguments:
        assert isinstance(argument, ast.Constant)
        _accepted(argument.value.partition(" || ")[0])
    with pytest.raises(click.UsageError):
        _accepted("forecast run job.toml --asof now")


def test_the_cron_job_of_kubernetes_runs_a_command_and_retries_no_final_code(forecast: Run) -> None:
    job = yaml.safe_load((ROOT / "pipelines" / "cronjob.yaml").read_text(encoding="utf-8"))
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    assert re.fullmatch(r"([\d*,/-]+ ){4}[\d*,/-]+", job["spec"]["schedule"])
    task = job["spec"]["jobTemplate"]["spec"]
    pod = task["template"]["spec"]
    (container,) = pod["containers"]
    _accepted(shlex.join(container["command"]))
    assert pod["restartPolicy"] == "Never"  # which a podFailurePolicy needs
    (rule,) = task["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["containerName"] == container["name"]
    listed = re.findall(
        r"^\| ([\d, ]+) \|", (ROOT / "docs" / "jobs.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    codes = {int(code) for row in listed for code in row.split(", ")}
    assert {*rule["onExitCodes"]["values"]} <= codes
    mounted = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == mounted


def test_the_workflow_runs_the_gate_on_each_python_and_tests_that_there_are() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "gate.yml").read_text())
    linux, sample = workflow["jobs"]["linux"], workflow["jobs"]["sample"]
    setup = (ROOT / "setup.cfg").read_text()
    versions = re.findall(r"Python :: (3\.\d+)", setup)
    assert linux["strategy"]["matrix"]["python"] == versions
    assert linux["steps"][-1]["run"] == ".ci/run"
    assert sample["strategy"]["matrix"]["system"] == ["macos-latest", "windows-latest"]
    tests = re.findall(r"tests/\S+", sample["steps"][-1]["run"])
    assert tests
    assert all((ROOT / name).exists() for name in tests)
