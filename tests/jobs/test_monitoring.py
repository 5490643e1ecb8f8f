"""Gauges for Prometheus: what a run writes, what status prints, and rules and boards that read them."""

import json
import re
import time

import pytest

from tests._gauges import SAMPLE, firing, rules, samples
from tests.conftest import ROOT, At, Run
from tests.jobs.a_job import Job

MONITORING = 'path = "job.prom"'
NAMES = {
    "forecast_last_run_timestamp_seconds",
    "forecast_last_success_timestamp_seconds",
    "forecast_run_duration_seconds",
    "forecast_rows",
    "forecast_series_without_forecast",
    "forecast_data_age_seconds",
    "forecast_mase",
    "forecast_coverage_ratio",
    "forecast_check_findings_ratio",
}


def gauges(job: Job) -> dict[tuple[str, str], float]:
    return samples((job.folder / "job.prom").read_text(encoding="utf-8"))


def test_a_run_writes_its_gauges(job: Job, forecast: Run, at: At) -> None:
    job.write(monitoring=MONITORING)
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    first = gauges(job)
    assert not {"forecast_mase", "forecast_coverage_ratio"} & {name for name, _ in first}
    before = time.time()
    for day in (153, 156):
        assert forecast("run", job.file, "--as-of", at(day)).code == 0
    found = gauges(job)
    assert {name for name, _ in found} == NAMES
    began = found["forecast_last_run_timestamp_seconds", ""]
    assert before - 1 <= began <= time.time()
    assert found["forecast_last_success_timestamp_seconds", ""] == began
    assert found["forecast_run_duration_seconds", ""] == job.record()["seconds"]
    assert found["forecast_rows", ""] == 14
    assert found["forecast_series_without_forecast", ""] == 0
    assert found["forecast_data_age_seconds", ""] > 86_400 * 365  # as of now: the data end in 2024
    days = job.record()["scores"]
    for name, level in (("mase", ""), ("coverage_ratio", "80"), ("coverage_ratio", "95")):
        column = f"coverage_{level}" if level else name
        mean = sum(day["count"] * day[column] for day in days) / sum(day["count"] for day in days)
        assert found[f"forecast_{name}", level] == pytest.approx(mean)
    assert found["forecast_check_findings_ratio", ""] == 0


def test_a_run_that_fails_is_no_success(job: Job, forecast: Run, at: At) -> None:
    job.write(monitoring=MONITORING)
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    before = gauges(job)
    (job.folder / "sales.csv").unlink()
    assert forecast("run", job.file, "--as-of", at(151)).code == 66
    after = gauges(job)
    last, success = (f"forecast_last_{word}_timestamp_seconds" for word in ("run", "success"))
    assert after[last, ""] > before[last, ""]
    assert after[success, ""] == before[success, ""]
    assert after["forecast_rows", ""] == 14


def test_a_job_that_never_published_has_success_at_0(job: Job, forecast: Run, at: At) -> None:
    job.write(monitoring=MONITORING)
    (job.folder / "sales.csv").unlink()
    assert forecast("run", job.file, "--as-of", at(150)).code == 66
    found = gauges(job)
    assert found["forecast_last_success_timestamp_seconds", ""] == 0
    assert found["forecast_last_run_timestamp_seconds", ""] > 0
    assert "forecast_rows" not in {name for name, _ in found}


def test_findings_are_a_share_of_the_checks(job: Job, forecast: Run, at: At) -> None:
    job.write(monitoring=MONITORING)
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    job.table(scale=10.0)
    assert forecast("run", job.file, "--as-of", at(153)).code in (0, 5)
    record = job.record()
    assert record["findings"]
    share = len(record["findings"]) / len(record["checks"])
    assert gauges(job)["forecast_check_findings_ratio", ""] == share


