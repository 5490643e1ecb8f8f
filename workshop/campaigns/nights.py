"""Run nights without a fault over real tables, which no check may block, and plant faults that each must answer."""

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import pandas as pd

from forecast.jobs.checks.limits import outcome
from forecast.jobs.gate import replayed_checks
from forecast.jobs.pipeline import read_pipeline
from forecast.jobs.run import run_job
from workshop.campaigns._counts import Counts, campaign
from workshop.campaigns._hours import WRONG_DAY, moved_hours
from workshop.campaigns._shops import (
    BLOCKED,
    CLEAN_NIGHTS,
    DAYS_BEFORE,
    FAULTS,
    ShopJob,
    answered,
    sales,
)

ROOT = Path(__file__).parents[2]
MOST_WARNINGS = 10
LEAST_PAST = 100  # periods before the first night
SMALL = 'model = "linear"\nsteps = 60\nbaselines = ["seasonal-naive", "theta", "seasonal-drift"]'


@dataclass(frozen=True)
class Job:
    """A table, and the job that forecasts it night after night, or month after month."""

    file: str
    time: str
    table: str  # lines of [table]
    horizon: int
    night: str  # the length of a period after which the job runs
    refit: str = "every 30 days"
    by_day: tuple[str, str, str] = (
        "",
        "",
        "",
    )  # of a finer table: its time, how values are added up, and the value
    ids: tuple[str, ...] = ()


JOBS = {
    "passengers": Job("air_passengers.csv", "month", "", 12, "MS", "every 365 days"),
    "unemployment": Job("us_unemployment.csv", "month", "", 12, "MS", "every 365 days"),
    "delays": Job(
        "nyc_flight_delays.csv",
        "day",
        'id = ["airport", "airline"]\ntarget = "delayed"\nknown = "scheduled"',
        14,
        "D",
    ),
    "temperature": Job("jfk_temperature.csv", "time_utc", 'target = "temperature"', 72, "D"),
    "births": Job("us_births_2000_2014_daily.csv", "date", 'target = "births"', 14, "D"),
    "pedestrians": Job(
        "pedestrian_melbourne_hourly.csv.gz",
        "day",
        'id = "sensor"\ntarget = "count"',
        14,
        "D",
        by_day=("timestamp_local", "sum", "count"),
        ids=("sensor",),
    ),
    "electricity": Job(
        "vic_elec_halfhourly.csv.gz",
        "day",
        'target = "demand"',
        14,
        "D",
        by_day=("timestamp_local", "sum", "demand"),
    ),
}


@click.command()
@click.option("--nights", default=365, show_default=True, help="of each table, the last ones")
@click.option(
    "--dev", type=click.Path(path_type=Path), help="folder with the tables that are not in data/"
)
@click.option(
    "--table",
    "tables",
    multiple=True,
    type=click.Choice([*JOBS]),
    help="default all that are there",
)
@click.option("--folder", type=click.Path(path_type=Path), help="where the jobs stay")
@click.option(
    "--seeds", default=1, show_default=True, help="of made sales, into which faults are planted"
)
def command(
    nights: int, dev: Path | None, tables: tuple[str, ...], folder: Path | None, seeds: int
) -> None:
    """Run jobs on real tables night after night: no check of forecasts may block, and 10 warnings are too many."""
    quiet = logging.getLogger("forecast")
    quiet.propagate = False
    quiet.addHandler(logging.NullHandler())
    with campaign("nights") as counts, tempfile.TemporaryDirectory() as temporary:
        for name in tables or JOBS:
            files = [place / JOBS[name].file for place in (ROOT / "data", dev) if place is not None]
            source = next((file for file in files if file.exists()), None)
            if source is not None:
                live(JOBS[name], source, (folder or Path(temporary)) / name, nights, counts)
        for seed in range(seeds):
            plant(Path(temporary) / f"shops {seed}", seed, counts)
            plant_hours(Path(temporary) / f"loads {seed}", seed, counts)
        warned = sum(number for what, number in counts.done.items() if "warn" in what)
        if warned > MOST_WARNINGS:
            counts.lose(f"{warned} warnings, more than {MOST_WARNINGS}")


