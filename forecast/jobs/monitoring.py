"""Gauges of a job for Prometheus, in version 0.0.4 of its text format."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from forecast.errors import visible
from forecast.jobs.ledger import DayScore
from forecast.jobs.record import Record
from forecast.settings import INTERVALS, Facts, FilePath, LagSettings

# what each gauge says; times are in Unix seconds
GAUGES = {
    "last_run_timestamp_seconds": "Time at which the newest run began.",
    "last_success_timestamp_seconds": "Time at which the newest run began that published; 0 if none.",
    "run_duration_seconds": "Duration of the newest run.",
    "rows": "Rows of the newest published forecasts.",
    "series_without_forecast": "Series of the newest published run that have no forecast.",
    "data_age_seconds": "Time from the end of the data to the writing of these gauges.",
    "mase": "MASE of earlier forecasts on the newest days with actual values.",
    "coverage_ratio": "Share of these values inside the interval of a level in percent.",
    "lag_error_ratio": "WAPE of the forecasts that were made the lag of [monitoring] before.",
    "lag_bias_ratio": "Bias of these forecasts, above 0 where they are too high.",
    "lag_naive_error_ratio": "WAPE of seasonal naive for the same values at the same lag.",
    "check_findings_ratio": "Share of the checks of the newest checked run that found something.",
}


def _check_suffix(path: str) -> str:
    if not path.endswith(".prom"):
        raise ValueError("node_exporter reads only files whose names end with .prom; end it so")
    return path


class MonitoringSettings(LagSettings):
    """Where the gauges of a job go, and what is scored beside them."""

    path: Annotated[FilePath, AfterValidator(_check_suffix)] | None = Field(
        None, description="a .prom file of gauges for Prometheus, replaced after each run"
    )
    lag_by: str | None = Field(
        None, description="with a lag: columns whose values get a score each"
    )


def gauges(runs: Sequence[Record], days: Sequence[DayScore], data_age: float | None) -> Facts:
    """The gauges of a job by name; coverage has a number for each level.

    A gauge is None until there is something to measure. `runs` have ended; the newest comes first.
    """
    newest = max(runs, key=_began)
    published = [run for run in runs if run.published]
    counts = next((run.counts for run in published), {})
    coverage = {f"{level:g}": _mean(days, f"coverage_{level:g}") for level in INTERVALS}
    at_lag: Facts = next(
        (run.at_lag["groups"][0] for run in published if run.at_lag.get("groups")), {}
    )
    shares = [len(run.findings) / len(run.checks) for run in runs if run.checks]
    return {
        "last_run_timestamp_seconds": _began(newest),
        "last_success_timestamp_seconds": max(map(_began, published), default=0.0),
        "run_duration_seconds": newest.seconds,
        "rows": counts.get("rows"),
        "series_without_forecast": counts.get("skipped"),
        "data_age_seconds": data_age,
        "mase": _mean(days, "mase"),
        "coverage_ratio": coverage,
        "lag_error_ratio": at_lag.get("error"),
        "lag_bias_ratio": at_lag.get("bias"),
        "lag_naive_error_ratio": at_lag.get("naive"),
        "check_findings_ratio": next(iter(shares), None),
    }


def _mean(days: Sequence[DayScore], measure: str) -> float | None:
    """The mean of a measure over the values of days."""
    scores = [(getattr(day, measure), day.count) for day in days]
    scored = [pair for pair in scores if pair[0] is not None]
    if not scored:
        return None
    values, counts = np.transpose(scored)
    return float(np.average(values, weights=counts))


def _began(run: Record) -> float:
    return datetime.fromisoformat(run.started).timestamp()


def exposition(states: Sequence[Facts]) -> str:
    """The gauges of jobs, of which each state has its name and its gauges, as text."""
    lines = []
    for name, meaning in GAUGES.items():
        lines += [f"# HELP forecast_{name} {meaning}", f"# TYPE forecast_{name} gauge"]
        for state in states:
            lines += _samples(name, state)
    return "\n".join(lines)


def _samples(name: str, state: Facts) -> Iterator[str]:
    gauge = state["gauges"][name]
    job = json.dumps(visible(state["job"]), ensure_ascii=False)  # escapes as Prometheus does
    by_level = gauge if isinstance(gauge, dict) else {"": gauge}
    for level, number in by_level.items():
        if number is not None:
            label = f',level="{level}"' if level else ""
            yield f"forecast_{name}{{job={job}{label}}} {float(number)!r}"
