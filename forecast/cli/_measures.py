"""Write the measures of backtest and score: to a terminal, as CSV, Parquet or JSON."""

import json
import math
import sys
from typing import Any

import click

from forecast.cli._command import Request
from forecast.cli._console import as_json, log, put_numbers
from forecast.cli._data import write
from forecast.durable import replace_file
from forecast.errors import Setting, UsageError
from forecast.evaluation.metrics import MEASURES
from forecast.evaluation.quantiles import rounded

# that a terminal of 80 columns has room for; all measures are in the CSV
HEADINGS = {
    "skill": "skill",
    **{name: name for name, measure in MEASURES.items() if measure.in_terminal},
    **{"coverage_80": "in 80%", "coverage_95": "in 95%", "msis": "msis", "fit_seconds": "fit s", "sums": "sums"},
}
LEVEL = "level"  # what --by calls the measures of sums
NAMES = {None: "overall", "series": "by_series", "step": "by_step", LEVEL: "totals"}  # of all tables, by that of --by


def put_measures(measures: object, request: Request, more: dict[str, Any]) -> dict[str, Any]:
    """Write the table of measures that --by names, the first one by default, and return all as records.

    A terminal gets the main measures, and those of sums; a pipe gets all as CSV, unless they go to a file; --json
    prints all tables, and `more`.
    """
    tables = {by: table for by, name in NAMES.items() if (table := getattr(measures, name, None)) is not None}
    if request.by not in (*tables, None):
        raise UsageError("there are no such measures", setting=Setting("by", request.by), cure="leave it out")
    output, by = request.output, request.by or next(iter(tables))
    frame = tables[by]
    first = list(frame.columns).index("skill")
    numbers = {name: rounded(frame[name].to_numpy()) for name in frame.columns[first:] if frame[name].dtype.kind == "f"}
    records = {
        NAMES[name]: json.loads(table.to_json(orient="records", double_precision=15))  # with null for NaN
        for name, table in tables.items()
    }
    whole, guarded = as_json({**more, **records}), frame.columns[:first] if request.excel_safe else None
    if output is not None and output.lower().endswith(".json"):
        replace_file(output, [whole.encode() + b"\n"])
        log(f"written  {output}")
    elif output is not None:
        write(frame.assign(**numbers), output, guarded)
    if request.as_json:
        click.echo(whole)
    elif sys.stdout.isatty():
        for table in [frame] if by == LEVEL or LEVEL not in tables else [frame, tables[LEVEL]]:
            first, shown = list(table.columns).index("skill"), [name for name in HEADINGS if name in table.columns]
            columns = [table[name] for name in table.columns[:first]] + [table[name].map(_text) for name in shown]
            heads = [*table.columns[:first], *(HEADINGS[name] for name in shown)]
            put_numbers(heads, first, zip(*columns, strict=True))
    elif output is None:
        write(frame.assign(**numbers), None, guarded)
    return records


def _text(number: float) -> str:
    text = f"{number:.3f}" if abs(number) < 10 else f"{number:.1f}"
    return f"{number:,}" if isinstance(number, int) else "" if math.isnan(number) else text
