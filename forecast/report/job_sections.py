"""The versions of a store and the runs of a job, as sections of a report."""

from collections.abc import Mapping, Sequence
from typing import Any

from forecast.report.page import Bar, LineChart, Section, Table
from forecast.settings import INTERVALS

Row = Mapping[str, Any]

MOVED = 20  # series
DAY = {"day": "day", "count": "values", "mase": "MASE", "bias": "bias"}
DAY |= {f"coverage_{level:g}": f"in {level:g} %" for level in INTERVALS}


def versions_section(versions: Sequence[Row]) -> Section:
    """The versions of a store, the newest first; their rows come the oldest first."""
    rows = tuple(
        (row["version"], row["created"][:19].replace("T", " "), "live" * row["live"], row["hash"][:12], row["note"])
        for row in reversed(versions)
    )
    return Section("Versions", (Table("Versions of the store", ("version", "saved, UTC", "", "hash", "note"), rows),))


def job_section(state: str, runs: Sequence[Row], newest_days: Sequence[Row], actuals: Sequence[str]) -> Section:
    """The runs of a job, and how good its forecasts were by day, newest first; and lines on its newest actuals."""
    days, charts = newest_days[::-1], []
    if len(days) > 1:
        ends = str(days[0]["day"]), str(days[-1]["day"])
        covered = {f"{level:g} %": [day[f"coverage_{level:g}"] for day in days] for level in INTERVALS}
        targets = tuple(level / 100 for level in INTERVALS)
        charts = [
            LineChart("MASE by day", "day", ends, {"MASE": [day["mase"] for day in days]}),
            LineChart("Share of values inside the intervals by day", "day", ends, covered, targets),
        ]
    scores: str | Table = "There is no actual value yet for a forecast of an earlier run."
    if days:
        rows = tuple(tuple(day[name] for name in DAY) for day in newest_days)
        scores = Table("Forecasts of earlier runs against the actual values", tuple(DAY.values()), rows)
    cells = tuple((run["as_of"], run["exit_code"], run["seconds"], run["version"] or "", run["what"]) for run in runs)
    table = Table("Runs, newest first", ("run as of", "exit code", "seconds", "version", "what"), cells)
    since = [f"Since the last run: {'. '.join(actuals)}."] if actuals else []
    return Section("Runs", (f"{state}.", *since, *charts, scores, table))


def changes_section(changes: Row) -> Section:
    """Why the newest forecasts differ from those of the run before; from plain values of what changed."""
    times, sizes = changes["by_time"], [row["size"] or 0 for row in changes["steps"]]
    runs = " to that as of ".join(changes[name]["as_of"] for name in ("from", "to"))
    text = f"From the run as of {runs} forecasts of the same times changed by {100 * (changes['size'] or 0):.3g} %."
    lines = {name: [row[key] for row in times] for name, key in (("run before", "old"), ("newest run", "new"))}
    chart = LineChart("Sum of all series", "time", (times[0]["time"], times[-1]["time"]), lines)
    bars = [Bar(size, size / (max(sizes) or 1)) for size in sizes]
    steps = tuple((row["step"], row["change"], bar) for row, bar in zip(changes["steps"], bars, strict=True))
    series = changes["by_series"][:MOVED]
    moved = tuple((" / ".join(list(row.values())[:-5]), row["old"], row["new"], row["change"]) for row in series)
    tables = (
        Table("Steps in the order in which they were taken", ("step", "change of the sum", "share that moved"), steps),
        Table(f"Series that moved most, at most {MOVED}", ("series", "before", "now", "change"), moved),
    )
    return Section("Changes", (text, *(f"Note: {note}." for note in changes["notes"]), chart, *tables))


def job_verdict(days: Sequence[Row]) -> str:
    """How good the forecasts of a job were, in a sentence; "" where there is no actual value."""
    scored = [day for day in days if day["coverage_95"] is not None]
    values = sum(day["count"] for day in scored)
    if not values:
        return ""
    held = sum(day["count"] * day["coverage_95"] for day in scored) / values
    text = f"In the job's last {len(scored)} scored days 95 % intervals held {100 * held:.0f} % of {values:,} values"
    errors = [day for day in scored if day["mase"] is not None]
    weight = sum(day["count"] for day in errors)
    return text + (f", MASE {sum(day['count'] * day['mase'] for day in errors) / weight:.2f}" if weight else "")
