"""Write the measures of backtest and score: to a terminal, as CSV, Parquet or JSON."""

import json
import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import click

from forecast.cli._console import as_json as json_text
from forecast.cli._console import cell, log, put_table
from forecast.cli._data import write
from forecast.durable import replace_file

if TYPE_CHECKING:
    import pandas as pd


class Measured(Protocol):
    """Tables of measures."""

    @property
    def overall(self) -> "pd.DataFrame": ...
    @property
    def by_series(self) -> "pd.DataFrame": ...
    @property
    def by_step(self) -> "pd.DataFrame": ...


@dataclass(frozen=True)
class Wanted:
    """Which table of measures a command writes, and where to."""

    by: str | None
    output: str | None
    as_json: bool


def put_out(measured: Measured, wanted: Wanted, more: dict[str, Any]) -> None:
    """Write the table that the user wants.

    A terminal gets the main measures; a pipe gets all as CSV, unless they go to a file; --json prints all tables.

    Parameters
    ----------
    more : further entries of the JSON object
    """
    output = wanted.output
    frame = {None: measured.overall, "series": measured.by_series, "step": measured.by_step}[wanted.by]
    tables = {name: _records(getattr(measured, name)) for name in ("overall", "by_series", "by_step")}
    whole = json_text({**more, **tables})
    if output is not None and output.lower().endswith(".json"):
        replace_file(output, [whole.encode() + b"\n"])
        log(f"written  {output}")
    elif output is not None:
        write(_rounded(frame), output)
    if wanted.as_json:
        click.echo(whole)
    elif sys.stdout.isatty():
        _print(frame)
    elif output is None:
        write(_rounded(frame), None)


def _rounded(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Measures with as many digits as forecasts have."""
    from forecast.evaluation.quantiles import rounded

    numbers = frame.columns[list(frame.columns).index("skill") :]
    return frame.assign(**{name: rounded(frame[name].to_numpy(float)) for name in numbers})


def _records(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    """The rows of a frame, with null for NaN."""
    records: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=15))
    return records


def _print(frame: "pd.DataFrame") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    names = frame.columns[: list(frame.columns).index("skill")].tolist()
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in names:
        table.add_column(cell(name), no_wrap=name == "model")
    shown = {name: heading for name, heading in _headings().items() if name in frame.columns}
    for heading in shown.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for row in frame[[*names, *shown]].itertuples(index=False):
        table.add_row(*map(cell, row[: len(names)]), *map(_text, row[len(names) :]))
    put_table(table)


def _headings() -> dict[str, str]:
    """Measures that a terminal of 80 columns has room for, and their headings; all are in the CSV."""
    from forecast.evaluation.metrics import MEASURES

    points = {name: name for name, measure in MEASURES.items() if measure.in_terminal}
    intervals = {"coverage_80": "in 80%", "coverage_95": "in 95%", "msis": "msis"}
    return {"skill": "skill", **points, **intervals, "fit_seconds": "fit s"}


def _text(number: float) -> str:
    return "" if math.isnan(number) else f"{number:.3f}" if abs(number) < 10 else f"{number:.1f}"
