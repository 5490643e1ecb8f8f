"""Sums of forecasts: whether they are asked for, and where they go."""

from os.path import realpath
from pathlib import Path

from forecast.cli._command import Request
from forecast.cli._data import write
from forecast.errors import Setting, UsageError, Words
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import Forecasts
from forecast.inference.predictor import Predictor
from forecast.panel.schema import Schema
from forecast.settings import OutputSettings, SumSettings
from forecast.tables.writing import frame_of
from forecast.totals.paths import path_columns
from forecast.totals.periods import key_columns
from forecast.totals.sums import Totals, log_notes


def sums_asked(request: Request) -> SumSettings | None:
    """The sums that are asked for; None where there are none."""
    settings, output, file = request.of(SumSettings), request.of(OutputSettings), request.totals
    asked, paths = settings != SumSettings(), Setting("paths", request.paths)
    if request.paths is not None and request.output is None:
        cure = Words("name a file with ", Setting("output"))
        raise UsageError("they are written beside the forecasts", setting=paths, cure=cure)
    for name in ("joint", "shard"):
        if getattr(output, name) and (asked or request.paths is not None):
            problem = "sums are of all series, and have intervals of their own"
            raise UsageError(problem, setting=Setting(name), cure="leave it out")
    if file is not None and not asked:
        cure = Words("add ", Setting("sum_by"), " or ", Setting("sum_every"))
        raise UsageError("no sums are asked for", setting=Setting("totals", file), cure=cure)
    if file is not None and request.output is not None and realpath(file) == realpath(request.output):
        raise UsageError("the series are written there", setting=Setting("totals", file), cure="name another file")
    if request.allocate and (file is None or max(len(settings.sum_by), 1) * max(len(settings.sum_every), 1) > 1):
        cure = Words("name one, and a file for them with ", Setting("totals"))
        raise UsageError("series add up to one kind of sums", setting=Setting("allocate"), cure=cure)
    if request.allocate and output.point == "mean":
        raise UsageError("means add up as they are", setting=Setting("allocate"), cure="leave it out")
    return settings if asked else None


def path_file(request: Request) -> str | None:
    """The file that paths are written to; None without paths."""
    wanted = request.paths is not None and request.output is not None
    return str(Path(request.output).with_suffix(".paths.parquet")) if wanted else None


def put_paths(forecasts: Forecasts, fitted: Fitted, request: Request) -> None:
    """Write paths of all series, where they are asked for."""
    file, schema = path_file(request), fitted.config.table
    if file is not None:
        columns = path_columns(forecasts, fitted, schema, request.of(OutputSettings), request.paths)
        write(map(frame_of, columns), file, schema.ids if request.excel_safe else None)


def sums_of(predictor: Predictor, schema: Schema, request: Request) -> Totals | None:
    """The sums that are asked for, still of no series; None where there are none."""
    settings, output = sums_asked(request), request.of(OutputSettings)
    return None if settings is None else Totals(predictor, schema, settings, output, request.horizon)


def put_sums(totals: Totals, request: Request) -> None:
    """Write sums beside the series, or in their place."""
    frame = frame_of(totals.columns())
    ids = ["level", *key_columns(totals.levels, totals.schema)] if request.excel_safe else None
    write(frame, request.totals or request.output, ids)
    log_notes(totals)
