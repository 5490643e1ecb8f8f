"""Compare saved forecasts with the actual values, and write measures."""

import json
import math
import sys
from typing import Any

from forecast.checks.scoring import score
from forecast.cli._command import Request
from forecast.cli._console import as_json, echo, log, put_numbers, suggest
from forecast.cli._data import check_outputs, load, text_settings, write
from forecast.durable import replace_file
from forecast.errors import INCOMPLETE, Setting, UsageError
from forecast.inference.forecasting import load_fitted
from forecast.metrics.metrics import MEASURES
from forecast.metrics.quantiles import rounded
from forecast.settings import TableSettings, TextSettings
from forecast.tables.table import Table
from forecast.totals.actual_sums import is_totals, score_totals

# that a terminal of 80 columns has room for; all measures are in the CSV
HEADINGS = {
    "skill": "skill",
    **{name: name for name, measure in MEASURES.items() if measure.in_terminal},
}
HEADINGS |= {
    "coverage_80": "in 80%",
    "coverage_95": "in 95%",
    "msis": "msis",
    "fit_seconds": "fit s",
    "sums": "sums",
}
LEVEL = "level"  # what --by calls the measures of sums
NAMES = {
    None: "overall",
    "series": "by_series",
    "step": "by_step",
    LEVEL: "totals",
}  # of all tables, by that of --by


def run(request: Request) -> int:
    forecast, actual = request.forecast, request.actual
    check_outputs(request, request.output, store=request.store)
    forecasts = load(forecast, TextSettings())[0]
    sums, read = is_totals(forecasts), actual_table(actual, request)
    found = score_totals(forecasts, *read) if sums else score(forecasts, *read)
    log(
        f"scored   {found.values:,} {'sums' if sums else 'forecasts'}; a season is {found.season} steps"
    )
    put_measures(found, request, {"season": found.season, "values": found.values})
    if found.missing:
        return INCOMPLETE
    if not sums:
        suggest(
            "plot",
            actual,
            "--forecast",
            forecast,
            *request.words(TableSettings, TextSettings, more=("artifact",)),
        )
    return 0


def actual_table(actual: str, request: Request) -> tuple[Table, TableSettings]:
    """A table of values, and how it is read: as the fit of a store did, if one is named."""
    if request.artifact is None:
        return load(actual, request.of(TextSettings))[0], request.of(TableSettings)
    schema = load_fitted(request.artifact).config.table
    table = load(actual, text_settings(request, schema.reading))[0]
    as_at_fit = {
        name: getattr(schema, name) for name in ("date_format", "timezone", "dst", "missing")
    }
    target = (
        {"target": (schema.target,)} if schema.target in table.names else {}
    )  # a wide table has none
    return table, request.of(TableSettings, as_at_fit | target)


def put_measures(measures: object, request: Request, more: dict[str, Any]) -> dict[str, Any]:
    """Write the measures that --by names, the first table by default; a terminal gets the main ones, --json `more`."""
    tables = {
        by: table
        for by, name in NAMES.items()
        if (table := getattr(measures, name, None)) is not None
    }
    if request.by not in (*tables, None):
        raise UsageError(
            "there are no such measures", setting=Setting("by", request.by), cure="leave it out"
        )
    output, by = request.output, request.by or next(iter(tables))
    frame = tables[by]
    first = list(frame.columns).index("skill")
    numbers = {
        name: rounded(frame[name].to_numpy())
        for name in frame.columns[first:]
        if frame[name].dtype.kind == "f"
    }
    texts = {
        NAMES[name]: table.to_json(orient="records", double_precision=15)
        for name, table in tables.items()
    }
    records = {name: json.loads(text) for name, text in texts.items()}  # with null for NaN
    whole, guarded = (
        as_json({**more, **records}),
        frame.columns[:first] if request.excel_safe else None,
    )
    if output is not None and output.lower().endswith(".json"):
        replace_file(output, [whole.encode() + b"\n"])
        log(f"written  {output}")
    elif output is not None or not (request.as_json or sys.stdout.isatty()):
        write(frame.assign(**numbers), output, guarded)
    if request.as_json:
        echo(whole)
    elif sys.stdout.isatty():
        for table in [frame] if by == LEVEL or LEVEL not in tables else [frame, tables[LEVEL]]:
            first, shown = (
                list(table.columns).index("skill"),
                [name for name in HEADINGS if name in table.columns],
            )
            columns = [table[name] for name in table.columns[:first]] + [
                table[name].map(_text) for name in shown
            ]
            heads = [*table.columns[:first], *(HEADINGS[name] for name in shown)]
            put_numbers(heads, first, zip(*columns, strict=True))
    return records


def _text(number: float) -> str:
    text = f"{number:.3f}" if abs(number) < 10 else f"{number:.1f}"
    return f"{number:,}" if isinstance(number, int) else "" if math.isnan(number) else text
