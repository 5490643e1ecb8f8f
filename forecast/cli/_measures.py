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
from forecast.evaluation.measures import Measures
from forecast.evaluation.metrics import MEASURES
from forecast.evaluation.quantiles import rounded

# that a terminal of 80 columns has room for; all measures are in the CSV
HEADINGS = {
    "skill": "skill",
    **{name: name for name, measure in MEASURES.items() if measure.in_terminal},
    **{"coverage_80": "in 80%", "coverage_95": "in 95%", "msis": "msis", "fit_seconds": "fit s"},
}


def put_measures(measures: Measures, request: Request, more: dict[str, Any]) -> None:
    """Write the table of measures that --by names.

    A terminal gets the main measures; a pipe gets all as CSV, unless they go to a file; --json prints all tables, and
    `more`.
    """
    output = request.output
    frame = {None: measures.overall, "series": measures.by_series, "step": measures.by_step}[request.by]
    first = list(frame.columns).index("skill")
    numbers = {name: rounded(frame[name].to_numpy(float)) for name in frame.columns[first:]}
    tables = {name: getattr(measures, name) for name in ("overall", "by_series", "by_step")}
    records = {
        name: json.loads(table.to_json(orient="records", double_precision=15))  # with null for NaN
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
        shown = [name for name in HEADINGS if name in frame.columns]
        columns = [frame[name] for name in frame.columns[:first]] + [frame[name].map(_text) for name in shown]
        heads = [*frame.columns[:first], *(HEADINGS[name] for name in shown)]
        put_numbers(heads, first, zip(*columns, strict=True))
    elif output is None:
        write(frame.assign(**numbers), None, guarded)


def _text(number: float) -> str:
    return "" if math.isnan(number) else f"{number:.3f}" if abs(number) < 10 else f"{number:.1f}"
