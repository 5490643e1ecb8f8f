"""Kill a night that fits anew at every call that touches its files, from the saving of the version to the end."""

import logging
import tempfile
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random

import click

from forecast.jobs.pipeline import read_pipeline
from forecast.jobs.run import run_job
from workshop.campaigns._counts import Counts, campaign
from workshop.campaigns._judging import let_time_pass
from workshop.campaigns._night_job import NightJob, State
from workshop.campaigns._operations import Torn
from workshop.campaigns._stations import Stations
from workshop.campaigns._strace import check_strace, kill_at, record, run

FITTED, REFIT, NEXT = 0, 7, 8  # nights: the first fit, the one that is killed, the one after it


@click.command()
@click.option("--sample", type=int, help="kills, chosen by the seed; default one at every call")
@click.option("--seed", default=0, show_default=True)
def command(sample: int | None, seed: int) -> None:
    """Kill a night that fits anew between the saving of its version and its end; the next run puts all in order."""
    check_strace()
    with campaign("refits") as counts, tempfile.TemporaryDirectory() as folder:
        kill_refits(Path(folder), sample, Random(seed), counts)


def kill_refits(folder: Path, sample: int | None, random: Random, counts: Counts) -> None:
    """Kill the night at each of its calls, or at a sample; then run it again, or only the next one."""
    logging.getLogger("forecast").setLevel(logging.ERROR)
    stations, job = (
        Stations(random.randrange(100), date(2025, 3, 3), NEXT + 1),
        NightJob(folder / "job"),
    )
    job.write("seasonal-naive")

    def night(number: int, place: Path) -> None:
        job.feed(stations.table(number))
        run_job(read_pipeline(str(place / "job.toml")), as_of=_text(stations, number))

    def whole(number: int) -> str:
        let_time_pass(job.folder)
        ended = run(lambda place: night(number, place), job.folder)
        return "" if ended.code == 0 else f"ended with {ended.code} {ended.message}"

    whole(FITTED)
    before = job.look()
    job.copy_to(folder / "before")
    calls = record(lambda place: night(REFIT, place), job.folder, folder / "log")
    wanted = job.look()
    if _problems(job, wanted) or wanted.live == before.live:
        raise click.ClickException(
            f"the night without a kill: {_problems(job, wanted)}, live {wanted.live}"
        )
    saved = next(place for place, call in enumerate(calls) if "store/.forecast-" in call.text)
    for call in calls[saved:] if sample is None else random.sample(calls[saved:], sample):
        job.restore(folder / "before")
        what = f"killed at {call.name} {call.number}: {call.text}"
        if not kill_at(lambda place: night(REFIT, place), job.folder, call).killed:
            counts.lose(f"{what}: ended before it could be killed")
            continue
        counts.done["kills"] += 1
        try:
            after = job.look()
            settled = after.runs.get(max(wanted.runs)) == 0
            if after.live != before.live and not settled:
                counts.lose(f"{what}: {after.live} is live, and its run is not in the ledger")
            if settled and after.output != wanted.output:
                counts.lose(f"{what}: the run is in the ledger, and its output is not there")
            job.copy_to(folder / "killed")
            failed = whole(REFIT)
            again = job.look()
            if failed or _what_stays(again) != _what_stays(wanted):
                counts.lose(f"{what}: run again, it {failed or 'left something else'}")
            counts.lost += [f"{what}: run again, {problem}" for problem in _problems(job, again)]
            job.restore(folder / "killed")
            failed = whole(NEXT)
            problems = [failed] if failed else _problems(job, job.look())
            counts.lost += [f"{what}: on the next night {problem}" for problem in problems]
        except Torn as torn:
            counts.lose(f"{what}: {torn}")


def _text(stations: Stations, number: int) -> str:
    return datetime.fromtimestamp(stations.as_of(number), UTC).isoformat()


def _what_stays(state: State) -> State:
    """What a clock does not decide."""
    return replace(state, records={})


def _problems(job: NightJob, state: State) -> list[str]:
    """Where the live version, the ledger and the sink do not agree."""
    newest = max(state.runs)
    version, problems = state.records[newest]["version"], []
    if state.runs[newest] or not state.records[newest]["settled"]:
        problems.append(f"the newest run ended with {state.runs[newest]}")
    if version != state.live:
        problems.append(f"the newest run forecast by {version}, and {state.live} is live")
    if {cell for row in job.sink_rows(1) for cell in row if str(cell).startswith("v-")} != {
        version
    }:
        problems.append(f"the sink holds forecasts of another version than {version}")
    if state.fits[max(state.fits)] != version:
        problems.append(
            f"the newest fit of the ledger is {state.fits[max(state.fits)]}, not {version}"
        )
    if job.left_behind():
        problems.append(f"{job.left_behind()} were left behind")
    return problems
