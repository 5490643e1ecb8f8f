"""The command `score`; also writes the measures of a backtest."""

import json
import math
import sys
from typing import Any

from forecast.cli._command import Request
from forecast.cli._console import as_json, echo, log, put_numbers, suggest
from forecast.cli._data import check_outputs, load, load_later, text_settings, write
from forecast.durable import replace_file
from forecast.engine.score import PAIRED, Scores, score
from forecast.errors import INCOMPLETE, Setting, UsageError
from forecast.inference.forecasting import load_forecaster
from forecast.metrics.metrics import BELOW, LEFT, MEASURES, Measures
from forecast.metrics.quantiles import round_values
from forecast.settings import Facts, TableSettings, TextSettings
from forecast.tables.table import Table
from forecast.tables.writing import check_output
from forecast.totals.actual_sums import TotalScores, is_totals, score_totals

LEVEL = "level"  # the value of --by for the measures of sums
BY_GROUP = "by_group"  # the table of measures by the values of columns
SCORE_TABLES = {"overall": None, "by_series": "series", "by_step": "step", "totals": LEVEL}
"""The names of all tables of measures, and what --by calls them; other words name columns."""
# the measures for which a terminal of 80 columns has room; the CSV has all
HEADS = {"skill": "skill"}
HEADS |= {name: name for name, measure in MEASURES.items() if measure.in_terminal}
HEADS |= {"coverage_80": "in 80%", "coverage_95": "in 95%", "msis": "msis"}
HEADS |= {"fit_seconds": "fit s", "sums": "sums", "revision": "revision"}
HEADS |= {name: name for name in PAIRED}
OF_QUANTILES = ("skill", "sums", "revision")  # those shown beside quantiles


def run(request: Request) -> int:
    check_outputs(request, request.output, store=request.store)
    check_output(request.output, ".json")
    forecasts = load(request.forecast, TextSettings())
    table, settings = actual_table(request.actual, request)
    sums = is_totals(forecasts)
    theirs = load_later(request.against, TextSettings())
    if theirs is None:
        request.refuse("there is no table of theirs", "add --against FILE", "against_column")
    else:  # rows have both errors
        request.by = f"column:{request.by or 'all'}"
    scores: Scores | TotalScores = (
        score_totals(forecasts, table, settings)
        if sums
        else score(forecasts, table, settings, theirs, request.against_column)
    )
    what = "sums" if sums else "forecasts"
    log(f"scored   {scores.values:,} {what}; a season is {scores.season} steps")
    put_measures(scores, request, {"season": scores.season, "values": scores.values})
    if scores.missing:
        return INCOMPLETE
    if not sums:
        words = request.words(TableSettings, TextSettings, more=("artifact",))
        suggest("plot", request.actual, "--forecast", request.forecast, *words)
    return 0


def actual_table(actual: str, request: Request) -> tuple[Table, TableSettings]:
    """A table of actual values, and its settings: those of a fit, if a store is named."""
    if request.artifact is None:
        return load(actual, request.read_group(TextSettings)), request.read_group(TableSettings)
    schema = load_forecaster(request.artifact)[0].config.table
    table = load(actual, text_settings(request, schema.reading))
    names = ("date_format", "timezone", "dst", "missing")
    as_at_fit: Facts = {name: getattr(schema, name) for name in names}
    if schema.target in table.names:  # a wide table lacks this column
        as_at_fit["target"] = (schema.target,)
    return table, request.read_group(TableSettings, as_at_fit)


def put_measures(measures: object, request: Request, more: Facts) -> Facts:
    """Write the measures that --by names, by default the first table.

    A terminal gets the main measures only, and --json also gets `more`.
    """
    frames: dict[str, Any] = {}
    for name in SCORE_TABLES:
        if (table := getattr(measures, name, None)) is not None:
            frames[name] = table
    chosen = next((name for name in frames if SCORE_TABLES[name] == request.by), BY_GROUP)
    if request.by is None:
        chosen = next(iter(frames))
    elif chosen == BY_GROUP:
        if not isinstance(measures, Measures):
            problem = "there are no such measures"
            raise UsageError(problem, setting=Setting("by", request.by), cure="leave it out")
        frames[BY_GROUP] = measures.rows_by(request.by)
    records: Facts = {}
    for name, frame in frames.items():  # as JSON of pandas, which has null for NaN
        records[name] = json.loads(frame.to_json(orient="records", double_precision=15))
    whole = as_json({**more, **records})

    frame = frames[chosen]
    output = request.output
    if output is not None and output.lower().endswith(".json"):
        replace_file(output, [whole.encode() + b"\n"])
        log(f"written  {output}")
    elif output is not None or not (request.as_json or sys.stdout.isatty()):
        floats = frame.select_dtypes("floating")
        numbers = {name: round_values(floats[name].to_numpy()) for name in floats}
        ids = frame.columns[: _texts(frame)] if request.excel_safe else None
        write(frame.assign(**numbers), output, ids)
    if request.as_json:
        echo(whole)
    elif sys.stdout.isatty():
        _put(frame)
        if chosen != "totals" and "totals" in frames:
            _put(frames["totals"])
    return records


def _texts(frame: Any) -> int:
    """How many columns come before the measures."""
    return list(frame.columns).index("skill")


def _put(frame: Any) -> None:
    texts = list(frame.columns[: _texts(frame)])
    quantiles = [name for name in frame.columns if name.startswith((BELOW, LEFT))]
    heads = {name: HEADS[name] for name in OF_QUANTILES} if quantiles else HEADS
    heads = heads | {name: name for name in quantiles}
    hidden = "wql"  # a revision takes its room
    if "revision" not in frame.columns or frame["revision"].isna().all():
        hidden = "revision"
    numbers = [name for name in heads if name in frame.columns and name != hidden]
    columns = [frame[name] for name in texts] + [frame[name].map(_text) for name in numbers]
    names = [*texts, *(heads[name] for name in numbers)]
    put_numbers(names, len(texts), zip(*columns, strict=True))


def _text(number: float) -> str:
    if isinstance(number, int):
        return f"{number:,}"
    if math.isnan(number):
        return ""
    return f"{number:.3f}" if abs(number) < 10 else f"{number:.1f}"