def plant(folder: Path, seed: int, counts: Counts) -> None:
    """Run nights of made sales, and after them one night with each fault: the job must answer it."""
    job = ShopJob(folder / "clean", sales(DAYS_BEFORE + CLEAN_NIGHTS + 1, seed))
    job.write("theta")
    for night in range(CLEAN_NIGHTS):
        code, messages = job.run(night)
        # the first fit names the store that closed long ago
        if code or (night and messages):
            counts.lose(f"made sales {seed}, night {night} without a fault: {code}, {messages}")
    for number, (name, fault) in enumerate(FAULTS.items()):
        code, messages = job.copy_to(folder / str(number)).run(
            CLEAN_NIGHTS, fault.plant(job.table(CLEAN_NIGHTS))
        )
        counts.done["faults"] += 1
        if not answered(fault, code, messages):
            counts.lose(f"made sales {seed}, {name}: {code}, {messages}")


def plant_hours(
    folder: Path, seed: int, counts: Counts, moves: Sequence[int] = (0, 1, 6, -6)
) -> None:
    """Move the hours of one day in a column known in advance: the job must block, or else be silent."""
    for hours in moves:
        code, messages = moved_hours(folder / str(hours), hours, seed)
        counts.done["moved hours"] += 1
        found = code == BLOCKED and f"{WRONG_DAY:%Y-%m-%d}" in messages[0]
        if not (found if hours else (code, messages) == (0, [])):
            counts.lose(f"loads {seed}, moved by {hours} hours: {code}, {messages}")


def live(job: Job, source: Path, folder: Path, nights: int, counts: Counts) -> None:
    """Run the nights of one table, and compare what its checks said with what a replay says."""
    folder.mkdir(parents=True, exist_ok=True)
    ends = _write(job, source, folder)
    pipeline, alarms = read_pipeline(str(folder / "job.toml")), list[str]()
    last = len(ends) - job.horizon * (
        "known" in job.table
    )  # what is known in advance ends with the table
    for end in ends[LEAST_PAST:last][-nights:]:
        record = run_job(pipeline, as_of=(end + pd.Timedelta(hours=12)).isoformat() + "+00:00")
        words = {
            name: outcome(name, found, pipeline.checks) for name, found in record.checks.items()
        }
        counts.done["nights"] += 1
        for name in (name for name, word in words.items() if word):
            counts.done[f"{words[name]} of {name} in {folder.name}"] += 1
            click.echo(
                f"{folder.name} {record.as_of}: {words[name]} of {name}: {record.checks[name]}",
                err=True,
            )
        if "error" in words.values():
            counts.lose(f"{folder.name} {record.as_of}: blocked")
        alarms += [record.as_of] if any(words.values()) else []
    if [line.split("  ")[0] for line in replayed_checks(pipeline, len(ends))[:-1]] != alarms:
        counts.lose(f"{folder.name}: a replay names other runs than {alarms}")


def _write(job: Job, source: Path, folder: Path) -> list[pd.Timestamp]:
    """Write the table and the pipeline file; returns the ends of the periods after which the job runs."""
    frame = pd.read_csv(source)
    time, how, value = job.by_day
    if time:
        frame = (
            frame.assign(day=frame[time].str[:10])
            .groupby([*job.ids, "day"])[value]
            .agg([how, "size"])
            .reset_index()
        )
        frame = (
            frame[frame["size"] == frame["size"].mode()[0]]
            .drop(columns="size")
            .rename(columns={how: value})
        )
    frame.to_csv(folder / "table.csv", index=False)
    ends = (
        pd.to_datetime(frame[job.time])
        .dt.to_period("M" if job.night == "MS" else "D")
        .drop_duplicates()
        .sort_values()
    )
    lines = [
        'store = "store"',
        f'refit = "{job.refit}"',
        "[source]",
        'path = "table.csv"',
        "[table]",
        f'time = "{job.time}"',
        job.table,
    ]
    lines += [
        "[train]",
        SMALL,
        f"horizon = {job.horizon}",
        "[sink]",
        'path = "out.csv"',
        "[checks.output]",
        'on_error = "warn"',
    ]
    (folder / "job.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [(end + 1).to_timestamp() for end in ends]
