"""Write the measures of backtest and score: to a terminal, as CSV, Parquet or JSON."""

import json
import math
import sys
from collections.abc import Mapping
from typing import Any

import click
import pandas as pd

from forecast.cli._console import as_json, log, put_numbers
from forecast.cli._data import write
from forecast.durable import replace_file
from forecast.evaluation.measures import Measures
from forecast.evaluation.metrics import MEASURES
from forecast.evaluation.quantiles import rounded


def put_measures(
    measures: Measures, by: str | None, output: str | None, whole: bool, more: Mapping[str, object]
) -> None:
    """Write the table of measures that the user wants.

    A terminal gets the main measures; a pipe gets all as CSV, unless they go to a file.

    Parameters
    ----------
    by : a row for each series or step; None is all together
    whole : print all tables as one JSON object
    more : further entries of that object
    """
    frame = {None: measures.overall, "series": measures.by_series, "step": measures.by_step}[by]
    tables = {name: _records(getattr(measures, name)) for name in ("overall", "by_series", "by_step")}
    text = as_json({**more, **tables})
    if output is not None and output.lower().endswith(".json"):
        replace_file(output, [text.encode() + b"\n"])
        log(f"written  {output}")
    elif output is not None:
        write(_rounded(frame), output)
    if whole:
        click.echo(text)
    elif sys.stdout.isatty():
        _print(frame)
    elif output is None:
        write(_rounded(frame), None)


def _rounded(frame: pd.DataFrame) -> pd.DataFrame:
    """Measures with as many digits as forecasts have."""
    numbers = frame.columns[list(frame.columns).index("skill") :]
    return frame.assign(**{name: rounded(frame[name].to_numpy(float)) for name in numbers})


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame, with null for NaN."""
    records: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=15))
    return records


def _print(frame: pd.DataFrame) -> None:
    """Write what a terminal of 80 columns has room for; all measures are in the CSV."""
    names = frame.columns[: list(frame.columns).index("skill")].tolist()
    points = {name: name for name, measure in MEASURES.items() if measure.in_terminal}
    intervals = {"coverage_80": "in 80%", "coverage_95": "in 95%", "msis": "msis"}
    headings = {"skill": "skill", **points, **intervals, "fit_seconds": "fit s"}
    shown = {name: heading for name, heading in headings.items() if name in frame.columns}
    rows = frame[[*names, *shown]].itertuples(index=False)
    texts = ([*row[: len(names)], *map(_text, row[len(names) :])] for row in rows)
    put_numbers([*names, *shown.values()], len(names), texts)


def _text(number: float) -> str:
    return "" if math.isnan(number) else f"{number:.3f}" if abs(number) < 10 else f"{number:.1f}"
