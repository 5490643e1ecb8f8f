"""How jobs have been doing: runs, accuracy, age of the data, live version."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from forecast.cli._console import cell, put, put_json, put_table, style_options
from forecast.cli._store import Place, store_options

WIDTH = 160  # characters of a line that is not for a terminal

if TYPE_CHECKING:
    from forecast.jobs.life import Status


@click.command()
@store_options
@click.option("--runs", type=click.IntRange(1, 1000), default=10, show_default=True, help="runs that are shown")
@click.option("--json", "as_json", is_flag=True, help="print a list of objects, one a job")
@style_options
def command(place: Place, runs: int, as_json: bool) -> int:
    """Show how JOB, a pipeline file, or all jobs of a store have been doing.

    The exit code is for a monitor: 0 all is well, 3 the newest run failed or left series out, 4 the data are stale.
    """
    from forecast.jobs.life import ledgers_of, status_of
    from forecast.jobs.run import ledger_of

    found = ledgers_of(place.store) if place.pipeline is None else [ledger_of(place.pipeline)]
    states = [status_of(ledger, place.store, datetime.now(UTC), runs) for ledger in found]
    if as_json:
        put_json([one.as_json() for one in states], indent=2)
    else:
        for one in states:
            _show(one)
    return max(one.code for one in states)


def _show(state: "Status") -> None:
    from rich.table import Table

    from forecast.jobs.checks import aged
    from forecast.jobs.life import PARTIAL

    age = "" if state.data_age is None else f", {aged(state.data_age)}"
    put(
        f"job      {state.job}: {state.said}",
        f"live     {state.live or 'no version'}",
        f"data     up to {state.data_end or 'an unknown time'}{age}",
    )
    runs = Table("run as of", "exit", "seconds", "version", "what", box=None, pad_edge=False)
    for run in state.runs:
        fit, skipped = (run["fit"] or {}).get("why"), ", ".join(run["skipped"] or {})
        left_out = f"left out: {skipped}" if skipped and run["exit_code"] == PARTIAL else ""
        what = run["error"] or left_out or (f"fit: {fit}" if fit else "")
        row = (run["as_of"], run["exit_code"], f"{run['seconds']:.1f}", run["version"] or "", what)
        runs.add_row(*map(cell, row))
    put_table(runs, WIDTH)
    if state.days:
        days = Table("day", "values", "MASE", "bias", "in 80 %", "in 95 %", box=None, pad_edge=False)
        for day in state.days:
            numbers = (day.mase, day.bias, day.coverage_80, day.coverage_95)
            days.add_row(*map(cell, (day.day, day.count, *("" if one is None else f"{one:.3g}" for one in numbers))))
        put_table(days, WIDTH)
