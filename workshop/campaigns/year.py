"""A year of nights of one job: nothing may be lost, and the last night may take no longer than the tenth."""

import json
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median

import click

from forecast.durable import replace_file
from forecast.jobs.ledger import MAX_RECORDS, MAX_RUNS
from workshop.campaigns._commands import Commands
from workshop.campaigns._counts import Counts, campaign
from workshop.campaigns._disk import small_disk
from workshop.campaigns._night_job import KEEP, KNOBS, OTHER_KNOBS, NightJob
from workshop.campaigns._nights import Year, live_night
from workshop.campaigns._operations import Torn
from workshop.campaigns._promises import SPARED
from workshop.campaigns._stations import ZONE, Stations

ROOT = Path(__file__).parents[2]
JOURNAL = "journal.jsonl"
TENTH, LAST = "tenth", "last"  # folders with what the tenth and the last whole night left
EARLY, LATE = (
    9,
    14,
)  # the first night that may be the tenth, and how many nights from the end on may be the last
RACES, LONG = 7, 60  # runs of each, and nights from which on they are compared
SLOWER = 1.1  # by which the last night may be slower: it compares the forecasts of sixty nights with what came
GROWTH = 1.1  # of the store and of the ledger in the last fifth of the year
RECORD = 5_000  # bytes that the record of a night takes in a ledger, which has room for MAX_RECORDS
STATUS_EVERY = 28  # nights, after which `status` and `versions` are asked
SAY_EVERY = 10  # nights


@dataclass(frozen=True)
class Entry:
    """A night that is over, a line of the journal.

    Attributes
    ----------
    kind : what happened
    fitted : whether a run of the night fitted
    seconds, cpu_seconds : of its last run
    store, ledger : bytes at its end
    done : what was done, by name
    lost : what was lost
    raced : how the night is called that is run again at the end; "" for others
    """

    night: int
    kind: str
    fitted: bool
    seconds: float
    cpu_seconds: float
    store: int
    ledger: int
    done: dict[str, int]
    lost: list[str]
    raced: str = ""


@click.command()
@click.option("--nights", default=365, show_default=True)
@click.option("--first", default="2025-02-03", show_default=True, help="day of the first night")
@click.option(
    "--model", default="segrnn", show_default=True, type=click.Choice([*KNOBS, *OTHER_KNOBS])
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="where the nights stay, so that they can go on",
)
@click.option(
    "--fork", is_flag=True, help="run commands in forks of this process, without their start"
)
@click.option("--seed", default=0, show_default=True)
def command(
    nights: int, first: str, model: str, folder: Path | None, fork: bool, seed: int
) -> None:
    """Run a job night after night for a year: bad tables, kills, full disks, clock changes, and a fit a week.

    With --folder the nights are kept there, and the same command goes on after the last whole one.
    """
    stations = Stations(seed, date.fromisoformat(first), nights)
    with campaign("year") as counts, ExitStack() as stack:
        place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        place.mkdir(parents=True, exist_ok=True)
        settings = {"nights": nights, "first": first, "model": model, "seed": seed}
        entries = _journal(place, settings)
        for entry in entries:
            counts.done.update(entry.done)
            counts.lost += entry.lost
        _live(place, stations, model, fork, entries, counts, stack)
        judge_year(entries, NightJob(place / "before"), counts)


def _journal(place: Path, settings: dict[str, object]) -> list[Entry]:
    """The nights that are over, of the same settings."""
    path = place / JOURNAL
    if not path.exists():
        path.write_text(json.dumps(settings) + "\n", encoding="utf-8")
        return []
    first, *lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if json.loads(first) != settings:
        raise click.ClickException(f"{place} holds other nights: {first.strip()}")
    whole = [line for line in lines if line.endswith("\n")]  # a kill may have cut the last one
    replace_file(path, "".join([first, *whole]).encode())
    return [Entry(**json.loads(line)) for line in whole]


def _live(
    place: Path,
    stations: Stations,
    model: str,
    fork: bool,
    entries: list[Entry],
    counts: Counts,
    stack: ExitStack,
) -> None:
    """The nights that are left."""
    subprocess.run(
        ["umount", str(place / "job")], capture_output=True, check=False
    )  # of a campaign that was killed
    shutil.rmtree(place / "job", ignore_errors=True)
    disk = stack.enter_context(small_disk(place / "job"))
    job, before = NightJob(place / "job"), place / "before"
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    commands = Commands(job.folder, {"TZ": ZONE, "PYTHONPATH": str(ROOT), **threads}, fork)
    if fork:
        import_application()
    if entries:
        job.restore(before)
    else:
        job.write(model)
        job.copy_to(before)
    raced = {entry.raced: entry.night for entry in entries if entry.raced}
    year, begun, done_before = (
        Year(job, stations, commands, counts, before, disk),
        time.monotonic(),
        len(entries),
    )
    for night in range(len(entries), stations.nights):
        done, lost = counts.done.copy(), len(counts.lost)
        try:
            kind = live_night(year, night)
            if night % STATUS_EVERY == STATUS_EVERY - 1:
                _ask(year, night)
        except Torn:  # it is counted, and later nights would only repeat it
            break
        job.copy_to(before)
        name = _raced(year, night, raced)
        if name:
            job.copy_to(place / name)
            raced[name] = night
        entries.append(
            _entry(year, night, kind, dict(counts.done - done), counts.lost[lost:], name)
        )
        with (place / JOURNAL).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(entries[-1])) + "\n")
        if night % SAY_EVERY == SAY_EVERY - 1:
            _say(
                entries,
                counts,
                stations.nights,
                (time.monotonic() - begun) / (len(entries) - done_before),
            )
    if len(raced) > 1 and stations.nights >= LONG:
        race(year, place, raced)