@pytest.mark.parametrize("obstacle", ["file", "folder"])
def test_gauges_that_cannot_be_written_lose_no_forecast(
    obstacle: str, job: Job, forecast: Run, at: At
) -> None:
    job.write(monitoring='path = "place/job.prom"')
    place = job.folder / "place"
    if obstacle == "file":  # where the folder should be
        place.write_text("")
    else:
        (place / "job.prom").mkdir(parents=True)
    ran = forecast("run", job.file, "--as-of", at(150))
    assert ran.code == 0
    assert "warning: the gauges could not be written: " in ran.err
    assert len(job.output.read_text().splitlines()) == 15
    assert job.record()["exit_code"] == 0
    checked = forecast("run", job.file, "--check", "--as-of", at(150))
    assert checked.code == 73  # before the first night


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("gauges.txt", "whose names end with .prom; end it so"),
        ("store.runs/job.prom", "would replace a file of the store"),
        ("linked.prom", "is also written by [monitoring]"),
    ],
)
def test_gauges_are_apart_from_outputs(
    path: str, problem: str, job: Job, forecast: Run, at: At
) -> None:
    (job.folder / "linked.prom").symlink_to("out.csv")
    job.write(monitoring=f'path = "{path}"')
    ran = forecast("run", job.file, "--as-of", at(150))
    assert ran.code == 2
    assert problem in ran.err
    assert not job.output.exists()


def test_status_prints_the_gauges(job: Job, forecast: Run, at: At) -> None:
    job.write(monitoring=MONITORING)
    assert forecast("status", job.file, "--format", "prometheus").code == 66
    for day in (150, 153):
        assert forecast("run", job.file, "--as-of", at(day)).code == 0
    ran = forecast("status", job.file, "--format", "prometheus")
    assert ran.code == 0
    shown, written = samples(ran.out), gauges(job)
    age = ("forecast_data_age_seconds", "")
    assert shown.pop(age) == pytest.approx(written.pop(age), abs=60)
    assert shown == written
    as_json = forecast("status", job.file, "--json").out
    assert forecast("status", job.file, "--format", "json").out[:200] == as_json[:200]
    (state,) = json.loads(as_json)
    assert state["gauges"]["rows"] == shown["forecast_rows", ""]


def test_two_jobs_of_a_store_share_a_heading(job: Job, forecast: Run, at: At) -> None:
    names = ["plain", 'of "north"\\\n\x1b']
    for name in names:
        job.write(top=f"name = {json.dumps(name)}")
        assert forecast("run", job.file, "--take-over", "--as-of", at(150)).code == 0
    out = forecast("status", "--artifact", job.store, "--format", "prometheus").out
    assert out.count("# TYPE forecast_rows gauge\n") == 1
    rows = [SAMPLE.fullmatch(line) for line in out.splitlines() if line.startswith("forecast_rows")]
    assert [match and match[2] for match in rows] == ['of \\"north\\"\\\\\\\\n\\\\x1b', "plain"]


def queries() -> list[str]:
    """What the board asks Prometheus for."""
    text = (ROOT / "pipelines" / "grafana.json").read_text(encoding="utf-8")
    panels = json.loads(text)["panels"]
    places = [tuple(panel["gridPos"][key] for key in "xy") for panel in panels]
    assert len(set(places)) == len({panel["id"] for panel in panels}) == len(panels)
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_rules_and_board_name_gauges_that_are_written() -> None:
    for rule in rules():
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
    below = {("forecast_coverage_ratio", "80"): 0.69, ("forecast_series_without_forecast", ""): 1.0}
    assert firing(below, time.time()) == {"ForecastIntervalsTooNarrow", "ForecastSeriesMissing"}
    assert firing({name: value + 1 / 64 for name, value in below.items()}, 0.0) == {
        "ForecastSeriesMissing"
    }
    expressions = [rule["expr"] for rule in rules()]
    assert len(expressions) >= 3
    used = {
        name for text in (*expressions, *queries()) for name in re.findall(r"forecast_\w+", text)
    }
    assert used <= NAMES
    assert {"forecast_last_success_timestamp_seconds", "forecast_coverage_ratio"} <= used
    assert {name for text in queries() for name in re.findall(r"forecast_\w+", text)} == NAMES
