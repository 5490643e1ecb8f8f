"""How jobs have been doing: runs, accuracy, age of the data, live version."""

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from forecast.cli._console import style_options
from forecast.cli._data import artifact_option

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from forecast.jobs.life import Status


@click.command()
@click.argument("job", required=False)
@artifact_option
@click.option("--runs", type=click.IntRange(1, 1000), default=10, show_default=True, help="runs that are shown")
@click.option("--json", "as_json", is_flag=True, help="print a list of objects, one a job")
@style_options
def command(job: str | None, artifact: str, runs: int, as_json: bool) -> int:
    """Show how JOB, a pipeline file, or all jobs of a store have been doing.

    The exit code is for a monitor: 0 all is well, 3 the newest run failed or left series out, 4 the data are stale.
    """
    from forecast.jobs.life import ledgers_of, status_of
    from forecast.jobs.pipeline import read_pipeline
    from forecast.jobs.run import ledger_of

    if job is None:
        found = [(ledger, artifact) for ledger in ledgers_of(artifact)]
    else:
        pipeline = read_pipeline(job)
        found = [(ledger_of(pipeline), pipeline.store)]
    states = [status_of(ledger, store, datetime.now(UTC), runs) for ledger, store in found]
    if as_json:
        click.echo(json.dumps([one.as_json() for one in states], indent=2))
    else:
        for one in states:
            _show(one)
    return max(one.code for one in states)


def _show(state: "Status") -> None:
    from rich.console import Console
    from rich.table import Table

    from forecast.jobs.checks import shown
    from forecast.jobs.life import PARTIAL

    age = "" if state.data_age is None else f", {shown(state.data_age)} old"
    click.echo(f"job      {state.job}: {state.said}")
    click.echo(f"live     {state.live or 'no version'}")
    click.echo(f"data     up to {state.data_end or 'an unknown time'}{age}")
    console = Console() if sys.stdout.isatty() else Console(width=160)
    runs = Table("run as of", "exit", "seconds", "version", "what", box=None, pad_edge=False)
    for run in state.runs:
        fit, skipped = (run["fit"] or {}).get("why"), ", ".join(run["skipped"] or {})
        left_out = f"left out: {skipped}" if skipped and run["exit_code"] == PARTIAL else ""
        what = run["error"] or left_out or (f"fit: {fit}" if fit else "")
        runs.add_row(run["as_of"], str(run["exit_code"]), f"{run['seconds']:.1f}", run["version"] or "", what)
    _print(console, runs)
    if state.days:
        days = Table("day", "values", "MASE", "bias", "in 80 %", "in 95 %", box=None, pad_edge=False)
        for day in state.days:
            numbers = (day.mase, day.bias, day.coverage_80, day.coverage_95)
            days.add_row(day.day, str(day.count), *("" if one is None else f"{one:.3g}" for one in numbers))
        _print(console, days)


def _print(console: "Console", table: "Table") -> None:
    with console.capture() as held:
        console.print(table)
    click.echo(held.get(), nl=False)  # a reader that has enough, such as head, is no failure then
