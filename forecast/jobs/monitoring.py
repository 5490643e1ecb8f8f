"""Gauges of a job for Prometheus, in version 0.0.4 of its text format."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field

from forecast.errors import visible
from forecast.ledger.ledger import DayScore
from forecast.ledger.record import Record
from forecast.settings import FilePath, SettingsGroup

SUFFIX = ".prom"  # the textfile collector of node_exporter reads no other files
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
    "check_findings_ratio": "Share of the checks of the newest checked run that found something.",
}
LEVELS = ("80", "95")  # of intervals, in percent
Number = float | None
Gauge = Number | dict[str, Number]  # one number, or numbers by level


def _with_suffix(path: str) -> str:
    if not path.endswith(SUFFIX):
        raise ValueError(f"node_exporter reads files whose names end with {SUFFIX}")
    return path


class MonitoringSettings(SettingsGroup):
    """Where the gauges of a job go."""

    path: Annotated[FilePath, AfterValidator(_with_suffix)] | None = Field(
        None, description="a .prom file of gauges for Prometheus, replaced after each run"
    )


def gauges(
    runs: Sequence[Record], days: Sequence[DayScore], data_age: float | None
) -> dict[str, Gauge]:
    """The gauges of a job by name; None is one without a value yet.

    `runs` have ended, the newest comes first.
    """
    newest = max(runs, key=_began)
    success = max((run for run in runs if run.published), key=_began, default=None)
    counts = {} if success is None else success.counts
    shares = [len(run.findings) / len(run.checks) for run in runs if run.checks]
    return {
        "last_run_timestamp_seconds": _began(newest),
        "last_success_timestamp_seconds": 0.0 if success is None else _began(success),
        "run_duration_seconds": newest.seconds,
        "rows": counts.get("rows"),
        "series_without_forecast": counts.get("skipped"),
        "data_age_seconds": data_age,
        "mase": _mean(days, "mase"),
        "coverage_ratio": {level: _mean(days, f"coverage_{level}") for level in LEVELS},
        "check_findings_ratio": next(iter(shares), None),
    }


def _mean(days: Sequence[DayScore], measure: str) -> float | None:
    """The mean of a measure over the values of days."""
    scores = {day: getattr(day, measure) for day in days}
    scored = [day for day in days if scores[day] is not None]
    if not scored:
        return None
    counts = [day.count for day in scored]
    return float(np.average([scores[day] for day in scored], weights=counts))


def _began(run: Record) -> float:
    return datetime.fromisoformat(run.started).timestamp()


def exposition(states: Sequence[Mapping[str, Any]]) -> str:
    """The gauges of jobs, of which each state has its name and its gauges, as text."""
    lines = []
    for name, meaning in GAUGES.items():
        samples = [sample for state in states for sample in _samples(name, state)]
        if samples:
            lines += [f"# HELP forecast_{name} {meaning}", f"# TYPE forecast_{name} gauge"]
            lines += samples
    return "\n".join(lines)


def _samples(name: str, state: Mapping[str, Any]) -> Iterator[str]:
    gauge = state["gauges"][name]
    job = visible(state["job"]).replace("\\", "\\\\").replace('"', '\\"')
    by_level = gauge if isinstance(gauge, dict) else {"": gauge}
    for level, number in by_level.items():
        if number is not None:
            label = f',level="{level}"' if level else ""
            yield f'forecast_{name}{{job="{job}"{label}}} {float(number)!r}'
