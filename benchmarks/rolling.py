"""Development sets, forecast from rolling origins: `forecast now` beside the baselines that it has to beat."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.files import find_file
from benchmarks.methods import NOW, Method
from benchmarks.plan import Run, Wanted, runs_of
from benchmarks.rows import Row
from benchmarks.samples import Sample, backtest

NAME = "rolling"
WHERE = "the source in benchmarks/README.md"
BASELINES = ("seasonal-naive", "theta", "holt-winters")
ORIGINS = 20  # with fewer, luck decides on single series
MONTH = 31  # days between origins, so that the day of the week differs

SETS = (
    Sample(
        "aus_retail_monthly.csv.gz",
        ("--id", "series_id", "--target", "turnover"),
        step=6,
        horizon=12,
    ),
    Sample("covid_deaths_daily.csv.gz", step=5, horizon=30),
    Sample("us_births_2000_2014_daily.csv", ("--target", "births"), step=MONTH, horizon=30),
    Sample("saugeen_river_flow_daily.csv.gz", step=MONTH, horizon=30),
    Sample(
        "vic_elec_halfhourly.csv.gz",
        ("--time", "timestamp_utc", "--target", "demand"),
        step=48 * MONTH,
        horizon=48,
    ),
    Sample(
        "pedestrian_melbourne_hourly.csv.gz",
        ("--time", "timestamp_utc", "--id", "sensor", "--target", "count"),
        step=24 * MONTH,
        horizon=24,
    ),
    Sample("bike_sharing_hourly.csv.gz", ("--target", "users"), step=24 * MONTH, horizon=24),
    Sample("beijing_pm25_hourly.csv.gz", ("--target", "pm25"), step=24 * MONTH, horizon=24),
)


def rolling_runs(folder: Path, methods: Sequence[Method], wanted: Wanted) -> Iterator[Run]:
    """The runs on all sets, each one backtest of a method on a whole file."""
    for one in SETS:
        path = find_file(folder, one.file, WHERE)
        measure = partial(backtest, path, replace(one, windows=ORIGINS))
        yield from runs_of(f"{NAME}/{one.name}", one.horizon, methods, wanted, measure)


def comparison(rows: Sequence[Row]) -> list[str]:
    """MASE of each method on each set as a Markdown table, and on how many sets `now` is ahead of all baselines."""
    ours = [row for row in rows if row["data"].startswith(f"{NAME}/")]
    methods = list(dict.fromkeys(row["method"] for row in ours))
    lines = [
        _cells(["set", *methods, "now / best"]),
        _cells(["---", *["---:"] * (len(methods) + 1)]),
    ]
    ratios = []
    for data in dict.fromkeys(row["data"] for row in ours):
        mase = {
            row["method"]: row["mase"]
            for row in ours
            if row["data"] == data and row["mase"] is not None
        }
        ratio = None
        if all(mase.get(name) for name in (NOW, *BASELINES)):
            ratio = mase[NOW] / min(mase[name] for name in BASELINES)
            ratios.append(ratio)
        numbers = [mase.get(name) for name in methods]
        texts = ["" if number is None else f"{number:.3f}" for number in (*numbers, ratio)]
        lines.append(_cells([data.removeprefix(f"{NAME}/"), *texts]))
    ahead = sum(ratio < 1 for ratio in ratios)
    return [
        *lines,
        "",
        f"now is ahead of the best of {', '.join(BASELINES)} on {ahead} of {len(ratios)} sets",
    ]


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
