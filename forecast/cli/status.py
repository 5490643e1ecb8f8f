"""Show the status of jobs: runs, accuracy, age of the data, live version."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from forecast.cli._console import cell, put, put_json, put_table, say_next, style_options
from forecast.cli._help import OUTPUT, option, with_examples
from forecast.cli._store import Place, store_options

WIDTH = 160  # characters of a line if stdout is not a terminal

if TYPE_CHECKING:
    from forecast.jobs.administration import Status


@with_examples(
    "forecast status job.toml",
    "forecast status --artifact shops --json",
)
@store_options
@option(
    "--runs", heading=OUTPUT, type=click.IntRange(1, 1000), default=10, show_default=True, help="number of runs to show"
)
@option("--json", "as_json", heading=OUTPUT, is_flag=True, help="print a list of objects, one for each job")
@style_options
def command(place: Place, runs: int, as_json: bool) -> int:
    """Show the status of JOB, a pipeline file, or of all jobs of a store.

    The exit code is for monitoring: 0 all is well, 3 the newest run failed or left series out, 4 the data are stale.
    """
    from forecast.jobs.administration import ledger_of, ledgers_of, status_of

    ledgers = ledgers_of(place.store) if place.pipeline is None else [ledger_of(place.pipeline)]
    states = [status_of(ledger, place.store, datetime.now(UTC), runs) for ledger in ledgers]
    if as_json:
        put_json([state.as_json() for state in states], indent=2)
    else:
        for state in states:
            _show(state)
    code = max(state.code for state in states)
    if code == 0:
        say_next("versions", *place.words)
    return code


def _show(state: "Status") -> None:
    from rich.table import Table

    from forecast.jobs.administration import noted
    from forecast.jobs.checks import aged

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
            days.add_row(
                *map(cell, (day.day, day.count, *("" if number is None else f"{number:.3g}" for number in numbers)))
            )
        put_table(days, WIDTH)
