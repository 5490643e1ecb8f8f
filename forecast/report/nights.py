"""The versions of a store and the runs of a job, as sections of a report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forecast.report.charts import Chart
from forecast.report.page import Section, Table

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Nights:
    """A job as its ledger has it.

    Attributes
    ----------
    job : its name
    state : how it is, in words
    runs : newest first: as_of, exit_code, seconds, version, what
    days : newest first: day, count, mase, bias, coverage_80, coverage_95
    """

    job: str
    state: str
    runs: Sequence[Row]
    days: Sequence[Row]


def versions_section(versions: Sequence[Row]) -> Section:
    """The versions of a store, the newest first.

    Parameters
    ----------
    versions : oldest first: version, created, hash, live, note
    """
    rows = tuple(
        (
            one["version"],
            one["created"][:19].replace("T", " "),
            "live" if one["live"] else "",
            one["hash"][:12],
            one["note"],
        )
        for one in reversed(versions)
    )
    return Section("Versions", (Table("Versions of the store", ("version", "saved, UTC", "", "hash", "note"), rows),))


def nights_section(nights: Nights) -> Section:
    """The runs of a job, and how good its forecasts were."""
    days = tuple(tuple(day[name] for name in _DAY) for day in nights.days)
    oldest_first = nights.days[::-1]
    charts: tuple[Chart, ...] = ()
    if len(oldest_first) > 1:
        ends = (str(oldest_first[0]["day"]), str(oldest_first[-1]["day"]))
        covered = {f"{level} %": [day[f"coverage_{level}"] for day in oldest_first] for level in (80, 95)}
        charts = (
            Chart("MASE by day", "day", ends, {"MASE": [day["mase"] for day in oldest_first]}),
            Chart("Share of values inside the intervals by day", "day", ends, covered, (0.8, 0.95)),
        )
    runs = tuple(
        (run["as_of"], run["exit_code"], run["seconds"], run["version"] or "", run["what"]) for run in nights.runs
    )
    parts: list[str | Table | Chart] = [f"{nights.job}: {nights.state}.", *charts]
    if days:
        heads = ("day", "values", "MASE", "bias", "in 80 %", "in 95 %")
        parts.append(Table("Forecasts of earlier runs against the values that came", heads, days))
    else:
        parts.append("No value has come yet that an earlier run forecast.")
    run_heads = ("run as of", "exit code", "seconds", "version", "what")
    return Section("Nights", (*parts, Table("Runs, newest first", run_heads, runs)))


def nights_verdict(nights: Nights) -> str:
    """How good the forecasts of a job were, in a sentence; "" where no value has come."""
    scored = [day for day in nights.days if day["coverage_95"] is not None]
    values = sum(day["count"] for day in scored)
    if not values:
        return ""
    held = sum(day["count"] * day["coverage_95"] for day in scored) / values
    text = f"In the job's last {len(scored)} scored days 95 % intervals held {100 * held:.0f} % of {values:,} values"
    errors = [day for day in scored if day["mase"] is not None]
    weight = sum(day["count"] for day in errors)
    return text + (f", MASE {sum(d['count'] * d['mase'] for d in errors) / weight:.2f}" if weight else "")


_DAY = ("day", "count", "mase", "bias", "coverage_80", "coverage_95")