def _raced(year: Year, night: int, raced: dict[str, int]) -> str:
    """Whether a night is to be run again at the end, as the tenth or the last one; "" if not."""
    if not year.ended or year.ended[-1].code != 0:
        return ""
    if TENTH not in raced:
        return TENTH if night >= EARLY else ""
    return LAST if night >= year.stations.nights - LATE else ""


def import_application() -> None:
    """Import what a run needs, so that forks need not."""
    import sqlalchemy.dialects.sqlite  # noqa: F401

    import forecast.cli.run
    import forecast.cli.status
    import forecast.cli.versions
    import forecast.engine.exporting
    import forecast.engine.fit
    import forecast.jobs.run
    import forecast.tables.databases  # noqa: F401


def _ask(year: Year, night: int) -> None:
    """Ask for the status and the versions."""
    for words, codes in ((("status", "job.toml"), (0, 3, 4)), (("versions", "job.toml"), (0,))):
        ended = year.commands.run(*words)
        year.counts.done["questions"] += 1
        if ended.code not in codes or "Traceback" in ended.said:
            year.counts.lose(
                f"night {night}: {words[0]} ended with {ended.code}: {ended.said[-500:]}"
            )


def _entry(
    year: Year, night: int, kind: str, done: dict[str, int], lost: list[str], raced: str
) -> Entry:
    """The entry of a night that is over."""
    job, last = year.job, year.ended[-1] if year.ended else None
    fitted = last is not None and "\nfit      " in f"\n{last.said}"
    seconds, cpu_seconds = (0.0, 0.0) if last is None else (last.seconds, last.cpu_seconds)
    ledger = sum(path.stat().st_size for path in job.ledger.parent.iterdir())
    store = sum(path.stat().st_size for path in job.store.path.rglob("*"))
    return Entry(
        night,
        kind,
        fitted,
        round(seconds, 3),
        round(cpu_seconds, 3),
        store,
        ledger,
        done,
        lost,
        raced,
    )


def _say(entries: list[Entry], counts: Counts, nights: int, each: float) -> None:
    last = entries[-1]
    left = each * (nights - len(entries)) / 60
    click.echo(
        f"night {len(entries)} of {nights}: {len(counts.lost)} lost; store {last.store / 1e3:,.0f} kB, "
        f"ledger {last.ledger / 1e3:,.0f} kB; {each:.1f} s a night, {left:.0f} min left",
        err=True,
    )


def judge_year(entries: list[Entry], job: NightJob, counts: Counts) -> None:
    """The ledger and the store have to be bounded in size."""
    state = job.look()
    most = {"forecast_runs": MAX_RECORDS, "forecast_fits": MAX_RECORDS, "forecast_cells": MAX_RUNS}
    for table, rows in most.items():
        if job.count(table) > rows:
            counts.lose(f"the ledger has {job.count(table)} rows in {table}, more than {rows}")
    if len(state.versions) > KEEP + SPARED:
        counts.lose(f"{len(state.versions)} versions stay")
    last = len(entries) - len(entries) // 5
    for name in ("store", "ledger") if last >= MAX_RUNS else ():
        sizes = [getattr(entry, name) for entry in entries]
        before, after = max(sizes[:last]), max(sizes[last:])
        click.echo(f"{name}: {before:,} bytes at most until night {last}, then {after:,}", err=True)
        if after > GROWTH * before + RECORD * (len(entries) - last) * (name == "ledger"):
            counts.lose(f"the {name} grows: {before:,} bytes at most, then {after:,}")


def race(year: Year, place: Path, nights: dict[str, int]) -> None:
    """Run the tenth night and the last one again in turns: the last one may take no longer.

    Parameters
    ----------
    nights : by the names of the folders in `place` that hold what they left
    """
    commands = replace(year.commands, fork=False)  # the whole command, whose start is most of it
    seconds: dict[str, list[float]] = {name: [] for name in nights}
    by_clock: dict[str, list[float]] = {name: [] for name in nights}
    for _ in range(RACES):
        for name, night in nights.items():
            year.job.restore(place / name)
            as_of = year.stations.as_of(night)
            ended = commands.run(
                "run", "job.toml", "--as-of", datetime.fromtimestamp(as_of, UTC).isoformat()
            )
            seconds[name].append(ended.cpu_seconds)
            by_clock[name].append(ended.seconds)
    said = ", ".join(
        f"night {night + 1} {median(seconds[name]):.2f} s of a core and {median(by_clock[name]):.2f} s by the clock"
        for name, night in nights.items()
    )
    ratio = median(late / early for early, late in zip(*seconds.values(), strict=True))
    click.echo(f"medians of {RACES} runs in turns: {said}; ratio {ratio:.2f}", err=True)
    if ratio > SLOWER:
        year.counts.lose(f"the last night takes {ratio:.2f} times as long as the tenth")
