"""Show the status of jobs: runs, accuracy, age of the data, live version."""

from dataclasses import asdict
from datetime import UTC, datetime

from rich.table import Table

from forecast.cli._console import cell, put, put_json, put_table, suggest
from forecast.cli._store import place_of
from forecast.jobs.administration import Status, ledger_of, ledgers_of, noted, status_of
from forecast.jobs.checks import aged

WIDTH = 160  # characters of a line if stdout is not a terminal


def run(job: str | None, artifact: str | None, runs: int, as_json: bool) -> int:
    """Print the status of a job, or of all jobs of a store; the worst of their codes is the exit code."""
    with place_of(job, artifact) as place:
        ledgers = ledgers_of(place.store) if place.pipeline is None else [ledger_of(place.pipeline)]
        states = [status_of(ledger, place.store, datetime.now(UTC), runs) for ledger in ledgers]
        if as_json:
            put_json([asdict(state) for state in states], indent=2)
        else:
            for state in states:
                _show(state)
        code = max(state.code for state in states)
        if code == 0:
            suggest("versions", *place.words)
        return code


def _show(state: Status) -> None:
    age = "" if state.data_age is None else f", {aged(state.data_age)}"
    put(
        f"job      {state.job}: {state.said}",
        f"live     {state.live or 'no version'}",
        f"data     up to {state.data_end or 'an unknown time'}{age}",
    )
    runs = Table("run as of", "exit", "seconds", "version", "what", box=None, pad_edge=False)
    for run in state.runs:
        row = (run["as_of"], run["exit_code"], f"{run['seconds']:.1f}", run["version"] or "", noted(run))
        runs.add_row(*map(cell, row))
    put_table(runs, WIDTH)
    if state.days:
        days = Table("day", "values", "MASE", "bias", "in 80 %", "in 95 %", box=None, pad_edge=False)
        for day in state.days:
            numbers = (day.mase, day.bias, day.coverage_80, day.coverage_95)
            texts = ("" if number is None else f"{number:.3g}" for number in numbers)
            days.add_row(*map(cell, (day.day, day.count, *texts)))
        put_table(days, WIDTH)
